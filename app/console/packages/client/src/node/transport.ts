import { errorOfResponse, GrantryError } from "../errors.ts";
import { NetworkError, RequestTimeoutError, typed } from "./errors.ts";

const DEFAULT_TIMEOUT = 60_000;

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
    this.#key = key;
    this.#timeout = timeout;
    this.#fetch = fetch;
  }

  /** Sends JSON and reads JSON. Throws a typed error, or the reason of the signal. */
  async post<T>(path: string, body: unknown, signal: AbortSignal | undefined): Promise<T> {
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
        body: JSON.stringify(body),
        // No route of the API redirects; the key must not follow one.
        redirect: "error",
        signal: signal ? AbortSignal.any([signal, timer]) : timer,
      });
      if (!response.ok) {
        throw typed(await errorOfResponse(response));
      }
      return await jsonOf<T>(response, signal, timer);
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
async function jsonOf<T>(
  response: Response,
  signal: AbortSignal | undefined,
  timer: AbortSignal,
): Promise<T> {
  try {
    return (await response.json()) as T;
  } catch (cause) {
    if (cause instanceof SyntaxError && !signal?.aborted && !timer.aborted) {
      throw new GrantryError("unexpected_response", { status: response.status, cause });
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
