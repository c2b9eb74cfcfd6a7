import type { Page } from "playwright-core";
import type { ConsolePage } from "./console.ts";
import { decide } from "./provider.ts";

const CALLBACK =
  /\/api\/actions\/connector\/(_oauth_callback|_oauth_profile_callback|_oauth_context\/[^?/]+)\?/;

/** How often the state of a connector is read, and how long a change of it may take. */
const RESETS = 6;
const RESET_TIMEOUT = 5_000;

/** Ends the connection and the pending flow, so that a test starts without them. */
export async function reset(here: ConsolePage, name: string): Promise<void> {
  await here
    .row(name)
    .getByRole("button", { name: /^(Connect|Reconnect|Disconnect|Cancel)/ })
    .first()
    .waitFor();
  const button = (label: string) => here.page.getByRole("button", { name: `${label} ${name}`, exact: true });
  // The list is read again meanwhile, and can then show a flow or a connection that it did not show before.
  for (let attempt = 0; attempt < RESETS; attempt += 1) {
    if (await button("Cancel connecting").isVisible()) {
      await button("Cancel connecting").click();
    }
    if (await button("Disconnect").isVisible()) {
      await here.disconnect(name);
    }
    const isReset = button("Connect").waitFor({ timeout: RESET_TIMEOUT });
    if (
      await isReset.then(
        () => true,
        () => false,
      )
    ) {
      return;
    }
  }
  throw new Error(`${name} is still connected`);
}

/**
 * Allows access at the provider, and stops the redirect to the callback. Returns the callback URL with code and state.
 *
 * The redirect is read from the response of the provider, since a redirected request cannot be held.
 */
export async function holdCallback(tab: Page): Promise<string> {
  await tab.getByLabel("User name").waitFor();
  const provider = `${new URL(tab.url()).origin}/**`;
  let caught: (url: string) => void;
  const callback = new Promise<string>((resolve) => {
    caught = resolve;
  });
  await tab.route(provider, async (route) => {
    const response = await route.fetch({ maxRedirects: 0 });
    const location = response.headers().location ?? "";
    if (CALLBACK.test(location)) {
      caught(location);
      await route.abort();
    } else {
      await route.fulfill({ response });
    }
  });
  await decide(tab, "Allow");
  return callback;
}

/** The result on a result page: `success`, or the code of the error. */
export async function resultOf(page: Page): Promise<string | undefined> {
  const { status, error } = await page
    .locator("#result")
    .evaluate((result) => ({ ...(result as HTMLElement).dataset }));
  // A page without a flow of this user has no result for scripts; its code is in its path.
  return status === "success" ? status : error || new URL(page.url()).pathname.split("/").at(-1);
}
