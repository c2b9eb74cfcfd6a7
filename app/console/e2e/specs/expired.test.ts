import { expect, it } from "vitest";
import { CONNECTORS } from "../harness/demo.ts";
import { holdCallback, resultOf, startAfresh } from "../harness/flow.ts";
import { suite } from "../harness/suite.ts";

const { first } = CONNECTORS;
// The shortest the server takes.
const on = suite({ flowSeconds: 30 });

it("R18 an expired flow ends in the console and at the callback", async () => {
  const { here, page, context } = await on.visit("alice");
  await startAfresh(here, first.name);
  const tab = await here.connect(first.name);
  const callback = await holdCallback(tab);
  // The flow's cookie ends with the flow, so the callback could not tell whose it was. Kept longer, it can.
  const cookies = (await context.cookies()).filter(({ name }) => /flow_/.test(name));
  const timer = here.row(first.name).getByRole("timer");
  expect(await timer.textContent()).toMatch(/^0:[0-3]\d left$/);
  await here.expectToast(`${first.name} is not connected. The time was up. Start again.`, 45_000);
  await here.expectStatus(first.name, "Not connected");
  await context.addCookies(cookies.map((cookie) => ({ ...cookie, expires: -1 })));
  await tab.goto(callback);
  expect(await resultOf(tab)).toBe("flow_expired");
  // Starting again works at once.
  await startAfresh(here, first.name);
  const again = await here.connect(first.name);
  await here.expectStatus(first.name, "Connecting");
  await again.close();
  await page.getByRole("button", { name: `Cancel connecting ${first.name}` }).click();
  await here.expectStatus(first.name, "Not connected");
}, 90_000);
