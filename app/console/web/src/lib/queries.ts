import { connectors, connectorTypes, listGrants, session } from "@grantry/client";
import type { Here } from "./session.tsx";

type Call = Here["call"];

/** Who is signed in. */
export const sessionQuery = (call: Call) => ({
  queryKey: ["grantry", "session"],
  queryFn: ({ signal }: { signal: AbortSignal }) => session({ ...call, signal }),
});

/** The connectors of the space. */
export const connectorsQuery = (call: Call) => ({
  queryKey: ["grantry", "connectors", call.space ?? "default"],
  queryFn: ({ signal }: { signal: AbortSignal }) => connectors({ ...call, signal }),
});

/** The provider profiles. */
export const connectorTypesQuery = (call: Call) => ({
  queryKey: ["grantry", "connector_types"],
  queryFn: ({ signal }: { signal: AbortSignal }) => connectorTypes({ ...call, signal }),
});

/** Which grants an admin wants to see. */
export interface GrantsWanted {
  connector: string;
  user: string;
  status: string;
}

/** Everybody's grants in the space, page by page. */
export const grantsQuery = (call: Call, wanted: GrantsWanted) => ({
  queryKey: ["grantry", "grants", call.space ?? "default", wanted],
  queryFn: ({ signal, pageParam }: { signal: AbortSignal; pageParam: string }) =>
    listGrants({ ...call, ...wanted, cursor: pageParam, signal }),
  initialPageParam: "",
  getNextPageParam: (page: { nextCursor?: string | null }) => page.nextCursor ?? undefined,
});

/** Key of all grants of all filters. */
export const GRANTS_KEY = ["grantry", "grants"];
