import { type CallOptions, rootPath, send } from "./http.ts";
import type { User, UserDetails } from "./types.ts";

const path = (userId: string, options: CallOptions) =>
  rootPath(`/internal/actions/users/${encodeURIComponent(userId)}`, options);

/** The users of the host. Admins only. */
export async function listUsers(options: CallOptions = {}): Promise<User[]> {
  return (await send<User[]>("GET", rootPath("/internal/actions/users", options), options)).data;
}

/** One user, with what a deprovisioning would end. Admins only. */
export async function getUser(userId: string, options: CallOptions = {}): Promise<UserDetails> {
  return (await send<UserDetails>("GET", path(userId, options), options)).data;
}

/** Lets a deprovisioned user connect again. Ended connections stay ended. Admins only. */
export async function reinstateUser(userId: string, options: CallOptions = {}): Promise<void> {
  await send<void>("POST", `${path(userId, options)}/_reinstate`, options);
}
