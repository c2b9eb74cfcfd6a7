import { type CallOptions, rootPath, send, spacePath } from "./http.ts";
import type { Deprovisioned, GrantPage } from "./types.ts";

/** Which grants to list. */
export interface GrantFilter extends CallOptions {
  connector?: string | undefined;
  user?: string | undefined;
  status?: string | undefined;
  /** `nextCursor` of the page before. */
  cursor?: string | undefined;
}

/** One page of the grants of all users of the space. Admins only. */
export async function listGrants(filter: GrantFilter = {}): Promise<GrantPage> {
  const query = new URLSearchParams();
  for (const key of ["connector", "user", "status", "cursor"] as const) {
    const value = filter[key];
    if (value) {
      query.set(key, value);
    }
  }
  const suffix = query.size > 0 ? `?${query}` : "";
  return (await send<GrantPage>("GET", spacePath(`/internal/actions/grants${suffix}`, filter), filter)).data;
}

/** Ends the grant of any user. Admins only. */
export async function revokeGrant(grantId: string, options: CallOptions = {}): Promise<void> {
  const path = spacePath(`/internal/actions/grants/${encodeURIComponent(grantId)}`, options);
  await send<void>("DELETE", path, options);
}

/** Ends every grant of a user in every space. For admins of all spaces. */
export async function deprovisionUser(userId: string, options: CallOptions = {}): Promise<Deprovisioned> {
  const path = rootPath(`/internal/actions/users/${encodeURIComponent(userId)}/grants`, options);
  return (await send<Deprovisioned>("DELETE", path, options)).data;
}
