import { expect, it } from "vitest";
import { CONNECTORS } from "../harness/demo.ts";
import { holdCallback, reset, resultOf } from "../harness/flow.ts";
import { suite } from "../harness/suite.ts";

const { first } = CONNECTORS;
// The shortest lifetime that the server accepts.
const on = suite({ flowSeconds: 30 });

it("R18 an expired flow ends in the console and at the callback", async () => {
  const { here, page, context } = await on.visit("alice");
  await reset(here, first.name);
  const tab = await here.connect(first.name);
  const callback = await holdCallback(tab);
  // The cookie expires with the flow, and without it the callback cannot find the user of the flow. Keep it longer.
  const cookies = (await context.cookies()).filter(({ name }) => /flow_/.test(name));
  const timer = here.row(first.name).getByRole("timer");
  expect(await timer.textContent()).toMatch(/^0:[0-3]\d left$/);
  await here.expectToast(`${first.name} is not connected. The attempt has expired. Start again.`, 45_000);
  await here.expectStatus(first.name, "Not connected");
  await context.addCookies(cookies.map((cookie) => ({ ...cookie, expires: -1 })));
  await tab.goto(callback);
  expect(await resultOf(tab)).toBe("flow_expired");
  // Starting again works at once.
  await reset(here, first.name);
  const again = await here.connect(first.name);
  await here.expectStatus(first.name, "Connecting");
  await again.close();
  await page.getByRole("button", { name: `Cancel connecting ${first.name}` }).click();
  await here.expectStatus(first.name, "Not connected");
}, 90_000);
