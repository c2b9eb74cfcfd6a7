import { GrantryError } from "../errors.ts";

/** How often and how long to wait. */
export interface RetryPolicy {
  maxRetries: number;
  /** In milliseconds. */
  maxWait: number;
}

/** Methods whose repetition has the effect of one request (RFC 9110 §9.2.2). */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

/** Codes that are sent before the API accepts a request, so that any request may be repeated. */
const BEFORE_THE_API = new Set([
  "provider_unavailable",
  "refresh_refused",
  "store_unavailable",
  "audit_unavailable",
  "directory_unavailable",
]);

/** Whether a request with this method may reach the API twice. */
export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method.toUpperCase());
}

/**
 * The pause before a repetition in milliseconds; undefined where there must be none. Only a response with `Retry-After`
 * permits one. `rate_limited` can arrive after the request has reached the API, and permits it for idempotent requests only.
 */
export function pauseAfter(
  error: GrantryError,
  policy: RetryPolicy,
  idempotent: boolean,
): number | undefined {
  const repeatable = BEFORE_THE_API.has(error.code) || (error.code === "rate_limited" && idempotent);
  if (!repeatable || error.retryAfter === undefined) {
    return undefined;
  }
  const pause = error.retryAfter * 1000;
  return pause <= policy.maxWait ? pause : undefined;
}

/** Sends, and repeats as long as the server permits it. Throws the last error, or the reason of the signal. */
export async function sendWithRetries<T>(
  send: () => Promise<T>,
  policy: RetryPolicy,
  idempotent: boolean,
  signal: AbortSignal | undefined,
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await send();
    } catch (error) {
      const pause = error instanceof GrantryError ? pauseAfter(error, policy, idempotent) : undefined;
      if (pause === undefined || attempt >= policy.maxRetries) {
        throw error;
      }
      await sleep(pause, signal);
    }
  }
}

function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const wake = () => {
      signal?.removeEventListener("abort", stop);
      resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    if (signal?.aborted) {
      stop();
    } else {
      signal?.addEventListener("abort", stop, { once: true });
    }
  });
}
