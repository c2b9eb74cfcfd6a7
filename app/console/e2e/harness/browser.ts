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

/** Starts the Chromium of the system, with a temporary profile. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: FLAGS,
  });
}

/** The browser of a user: separate cookies, and the errors of all its pages. */
export interface Visitor {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Violations of a content security policy and script errors, of all its pages. */
  readonly errors: string[];
  close(): Promise<void>;
}

/** Opens a browser context and its first page. */
export async function newVisitor(
  browser: Browser,
  baseURL: string,
  options: BrowserContextOptions = {},
): Promise<Visitor> {
  const context = await browser.newContext({ baseURL, locale: "en", ...options });
  const errors: string[] = [];
  context.on("console", (message) => {
    if (message.type() === "error" && !isExpectedError(message.text())) {
      errors.push(message.text());
    }
  });
  context.on("weberror", (error) => errors.push(error.error().message));
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  // Less than the limit of a test, so that the report names the wait.
  context.setDefaultTimeout(30_000);
  return { context, page: await context.newPage(), errors, close: () => context.close() };
}

/** Chromium reports every response that is not 2xx as an error; the tests cause some on purpose. */
function isExpectedError(text: string): boolean {
  return text.startsWith("Failed to load resource");
}
