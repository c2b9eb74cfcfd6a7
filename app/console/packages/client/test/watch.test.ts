import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeChannel, forgedMessages } from "../../../testing/fake-channel.ts";
import { FakeServer } from "../../../testing/fake-server.ts";
import { type Flow, startFlow, watchFlow } from "../src/index.ts";

let server: FakeServer;
let fetch: typeof globalThis.fetch;

beforeEach(() => {
  vi.useFakeTimers();
  FakeChannel.install();
  server = new FakeServer();
  fetch = server.fetchAs("bob");
});

afterEach(() => {
  FakeChannel.uninstall();
});

const readings = () => server.requests.filter((request) => request.includes("/oauth_flow/")).length;

async function watching(options: Partial<Parameters<typeof watchFlow>[1]> = {}) {
  const { flowId } = await startFlow("github", { fetch });
  const seen: string[] = [];
  const onChange = (flow: Flow) => void seen.push(flow.status);
  let outcome: Flow | Error | undefined;
  const done = watchFlow(flowId, { fetch, onChange, ...options }).then(
    (flow) => {
      outcome = flow;
    },
    (error: Error) => {
      outcome = error;
    },
  );
  await vi.advanceTimersByTimeAsync(0);
  return { flowId, seen, done, outcome: () => outcome };
}

describe("polling", () => {
  it.each([0, 300, 2_000, 30_000, 590_000])(
    "R32 finds within 5 s, without the channel, a result after %i ms",
    async (after) => {
      FakeChannel.block();
      const watch = await watching();
      await vi.advanceTimersByTimeAsync(after);
      server.finish(watch.flowId, "authorized");
      await vi.advanceTimersByTimeAsync(5_000);
      expect(watch.outcome()).toMatchObject({ status: "authorized" });
      expect(watch.seen).toEqual(["awaiting", "authorized"]);
    },
  );

  it("R32 reads with growing pauses, at most 40 times in a minute", async () => {
    await watching();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(readings()).toBeGreaterThan(25);
    expect(readings()).toBeLessThan(40);
  });

  it("stops at the deadline of the flow", async () => {
    server.flowLifetime = 20_000;
    const watch = await watching();
    await vi.advanceTimersByTimeAsync(21_000);
    expect(watch.outcome()).toMatchObject({ status: "expired", code: "flow_expired" });
    const before = readings();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(readings()).toBe(before);
  });

  it("finds a result of the flow's last second", async () => {
    server.flowLifetime = 10_000;
    const watch = await watching();
    await vi.advanceTimersByTimeAsync(9_900);
    server.finish(watch.flowId, "authorized");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(watch.outcome()).toMatchObject({ status: "authorized" });
  });

  it("reports a failed flow with its code", async () => {
    const watch = await watching();
    server.finish(watch.flowId, { code: "access_denied" });
    await vi.advanceTimersByTimeAsync(5_000);
    expect(watch.outcome()).toMatchObject({ status: "failed", code: "access_denied" });
  });

  it("continues through outages and obeys Retry-After", async () => {
    const watch = await watching();
    server.faults.set("GET /internal/actions/oauth_flow", [503, "store_unavailable"]);
    await vi.advanceTimersByTimeAsync(30_000);
    server.faults.clear();
    server.finish(watch.flowId, "authorized");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(watch.outcome()).toMatchObject({ status: "authorized" });
  });

  it("repeats a reading that does not return", async () => {
    const never: typeof globalThis.fetch = (_input, init) =>
      new Promise((_, reject) => init?.signal?.addEventListener("abort", () => reject(init.signal?.reason)));
    let hang = true;
    const watch = await watching({ fetch: (...args) => (hang ? never(...args) : fetch(...args)) });
    hang = false;
    server.finish(watch.flowId, "authorized");
    await vi.advanceTimersByTimeAsync(11_000);
    expect(watch.outcome()).toMatchObject({ status: "authorized" });
  });

  it("rejects when the flow does not exist", async () => {
    const watch = await watching();
    server.faults.set("GET /internal/actions/oauth_flow", [404, "not_found"]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(watch.outcome()).toMatchObject({ code: "not_found" });
  });

  it("ends when aborted, and leaves no timer and no channel open", async () => {
    const abort = new AbortController();
    const watch = await watching({ signal: abort.signal });
    abort.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(watch.outcome()).toMatchObject({ name: "AbortError" });
    expect(vi.getTimerCount()).toBe(0);
    expect(FakeChannel.open()).toBe(0);
  });
});

describe("the channel is only a hint", () => {
  it("R32 reads at once on any message", async () => {
    const watch = await watching();
    await vi.advanceTimersByTimeAsync(10_000);
    server.finish(watch.flowId, "authorized");
    FakeChannel.send({ version: 1, flowId: watch.flowId, connectorId: "github", status: "success" });
    await vi.advanceTimersByTimeAsync(1);
    expect(watch.outcome()).toMatchObject({ status: "authorized" });
  });

  it.each(forgedMessages())("R32 takes no result from a message: %s", async (_what, message) => {
    const watch = await watching();
    FakeChannel.send(message);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(watch.outcome()).toBeUndefined();
    expect(watch.seen).toEqual(["awaiting"]);
  });

  it("R32 limits the readings that a flood of messages causes", async () => {
    await watching();
    const before = readings();
    for (let i = 0; i < 1000; i += 1) {
      FakeChannel.send("now!");
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(readings() - before).toBeLessThan(25);
  });

  it("reads at once when the user returns to the tab", async () => {
    const watch = await watching();
    await vi.advanceTimersByTimeAsync(10_000);
    server.finish(watch.flowId, "authorized");
    window.dispatchEvent(new Event("focus"));
    await vi.advanceTimersByTimeAsync(1);
    expect(watch.outcome()).toMatchObject({ status: "authorized" });
  });
});
