// An event and the action that causes it are awaited together, so that a failure of the action is the one that is reported.

import type { BrowserContext, Page } from "playwright-core";

/** The tab that an action opens. */
export async function newTab(context: BrowserContext, action: () => Promise<void>): Promise<Page> {
  const [tab] = await Promise.all([context.waitForEvent("page"), action()]);
  return tab;
}

/** Waits until a tab has closed because of an action, which takes 15 seconds at most together. */
export async function closedBy(tab: Page, action: () => Promise<void>): Promise<void> {
  await Promise.all([tab.waitForEvent("close", { timeout: 15_000 }), action()]);
}
