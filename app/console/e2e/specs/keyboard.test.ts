import type { Page } from "playwright-core";
import { expect, it } from "vitest";
import { ConsolePage } from "../harness/console.ts";
import { CONNECTORS, passwordOf } from "../harness/demo.ts";
import { reset } from "../harness/flow.ts";
import { decide } from "../harness/provider.ts";
import { suite } from "../harness/suite.ts";
import { newTab } from "../harness/tabs.ts";

const { first } = CONNECTORS;
const on = suite();

/** Presses the tab key until the element with this label has the focus. */
async function tabTo(page: Page, name: RegExp | string): Promise<void> {
  for (let presses = 0; presses < 60; presses += 1) {
    const label = await page.evaluate(() => {
      const focused = document.activeElement as HTMLInputElement | null;
      return (
        focused?.getAttribute("aria-label") ?? focused?.labels?.[0]?.textContent ?? focused?.textContent ?? ""
      );
    });
    if (typeof name === "string" ? label.trim() === name : name.test(label)) {
      return;
    }
    await page.keyboard.press("Tab");
  }
  throw new Error(`the keyboard does not reach ${name}`);
}

/** Waits until the element with this text has the focus. */
async function expectFocus(page: Page, text: string): Promise<void> {
  await page.locator(":focus", { hasText: text }).waitFor();
}

it("the console is operable by keyboard", async () => {
  const { page } = await on.visitor();
  await page.goto("/");
  await page.getByLabel("User name").waitFor();
  await tabTo(page, "User name");
  await page.keyboard.type("alice");
  await tabTo(page, "Password");
  await page.keyboard.type(passwordOf("alice"));
  await page.keyboard.press("Enter");
  const here = new ConsolePage(page);
  await here.row(first.name).waitFor();
  await reset(here, first.name);

  await page.reload();
  await here.row(first.name).waitFor();
  await page.keyboard.press("Tab");
  expect(await page.locator(":focus").textContent()).toBe("Skip to content");
  await page.keyboard.press("Enter");
  await tabTo(page, "Search connectors");
  await page.keyboard.type(first.name.slice(0, 3));
  await tabTo(page, `Connect ${first.name}`);
  await page.keyboard.press("Enter");
  await here.dialog().waitFor();
  // The focus stays in the dialog, and returns when it is closed.
  for (let presses = 0; presses < 8; presses += 1) {
    await page.keyboard.press("Tab");
    expect(
      await page.evaluate(
        () => document.activeElement === document.body || document.activeElement?.closest("dialog") !== null,
      ),
    ).toBe(true);
  }
  await page.keyboard.press("Escape");
  expect(await page.locator(":focus").getAttribute("aria-label")).toBe(`Connect ${first.name}`);
  await page.keyboard.press("Enter");
  await tabTo(page, /^Go to /);
  await decide(await newTab(page.context(), () => page.keyboard.press("Enter")), "Allow");
  await page.bringToFront();
  await here.expectStatus(first.name, "Connected");

  await tabTo(page, `More actions for ${first.name}`);
  await page.keyboard.press("Enter");
  await page.getByRole("menuitem", { name: "Details" }).waitFor();
  await expectFocus(page, "Details");
  await page.keyboard.press("Enter");
  await here.dialog().getByText("Redirect URI", { exact: true }).waitFor();
  await page.keyboard.press("Escape");
  await here.expectNone(page.getByRole("dialog"));
  expect(await page.locator(":focus").getAttribute("aria-label")).toBe(`More actions for ${first.name}`);
});
