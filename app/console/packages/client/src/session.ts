import { type CallOptions, rootPath, send } from "./http.ts";
import type { Session } from "./types.ts";

const path = (options: CallOptions) => rootPath("/api/session", options);

/** The signed-in user. Rejects with `not_signed_in` where there is none. */
export async function session(options: CallOptions = {}): Promise<Session> {
  return (await send<Session>("GET", path(options), options)).data;
}

/** Signs in with a local account. The server sets the session cookie. */
export async function logIn(username: string, password: string, options: CallOptions = {}): Promise<void> {
  await send<unknown>("POST", path(options), options, { username, password });
}

/** Signs out. */
export async function logOut(options: CallOptions = {}): Promise<void> {
  await send<void>("DELETE", path(options), options);
}
