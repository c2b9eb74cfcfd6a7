import { expect, it } from "vitest";
import { expectAccessible } from "../harness/axe.ts";
import { CONNECTORS, SECRETS } from "../harness/demo.ts";
import { reset } from "../harness/flow.ts";
import { decide } from "../harness/provider.ts";
import { suite } from "../harness/suite.ts";

const { first } = CONNECTORS;
const on = suite();

it("a viewer tries a connection, and sees the status and the account", async () => {
  const { page, here } = await on.visit("bob", { viewport: { width: 360, height: 800 } });
  await reset(here, first.name);
  const more = page.getByRole("button", { name: `More actions for ${first.name}`, exact: true });
  await more.click();
  expect(await page.getByRole("menuitem", { name: "Try it" }).count()).toBe(0);
  await page.keyboard.press("Escape");
  await decide(await here.connect(first.name), "Allow", "bob");
  await here.expectStatus(first.name, "Connected");
  await here.chooseMenu(first.name, "Try it");
  await here.dialog().getByRole("button", { name: "Try it" }).click();
  await here.dialog().getByText("The connection works.").waitFor();
  const facts = await here.dialog().locator("dl").textContent();
  expect(facts).toMatch(/200/);
  expect(facts).toMatch(/bob/);
  await expectAccessible(page, "the outcome");
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  await here.expectNoSecrets([...SECRETS, /access-token/i]);
  await page.keyboard.press("Escape");
  await more.and(page.locator(":focus")).waitFor();
});
