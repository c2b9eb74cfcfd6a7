import type { Cookie, Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { CONSOLE_CSP } from "../../testing/fake-http-server.ts";
import { frame } from "../harness/attacker.ts";
import { CONNECTORS } from "../harness/demo.ts";
import { holdCallback, reset, resultOf } from "../harness/flow.ts";
import { suite, type Visit } from "../harness/suite.ts";

const { first } = CONNECTORS;
const on = suite();

/** Opens the callback, and returns the result of the page: `success`, or the code of the error. */
async function visitCallback(page: Page, callback: string): Promise<string | undefined> {
  await page.goto(callback);
  expect(page.url()).not.toMatch(/[?&](code|state)=/);
  return resultOf(page);
}

/** The cookies that bind flows to this browser. */
async function flowCookies({ context }: Visit): Promise<Cookie[]> {
  return (await context.cookies()).filter(({ name }) => /flow_/.test(name));
}

/** Runs a flow until only the callback is missing. */
async function heldAt(visit: Visit): Promise<string> {
  await reset(visit.here, first.name);
  const tab = await visit.here.connect(first.name);
  const callback = await holdCallback(tab);
  await tab.close();
  return callback;
}

describe("a callback", () => {
  it("R03 of another user's flow is rejected and does not change it", async () => {
    const alice = await on.visit("alice");
    const bob = await on.visit("bob");
    await reset(bob.here, first.name);
    const callback = await heldAt(alice);
    expect(await visitCallback(bob.page, callback)).toBe("user_mismatch");
    await bob.here.open("bob");
    await bob.here.expectStatus(first.name, "Not connected");
    await alice.here.expectStatus(first.name, "Connecting");
    expect(await visitCallback(alice.page, callback)).toBe("success");
    await alice.here.open("alice");
    await alice.here.expectStatus(first.name, "Connected");
  });

  it("R03 after another user signed in is rejected", async () => {
    const { here, page } = await on.visit("alice");
    const callback = await heldAt({ here } as Visit);
    await page.getByRole("button", { name: /Account and settings/ }).click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await here.signIn("bob");
    await here.row(first.name).waitFor();
    expect(await visitCallback(page, callback)).toBe("user_mismatch");
    await here.open("bob");
    await here.row(first.name).waitFor();
    await here.expectNone(page.getByRole("button", { name: `Disconnect ${first.name}`, exact: true }));
  });

  it("R03 without the cookie of the flow is rejected and consumes nothing", async () => {
    const alice = await on.visit("alice");
    const callback = await heldAt(alice);
    const flows = await flowCookies(alice);
    expect(flows.length).toBeGreaterThan(0);
    await alice.context.clearCookies({ name: /flow_/ });
    expect(await visitCallback(alice.page, callback)).toBe("browser_mismatch");
    await alice.context.addCookies(flows);
    expect(await visitCallback(alice.page, callback)).toBe("success");
    await alice.here.open("alice");
    await alice.here.expectStatus(first.name, "Connected");
  });

  it("of a cancelled flow changes nothing", async () => {
    const alice = await on.visit("alice");
    const callback = await heldAt(alice);
    const flows = await flowCookies(alice);
    await alice.page.getByRole("button", { name: `Cancel connecting ${first.name}` }).click();
    await alice.here.expectStatus(first.name, "Not connected");
    await alice.context.addCookies(flows);
    // It leads to the page of the flow, which has no result for scripts.
    expect(await visitCallback(alice.page, callback)).not.toBe("success");
    await alice.page.getByRole("heading", { name: "Cancelled" }).waitFor();
    await alice.here.open("alice");
    await alice.here.expectStatus(first.name, "Not connected");
  });

  it("R20 a second time changes nothing", async () => {
    const alice = await on.visit("alice");
    const callback = await heldAt(alice);
    const flows = await flowCookies(alice);
    expect(await visitCallback(alice.page, callback)).toBe("success");
    // The server has deleted the cookie; also with it, the code is used once.
    await alice.context.addCookies(flows);
    expect(await visitCallback(alice.page, callback)).toBe("flow_already_used");
    await alice.here.open("alice");
    await alice.here.expectStatus(first.name, "Connected");
  });

  it("R21 in a frame is rejected and consumes nothing", async () => {
    const alice = await on.visit("alice");
    const callback = await heldAt(alice);
    expect((await frame(alice.context, callback)).status).toBeGreaterThanOrEqual(400);
    // The browser reports the rejected frame, as expected.
    alice.errors.length = 0;
    expect(await visitCallback(alice.page, callback)).toBe("success");
    await alice.here.open("alice");
    await alice.here.expectStatus(first.name, "Connected");
  });
});

describe("the channel", () => {
  it("R32 changes nothing, with any message", async () => {
    const alice = await on.visit("alice");
    await reset(alice.here, first.name);
    const tab = await alice.here.connect(first.name);
    await tab.getByLabel("User name").waitFor();
    await tab.close();
    const forger = await alice.context.newPage();
    await forger.goto("/");
    await forger.evaluate((connectorId) => {
      const channel = new BroadcastChannel("oauth_flow_completed");
      for (const message of [
        { version: 1, flowId: "x", connectorId, status: "success" },
        { version: 1, connectorId, status: "error", error: "access_denied" },
        { version: 1, connectorId, status: "error", error: "<img src=x onerror=alert(1)>" },
        null,
        "success",
        42,
        { flowId: "x".repeat(1_000_000) },
        [[[[[]]]]],
      ]) {
        channel.postMessage(message);
      }
    }, first.id);
    await forger.close();
    await alice.page.bringToFront();
    // After two readings the state is unchanged.
    for (let reading = 0; reading < 2; reading += 1) {
      await alice.page.waitForResponse((response) => response.url().includes("/oauth_flow/"));
    }
    await alice.here.expectStatus(first.name, "Connecting");
    expect(
      await alice.page
        .getByRole("region", { name: "Notifications" })
        .getByText(/ is (not )?connected/)
        .count(),
    ).toBe(0);
    await alice.page.getByRole("button", { name: `Cancel connecting ${first.name}` }).click();
    await alice.here.expectStatus(first.name, "Not connected");
  });
});

describe("the pages", () => {
  it("R62 cannot be framed", async () => {
    const { context, errors } = await on.visitor();
    expect(await frame(context, `${on.site.url}/`)).toEqual({ status: 200, shown: false });
    expect(errors.join()).toContain("frame-ancestors");
    errors.length = 0;
  });

  it("R63 run no inline script, also when one is injected", async () => {
    const { page, errors } = await on.visit("alice");
    const ran = await page.evaluate(() => {
      const script = document.createElement("script");
      try {
        script.textContent = "window.injected = true";
        document.body.append(script);
      } catch {
        // Blocked by Trusted Types.
      }
      try {
        document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.injected = true'>");
      } catch {
        // Blocked by Trusted Types.
      }
      return "injected" in window;
    });
    expect(ran).toBe(false);
    expect(errors.length).toBeGreaterThan(0);
    errors.length = 0;
  });

  it("R63 have the policy, and load nothing remote", async () => {
    const { page, context } = await on.visitor();
    const requested: string[] = [];
    context.on("request", (request) => requested.push(request.url()));
    const response = await page.goto("/");
    await page.getByLabel("User name").waitFor();
    expect(response?.headers()["content-security-policy"]).toBe(CONSOLE_CSP);
    expect(response?.headers()["cache-control"]).toBe("no-store");
    expect(requested.filter((url) => !url.startsWith(on.site.url))).toEqual([]);
  });
});
