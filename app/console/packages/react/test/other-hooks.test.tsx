import { act } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeChannel, forgedMessages } from "../../../testing/fake-channel.ts";
import { useConnectorAuthStatus, useConnectorOAuthDisconnect } from "../src/index.ts";
import { Page, pass, useFakeClockAndChannel } from "./kit.tsx";

beforeEach(useFakeClockAndChannel);
afterEach(() => FakeChannel.uninstall());

function connect(page: Page, connector = "github", space = "default") {
  page.server.setConnection(`${space}/${connector}/u_bob`, { account: "bob@x" });
}

const statusReads = (page: Page) => page.server.requests.filter((r) => r.endsWith("auth_status")).length;

describe("useConnectorAuthStatus", () => {
  it("returns the status of every connector of the space", async () => {
    const page = new Page();
    connect(page, "github", "marketing");
    const { result } = page.render(() => useConnectorAuthStatus({ spaceId: "marketing" }));
    expect(result.current).toMatchObject({ isLoading: true, authStatus: undefined });
    await pass(0);
    expect(result.current.authStatus).toMatchObject({ github: { user_auth_status: "connected" } });
  });

  it("reads again only while a flow is pending", async () => {
    const page = new Page();
    page.render(() => useConnectorAuthStatus());
    await pass(0);
    const idle = statusReads(page);
    await pass(60_000);
    expect(statusReads(page)).toBe(idle);

    await page.fetch("/internal/actions/connector/github/_start_oauth_flow", { method: "POST", body: "{}" });
    window.dispatchEvent(new Event("visibilitychange"));
    await pass(0);
    const pending = statusReads(page);
    await pass(30_000);
    expect(statusReads(page)).toBeGreaterThanOrEqual(pending + 9);
  });

  it("reads again when the window gets the focus", async () => {
    const page = new Page();
    const { result } = page.render(() => useConnectorAuthStatus());
    await pass(0);
    connect(page);
    window.dispatchEvent(new Event("visibilitychange"));
    await pass(0);
    expect(result.current.authStatus?.github?.user_auth_status).toBe("connected");
  });

  it.each(forgedMessages())("R32 takes a message only as a reason to read: %s", async (_what, message) => {
    const page = new Page();
    const { result } = page.render(() => useConnectorAuthStatus());
    await pass(0);
    const before = statusReads(page);
    for (let i = 0; i < 50; i += 1) {
      FakeChannel.send(message);
    }
    await pass(1_000);
    expect(statusReads(page)).toBe(before + 1);
    expect(result.current.authStatus?.github?.user_auth_status).toBe("not_connected");
  });

  it("ignores messages about another space", async () => {
    const page = new Page();
    page.render(() => useConnectorAuthStatus({ spaceId: "marketing" }));
    await pass(0);
    const before = statusReads(page);
    const message = { version: 1, connectorId: "github", status: "success", statusCode: 200 };
    FakeChannel.send({ ...message, spaceId: "default" });
    await pass(1_000);
    expect(statusReads(page)).toBe(before);
    for (const spaceId of ["marketing", undefined]) {
      FakeChannel.send({ ...message, spaceId });
      await pass(1_000);
    }
    expect(statusReads(page)).toBe(before + 2);
  });

  it("returns the status of the named connection", async () => {
    const page = new Page();
    connect(page);
    page.server.setConnection("default/github/u_bob", { name: "work", status: "needs_reauthorization" });
    const { result } = page.render(() => ({
      shown: useConnectorAuthStatus(),
      work: useConnectorAuthStatus({ connection: "work" }),
      other: useConnectorAuthStatus({ connection: "other" }),
    }));
    await pass(0);
    const { shown, work, other } = result.current;
    expect(shown.authStatus?.github).toMatchObject({
      user_auth_status: "connected",
      connection: { name: "default" },
    });
    expect(work.authStatus?.github).toMatchObject({
      user_auth_status: "not_connected",
      connection: { name: "work", status: "needs_reauthorization" },
    });
    expect(other.authStatus?.github).toMatchObject({
      user_auth_status: "not_connected",
      connection: { name: "other", status: "not_connected" },
    });
    expect(work.authStatus?.reports).toEqual({ user_auth_status: "not_applicable" });
    expect(statusReads(page)).toBe(1);
  });

  it("reads again while a flow of any connection is pending", async () => {
    const page = new Page();
    connect(page);
    await page.fetch("/internal/actions/connector/github/_start_oauth_flow", {
      method: "POST",
      body: '{"connection":"work"}',
    });
    page.render(() => useConnectorAuthStatus());
    await pass(0);
    const before = statusReads(page);
    await pass(30_000);
    expect(statusReads(page)).toBeGreaterThanOrEqual(before + 9);
  });

  it("reports an error", async () => {
    const page = new Page();
    page.server.faults.set("POST /internal/actions/connectors/_me", [401, "not_signed_in"]);
    const { result } = page.render(() => useConnectorAuthStatus());
    await pass(0);
    expect(result.current.error?.code).toBe("not_signed_in");
  });
});

describe("useConnectorOAuthDisconnect", () => {
  it("disconnects, and refreshes the status", async () => {
    const page = new Page();
    connect(page);
    const onSuccess = vi.fn();
    const announced: unknown[] = [];
    for (const name of ["oauth_flow_completed", "oauth_connections_changed"]) {
      new FakeChannel(name).addEventListener("message", (event) =>
        announced.push([name, (event as MessageEvent).data]),
      );
    }
    const { result } = page.render(() => ({
      ...useConnectorAuthStatus(),
      ...useConnectorOAuthDisconnect({ connectorId: "github", onSuccess }),
    }));
    await pass(0);
    expect(result.current.authStatus?.github?.user_auth_status).toBe("connected");
    act(() => result.current.disconnect());
    await pass(10);
    expect(onSuccess).toHaveBeenCalledTimes(1);
    expect(result.current.authStatus?.github?.user_auth_status).toBe("not_connected");
    expect(result.current.isDisconnecting).toBe(false);
    // On the channel of flows, it would be a success for a page that waits for one.
    expect(announced).toEqual([
      ["oauth_connections_changed", { version: 1, connectorId: "github", spaceId: "default" }],
    ]);
  });

  it("shows that it is disconnecting", async () => {
    const page = new Page();
    connect(page);
    const { result } = page.render(() => useConnectorOAuthDisconnect({ connectorId: "github" }));
    expect(result.current.isDisconnecting).toBe(false);
    let open = () => {};
    page.server.gate = new Promise((resolve) => {
      open = resolve;
    });
    act(() => result.current.disconnect());
    await pass(0);
    expect(result.current.isDisconnecting).toBe(true);
    open();
    await pass(10);
    expect(result.current.isDisconnecting).toBe(false);
  });

  it("disconnects the named connection only", async () => {
    const page = new Page();
    connect(page);
    page.server.setConnection("default/github/u_bob", { name: "work" });
    const { result } = page.render(() =>
      useConnectorOAuthDisconnect({ connectorId: "github", connection: "work" }),
    );
    act(() => result.current.disconnect());
    await pass(10);
    expect([...page.server.connections.keys()]).toEqual(["default/github/u_bob/default"]);
  });

  it("reports that a name is needed", async () => {
    const page = new Page();
    connect(page);
    page.server.setConnection("default/github/u_bob", { name: "work", account: "bob@y" });
    const onError = vi.fn();
    const { result } = page.render(() => useConnectorOAuthDisconnect({ connectorId: "github", onError }));
    act(() => result.current.disconnect());
    await pass(10);
    expect(onError.mock.calls[0]?.[0]).toMatchObject({
      code: "connection_ambiguous",
      members: {
        connections: [
          { name: "default", account: "bob@x" },
          { name: "work", account: "bob@y" },
        ],
      },
    });
  });

  it("reports an error", async () => {
    const page = new Page();
    const onError = vi.fn();
    const { result } = page.render(() => useConnectorOAuthDisconnect({ connectorId: "gone", onError }));
    act(() => result.current.disconnect());
    await pass(0);
    expect(onError.mock.calls.map(([error]) => error.code)).toEqual(["not_found"]);
  });
});
