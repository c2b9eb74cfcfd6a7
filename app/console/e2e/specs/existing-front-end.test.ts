import type { BrowserContext, Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { CONNECTORS } from "../harness/demo.ts";
import { arrive, ExistingFrontEnd, type Form } from "../harness/existing-front-end.ts";
import { reset as disconnected } from "../harness/flow.ts";
import { decide } from "../harness/provider.ts";
import { suite } from "../harness/suite.ts";
import { closedBy } from "../harness/tabs.ts";

const { first, marketing } = CONNECTORS;
const PLACES = [
  { space: "default", id: first.id },
  { space: "marketing", id: marketing.id },
] as const;
const on = suite();

/** The front end in the browser of a user. */
async function open(space: string = "default", user: "alice" | "carol" = "carol") {
  const { context, here } = await on.visit(user, { space });
  const front = await ExistingFrontEnd.open(context, on.site.url, space);
  return { front, context, here };
}

/** Calls the API as the page does. */
async function api<T>(page: Page, method: string, path: string, body?: object): Promise<T> {
  return page.evaluate(
    async ([method, path, body]) => {
      const headers = { "content-type": "application/json" };
      const response = await fetch(path, { method, headers, ...(body === "" ? {} : { body }) });
      return response.status === 204 ? undefined : await response.json();
    },
    [method, path, body ? JSON.stringify(body) : ""] as const,
  );
}

const prefixOf = (space: string) => (space === "default" ? "" : `/s/${space}`);

/** The form for a connector of the provider of the demo. */
async function formOf(front: ExistingFrontEnd, id: string): Promise<Form> {
  const path = `/api/actions/connector/${first.id}`;
  const { config } = await api<{ config: Record<string, string> }>(front.page, "GET", path);
  return {
    id,
    name: "From the form",
    clientId: "client-of-the-form",
    clientSecret: "secret-of-the-form",
    authorizationUrl: String(config.authorizationUrl),
    tokenUrl: String(config.tokenUrl),
    scope: "files.read",
  };
}

/** Disconnects, so that a test starts without a grant. */
async function reset(front: ExistingFrontEnd, id: string): Promise<void> {
  if ((await front.buttons(id)).includes("Disconnect")) {
    await front.button(id, "Disconnect").click();
  }
  await front.button(id, "Connect").waitFor();
}

/** Connects in a new tab, which returns to the front end and closes. */
async function connected(front: ExistingFrontEnd, id: string): Promise<void> {
  const tab = await front.connect(id);
  await closedBy(tab, async () => {
    await decide(tab, "Allow");
    await arrive(tab);
    await front.expectLog(`success ${id} 200`);
  });
  await front.button(id, "Disconnect").waitFor();
}

/** Ends the grants of a connector, as an administrator. */
async function revoke(front: ExistingFrontEnd, space: string, id: string): Promise<void> {
  const path = `${prefixOf(space)}/internal/actions/grants`;
  const { grants } = await api<{ grants: { grantId: string; status: string }[] }>(
    front.page,
    "GET",
    `${path}?connector=${id}&status=connected`,
  );
  expect(grants.length).toBeGreaterThan(0);
  for (const { grantId } of grants) {
    await api(front.page, "DELETE", `${path}/${grantId}`);
  }
}

const flowCookies = async (context: BrowserContext) =>
  (await context.cookies()).filter(({ name }) => name.includes("_flow_")).length;

describe("a front end of the earlier API", () => {
  it.each(PLACES)(
    "shows Connect, Disconnect, and Connect again for a dead grant in $space",
    async ({ space, id }) => {
      const { front } = await open(space);
      await reset(front, id);
      expect(await front.buttons(id)).toEqual(["Connect", "Connect here"]);
      await connected(front, id);
      expect(await front.buttons(id)).toEqual(["Disconnect"]);
      await front.reload();
      expect(await front.buttons(id)).toEqual(["Disconnect"]);

      await revoke(front, space, id);
      await front.reload();
      expect(await front.buttons(id)).toEqual(["Connect", "Connect here"]);
      const { connection } = await api<{ connection: { status: string } }>(
        front.page,
        "GET",
        `${prefixOf(space)}/api/actions/connector/${id}`,
      );
      expect(connection.status).toBe("needs_reauthorization");

      await connected(front, id);
      await front.button(id, "Disconnect").click();
      await front.button(id, "Connect").waitFor();
    },
  );

  it("receives the code of a denied consent", async () => {
    const { front } = await open();
    await reset(front, first.id);
    const tab = await front.connect(first.id);
    await decide(tab, "Deny");
    await arrive(tab);
    await front.expectLog(`error ${first.id} 403 access_denied`);
    await front.button(first.id, "Connect").waitFor();
    expect(await front.buttons(first.id)).toEqual(["Connect", "Connect here"]);
  });

  it("connects in the same tab, and returns to the fragment it routes by", async () => {
    const { front } = await open("marketing");
    await reset(front, marketing.id);
    await front.button(marketing.id, "Connect here").click();
    await decide(front.page, "Allow");
    const result = `oauth_authorization=success&connector_id=${marketing.id}&status_code=200`;
    expect(await arrive(front.page)).toBe(`${on.site.url}/s/marketing/host-app?${result}#/connectors`);
    await front.expectLog(`success ${marketing.id} 200  at #/connectors`);
    expect(front.page.url()).toBe(`${on.site.url}/s/marketing/host-app#/connectors`);
    await front.button(marketing.id, "Disconnect").waitFor();
  });

  it("cancels by state, which also removes the cookie of the flow", async () => {
    const { front, context, here } = await open();
    await reset(front, first.id);
    const tab = await front.connect(first.id);
    await front.button(first.id, "Cancel").waitFor();
    expect(await flowCookies(context)).toBe(1);
    await front.button(first.id, "Cancel").click();
    await front.button(first.id, "Connect").waitFor();
    expect(await flowCookies(context)).toBe(0);
    await here.expectStatus(first.name, "Not connected");
    await decide(tab, "Allow");
    await tab.waitForURL(/_oauth_callback_result\//);
    expect(await front.log()).not.toContain("success");
  });

  it("creates a connector with its form, in both spaces", async () => {
    const { front, here } = await open();
    const form = await formOf(front, "from-form");
    const there = await ExistingFrontEnd.open(front.page.context(), on.site.url, "marketing");
    for (const [shown, space] of [
      [front, "default"],
      [there, "marketing"],
    ] as const) {
      await shown.create(form);
      await shown.expectLog("created from-form");
      expect(await shown.row("from-form").textContent()).toContain(
        "From the form · OAuth 2.0 ·  ·  · used 0 times",
      );
      const made = await api<Record<string, unknown>>(
        shown.page,
        "GET",
        `${prefixOf(space)}/api/actions/connector/from-form`,
      );
      expect(made).toMatchObject({
        auth_mode: "per-user",
        is_missing_secrets: false,
        user_auth_status: "not_connected",
        config: {
          authType: "oauth_authorization_code",
          authorizationUrl: form.authorizationUrl,
          tokenUrl: form.tokenUrl,
          scope: "files.read",
          useBasicAuth: true,
        },
      });
      expect(JSON.stringify(made)).not.toContain("secret-of-the-form");
      const tab = await shown.connect("from-form");
      await tab.waitForURL(`${form.authorizationUrl}**`);
      const { searchParams } = new URL(tab.url());
      expect(searchParams.get("client_id")).toBe("client-of-the-form");
      expect(searchParams.get("redirect_uri")).toBe(made.redirect_uri);
      await shown.button("from-form", "Cancel").click();
      await shown.button("from-form", "Connect").waitFor();
    }
    await here.page.reload();
    await here.expectStatus("From the form", "Not connected");
  });

  it("takes no result of a connector with the same id in another space", async () => {
    const { front, context } = await open();
    await reset(front, first.id);
    const there = await ExistingFrontEnd.open(context, on.site.url, "marketing");
    await there.create(await formOf(front, first.id));
    await there.expectLog(`created ${first.id}`);
    await there.connect(first.id);
    await there.button(first.id, "Cancel").waitFor();

    await connected(front, first.id);
    expect(await there.log()).toBe(`created ${first.id}\n`);
    expect(await there.buttons(first.id)).toEqual(["Cancel"]);
    await there.button(first.id, "Cancel").click();
    await there.button(first.id, "Connect").waitFor();
  });
});

describe("the result page", () => {
  it("announces flow, connector, space and status on the channel", async () => {
    const { here, context } = await on.visit("carol", { space: "marketing" });
    await disconnected(here, marketing.name);
    const listener = await context.newPage();
    await listener.goto("/livez");
    await listener.evaluate(() => {
      const received: unknown[] = [];
      Object.assign(window, { received });
      new BroadcastChannel("oauth_flow_completed").onmessage = ({ data }) => received.push(data);
    });
    const tab = await here.connect(marketing.name);
    await decide(tab, "Deny");
    await here.expectToast("Access was denied");
    await listener.waitForFunction(() => (window as unknown as { received: unknown[] }).received.length > 0);
    const received = await listener.evaluate(() => (window as unknown as { received: unknown[] }).received);
    expect(received).toEqual([
      {
        version: 1,
        flowId: expect.any(String),
        connectorId: marketing.id,
        spaceId: "marketing",
        status: "error",
        statusCode: 403,
        error: "access_denied",
      },
    ]);
  });
});
