import { errorOfResponse, GrantryError } from "./errors.ts";

/** Options of every call. */
export interface CallOptions {
  /** Space to act in. Absent or `default`: the default space, which has no prefix. */
  space?: string | undefined;
  /** Path under which the host mounts Grantry, such as `/integrations`. Absent: the root of the origin. */
  basePath?: string | undefined;
  /** Sends the request. Absent: the page's own `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
  /** Aborts the call. */
  signal?: AbortSignal | undefined;
}

/** A response, and how far the server's clock is ahead of the local one (milliseconds). */
export interface ApiResponse<T> {
  data: T;
  clockOffset: number;
}

/** Path of a space: the prefix `/s/{space}`, or the empty string for the default one. */
export function spacePrefix(space?: string): string {
  return space === undefined || space === "default" ? "" : `/s/${encodeURIComponent(space)}`;
}

/** Full path of a route that has a space. */
export function spacePath(path: string, options: Pick<CallOptions, "space" | "basePath"> = {}): string {
  return `${mount(options.basePath)}${spacePrefix(options.space)}${path}`;
}

/** Full path of a route without space. */
export function rootPath(path: string, options: Pick<CallOptions, "basePath"> = {}): string {
  return `${mount(options.basePath)}${path}`;
}

function mount(basePath = ""): string {
  return basePath.replace(/\/+$/, "");
}

/** Sends one request and reads its JSON. Throws {@link GrantryError}, or the signal's reason when aborted. */
export async function send<T>(
  method: "GET" | "POST" | "PUT" | "DELETE",
  path: string,
  options: CallOptions,
  body?: unknown,
): Promise<ApiResponse<T>> {
  const headers: Record<string, string> = { accept: "application/json" };
  const init: RequestInit = {
    method,
    headers,
    credentials: "same-origin",
    cache: "no-store",
    // No route of the API redirects; a request body must not follow one.
    redirect: "error",
    signal: options.signal ?? null,
  };
  if (body !== undefined) {
    headers["content-type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  const response = await request(path, init, options);
  if (!response.ok) {
    throw await errorOfResponse(response);
  }
  return { data: await readJson<T>(response, options.signal), clockOffset: clockOffset(response) };
}

async function request(path: string, init: RequestInit, options: CallOptions): Promise<Response> {
  try {
    return await (options.fetch ?? globalThis.fetch)(path, init);
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw new GrantryError("network_error", { cause });
  }
}

async function readJson<T>(response: Response, signal: AbortSignal | undefined): Promise<T> {
  if (response.status === 204) {
    return undefined as T;
  }
  try {
    return (await response.json()) as T;
  } catch (cause) {
    signal?.throwIfAborted();
    throw new GrantryError("unexpected_response", { status: response.status, cause });
  }
}

/** `Date` has whole seconds, so differences below two seconds count as none. */
function clockOffset(response: Response): number {
  const server = Date.parse(response.headers.get("date") ?? "");
  if (Number.isNaN(server)) {
    return 0;
  }
  const offset = server - Date.now();
  return Math.abs(offset) < 2000 ? 0 : offset;
}

/** Converts a server time to the local clock. An invalid time counts as now. */
export function onLocalClock(serverTime: string, offset: number): number {
  const time = Date.parse(serverTime);
  return Number.isNaN(time) ? Date.now() : time - offset;
}
