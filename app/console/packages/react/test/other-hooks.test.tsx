import { act } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeChannel, forgedMessages } from "../../../testing/fake-channel.ts";
import { useConnectorAuthStatus, useConnectorOAuthDisconnect, useOAuthRedirectResult } from "../src/index.ts";
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

describe("useOAuthRedirectResult", () => {
  const onSuccess = vi.fn();
  const onError = vi.fn();

  beforeEach(() => {
    onSuccess.mockReset();
    onError.mockReset();
  });

  function arriveAt(url: string) {
    window.history.replaceState({ kept: true }, "", url);
    const received: unknown[] = [];
    const channel = new FakeChannel("oauth_flow_completed");
    channel.addEventListener("message", (event) => received.push((event as MessageEvent).data));
    const close = vi.spyOn(window, "close").mockImplementation(() => {});
    new Page().render(() => useOAuthRedirectResult({ onSuccess, onError }));
    return { received, close };
  }

  it("reads a success once, notifies the other tabs and clears the URL", () => {
    const { received, close } = arriveAt("/s/m/?q=1&oauth_authorization=success&connector_id=github#x");
    expect(onSuccess.mock.calls).toEqual([["github", undefined]]);
    expect(onError).not.toHaveBeenCalled();
    expect(received).toEqual([{ version: 1, connectorId: "github", status: "success" }]);
    expect(window.location.href).toBe("http://grantry.test/s/m/?q=1#x");
    expect(window.history.state).toEqual({ kept: true });
    expect(close).not.toHaveBeenCalled();
  });

  it("reads an error with its code", () => {
    const { received } = arriveAt(
      "/?oauth_authorization=error&connector_id=github&error=access_denied&status_code=403",
    );
    expect(onError.mock.calls).toEqual([["github", "access_denied", undefined]]);
    expect(received).toEqual([
      { version: 1, connectorId: "github", status: "error", error: "access_denied" },
    ]);
    expect(window.location.search).toBe("");
  });

  it("R31 passes no unknown text on as an error", () => {
    const { received } = arriveAt(
      "/?oauth_authorization=error&connector_id=github&error=%3Cb%3Ecall%20us%3C/b%3E",
    );
    expect(onError.mock.calls).toEqual([["github", "unexpected_response", undefined]]);
    expect(JSON.stringify(received)).not.toContain("call");
  });

  it.each([
    ["work", "work"],
    ["%3Cb%3E", undefined],
  ])("reads the connection %s", (sent, connection) => {
    arriveAt(`/?oauth_authorization=success&connector_id=github&oauth_connection=${sent}`);
    expect(onSuccess.mock.calls).toEqual([["github", connection]]);
    expect(window.location.search).toBe("");
  });

  it("closes the tab when the URL requests it", () => {
    const { close } = arriveAt("/?oauth_authorization=success&connector_id=github&auto_close=true");
    expect(close).toHaveBeenCalledTimes(1);
    expect(onSuccess).toHaveBeenCalledTimes(1);
  });

  it.each([
    "/",
    "/?error=access_denied",
    "/?oauth_authorization=maybe&connector_id=x",
    "/?oauth_authorization=success",
  ])("ignores %s", (url) => {
    arriveAt(url);
    expect(onSuccess).not.toHaveBeenCalled();
    expect(onError).not.toHaveBeenCalled();
    expect(window.location.pathname + window.location.search).toBe(url);
  });
});
