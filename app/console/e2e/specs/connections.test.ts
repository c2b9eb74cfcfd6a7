import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { expectAccessible } from "../harness/axe.ts";
import type { ConsolePage } from "../harness/console.ts";
import { CONNECTORS, SECRETS } from "../harness/demo.ts";
import { resultOf } from "../harness/flow.ts";
import { allowAsAnother, decide } from "../harness/provider.ts";
import { suite, type Visit } from "../harness/suite.ts";

const { first } = CONNECTORS;
const NAMES = ["default", "work", "again"];
const on = suite();

/** Sends a request of the signed-in user, and returns status and body. */
function request(page: Page, method: string, action: string, body: unknown) {
  return page.evaluate(
    async ([method, path, body]) => {
      const headers = { "content-type": "application/json" };
      const response = await fetch(path, { method, headers, body });
      const text = await response.text();
      return { status: response.status, body: text === "" ? null : JSON.parse(text) };
    },
    [method, `/internal/actions/connector/${first.id}/${action}`, JSON.stringify(body)] as const,
  );
}

/** Visits the console as alice, with the connection `default` of her account and no other. */
async function withOneConnection(): Promise<Visit> {
  const visit = await on.visit("alice");
  const { here, page } = visit;
  for (const connection of NAMES) {
    expect((await request(page, "POST", "_oauth_disconnect", { connection })).status).toBe(204);
  }
  await page.reload();
  const tab = await here.connect(first.name);
  await decide(tab, "Allow", "alice");
  await here.row(first.name).getByText("alice@example.test").waitFor();
  await here.openConnections(first.name);
  return visit;
}

/** Adds the connection `work` with the account of bob. */
async function addWork(here: ConsolePage): Promise<void> {
  await allowAsAnother(await here.addConnection("work"), "bob");
  await here.expectToast(`${first.name} (work) is connected`);
  await here.connection("work").getByText("bob@example.test").waitFor();
}

async function disconnect(here: ConsolePage, name: string): Promise<void> {
  await here
    .connection(name)
    .getByRole("button", { name: `Disconnect ${first.name} (${name})` })
    .click();
  await here.dialog().getByRole("button", { name: "Disconnect" }).click();
  await here.connection(name).waitFor({ state: "detached" });
}

describe("two connections of one connector", () => {
  it("are connected with two accounts, listed, and disconnected one by one", async () => {
    const { here, page } = await withOneConnection();
    const tab = await here.addConnection("work");
    await here.connection("work").getByText("Connecting", { exact: true }).waitFor();
    await here.connection("default").getByText("Connected", { exact: true }).waitFor();
    await allowAsAnother(tab, "bob");
    await here.expectToast(`${first.name} (work) is connected`);

    await page.reload();
    await here.row(first.name).getByText("2 connections").waitFor();
    await here.expectStatus(first.name, "Connected");
    await page.getByRole("button", { name: `Connections of ${first.name}`, exact: true }).click();
    for (const [name, account] of [
      ["default", "alice@example.test"],
      ["work", "bob@example.test"],
    ] as const) {
      await here.connection(name).getByText(account).waitFor();
      await here.connection(name).getByText("Connected", { exact: true }).waitFor();
    }
    await expectAccessible(page, "connections");
    await here.expectNoSecrets(SECRETS);

    await disconnect(here, "default");
    await here.expectToast(`${first.name} is disconnected`);
    await here.connection("work").getByText("Connected", { exact: true }).waitFor();
    await page.reload();
    await here.row(first.name).getByText("bob@example.test").waitFor();
    await here.openConnections(first.name);
    await here.expectNone(here.connection("default"));
    await disconnect(here, "work");
    await page.reload();
    await here.expectStatus(first.name, "Not connected");
  });

  it("fit into a narrow window", async () => {
    const { here, page } = await withOneConnection();
    await addWork(here);
    await page.setViewportSize({ width: 360, height: 760 });
    await expectAccessible(page, "connections, narrow");
    const overflow = await page.evaluate(() =>
      [
        document.documentElement,
        ...document.querySelectorAll("dialog[open], dialog[open] .dialog__body"),
      ].map(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth),
    );
    expect(Math.max(...overflow)).toBeLessThanOrEqual(0);
  });

  it("cannot have the same account", async () => {
    const { here, page } = await withOneConnection();
    const tab = await here.addConnection("again");
    await decide(tab, "Allow", "alice");
    await tab.waitForURL(/_oauth_callback_result\//);
    expect(await resultOf(tab)).toBe("account_already_connected");
    const text = "This account is already connected under another name.";
    await here.expectToast(`${first.name} (again) is not connected. ${text}`);
    await here.connection("default").getByText("alice@example.test").waitFor();
    await page.reload();
    await here.expectStatus(first.name, "Connected");
    await here.row(first.name).getByText("alice@example.test").waitFor();
    await here.openConnections(first.name);
    await here.expectNone(here.connection("again"));
  });

  it("require a name or a default", async () => {
    const { here, page } = await withOneConnection();
    await addWork(here);
    const ambiguous = await request(page, "POST", "_oauth_disconnect", {});
    expect(ambiguous).toMatchObject({ status: 409, body: { code: "connection_ambiguous" } });
    const { connections } = ambiguous.body as { connections: { name: string; account?: string }[] };
    expect(connections.map(({ name, account }) => `${name}: ${account}`).sort()).toEqual([
      "default: alice@example.test",
      "work: bob@example.test",
    ]);
    expect(await request(page, "PUT", "_default_connection", { connection: "other" })).toMatchObject({
      status: 404,
      body: { code: "connection_not_found" },
    });
    expect(await request(page, "POST", "_oauth_disconnect", { connection: "A" })).toMatchObject({
      status: 400,
      body: { code: "invalid_request", field: "connection" },
    });

    const button = here.connection("work").getByRole("button", { name: /by default$/ });
    await button.click();
    await here.expectToast(`${first.name} (work) is used by default`);
    await expect.poll(() => button.getAttribute("aria-pressed")).toBe("true");
    expect((await request(page, "POST", "_oauth_disconnect", {})).status).toBe(204);
    await page.reload();
    await here.row(first.name).getByText("alice@example.test").waitFor();
    await here.openConnections(first.name);
    await here.expectNone(here.connection("work"));
  });

  it("can be added in this tab", async () => {
    const { here, page } = await withOneConnection();
    await page.keyboard.press("Escape");
    await here.setting("Sign in to providers", "In this tab");
    await here.openConnections(first.name);
    await here.pressAddConnection("work");
    await allowAsAnother(page, "bob");
    await here.expectToast(`${first.id} (work) is connected`);
    expect(new URL(page.url()).search).toBe("");
    await here.row(first.name).getByText("2 connections").waitFor();
  });
});
