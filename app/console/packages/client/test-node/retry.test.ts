import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { GrantryError } from "../src/errors.ts";
import { type ErrorCode, messages } from "../src/messages.ts";
import { RateLimitedError, RequestTimeoutError, UnavailableError } from "../src/node/index.ts";
import { pauseAfter } from "../src/node/retry.ts";
import { clientOf, failureOf, problem, reasonOf, scripted } from "./kit.ts";

const RESULT = { status: "ok", connector_id: "files", data: { status: 200, headers: {} } };
const ok = () => Response.json(RESULT);
const limited = (seconds?: number) =>
  problem("rate_limited", 429, {}, seconds === undefined ? {} : { "retry-after": String(seconds) });
const unavailable = (seconds: number) =>
  problem("provider_unavailable", 503, {}, { "retry-after": String(seconds) });

/** A request that only ends when its signal aborts it. */
const hanging = (init: RequestInit) =>
  new Promise<Response>((_, reject) => {
    init.signal?.addEventListener("abort", () => reject(init.signal?.reason));
  });

describe("the codes that permit a repetition of every request", () => {
  it("are those of the README", () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    const [, rest = ""] = readme.split("code of the response decides:");
    const named = (rest.split("permit it")[0] ?? "").match(/(?<=`)[a-z_]+(?=`)/g) ?? [];
    const policy = { maxRetries: 1, maxWait: 60_000 };
    const permits = (code: ErrorCode) =>
      pauseAfter(new GrantryError(code, { retryAfter: 1 }), policy, false) !== undefined;
    const permitted = (Object.keys(messages) as ErrorCode[]).filter(permits);
    expect(permitted.length).toBeGreaterThan(0);
    expect([...named].sort()).toEqual(permitted.sort());
  });
});

describe("repetitions", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("waits as long as Retry-After requires", async () => {
    const fetch = scripted(limited(3), ok());
    const call = clientOf(fetch).executeAs("u", "files", { method: "get", path: "/" });
    await vi.advanceTimersByTimeAsync(2999);
    expect(fetch).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await call).toEqual(RESULT);
    expect(fetch).toHaveBeenCalledTimes(2);
  });

  it("stops after the maximum, with the last error", async () => {
    const fetch = scripted(limited(1), limited(1), unavailable(2));
    const call = failureOf(clientOf(fetch).executeAs("u", "files", { method: "GET", path: "/" }));
    await vi.runAllTimersAsync();
    expect(await call).toBeInstanceOf(UnavailableError);
    expect(fetch).toHaveBeenCalledTimes(3);
  });

  it("repeats no rate-limited request that may have changed something", async () => {
    const fetch = scripted(limited(1));
    const error = await failureOf(clientOf(fetch).executeAs("u", "files", { method: "POST", path: "/" }));
    expect(error).toBeInstanceOf(RateLimitedError);
    expect(error.retryAfter).toBe(1);
  });

  it("repeats any request that did not reach the API", async () => {
    const store = problem("store_unavailable", 503, {}, { "retry-after": "1" });
    const fetch = scripted(store, problem("refresh_refused", 503, {}, { "retry-after": "1" }), ok());
    const call = clientOf(fetch).executeAs("u", "files", { method: "POST", path: "/" });
    await vi.runAllTimersAsync();
    expect(await call).toEqual(RESULT);
  });

  it("does not wait without Retry-After, for longer than permitted, or for another code", async () => {
    const responses = [
      limited(),
      limited(11),
      problem("api_unreachable", 502, {}, { "retry-after": "1" }),
      new Response("", { status: 503, headers: { "retry-after": "1" } }),
    ];
    for (const response of responses) {
      const fetch = scripted(response);
      await failureOf(clientOf(fetch).accessTokenFor("u", "files", "https://api.example"));
      expect(fetch).toHaveBeenCalledTimes(1);
    }
  });

  it("an abort ends the wait with the reason of the signal", async () => {
    const abort = new AbortController();
    const options = { signal: abort.signal };
    const fetch = scripted(limited(9));
    const call = reasonOf(clientOf(fetch).executeAs("u", "files", { method: "GET", path: "/" }, options));
    await vi.advanceTimersByTimeAsync(10);
    abort.abort("left");
    expect(await call).toBe("left");
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("timeouts", () => {
  it("a request ends after the timeout of the client", async () => {
    const client = clientOf(scripted(hanging), { timeout: 5 });
    const error = await failureOf(client.executeAs("u", "files", { method: "GET", path: "/" }));
    expect(error).toBeInstanceOf(RequestTimeoutError);
    expect(error.code).toBe("network_error");
  });

  it("a signal with a timeout rejects with its reason", async () => {
    const options = { signal: AbortSignal.timeout(5) };
    const client = clientOf(scripted(hanging));
    const reason = await reasonOf(client.executeAs("u", "files", { method: "GET", path: "/" }, options));
    expect(reason).toBe(options.signal.reason);
    expect(reason).toMatchObject({ name: "TimeoutError" });
  });

  it("an aborted signal sends nothing", async () => {
    const fetch = scripted();
    const options = { signal: AbortSignal.abort("before") };
    const call = clientOf(fetch).executeAs("u", "files", { method: "GET", path: "/" }, options);
    expect(await reasonOf(call)).toBe("before");
    expect(fetch).not.toHaveBeenCalled();
  });
});
