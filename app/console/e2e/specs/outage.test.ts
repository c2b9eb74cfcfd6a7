import { expect, it } from "vitest";
import { expectAccessible } from "../harness/axe.ts";
import { CONNECTORS } from "../harness/demo.ts";
import { suite } from "../harness/suite.ts";

const { first } = CONNECTORS;
const on = suite();
const BANNER = /The server does not respond/;

it("a server that is gone is reported, rows are marked, and the page recovers by itself", async () => {
  const { page, here, context } = await on.visit("alice");
  await here.row(first.name).waitFor();
  await context.setOffline(true);
  await page.getByText(BANNER).waitFor();
  await here.row(first.name).getByText("Last known status").waitFor();
  expect(await page.locator(".badge--ok, .badge--warn").count()).toBe(0);
  await expectAccessible(page, "outage");
  await page.setViewportSize({ width: 360, height: 760 });
  expect(
    await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth),
  ).toBeLessThanOrEqual(0);
  await context.setOffline(false);
  await page.getByText(BANNER).waitFor({ state: "detached" });
  await here.row(first.name).getByText("Last known status").waitFor({ state: "detached" });
});

it("a proxy without a server is reported", async () => {
  const { page, here } = await on.visit("alice");
  await here.row(first.name).waitFor();
  await page.route(/readyz|\/actions\/|api\/session/, (route) =>
    route.fulfill({ status: 502, contentType: "text/html", body: "<h1>Bad gateway</h1>" }),
  );
  await page.evaluate(() => window.dispatchEvent(new Event("focus")));
  await page.getByText(BANNER).waitFor();
  await page.unroute(/readyz|\/actions\/|api\/session/);
  await page.getByRole("button", { name: "Try now" }).click();
  await page.getByText(BANNER).waitFor({ state: "detached" });
});
