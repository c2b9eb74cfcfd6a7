import type { Page } from "playwright-core";

/** Logs in at the provider and decides. */
export async function decide(
  page: Page,
  decision: "Allow" | "Deny",
  account = { username: "alice", password: "alice" },
): Promise<void> {
  await page
    .getByLabel("User name")
    .or(page.getByRole("button", { name: decision }))
    .first()
    .waitFor();
  if (await page.getByLabel("User name").isVisible()) {
    await page.getByLabel("User name").fill(account.username);
    await page.getByLabel("Password").fill(account.password);
    await page.getByRole("button", { name: "Log in" }).click();
  }
  await page.getByRole("button", { name: decision, exact: true }).click();
}
