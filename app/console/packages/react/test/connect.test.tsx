import { GrantryError } from "@grantry/client";
import { act } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeChannel, forgedMessages } from "../../../testing/fake-channel.ts";
import {
  type ConnectorOAuthConnectProps,
  OAuthRedirectMode,
  useConnectorAuthStatus,
  useConnectorOAuthConnect,
} from "../src/index.ts";
import { Page, pass, useFakeClockAndChannel } from "./kit.tsx";

beforeEach(useFakeClockAndChannel);
afterEach(() => FakeChannel.uninstall());

const onSuccess = vi.fn();
const onError = vi.fn();

beforeEach(() => {
  onSuccess.mockReset();
  onError.mockReset();
});

function mount(page: Page, props: Partial<ConnectorOAuthConnectProps> = {}) {
  return page.render(useConnectorOAuthConnect, {
    connectorId: "github",
    redirectMode: OAuthRedirectMode.NewTab,
    onSuccess,
    onError,
    ...props,
  });
}

async function connected(page: Page, props: Partial<ConnectorOAuthConnectProps> = {}) {
  const hook = mount(page, props);
  act(() => hook.result.current.connect());
  await pass(0);
  return hook;
}

const cancels = (page: Page) => page.server.requests.filter((r) => r.endsWith("_oauth_cancel")).length;
const starts = (page: Page) => page.server.requests.filter((r) => r.endsWith("_start_oauth_flow")).length;

describe("new tab", () => {
  it("opens the launch page inside the click, without noopener, before any response", () => {
    const page = new Page();
    page.server.gate = new Promise(() => {});
    const { result } = mount(page);
    act(() => result.current.connect());
    expect(page.opened).toMatchObject([{ url: "/connect/github", features: undefined }]);
    expect(result.current).toMatchObject({ isConnecting: true, isAwaitingCallback: false, startUrl: null });
  });

  it("passes the flow to the opened tab, counts down, and reports success once", async () => {
    const page = new Page();
    const { result } = await connected(page);
    expect(page.opened[0]?.tab.sentTo).toEqual(["/connect/github#flow-1"]);
    expect(result.current).toMatchObject({
      isConnecting: false,
      isAwaitingCallback: true,
      secondsLeft: 600,
      flowId: "flow-1",
    });
    await pass(10_000);
    expect(result.current.secondsLeft).toBe(590);
    page.server.finish("flow-1", "authorized");
    await pass(5_000);
    expect(onSuccess).toHaveBeenCalledTimes(1);
    expect(onError).not.toHaveBeenCalled();
    expect(result.current).toMatchObject({ isAwaitingCallback: false, secondsLeft: null, flowId: null });
  });

  it("prefers the space of the option to that of the provider", async () => {
    const page = new Page();
    await connected(page, { spaceId: "marketing" });
    expect(page.opened[0]?.url).toBe("/s/marketing/connect/github");
    expect(page.opened[0]?.tab.sentTo).toEqual(["/s/marketing/connect/github#flow-1"]);
    expect(page.server.lastFlow.space).toBe("marketing");
  });

  it("starts one flow for two quick clicks, StrictMode or not", async () => {
    const page = new Page();
    const { result } = mount(page);
    act(() => {
      result.current.connect();
      result.current.connect();
    });
    await pass(0);
    expect(starts(page)).toBe(1);
    expect(page.opened).toHaveLength(1);
  });

  it("cancels the awaited flow and starts another one when it is called again", async () => {
    const page = new Page();
    const { result } = await connected(page);
    act(() => {
      result.current.connect();
      result.current.connect();
    });
    expect(page.opened.map(({ tab }) => tab.closed)).toEqual([true, false]);
    expect(result.current).toMatchObject({ isConnecting: true, isAwaitingCallback: false });
    await pass(10);
    expect([...page.server.flows.values()].map(({ status }) => status)).toEqual(["cancelled", "awaiting"]);
    expect([starts(page), cancels(page)]).toEqual([2, 1]);
    expect(result.current).toMatchObject({ isConnecting: false, isAwaitingCallback: true, flowId: "flow-2" });
    expect(page.opened[1]?.tab.sentTo).toEqual(["/connect/github#flow-2"]);
    page.server.finish("flow-2", "authorized");
    await pass(5_000);
    expect(onSuccess).toHaveBeenCalledTimes(1);
    expect(onError).not.toHaveBeenCalled();
  });

  it("has an error whose message is the sentence of the server", async () => {
    const page = new Page();
    const detail = "config.tokenUrl: is required";
    page.server.faults.set("POST /internal/actions/connector/github/_start", [
      400,
      "connector_incomplete",
      { detail },
    ]);
    await connected(page);
    expect(onError.mock.calls[0]?.[0]).toMatchObject({ code: "connector_incomplete", message: detail });
  });

  it("takes no result from a message of another space", async () => {
    const page = new Page();
    const { result } = await connected(page, { spaceId: "marketing" });
    const message = {
      version: 1,
      flowId: "flow-1",
      connectorId: "github",
      status: "success",
      statusCode: 200,
    };
    page.server.finish("flow-1", "authorized");
    FakeChannel.send({ ...message, spaceId: "default" });
    await pass(0);
    expect(result.current.isAwaitingCallback).toBe(true);
    FakeChannel.send({ ...message, spaceId: "marketing" });
    await pass(10);
    expect(onSuccess).toHaveBeenCalledTimes(1);
  });

  it("closes the tab and reports the error when the start is rejected", async () => {
    const page = new Page();
    page.server.faults.set("POST /internal/actions/connector/github/_start", [400, "connector_incomplete"]);
    const { result } = await connected(page);
    expect(page.opened[0]?.tab.closed).toBe(true);
    expect(onError).toHaveBeenCalledTimes(1);
    expect(onError.mock.calls[0]?.[0]).toBeInstanceOf(GrantryError);
    expect(onError.mock.calls[0]?.[0].code).toBe("connector_incomplete");
    expect(result.current.isConnecting).toBe(false);
  });

  it("returns a link when the pop-up is blocked, and still finds the result", async () => {
    const page = new Page();
    page.popupsBlocked = true;
    const { result } = await connected(page);
    expect(result.current.startUrl).toBe("/connect/github?flow=flow-1");
    page.server.finish("flow-1", "authorized");
    await pass(5_000);
    expect(onSuccess).toHaveBeenCalledTimes(1);
    expect(result.current.startUrl).toBeNull();
  });

  it("returns a link when the tab was closed before it received its flow", async () => {
    const page = new Page();
    const { result } = mount(page);
    act(() => {
      result.current.connect();
      page.opened[0]?.tab.close();
    });
    await pass(0);
    expect(result.current.startUrl).toBe("/connect/github?flow=flow-1");
  });

  it("continues to wait when the tab is closed", async () => {
    const page = new Page();
    const { result } = await connected(page);
    page.opened[0]?.tab.close();
    await pass(30_000);
    expect(result.current.isAwaitingCallback).toBe(true);
    page.server.finish("flow-1", "authorized");
    await pass(5_000);
    expect(onSuccess).toHaveBeenCalledTimes(1);
  });

  it("R32 finds the result within 5 s when channels are blocked", async () => {
    FakeChannel.block();
    const page = new Page();
    await connected(page);
    await pass(60_000);
    page.server.finish("flow-1", "authorized");
    await pass(5_000);
    expect(onSuccess).toHaveBeenCalledTimes(1);
  });

  it.each(forgedMessages())("R32 takes no result from a message: %s", async (_what, message) => {
    const page = new Page();
    const { result } = await connected(page);
    FakeChannel.send(message);
    await pass(3_000);
    expect(onSuccess).not.toHaveBeenCalled();
    expect(onError).not.toHaveBeenCalled();
    expect(result.current.isAwaitingCallback).toBe(true);
  });

  it("reports a rejection with its code, and can connect again", async () => {
    const page = new Page();
    const { result } = await connected(page);
    page.server.finish("flow-1", { code: "access_denied" });
    await pass(5_000);
    expect(onError.mock.calls.map(([error]) => error.code)).toEqual(["access_denied"]);
    act(() => result.current.connect());
    await pass(0);
    expect(result.current).toMatchObject({ isAwaitingCallback: true, flowId: "flow-2" });
  });

  it("names the accounts, and allows or selects one only where it is asked to", async () => {
    const page = new Page();
    page.server.setConnection("default/github/u_bob", { account: "bob@example.test" });
    const send = vi.spyOn(page.server, "handle");
    const { result } = await connected(page);
    page.server.finish("flow-1", { account: "carol@example.test" });
    await pass(5_000);
    expect(onError.mock.calls[0]?.[0]).toMatchObject({
      code: "account_mismatch",
      members: {
        connectedAccount: "bob@example.test",
        usedAccount: "carol@example.test",
        unusedName: "carol",
      },
    });
    act(() => result.current.connectOtherAccount());
    await pass(0);
    act(() => result.current.selectAccount());
    await pass(0);
    const bodies = send.mock.calls
      .filter(([, url]) => url.pathname.endsWith("_start_oauth_flow"))
      .map((call) => call[3]);
    expect(bodies).toEqual(["{}", '{"allowAccountChange":true}', '{"selectAccount":true}']);
  });

  it("expires with the flow", async () => {
    const page = new Page();
    page.server.flowLifetime = 30_000;
    const { result } = await connected(page);
    await pass(32_000);
    expect(onError.mock.calls.map(([error]) => error.code)).toEqual(["flow_expired"]);
    expect(result.current.isAwaitingCallback).toBe(false);
  });

  it("cancels the flow after the timeout, also on the server", async () => {
    const page = new Page();
    await connected(page, { timeout: 20_000 });
    await pass(20_000);
    expect(onError.mock.calls.map(([error]) => error.code)).toEqual(["flow_expired"]);
    expect(page.server.lastFlow.status).toBe("cancelled");
  });

  it("adds auto_close to a return URL, so that the new tab closes", async () => {
    const page = new Page();
    for (const [returnUrl, expected] of [
      ["/my?tab=2#here", "/my?tab=2&auto_close=true#here"],
      ["/my#/list?x=1#y", "/my?auto_close=true#/list?x=1#y"],
    ] as const) {
      await connected(page, { returnUrl });
      expect(page.server.lastFlow.returnUrl).toBe(expected);
    }
  });

  it("R63 stores no code, state or token in storage and caches", async () => {
    const page = new Page();
    await connected(page);
    page.server.finish("flow-1", "authorized");
    await pass(5_000);
    const cached = JSON.stringify(
      page.queryClient
        .getQueryCache()
        .getAll()
        .map((query) => query.state.data),
    );
    expect(
      JSON.stringify({ ...localStorage }) + JSON.stringify({ ...sessionStorage }) + cached,
    ).not.toContain("CANARY");
    expect([Object.keys(localStorage), sessionStorage.length]).toEqual([["grantry.flows"], 0]);
  });

  it("stops reading when it is unmounted", async () => {
    const page = new Page();
    const { unmount } = await connected(page);
    unmount();
    const before = page.server.requests.length;
    await pass(60_000);
    expect(page.server.requests.length).toBe(before);
    expect(onError).not.toHaveBeenCalled();
  });
});

describe("OAuthRedirectMode", () => {
  it("is a value and a type", () => {
    const mode: OAuthRedirectMode = OAuthRedirectMode.NewTab;
    const modes: Record<OAuthRedirectMode, OAuthRedirectMode> = {
      [OAuthRedirectMode.NewTab]: mode,
      [OAuthRedirectMode.Redirect]: OAuthRedirectMode.Redirect,
    };
    expect(modes).toEqual({ new_tab: "new_tab", redirect: "redirect" });
  });
});

describe("cancel", () => {
  it("ends the flow on the server, and reports no error", async () => {
    const page = new Page();
    const { result } = await connected(page);
    act(() => result.current.cancelConnect());
    await pass(0);
    expect(page.server.lastFlow.status).toBe("cancelled");
    expect(result.current.isAwaitingCallback).toBe(false);
    expect(onError).not.toHaveBeenCalled();
    expect(onSuccess).not.toHaveBeenCalled();
  });

  it("that comes too late reports the success", async () => {
    const page = new Page();
    const { result } = await connected(page);
    page.server.finish("flow-1", "authorized");
    act(() => result.current.cancelConnect());
    await pass(0);
    expect(onSuccess).toHaveBeenCalledTimes(1);
  });

  it("before the response ends the flow as soon as it exists", async () => {
    const page = new Page();
    let open = () => {};
    page.server.gate = new Promise((resolve) => {
      open = resolve;
    });
    const { result } = mount(page);
    act(() => result.current.connect());
    act(() => result.current.cancelConnect());
    expect(result.current.isConnecting).toBe(false);
    expect(page.opened[0]?.tab.closed).toBe(true);
    open();
    await pass(10);
    expect(page.server.lastFlow.status).toBe("cancelled");
    expect(page.opened[0]?.tab.sentTo).toEqual([]);
  });

  it("resets the state before the server responds, with one request however often it is called", async () => {
    const page = new Page();
    const { result } = await connected(page);
    let open = () => {};
    page.server.gate = new Promise((resolve) => {
      open = resolve;
    });
    act(() => {
      for (let presses = 0; presses < 3; presses += 1) {
        result.current.cancelConnect();
      }
    });
    const reset = { isConnecting: false, isAwaitingCallback: false, secondsLeft: null, flowId: null };
    expect(result.current).toMatchObject(reset);
    expect(page.opened[0]?.tab.closed).toBe(true);
    act(() => result.current.cancelConnect());
    open();
    await pass(10);
    act(() => result.current.cancelConnect());
    await pass(10);
    expect(cancels(page)).toBe(1);
    expect(page.server.lastFlow.status).toBe("cancelled");
    expect(result.current).toMatchObject(reset);
  });

  it.each(["the event of the browser", "time"])(
    "works offline, and reaches the server later: by %s",
    async (by) => {
      const page = new Page();
      const { result } = await connected(page);
      page.isOffline = true;
      act(() => result.current.cancelConnect());
      await pass(1_000);
      expect(result.current.isAwaitingCallback).toBe(false);
      expect(page.server.lastFlow.status).toBe("awaiting");
      page.isOffline = false;
      if (by === "time") {
        await pass(5_000);
      } else {
        window.dispatchEvent(new Event("online"));
        await pass(10);
      }
      expect(page.server.lastFlow.status).toBe("cancelled");
      expect(onError).not.toHaveBeenCalled();
    },
  );

  it("offline does not hide that the account was connected", async () => {
    const page = new Page();
    const { result } = await connected(page);
    page.isOffline = true;
    act(() => result.current.cancelConnect());
    page.server.finish("flow-1", "authorized");
    await pass(1_000);
    expect(onSuccess).not.toHaveBeenCalled();
    page.isOffline = false;
    await pass(5_000);
    expect(onSuccess).toHaveBeenCalledTimes(1);
    expect(onError).not.toHaveBeenCalled();
  });

  it("stops trying at the deadline of the flow", async () => {
    const page = new Page();
    page.server.flowLifetime = 30_000;
    const { result } = await connected(page);
    page.isOffline = true;
    act(() => result.current.cancelConnect());
    await pass(60_000);
    const before = page.attempts;
    await pass(60_000);
    expect(page.attempts).toBe(before);
    expect(onError).not.toHaveBeenCalled();
  });

  it("that fails reports the error, and shows the flow of the server again", async () => {
    const page = new Page();
    const { result } = page.render(() => ({
      ...useConnectorAuthStatus(),
      ...useConnectorOAuthConnect({ connectorId: "github", redirectMode: OAuthRedirectMode.NewTab, onError }),
    }));
    act(() => result.current.connect());
    await pass(0);
    page.server.faults.set("POST /internal/actions/connector/github/_oauth_cancel", [
      503,
      "store_unavailable",
    ]);
    act(() => result.current.cancelConnect());
    expect(result.current.isAwaitingCallback).toBe(false);
    await pass(10);
    expect(onError.mock.calls.map(([error]) => error.code)).toEqual(["store_unavailable"]);
    expect(result.current).toMatchObject({ isAwaitingCallback: true, flowId: "flow-1" });
    page.server.faults.clear();
    act(() => result.current.cancelConnect());
    await pass(10);
    expect(page.server.lastFlow.status).toBe("cancelled");
    expect(result.current.isAwaitingCallback).toBe(false);
  });

  it("announces space and status to the other tabs", async () => {
    const page = new Page();
    const received: unknown[] = [];
    new FakeChannel("oauth_flow_completed").addEventListener("message", (event) =>
      received.push((event as MessageEvent).data),
    );
    const { result } = await connected(page, { spaceId: "marketing" });
    act(() => result.current.cancelConnect());
    await pass(10);
    expect(received).toEqual([
      {
        version: 1,
        flowId: "flow-1",
        connectorId: "github",
        spaceId: "marketing",
        status: "error",
        statusCode: 409,
        error: "flow_already_used",
      },
    ]);
  });

  it("is known as that of this page where another hook of the page started it", async () => {
    const page = new Page();
    const { unmount } = await connected(page);
    unmount();
    const { result } = page.render(() => ({
      ...useConnectorAuthStatus(),
      ...useConnectorOAuthConnect({ connectorId: "github" }),
    }));
    await pass(0);
    expect(result.current).toMatchObject({ flowId: "flow-1", isStartedElsewhere: false });
  });

  const shownOn = async (page: Page) => {
    const { result } = page.render(() => ({
      ...useConnectorAuthStatus(),
      ...useConnectorOAuthConnect({ connectorId: "github" }),
    }));
    await pass(0);
    return result.current;
  };

  it("is known as that of another browser", async () => {
    const page = new Page();
    await connected(page);
    localStorage.clear();
    expect(await shownOn(new Page(page.server))).toMatchObject({
      flowId: "flow-1",
      isStartedElsewhere: true,
    });
  });

  it("is remembered by the browser until its deadline", async () => {
    const page = new Page();
    await connected(page);
    await pass(1_000);
    await connected(page, { connectorId: "wiki" });
    expect(Object.keys(JSON.parse(localStorage.getItem("grantry.flows") ?? ""))).toEqual([
      "flow-1",
      "flow-2",
    ]);
    await pass(599_500);
    await connected(page, { connectorId: "wiki" });
    expect(Object.keys(JSON.parse(localStorage.getItem("grantry.flows") ?? ""))).toEqual([
      "flow-2",
      "flow-3",
    ]);
  });

  it.each([
    ["null", "null"],
    ["no JSON", "{"],
  ])("is remembered beside a stored value of another form: %s", async (_what, stored) => {
    localStorage.setItem("grantry.flows", stored);
    const page = new Page();
    await connected(page);
    expect(await shownOn(new Page(page.server))).toMatchObject({
      flowId: "flow-1",
      isStartedElsewhere: false,
    });
  });

  it.each([
    ["is not available", ["getItem", "setItem"] as const],
    ["is full", ["setItem"] as const],
  ])("is known to its page where the storage %s", async (_what, broken) => {
    for (const method of broken) {
      vi.spyOn(Storage.prototype, method).mockImplementation(() => {
        throw new DOMException("refused");
      });
    }
    const page = new Page();
    const { unmount } = await connected(page);
    unmount();
    expect(await shownOn(page)).toMatchObject({ flowId: "flow-1", isStartedElsewhere: false });
  });

  it("in one tab shows in the other", async () => {
    const first = new Page();
    const { result: one } = await connected(first);
    const second = new Page(first.server);
    const { result: two } = second.render(() => ({
      ...useConnectorAuthStatus(),
      ...useConnectorOAuthConnect({ connectorId: "github", redirectMode: OAuthRedirectMode.NewTab, onError }),
    }));
    await pass(0);
    expect(two.current).toMatchObject({
      isAwaitingCallback: true,
      isConnecting: false,
      flowId: "flow-1",
      isStartedElsewhere: false,
    });
    expect(one.current.isStartedElsewhere).toBe(false);
    expect(two.current.secondsLeft).toBeGreaterThan(590);
    act(() => two.current.cancelConnect());
    await pass(3_500);
    expect(one.current.isAwaitingCallback).toBe(false);
    expect(two.current.isAwaitingCallback).toBe(false);
    expect(onError).not.toHaveBeenCalled();
  });
});

describe("several at once", () => {
  it("two connectors are independent", async () => {
    const page = new Page();
    const wikiDone = vi.fn();
    const { result: github } = await connected(page);
    const { result: wiki } = await connected(page, { connectorId: "wiki", onSuccess: wikiDone });
    page.server.finish("flow-2", "authorized");
    FakeChannel.send({ version: 1, flowId: "flow-2", connectorId: "wiki", status: "success" });
    await pass(2_500);
    expect(wikiDone).toHaveBeenCalledTimes(1);
    expect(onSuccess).not.toHaveBeenCalled();
    expect(github.current.isAwaitingCallback).toBe(true);
    expect(wiki.current.isAwaitingCallback).toBe(false);
    page.server.finish("flow-1", { code: "access_denied" });
    await pass(2_500);
    expect(onError).toHaveBeenCalledTimes(1);
  });

  it("the same connection in two tabs: the newer flow replaces the older one, without an error", async () => {
    const first = new Page();
    const { result: one } = await connected(first);
    await connected(new Page(first.server));
    await pass(2_500);
    expect(one.current.flowId).toBeNull();
    expect(onError).not.toHaveBeenCalled();
    first.server.finish("flow-2", "authorized");
    await pass(2_500);
    expect(onSuccess).toHaveBeenCalledTimes(1);
  });
});

describe("named connections", () => {
  const bodies = (page: Page) => {
    const send = vi.spyOn(page.server, "handle");
    return () =>
      send.mock.calls
        .filter(([, url]) => url.pathname.endsWith("_start_oauth_flow"))
        .map((call) => JSON.parse(String(call[3])));
  };

  it("start with their name, without one as the default one", async () => {
    const page = new Page();
    const started = bodies(page);
    await connected(page, { connection: "work" });
    await connected(page);
    expect(started()).toEqual([{ connection: "work" }, {}]);
    expect([...page.server.flows.values()].map(({ connection }) => connection)).toEqual(["work", "default"]);
  });

  it("of one connector are independent", async () => {
    const page = new Page();
    const { result } = page.render(() => ({
      status: useConnectorAuthStatus(),
      plain: useConnectorOAuthConnect({ connectorId: "github", redirectMode: OAuthRedirectMode.NewTab }),
      work: useConnectorOAuthConnect({
        connectorId: "github",
        connection: "work",
        redirectMode: OAuthRedirectMode.NewTab,
        onSuccess,
      }),
      sameWork: useConnectorOAuthConnect({ connectorId: "github", connection: "work" }),
    }));
    await pass(0);
    act(() => result.current.work.connect());
    await pass(10);
    expect(result.current.work).toMatchObject({ isAwaitingCallback: true, flowId: "flow-1" });
    expect(result.current.sameWork).toMatchObject({ isAwaitingCallback: true, flowId: "flow-1" });
    expect(result.current.plain).toMatchObject({ isAwaitingCallback: false, flowId: null });
    act(() => result.current.plain.connect());
    await pass(10);
    expect(result.current.plain).toMatchObject({ isAwaitingCallback: true, flowId: "flow-2" });
    page.server.finish("flow-1", "authorized");
    await pass(5_000);
    expect(onSuccess).toHaveBeenCalledTimes(1);
    expect(result.current.plain.isAwaitingCallback).toBe(true);
    expect(result.current.sameWork.isAwaitingCallback).toBe(false);
  });

  it("report an account that is connected under another name", async () => {
    const page = new Page();
    page.server.setConnection("default/github/u_bob", { account: "bob@github.example" });
    await connected(page, { connection: "work" });
    page.server.finish("flow-1", { account: "bob@github.example" });
    await pass(5_000);
    expect(onError.mock.calls.map(([error]) => error.code)).toEqual(["account_already_connected"]);
  });

  it("are named in the return URL", async () => {
    const page = new Page();
    await connected(page, { connection: "work", returnUrl: "/my#here" });
    expect(page.server.lastFlow.returnUrl).toBe("/my?oauth_connection=work&auto_close=true#here");
  });
});

describe("redirect", () => {
  it("navigates through the server and returns to the same view", async () => {
    window.history.replaceState(
      null,
      "",
      "/s/marketing/?status=connected&oauth_authorization=error&error=x#/a",
    );
    const page = new Page();
    const assign = vi.fn();
    vi.stubGlobal("location", { href: window.location.href, assign });
    const { result } = await connected(page, { redirectMode: undefined, spaceId: "marketing" });
    expect(assign.mock.calls).toEqual([["/s/marketing/connect/github?flow=flow-1"]]);
    expect(sessionStorage.getItem("grantry.flow")).toBe("flow-1");
    expect(page.opened).toHaveLength(0);
    expect(page.server.lastFlow.returnUrl).toBe("/s/marketing/?status=connected#/a");
    expect(result.current).toMatchObject({ isConnecting: true, isAwaitingCallback: false });
    act(() => {
      window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
    });
    expect(result.current.isConnecting).toBe(false);
    vi.unstubAllGlobals();
  });
});
