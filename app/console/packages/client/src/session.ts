import { type CallOptions, rootPath, send } from "./http.ts";
import type { Session } from "./types.ts";

const path = (options: CallOptions) => rootPath("/api/session", options);

/** Who is signed in. Throws `not_signed_in` when nobody is. */
export async function session(options: CallOptions = {}): Promise<Session> {
  return (await send<Session>("GET", path(options), options)).data;
}

/** Signs in with a local account. The cookie is the server's business. */
export async function logIn(username: string, password: string, options: CallOptions = {}): Promise<void> {
  await send<unknown>("POST", path(options), options, { username, password });
}

/** Signs out. */
export async function logOut(options: CallOptions = {}): Promise<void> {
  await send<void>("DELETE", path(options), options);
}
