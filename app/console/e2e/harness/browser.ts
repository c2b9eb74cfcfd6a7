import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from "playwright-core";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Starts the system's Chromium, with a profile of its own that is thrown away. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: FLAGS,
  });
}

/** A person's browser: its own cookies, and every complaint of its pages. */
export interface Visitor {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Violations of a content security policy and errors in scripts, of all its pages. */
  readonly complaints: string[];
  close(): Promise<void>;
}

/** Opens a browser context and its first page. */
export async function newVisitor(
  browser: Browser,
  baseURL: string,
  options: BrowserContextOptions = {},
): Promise<Visitor> {
  const context = await browser.newContext({ baseURL, locale: "en", ...options });
  const complaints: string[] = [];
  context.on("console", (message) => {
    if (message.type() === "error" && !isExpectedRefusal(message.text())) {
      complaints.push(message.text());
    }
  });
  context.on("weberror", (error) => complaints.push(error.error().message));
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  context.setDefaultTimeout(15_000);
  return { context, page: await context.newPage(), complaints, close: () => context.close() };
}

/** Chromium reports every answer that is not 2xx as an error; those are part of the tests. */
function isExpectedRefusal(text: string): boolean {
  return text.startsWith("Failed to load resource");
}
