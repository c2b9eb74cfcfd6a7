import { errorOfResponse, GrantryError } from "../errors.ts";
import { NetworkError, RequestTimeoutError, typed } from "./errors.ts";
import type { Shape } from "./results.ts";

const DEFAULT_TIMEOUT = 60_000;
/** Timers of Node with a longer delay end after one millisecond. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

interface TransportOptions {
  baseUrl: string;
  key: string;
  timeout?: number | undefined;
  fetch?: typeof globalThis.fetch | undefined;
}

/** Sends authenticated requests to one server. */
export class Transport {
  readonly #base: string;
  readonly #key: string;
  readonly #timeout: number;
  readonly #fetch: typeof globalThis.fetch;

  constructor({ baseUrl, key, timeout = DEFAULT_TIMEOUT, fetch = globalThis.fetch }: TransportOptions) {
    this.#base = baseOf(baseUrl);
    // `fetch` would quote a key that is not a header value in its error.
    if (!/^[\x21-\x7e]+$/.test(key)) {
      throw new TypeError("key: is empty, or contains white space or a character that is not ASCII");
    }
    if (!Number.isInteger(timeout) || timeout < 1 || timeout > LONGEST_TIMEOUT) {
      throw new TypeError(`timeout: is not a whole number of milliseconds from 1 to ${LONGEST_TIMEOUT}`);
    }
    this.#key = key;
    this.#timeout = timeout;
    this.#fetch = fetch;
  }

  /** Sends JSON and reads JSON of a shape. Throws a typed error, or the reason of the signal. */
  async post<T>(path: string, json: string, shape: Shape<T>, signal: AbortSignal | undefined): Promise<T> {
    signal?.throwIfAborted();
    const timer = AbortSignal.timeout(this.#timeout);
    try {
      const response = await this.#fetch(this.#base + path, {
        method: "POST",
        headers: {
          accept: "application/json",
          authorization: `Bearer ${this.#key}`,
          "content-type": "application/json",
        },
        body: json,
        // No route of the API redirects; the key must not follow one.
        redirect: "error",
        signal: signal ? AbortSignal.any([signal, timer]) : timer,
      });
      if (!response.ok) {
        throw typed(await errorOfResponse(response));
      }
      const result = await jsonOf(response, signal, timer);
      if (!shape(result)) {
        throw new GrantryError("unexpected_response", { status: response.status });
      }
      return result;
    } catch (cause) {
      signal?.throwIfAborted();
      if (timer.aborted) {
        throw new RequestTimeoutError({ cause });
      }
      throw cause instanceof GrantryError ? cause : new NetworkError({ cause });
    }
  }
}

/** A body that breaks off is a failure of the network; one that is not JSON is not a response of the API. */
async function jsonOf(
  response: Response,
  signal: AbortSignal | undefined,
  timer: AbortSignal,
): Promise<unknown> {
  try {
    return await response.json();
  } catch (cause) {
    if (cause instanceof SyntaxError && !signal?.aborted && !timer.aborted) {
      // Without the cause: its message quotes the body, which can contain an access token.
      throw new GrantryError("unexpected_response", { status: response.status });
    }
    throw cause;
  }
}

function baseOf(baseUrl: string): string {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw new TypeError("baseUrl: is not an absolute URL of http or https");
  }
  if (url.username || url.password || url.search || url.hash) {
    throw new TypeError("baseUrl: contains credentials, a query or a fragment");
  }
  return url.href.replace(/\/+$/, "");
}
