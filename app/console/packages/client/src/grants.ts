import { type CallOptions, rootPath, send, spacePath } from "./http.ts";
import type { GrantPage, OffBoarded } from "./types.ts";

/** Which grants to list. */
export interface GrantFilter extends CallOptions {
  connector?: string | undefined;
  user?: string | undefined;
  status?: string | undefined;
  /** `nextCursor` of the page before. */
  cursor?: string | undefined;
}

/** One page of everybody's grants in the space. Admins only. */
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

/** Ends somebody's grant. Admins only. */
export async function revokeGrant(grantId: string, options: CallOptions = {}): Promise<void> {
  const path = spacePath(`/internal/actions/grants/${encodeURIComponent(grantId)}`, options);
  await send<void>("DELETE", path, options);
}

/** Ends every grant of a person in every space. For admins of all spaces. */
export async function offBoard(userId: string, options: CallOptions = {}): Promise<OffBoarded> {
  const path = rootPath(`/internal/actions/users/${encodeURIComponent(userId)}/grants`, options);
  return (await send<OffBoarded>("DELETE", path, options)).data;
}
