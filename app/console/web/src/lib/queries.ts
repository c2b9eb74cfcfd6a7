import {
  type Connector,
  connectors,
  connectorTypes,
  consent,
  diagnostics,
  getUser,
  listGrants,
  listUsers,
  session,
} from "@grantry/client";
import type { Here } from "./session.tsx";

type Call = Here["call"];

/** The signed-in user. */
export const sessionQuery = (call: Call) => ({
  queryKey: ["grantry", "session"],
  queryFn: ({ signal }: { signal: AbortSignal }) => session({ ...call, signal }),
});

/** The connectors of the space. */
export const connectorsQuery = (call: Call) => ({
  queryKey: ["grantry", "connectors", call.space ?? "default"],
  queryFn: ({ signal }: { signal: AbortSignal }) => connectors({ ...call, signal }),
});

/** What a flow of a connector would use, also where only an issuer names it. Read anew each time it is shown. */
export const consentQuery = (call: Call, { id, consent: ofSettings }: Connector) => ({
  queryKey: ["grantry", "consent", call.space ?? "default", id, ofSettings?.version],
  queryFn: ({ signal }: { signal: AbortSignal }) => consent(id, { ...call, signal }),
  staleTime: 0,
  refetchOnWindowFocus: false,
});

/** The provider profiles. */
export const connectorTypesQuery = (call: Call) => ({
  queryKey: ["grantry", "connector_types"],
  queryFn: ({ signal }: { signal: AbortSignal }) => connectorTypes({ ...call, signal }),
});

/** What failed last at a connector. */
export const diagnosticsQuery = (call: Call, id: string) => ({
  queryKey: ["grantry", "diagnostics", call.space ?? "default", id],
  queryFn: ({ signal }: { signal: AbortSignal }) => diagnostics(id, { ...call, signal }),
  staleTime: 0,
});

/** The users of the host. */
export const usersQuery = (call: Call) => ({
  queryKey: ["grantry", "users"],
  queryFn: ({ signal }: { signal: AbortSignal }) => listUsers({ ...call, signal }),
});

/** One user, with what a deprovisioning would end. */
export const userQuery = (call: Call, id: string) => ({
  queryKey: ["grantry", "user", id],
  queryFn: ({ signal }: { signal: AbortSignal }) => getUser(id, { ...call, signal }),
  staleTime: 0,
});

/** Which grants to list. */
export interface GrantsFilter {
  connector: string;
  user: string;
  status: string;
}

/** The grants of all users of the space, page by page. */
export const grantsQuery = (call: Call, filter: GrantsFilter) => ({
  queryKey: ["grantry", "grants", call.space ?? "default", filter],
  queryFn: ({ signal, pageParam }: { signal: AbortSignal; pageParam: string }) =>
    listGrants({ ...call, ...filter, cursor: pageParam, signal }),
  initialPageParam: "",
  getNextPageParam: (page: { nextCursor?: string | null }) => page.nextCursor ?? undefined,
});

/** Cache key of the grants, for every filter. */
export const GRANTS_KEY = ["grantry", "grants"];
