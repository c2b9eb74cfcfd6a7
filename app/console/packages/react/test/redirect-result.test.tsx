import { GrantryError } from "@grantry/client";
import { act, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeChannel } from "../../../testing/fake-channel.ts";
import { type OAuthRedirectResultProps, useOAuthRedirectResult } from "../src/index.ts";
import { Page, pass } from "./kit.tsx";

const RESULT = "oauth_authorization=success&connector_id=github&status_code=200";
const DENIED = "oauth_authorization=error&connector_id=github&error=access_denied&status_code=403";

const onSuccess = vi.fn();
const onError = vi.fn();

beforeEach(() => {
  FakeChannel.install();
  onSuccess.mockReset();
  onError.mockReset();
});
afterEach(() => {
  FakeChannel.uninstall();
  Reflect.deleteProperty(window, "navigation");
});

const fails = () => {
  throw new Error("of the page");
};

/** Runs what the hook does after the current work. */
const later = () => act(async () => {});

const shown = () => window.location.pathname + window.location.search + window.location.hash;

function arriveAt(url: string, props: OAuthRedirectResultProps = {}) {
  window.history.replaceState({ kept: true }, "", url);
  const received: unknown[] = [];
  const channel = new FakeChannel("oauth_flow_completed");
  channel.addEventListener("message", (event) => received.push((event as MessageEvent).data));
  const close = vi.spyOn(window, "close").mockImplementation(() => {});
  const { unmount } = new Page().render(() => useOAuthRedirectResult({ onSuccess, onError, ...props }));
  return { received, close, unmount };
}

describe("a result of another account", () => {
  const MISMATCH = "oauth_authorization=error&connector_id=github&error=account_mismatch&status_code=409";

  async function startAndFinish(page: Page) {
    page.server.setConnection("default/github/u_bob", { account: "bob@example.test" });
    await page.fetch("/internal/actions/connector/github/_start_oauth_flow", { method: "POST" });
    page.server.finish("flow-1", { account: "carol@example.test" });
  }

  async function arriveWith(flowId: string) {
    const page = new Page();
    await startAndFinish(page);
    sessionStorage.setItem("grantry.flow", flowId);
    window.history.replaceState(null, "", `/?${MISMATCH}`);
    page.render(() => useOAuthRedirectResult({ onError }));
    await waitFor(() => expect(onError).toHaveBeenCalledTimes(1));
    expect(sessionStorage.length).toBe(0);
    return onError.mock.calls[0]?.[1];
  }

  it("contains both accounts, read from the server, in the tab that started the flow", async () => {
    expect(await arriveWith("flow-1")).toMatchObject({
      code: "account_mismatch",
      status: 409,
      members: {
        connectedAccount: "bob@example.test",
        usedAccount: "carol@example.test",
        unusedName: "carol",
      },
    });
  });

  it("contains no account of another flow", async () => {
    expect(await arriveWith("flow-9")).toMatchObject({ code: "account_mismatch", status: 409, members: {} });
  });

  it("is reported without accounts, and closes the tab, where the server does not respond in time", async () => {
    vi.useFakeTimers();
    const close = vi.spyOn(window, "close").mockImplementation(() => {});
    const page = new Page();
    await startAndFinish(page);
    sessionStorage.setItem("grantry.flow", "flow-1");
    // A server that accepts the request and never responds, and a `fetch` that ignores the signal.
    page.server.gate = new Promise(() => {});
    window.history.replaceState(null, "", `/?${MISMATCH}&auto_close=true`);
    page.render(() => useOAuthRedirectResult({ onError }));
    await pass(4_900);
    expect(onError).not.toHaveBeenCalled();
    await pass(200);
    expect(onError.mock.calls).toMatchObject([
      ["github", { code: "account_mismatch", status: 409, members: {} }, undefined],
    ]);
    expect(close).toHaveBeenCalledTimes(1);
  });

  it("is reported at once in a tab that did not start the flow", () => {
    arriveAt(`/?${MISMATCH}`);
    expect(onError).toHaveBeenCalledTimes(1);
  });
});

describe("a page that is opened with a result", () => {
  it("reads a success once, notifies the other tabs and clears the URL", () => {
    const { received, close } = arriveAt(`/s/m/?q=1&${RESULT}#/x?y`);
    expect(onSuccess.mock.calls).toEqual([["github", undefined]]);
    expect(onError).not.toHaveBeenCalled();
    expect(received).toEqual([
      { version: 1, connectorId: "github", spaceId: "default", status: "success", statusCode: 200 },
    ]);
    expect(shown()).toBe("/s/m/?q=1#/x?y");
    expect(window.history.state).toEqual({ kept: true });
    expect(close).not.toHaveBeenCalled();
  });

  it("reads an error, which has code, status and a sentence", () => {
    const { received } = arriveAt(`/?${DENIED}`, { spaceId: "marketing" });
    const error: unknown = onError.mock.calls[0]?.[1];
    expect(onError.mock.calls).toEqual([["github", error, undefined]]);
    expect(error).toBeInstanceOf(GrantryError);
    expect(error).toMatchObject({
      code: "access_denied",
      status: 403,
      message: "Access was denied at the provider.",
    });
    expect(received).toEqual([
      {
        version: 1,
        connectorId: "github",
        spaceId: "marketing",
        status: "error",
        statusCode: 403,
        error: "access_denied",
      },
    ]);
    expect(window.location.search).toBe("");
  });

  it("R31 passes no unknown text on as an error", () => {
    const text = "%3Cb%3Ecall%20us%3C/b%3E";
    const { received } = arriveAt(
      `/?oauth_authorization=error&connector_id=github&error=${text}&status_code=${text}`,
    );
    expect(onError.mock.calls[0]?.[1]).toMatchObject({ code: "unexpected_response", status: 400 });
    expect(JSON.stringify(received)).not.toContain("call");
    expect(String(onError.mock.calls[0]?.[1])).not.toContain("call");
  });

  it.each([
    ["work", "work"],
    ["%3Cb%3E", undefined],
  ])("reads the connection %s", (sent, connection) => {
    arriveAt(`/?${RESULT}&oauth_connection=${sent}`);
    expect(onSuccess.mock.calls).toEqual([["github", connection]]);
    expect(window.location.search).toBe("");
  });

  it("closes the tab when the URL requests it", () => {
    const { close } = arriveAt(`/?${RESULT}&auto_close=true`);
    expect(close).toHaveBeenCalledTimes(1);
    expect(onSuccess).toHaveBeenCalledTimes(1);
  });

  it.each([
    [RESULT, { onSuccess: fails }],
    [DENIED, { onError: fails }],
  ])("raises an exception of a callback where the page can catch it: %s", (result, callbacks) => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    expect(() => arriveAt(`/?${result}`, callbacks)).toThrow("of the page");
  });

  it("may call the hook without options", () => {
    window.history.replaceState(null, "", `/?${RESULT}`);
    new Page().render(() => useOAuthRedirectResult());
    expect(window.location.search).toBe("");
  });

  it.each([
    "/",
    "/?error=access_denied",
    "/?oauth_authorization=maybe&connector_id=x",
    "/?oauth_authorization=success",
    `/#?${RESULT}`,
  ])("ignores %s", (url) => {
    arriveAt(url);
    expect(onSuccess).not.toHaveBeenCalled();
    expect(onError).not.toHaveBeenCalled();
    expect(shown()).toBe(url);
  });
});

describe("a router", () => {
  /** A router that remembers the URL, and writes it back when it updates the page. */
  function router() {
    let known = "";
    const read = () => {
      known = shown();
    };
    window.addEventListener("popstate", read);
    return {
      read,
      update: () => window.history.replaceState(null, "", known),
      stop: () => window.removeEventListener("popstate", read),
    };
  }

  it("reads the cleared URL and does not write the result back", () => {
    window.history.replaceState(null, "", `/app?tab=1&${RESULT}#/list`);
    const app = router();
    app.read();
    const events: unknown[] = [];
    const record = (event: PopStateEvent) => events.push(event.state);
    window.addEventListener("popstate", record);
    arriveAt(`/app?tab=1&${RESULT}#/list`);
    app.update();
    expect(shown()).toBe("/app?tab=1#/list");
    expect(events).toEqual([{ kept: true }]);
    window.removeEventListener("popstate", record);
    app.stop();
  });

  it("replaces the URL with its function, at once", () => {
    const replaceUrl = vi.fn((url: string) => window.history.replaceState(null, "", url));
    arriveAt(`/app?tab=1&${RESULT}#/list`, { replaceUrl });
    expect(replaceUrl.mock.calls).toEqual([["/app?tab=1#/list"]]);
    expect(onSuccess).toHaveBeenCalledTimes(1);
  });

  it("replaces the URL with its function, later", async () => {
    let replace = () => {};
    const replaceUrl = vi.fn((url: string) => {
      replace = () => window.history.replaceState(null, "", url);
    });
    const { received } = arriveAt(`/app?${RESULT}`, { replaceUrl });
    window.dispatchEvent(new PopStateEvent("popstate"));
    await later();
    expect([onSuccess.mock.calls.length, replaceUrl.mock.calls.length, received.length]).toEqual([1, 1, 1]);
    replace();
    await later();
    expect(shown()).toBe("/app");
    window.history.pushState(null, "", `/app?${RESULT}`);
    await later();
    expect(onSuccess).toHaveBeenCalledTimes(2);
    replace();
    await later();
  });
});

describe("a navigation in the page", () => {
  const navigations: [string, (url: string) => void][] = [
    [
      "popstate",
      (url) => {
        window.history.replaceState(null, "", url);
        window.dispatchEvent(new PopStateEvent("popstate", { state: null }));
      },
    ],
    ["pushState", (url) => window.history.pushState({ router: 1 }, "", url)],
    ["replaceState", (url) => window.history.replaceState({ router: 1 }, "", url)],
  ];

  it.each(navigations)("to a result is noticed: %s", async (_what, navigate) => {
    arriveAt("/app");
    for (const times of [1, 2]) {
      navigate(`/app?${RESULT}`);
      await later();
      expect(onSuccess).toHaveBeenCalledTimes(times);
      expect(shown()).toBe("/app");
    }
    navigate(`/app?${DENIED}`);
    await later();
    expect(onError.mock.calls[0]?.[1].code).toBe("access_denied");
  });

  it("is noticed by the Navigation API where it exists", async () => {
    const navigation = new EventTarget();
    Object.assign(window, { navigation });
    const { pushState } = window.history;
    arriveAt("/app");
    expect(window.history.pushState).toBe(pushState);
    window.history.pushState(null, "", `/app?${RESULT}`);
    navigation.dispatchEvent(new Event("currententrychange"));
    await later();
    expect(onSuccess).toHaveBeenCalledTimes(1);
  });

  it("is not observed after the last hook is gone", async () => {
    const { pushState, replaceState } = window.history;
    const one = arriveAt("/app");
    const other = new Page().render(() => useOAuthRedirectResult());
    expect(window.history.pushState).not.toBe(pushState);
    one.unmount();
    expect(window.history.pushState).not.toBe(pushState);
    other.unmount();
    expect([window.history.pushState, window.history.replaceState]).toEqual([pushState, replaceState]);
    window.history.pushState(null, "", `/app?${RESULT}`);
    await later();
    expect(onSuccess).not.toHaveBeenCalled();
  });
});
