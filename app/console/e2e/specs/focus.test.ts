import { describe, expect, it } from "vitest";
import { CONNECTORS } from "../harness/demo.ts";
import { reset } from "../harness/flow.ts";
import { decide } from "../harness/provider.ts";
import { suite, type Visit } from "../harness/suite.ts";
import { newTab } from "../harness/tabs.ts";

const { first } = CONNECTORS;
const on = suite();

const labelOfFocus = ({ page }: Visit) =>
  page.evaluate(() => {
    const focused = document.activeElement as HTMLInputElement | null;
    return (
      focused?.labels?.[0]?.textContent || focused?.getAttribute("aria-label") || focused?.textContent || ""
    );
  });

async function expectFocus(visit: Visit, label: string): Promise<void> {
  await expect.poll(() => labelOfFocus(visit), { timeout: 10_000 }).toBe(label);
}

describe("the menu of a row", () => {
  it("is operated by keyboard and returns the focus", async () => {
    const visit = await on.visit("alice");
    const { page, here } = visit;
    await here.row(first.name).waitFor();
    const button = `More actions for ${first.name}`;
    await page.getByRole("button", { name: button, exact: true }).focus();
    await page.keyboard.press("ArrowDown");
    await expectFocus(visit, "Details");
    await page.keyboard.press("End");
    await expectFocus(visit, "Delete");
    await page.keyboard.press("ArrowDown");
    await expectFocus(visit, "Details");
    await page.keyboard.press("e");
    await expectFocus(visit, "Edit");
    await page.keyboard.press("Escape");
    await expectFocus(visit, button);
    await here.expectNone(page.getByRole("menu"));
    await page.keyboard.press("Enter");
    await expectFocus(visit, "Details");
    await page.keyboard.press("Enter");
    await here.dialog().waitFor();
    await page.keyboard.press("Escape");
    await expectFocus(visit, button);
  });

  it("opens by the pointer, and closes by Tab", async () => {
    const visit = await on.visit("alice");
    const { page, here } = visit;
    await here.row(first.name).waitFor();
    await page.getByRole("button", { name: `More actions for ${first.name}`, exact: true }).click();
    await expectFocus(visit, "Details");
    await page.keyboard.press("Tab");
    await here.expectNone(page.getByRole("menu"));
  });
});

describe("the focus", () => {
  it("stays in the row while a connector is connected, in another tab", async () => {
    const visit = await on.visit("alice");
    const { page, here, context } = visit;
    await reset(here, first.name);
    await page.getByRole("button", { name: `Connect ${first.name}`, exact: true }).focus();
    await page.keyboard.press("Enter");
    await here
      .dialog()
      .getByRole("button", { name: /^Go to / })
      .focus();
    const tab = await newTab(context, () => page.keyboard.press("Enter"));
    await expectFocus(visit, `Open the sign-in page for ${first.name}`);
    await decide(tab, "Allow");
    await here.expectStatus(first.name, "Connected");
    await expectFocus(visit, `Disconnect ${first.name}`);
  });

  it("moves to the heading after a provider is picked, and to the first error", async () => {
    const visit = await on.visit("alice");
    const { page, here } = visit;
    await page.getByRole("button", { name: "New connector" }).click();
    await expectFocus(visit, "Search providers");
    await page.getByRole("button", { name: /OAuth 2/ }).click();
    await expectFocus(visit, "New connector: OAuth 2.0");
    await page.getByLabel("Name").fill("Own");
    await page.getByRole("button", { name: "Create connector" }).click();
    await page.locator("[aria-invalid=true]").first().waitFor();
    const isFirstError = () => document.activeElement === document.querySelector("[aria-invalid=true]");
    await expect.poll(() => page.evaluate(isFirstError)).toBe(true);
    // The field is visible, and not covered by the notice.
    const visible = await page.evaluate(() => {
      const box = document.activeElement?.getBoundingClientRect();
      return box && document.elementFromPoint(box.x + 20, box.y + box.height / 2) === document.activeElement;
    });
    expect(visible).toBe(true);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Cancel" }).click();
    await here.dialog().getByRole("heading", { name: "Discard your entries?" }).waitFor();
    await page.keyboard.press("Escape");
    expect(await page.getByLabel("Name").inputValue()).toBe("Own");
    await page.getByRole("button", { name: "Cancel" }).click();
    await here.dialog().getByRole("button", { name: "Discard" }).click();
    await here.row(first.name).waitFor();
    // In the page, and not at its start.
    await expect.poll(() => page.evaluate(() => document.activeElement?.closest("main")?.id)).toBe("content");
  });

  it("is not lost by the back button while a form is filled in", async () => {
    const visit = await on.visit("alice");
    const { page, here } = visit;
    await page.getByRole("button", { name: "New connector" }).click();
    await page.getByRole("button", { name: /OAuth 2/ }).click();
    await page.getByLabel("Name").fill("Own");
    await page.goBack();
    await here.dialog().getByRole("heading", { name: "Discard your entries?" }).waitFor();
    await here.dialog().getByRole("button", { name: "Keep editing" }).click();
    expect(await page.getByLabel("Name").inputValue()).toBe("Own");
    await page.goBack();
    await here.dialog().getByRole("button", { name: "Discard" }).click();
    await page.getByRole("heading", { name: "New connector", exact: true }).waitFor();
  });

  it("moves to another row after a connector is deleted", async () => {
    const visit = await on.visit("alice");
    const { page, here } = visit;
    await page.evaluate(async () => {
      await fetch("/api/actions/connector/aaa-first", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          name: "AAA first",
          connector_type_id: ".github",
          config: {},
          secrets: { clientId: "x", clientSecret: "y" },
        }),
      });
    });
    await page.reload();
    await here.chooseMenu("AAA first", "Delete");
    await here.dialog().getByRole("button", { name: "Delete connector" }).click();
    await here.row("AAA first").waitFor({ state: "detached" });
    await expect
      .poll(() => page.evaluate(() => document.activeElement?.id.startsWith("connector-")))
      .toBe(true);
  });
});
