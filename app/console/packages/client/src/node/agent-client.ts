import type { components } from "../generated/api-types.ts";
import { spacePath } from "../http.ts";
import type { AccessToken, ExecuteParams, ExecuteResult } from "../types.ts";
import { isAccessToken, isExecuteResult, type Shape } from "./results.ts";
import { isIdempotent, type RetryPolicy, sendWithRetries } from "./retry.ts";
import { checkedSpace, segment } from "./segment.ts";
import { Transport } from "./transport.ts";

type Schemas = components["schemas"];

/** How to reach the server. */
export interface AgentClientOptions {
  /** URL of the server with the path of its mount, such as `https://grantry.example.com` or `http://127.0.0.1:8080/hub`. */
  baseUrl: string;
  /** API key of the back end (`grantry agents new`): `gak_…`. */
  key: string;
  /** Space of calls that name none. Absent: the default space. */
  space?: string | undefined;
  /** Milliseconds until one request is aborted, a whole number from 1 to 2 147 483 647. Default: 60 000. */
  timeout?: number | undefined;
  /** Number of repetitions after a response with `Retry-After`. Default: 2; 0 switches them off. */
  maxRetries?: number | undefined;
  /** A response with a longer `Retry-After` is not waited for, in milliseconds. Default: 10 000. */
  maxRetryWait?: number | undefined;
  /** Sends the requests. Absent: the `fetch` of Node. */
  fetch?: typeof globalThis.fetch | undefined;
}

/** Options of one call. */
export interface AgentOptions {
  /** Name of the connection. Absent: the only one, or the user's default one. */
  connection?: string | undefined;
  /** Space of the connector. Absent: the one of the client. */
  space?: string | undefined;
  /** Aborts the call, also while it waits for a repetition. The call then rejects with the reason of the signal. */
  signal?: AbortSignal | undefined;
}

/**
 * Client of a back end: runs connectors and fetches access tokens for users of the host, with an API key.
 *
 * Every failure of a request is a `GrantryError` of a class for its code, except that an aborted call rejects with the
 * reason of the signal. A mistake of the caller rejects with an error of JavaScript before anything is sent: a `TypeError`
 * for a space or connector that is `""`, `.` or `..`, and for a body that is not JSON, such as one with a `BigInt` or a
 * cycle.
 */
export class AgentClient {
  readonly #transport: Transport;
  readonly #policy: RetryPolicy;
  readonly #space: string | undefined;

  /** Throws a `TypeError` where an option is not usable. It never contains the key. */
  constructor(options: AgentClientOptions) {
    this.#transport = new Transport(options);
    this.#policy = {
      maxRetries: finite(atLeastZero(options.maxRetries ?? 2, "maxRetries"), "maxRetries"),
      maxWait: atLeastZero(options.maxRetryWait ?? 10_000, "maxRetryWait"),
    };
    this.#space = checkedSpace(options.space);
  }

  /**
   * Sends one request to the API of a connector with the access token of a user. Every response of the API is a result, with
   * its status in `data.status`.
   */
  async executeAs(
    user: string,
    connectorId: string,
    params: ExecuteParams,
    options: AgentOptions = {},
  ): Promise<ExecuteResult> {
    const body: Schemas["ExecuteBody"] = { act_as: user, params, ...namedConnection(options) };
    const path = `/api/actions/connector/${encodeURIComponent(segment(connectorId, "connectorId"))}/_execute`;
    return this.#post(path, body, options, isExecuteResult, isIdempotent(params.method));
  }

  /**
   * Fetches a valid access token of a user, for requests to `destination` (URL or origin of the API). Only agents with
   * `access_tokens = true` may. Do not store the token: fetch one before each use.
   */
  async accessTokenFor(
    user: string,
    connectorId: string,
    destination: string,
    options: AgentOptions = {},
  ): Promise<AccessToken> {
    const body: Schemas["AccessTokenBody"] = { user, destination, ...namedConnection(options) };
    const path = `/internal/actions/connector/${encodeURIComponent(segment(connectorId, "connectorId"))}/_access_token`;
    return this.#post(path, body, options, isAccessToken, true);
  }

  #post<T>(
    path: string,
    body: unknown,
    options: AgentOptions,
    shape: Shape<T>,
    idempotent: boolean,
  ): Promise<T> {
    const to = spacePath(path, { space: checkedSpace(options.space) ?? this.#space });
    // Here and not where failures are caught: the error for a value that is not JSON is for the caller.
    const json = JSON.stringify(body);
    const send = () => this.#transport.post(to, json, shape, options.signal);
    return sendWithRetries(send, this.#policy, idempotent, options.signal);
  }
}

function namedConnection({ connection }: AgentOptions): { connection?: string } {
  return connection === undefined ? {} : { connection };
}

/** `NaN` would compare as neither reached nor exceeded. */
function atLeastZero(value: number, name: string): number {
  if (!(value >= 0)) {
    throw new TypeError(`${name}: is not a number of at least 0`);
  }
  return value;
}

function finite(value: number, name: string): number {
  if (value === Number.POSITIVE_INFINITY) {
    throw new TypeError(`${name}: is not finite`);
  }
  return value;
}
