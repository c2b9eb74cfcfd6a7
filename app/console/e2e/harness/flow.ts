import type { Page } from "playwright-core";
import type { ConsolePage } from "./console.ts";
import { decide } from "./provider.ts";

const CALLBACK = /\/api\/actions\/connector\/_oauth_callback(\/[^?/]+)?\?/;

/** Ends whatever connection or attempt there is, so that a test starts from nothing. */
export async function startAfresh(here: ConsolePage, name: string): Promise<void> {
  await here
    .row(name)
    .getByRole("button", { name: /^(Connect|Reconnect|Disconnect|Cancel)/ })
    .first()
    .waitFor();
  const cancel = here.page.getByRole("button", { name: `Cancel connecting ${name}`, exact: true });
  if (await cancel.isVisible()) {
    await cancel.click();
  }
  if (await here.page.getByRole("button", { name: `Disconnect ${name}`, exact: true }).isVisible()) {
    await here.disconnect(name);
  }
  await here.page.getByRole("button", { name: `Connect ${name}`, exact: true }).waitFor();
}

/**
 * Lets the provider answer, but keeps the browser from calling back. Answers the callback URL with code and state.
 *
 * The redirect is read where the provider sends it, since a redirected request itself cannot be held.
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

/** What a result page says: `success`, or the code of the error. */
export async function resultOf(page: Page): Promise<string | undefined> {
  const { status, error } = await page
    .locator("#result")
    .evaluate((result) => ({ ...(result as HTMLElement).dataset }));
  // A page that belongs to no flow of this person says nothing to scripts; its code stands in its path.
  return status === "success" ? status : error || new URL(page.url()).pathname.split("/").at(-1);
}
