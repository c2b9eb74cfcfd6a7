import { act, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { FakeServer } from "../../testing/fake-server.ts";
import { ServerMonitor } from "../src/lib/server-monitor.ts";
import { expectAccessible, renderConsole, rowOf } from "./kit.tsx";

const BANNER = /The server does not respond\. What you see may be out of date/;

function withConnection(): FakeServer {
  const server = new FakeServer();
  server.setConnection("default/github/u_alice", { account: "alice@github.example" });
  return server;
}

describe("a server that is gone", () => {
  it("is reported, rows are marked as read earlier, and both end when it responds again", async () => {
    const server = withConnection();
    const { user } = renderConsole({ server });
    const row = within(await rowOf("GitHub"));
    expect((await row.findByText("Connected")).className).toContain("badge--ok");
    server.isGone = true;
    act(() => void window.dispatchEvent(new Event("offline")));
    await screen.findByText(BANNER);
    row.getByText("Last known status");
    expect(row.getByText("Connected").className).toContain("badge--stale");
    expect(document.querySelectorAll(".badge--ok")).toHaveLength(0);
    await expectAccessible();

    server.isGone = false;
    server.setConnection("default/github/u_alice", { status: "needs_reauthorization", reason: "admin" });
    await user.click(screen.getByRole("button", { name: "Try now" }));
    await waitFor(() => expect(screen.queryByText(BANNER)).toBeNull());
    await row.findByText("Reconnect needed");
    expect(row.queryByText("Last known status")).toBeNull();
  });

  it("is found by any request, and tried again without a click", async () => {
    const server = withConnection();
    renderConsole({ server });
    await within(await rowOf("GitHub")).findByText("Connected");
    server.isGone = true;
    act(() => void window.dispatchEvent(new Event("focus")));
    await screen.findByText(BANNER);
    server.isGone = false;
    await waitFor(() => expect(screen.queryByText(BANNER)).toBeNull(), { timeout: 5000 });
  });

  it("is reported where the page has nothing to show yet", async () => {
    const server = withConnection();
    server.isGone = true;
    renderConsole({ server });
    await screen.findByText(BANNER);
    server.isGone = false;
    await rowOf("GitHub");
  });
});

describe("the monitor", () => {
  function monitorOf(respond: () => Response | Promise<Response>) {
    vi.useFakeTimers();
    const sent: { url: string; credentials: RequestInit["credentials"] }[] = [];
    const recovered = vi.fn(async () => {});
    const fetch: typeof globalThis.fetch = async (url, init) => {
      sent.push({ url: String(url), credentials: init?.credentials });
      return respond();
    };
    const monitor = new ServerMonitor(fetch, "/readyz", recovered);
    return { monitor, sent, recovered, stop: monitor.start() };
  }

  it("tries again with growing pauses, at most half a minute", async () => {
    const { sent, stop } = monitorOf(() => Promise.reject(new TypeError("gone")));
    await vi.advanceTimersByTimeAsync(20_000);
    const after = async (time: number) => {
      await vi.advanceTimersByTimeAsync(time);
      return sent.length;
    };
    expect(await after(0)).toBe(1);
    expect(await after(1000)).toBe(2);
    expect(await after(2000)).toBe(3);
    expect(await after(4000)).toBe(4);
    await after(8000 + 16_000);
    const before = sent.length;
    expect(await after(30_000)).toBe(before + 1);
    stop();
    expect(await after(60_000)).toBe(before + 1);
  });

  it("sends no cookies with a check, so that it extends no session", async () => {
    const { sent, stop } = monitorOf(() => new Response("ok"));
    await vi.advanceTimersByTimeAsync(20_000);
    expect(sent).toEqual([{ url: "/readyz", credentials: "omit" }]);
    stop();
  });

  it.each([
    ["a bad gateway", new Response("<h1>Bad gateway</h1>", { status: 502 }), true],
    ["a store that fails", Response.json({ code: "store_unavailable" }, { status: 503 }), true],
    ["a provider that fails", Response.json({ code: "provider_unavailable" }, { status: 503 }), false],
    ["a refusal", Response.json({ code: "forbidden" }, { status: 403 }), false],
  ])("checks after %s: %#", async (_, response, expected) => {
    const { monitor, sent, stop } = monitorOf(() => response.clone());
    await monitor.fetch("/api/actions/connectors");
    await vi.advanceTimersByTimeAsync(0);
    expect(sent.map(({ url }) => url).includes("/readyz")).toBe(expected);
    stop();
  });

  it("does not count a path that the host does not pass on, nor an aborted request", async () => {
    const { monitor, sent, stop } = monitorOf(() => new Response("not found", { status: 404 }));
    await vi.advanceTimersByTimeAsync(20_000);
    expect(monitor.snapshot().isDown).toBe(false);
    stop();
    const aborted = new AbortController();
    aborted.abort();
    const other = monitorOf(() => Promise.reject(new DOMException("aborted", "AbortError")));
    await other.monitor.fetch("/x", { signal: aborted.signal }).catch(() => {});
    expect(other.sent).toHaveLength(1);
    expect(sent).toHaveLength(1);
    other.stop();
  });
});
