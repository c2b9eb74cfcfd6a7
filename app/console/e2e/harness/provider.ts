import type { Page } from "playwright-core";
import { providerPasswordOf } from "./demo.ts";

/** Logs in at the provider, where required, and allows or denies access. */
export async function decide(page: Page, decision: "Allow" | "Deny", user = "alice"): Promise<void> {
  const userName = page.getByLabel("User name");
  const button = page.getByRole("button", { name: decision, exact: true });
  await userName.or(button).first().waitFor();
  if (await userName.isVisible()) {
    await userName.fill(user);
    await page.getByLabel("Password").fill(providerPasswordOf(user));
    await page.getByRole("button", { name: "Log in" }).click();
  }
  await button.click();
}

/** Changes the account at the provider, and allows access. */
export async function allowAsAnother(page: Page, user: string): Promise<void> {
  await page.getByRole("link", { name: "Use another account" }).click();
  await page.getByLabel("User name").waitFor();
  await decide(page, "Allow", user);
}
