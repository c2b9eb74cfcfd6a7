import { act } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeChannel, forgedMessages } from "../../../testing/fake-channel.ts";
import { useConnectorAuthStatus, useConnectorOAuthDisconnect, useOAuthRedirectResult } from "../src/index.ts";
import { Page, pass, useFakeClockAndChannel } from "./kit.tsx";

beforeEach(useFakeClockAndChannel);
afterEach(() => FakeChannel.uninstall());

function connect(page: Page, connector = "github", space = "default") {
  page.server.statuses.set(`${space}/${connector}/u_bob`, {
    user_auth_status: "connected",
    account: "bob@x",
  });
}

const statusReads = (page: Page) => page.server.requests.filter((r) => r.endsWith("auth_status")).length;

describe("useConnectorAuthStatus", () => {
  it("gives the status of every connector of the space", async () => {
    const page = new Page();
    connect(page, "github", "marketing");
    const { result } = page.render(() => useConnectorAuthStatus({ spaceId: "marketing" }));
    expect(result.current).toMatchObject({ isLoading: true, authStatus: undefined });
    await pass(0);
    expect(result.current.authStatus).toMatchObject({ github: { user_auth_status: "connected" } });
  });

  it("reads again while a flow is pending, and only then", async () => {
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

  it.each(forgedMessages())("R32 takes a message only as a reason to look: %s", async (_what, message) => {
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

  it("tells of an error", async () => {
    const page = new Page();
    page.server.faults.set("POST /internal/actions/connectors/_me", [401, "not_signed_in"]);
    const { result } = page.render(() => useConnectorAuthStatus());
    await pass(0);
    expect(result.current.error?.code).toBe("not_signed_in");
  });
});

describe("useConnectorOAuthDisconnect", () => {
  it("disconnects, and the status follows", async () => {
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

  it("tells of an error", async () => {
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
    const heard: unknown[] = [];
    const channel = new FakeChannel("oauth_flow_completed");
    channel.addEventListener("message", (event) => heard.push((event as MessageEvent).data));
    const close = vi.spyOn(window, "close").mockImplementation(() => {});
    new Page().render(() => useOAuthRedirectResult({ onSuccess, onError }));
    return { heard, close };
  }

  it("reads a success once, tells the other tabs and cleans the URL", () => {
    const { heard, close } = arriveAt("/s/m/?q=1&oauth_authorization=success&connector_id=github#x");
    expect(onSuccess.mock.calls).toEqual([["github"]]);
    expect(onError).not.toHaveBeenCalled();
    expect(heard).toEqual([{ version: 1, connectorId: "github", status: "success" }]);
    expect(window.location.href).toBe("http://grantry.test/s/m/?q=1#x");
    expect(window.history.state).toEqual({ kept: true });
    expect(close).not.toHaveBeenCalled();
  });

  it("reads an error with its code", () => {
    const { heard } = arriveAt(
      "/?oauth_authorization=error&connector_id=github&error=access_denied&status_code=403",
    );
    expect(onError.mock.calls).toEqual([["github", "access_denied"]]);
    expect(heard).toEqual([{ version: 1, connectorId: "github", status: "error", error: "access_denied" }]);
    expect(window.location.search).toBe("");
  });

  it("R31 lets no foreign text through as an error", () => {
    const { heard } = arriveAt(
      "/?oauth_authorization=error&connector_id=github&error=%3Cb%3Ecall%20us%3C/b%3E",
    );
    expect(onError.mock.calls).toEqual([["github", "unexpected_answer"]]);
    expect(JSON.stringify(heard)).not.toContain("call");
  });

  it("closes the tab when the URL asks for it", () => {
    const { close } = arriveAt("/?oauth_authorization=success&connector_id=github&auto_close=true");
    expect(close).toHaveBeenCalledTimes(1);
    expect(onSuccess).toHaveBeenCalledTimes(1);
  });

  it.each([
    "/",
    "/?error=access_denied",
    "/?oauth_authorization=maybe&connector_id=x",
    "/?oauth_authorization=success",
  ])("leaves %s alone", (url) => {
    arriveAt(url);
    expect(onSuccess).not.toHaveBeenCalled();
    expect(onError).not.toHaveBeenCalled();
    expect(window.location.pathname + window.location.search).toBe(url);
  });
});
