import type { Page } from "playwright-core";
import { providerPasswordOf } from "./demo.ts";

/** Logs in at the provider and decides. */
export async function decide(page: Page, decision: "Allow" | "Deny", person = "alice"): Promise<void> {
  const userName = page.getByLabel("User name");
  const button = page.getByRole("button", { name: decision, exact: true });
  await userName.or(button).first().waitFor();
  if (await userName.isVisible()) {
    await userName.fill(person);
    await page.getByLabel("Password").fill(providerPasswordOf(person));
    await page.getByRole("button", { name: "Log in" }).click();
  }
  await button.click();
}

/** Leaves the account that is logged in at the provider, logs in as somebody else, and allows. */
export async function allowAsAnother(page: Page, person: string): Promise<void> {
  await page.getByRole("link", { name: "Use another account" }).click();
  await page.getByLabel("User name").waitFor();
  await decide(page, "Allow", person);
}
