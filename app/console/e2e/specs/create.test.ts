import { describe, expect, it } from "vitest";
import { expectAccessible } from "../harness/axe.ts";
import { isFake } from "../harness/demo.ts";
import { suite, type Visit } from "../harness/suite.ts";

const on = suite();
/** A connector whose endpoints are entered. */
const WITH_ENDPOINTS = isFake ? "warehouse" : "files";

async function expectFits({ page }: Visit, what: string): Promise<void> {
  await expectAccessible(page, what);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(overflow, `${what} is wider than the window`).toBeLessThanOrEqual(0);
}

/** Presses the tab key until the control with this label has the focus. */
async function tabTo({ page }: Visit, name: string): Promise<void> {
  for (let presses = 0; presses < 60; presses += 1) {
    const label = await page.evaluate(() => {
      const focused = document.activeElement as HTMLInputElement | null;
      return focused?.labels?.[0]?.textContent ?? focused?.textContent ?? "";
    });
    if (label.trim().startsWith(name)) {
      return;
    }
    await page.keyboard.press("Tab");
  }
  throw new Error(`the keyboard does not reach ${name}`);
}

describe("creating a connector", () => {
  it("is possible with the keyboard, and ends with a test at the provider", async () => {
    const visit = await on.visit("alice");
    const { page, here } = visit;
    const config = await page.evaluate(
      async (id) => (await (await fetch(`/api/actions/connector/${id}`)).json()).config,
      WITH_ENDPOINTS,
    );
    await page.getByRole("button", { name: "New connector" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("list", { name: "Providers" }).waitFor();
    await page.keyboard.type("no provider has this name");
    await page.getByText("No provider matches").waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: /^New connector: OAuth 2/ }).waitFor();
    for (const [label, value] of [
      ["Name", "By keyboard"],
      ["Id", "by-keyboard"],
      ["Authorization URL", config.authorizationUrl],
      ["Token URL", config.tokenUrl],
    ] as const) {
      await tabTo(visit, label);
      await page.keyboard.press("ControlOrMeta+a");
      await page.keyboard.type(value);
    }
    await page.getByLabel(/base URL/i).fill(config.baseUrl);
    await tabTo(visit, "Create connector");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "By keyboard is created" }).waitFor();
    // A reload continues at the same step.
    await page.reload();
    await page.getByRole("heading", { name: "By keyboard is created" }).waitFor();
    for (const [label, value] of [
      ["Client id", "files"],
      ["Client secret", "demo-client-secret"],
    ] as const) {
      await tabTo(visit, label);
      await page.keyboard.type(value);
    }
    await here.expectNoSecrets([/demo-client-secret/]);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Test connector" }).waitFor();
    await tabTo(visit, "Test connector");
    await page.keyboard.press("Enter");
    await page.getByText("The provider accepts them.").waitFor();
    await expectFits(visit, "the end of the creation");
    await here.expectNoSecrets([/demo-client-secret/]);
    await tabTo(visit, "Done");
    await page.keyboard.press("Enter");
    await here.chooseMenu("By keyboard", "Delete");
    await here.dialog().getByRole("button", { name: "Delete connector" }).click();
    await here.expectToast("By keyboard was deleted");
  });

  it.each([
    ["en", 1280],
    ["en", 360],
    ["de", 360],
  ] as const)("fits the window in %s at %i px", async (locale, width) => {
    const visit = await on.visit("alice", { viewport: { width, height: 800 } });
    const { page } = visit;
    await page.evaluate((language) => localStorage.setItem("grantry.language", language), locale);
    await page.goto("/?view=new");
    await page.locator(".type-card").first().waitFor();
    await expectFits(visit, `providers ${locale}`);
    await page.locator('.type-card[value=".github"]').click();
    await page.locator("form").waitFor();
    await expectFits(visit, `guide ${locale}`);
    await page.goto("/?view=new&type=.oauth2");
    await page.locator("form").waitFor();
    await page.locator("details summary").click();
    await expectFits(visit, `form ${locale}`);
  });

  it("is refused to viewers, who see the list", async () => {
    const { page } = await on.visit("bob", { query: "?view=new" });
    await page.getByRole("heading", { name: "Connectors", level: 1 }).waitFor();
    expect(await page.locator(".type-card").count()).toBe(0);
  });
});
