import { describe, expect, it } from "vitest";
import { expectAccessible } from "../harness/axe.ts";
import { CONNECTORS, isFake } from "../harness/demo.ts";
import { reset } from "../harness/flow.ts";
import { PIXELS, takeShownPicture } from "../harness/pictures.ts";
import { decide } from "../harness/provider.ts";
import { suite } from "../harness/suite.ts";
import { closedBy } from "../harness/tabs.ts";

const { first } = CONNECTORS;
const CODES = [
  "access_denied",
  "flow_expired",
  "flow_already_used",
  "user_mismatch",
  "browser_mismatch",
  "exchange_failed",
  "account_already_connected",
  "rate_limited",
];
const on = suite();

describe.each(["light", "dark"] as const)("the callback page in %s", (colorScheme) => {
  it("reports success, and closes after a countdown", async () => {
    const viewport = { width: 1000, height: 470 };
    const visit = await on.visit("alice", { colorScheme, viewport, deviceScaleFactor: PIXELS });
    const { here } = visit;
    await reset(here, first.name);
    const tab = await here.connect(first.name);
    await closedBy(tab, async () => {
      await decide(tab, "Allow");
      await tab.waitForURL(/_oauth_callback_result\//);
      if (!isFake) {
        await tab.getByText(/This tab closes in \d second/).waitFor();
        await takeShownPicture(tab, `callback-${colorScheme}`);
      }
    });
    await here.expectStatus(first.name, "Connected");
  });

  it.each([1000, 320])("has an accessible page for every result, %i px wide", async (width) => {
    const { page } = await on.visit("alice", { colorScheme, viewport: { width, height: 640 } });
    for (const code of CODES) {
      await page.goto(`/api/actions/connector/_oauth_callback_result/${code}`);
      await page.getByRole("heading", { level: 1 }).waitFor();
      if (!isFake) {
        await expectAccessible(page, code);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        expect(overflow, code).toBeLessThanOrEqual(0);
      }
    }
  });
});

describe("the callback page", () => {
  it("R30 has a fixed policy, and loads only its script and style sheet", async () => {
    const { page, context } = await on.visit("alice");
    const requested: string[] = [];
    context.on("request", (request) => requested.push(new URL(request.url()).pathname));
    const path = "/api/actions/connector/_oauth_callback";
    const response = await page.goto(`${path}_result/flow_expired`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    if (!isFake) {
      expect(response?.headers()["content-security-policy"]).toBe(
        `default-src 'none'; script-src ${on.site.url}${path}_script; style-src ${on.site.url}${path}_style; base-uri 'none'; ` +
          "form-action 'none'; frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'",
      );
      expect(requested.filter((loaded) => !loaded.startsWith(path))).toEqual([]);
    }
  });

  it("states that the tab can be closed where the browser does not close it", async () => {
    const { here, page } = await on.visit("alice");
    await reset(here, first.name);
    const tab = await here.connect(first.name);
    await decide(tab, "Allow");
    await tab.waitForURL(/_oauth_callback_result\//);
    const url = tab.url();
    await tab.close();
    // The browser closes only tabs that a script opened.
    await page.goto(url);
    if (!isFake) {
      await page.getByText("You can close this tab now.").waitFor();
    }
  });

  it("works without a script", async () => {
    const { page } = await on.visit("alice", {});
    const state = await page.context().storageState();
    const bare = await on.visitor({ javaScriptEnabled: false, storageState: state });
    await bare.page.goto("/api/actions/connector/_oauth_callback_result/access_denied");
    expect(await bare.page.getByRole("heading", { level: 1 }).textContent()).not.toBe("");
  });
});
