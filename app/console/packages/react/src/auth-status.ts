import { authStatus, type CallOptions } from "@grantry/client";
import type { QueryClient } from "@tanstack/react-query";

/** Cache key of the statuses of one space. */
export function authStatusKey({ basePath, space }: Pick<CallOptions, "basePath" | "space"> = {}) {
  return ["grantry", "auth_status", basePath ?? "", space ?? "default"] as const;
}

/** Cache key of the statuses of every space. */
export const ALL_AUTH_STATUS_KEY = ["grantry", "auth_status"] as const;

/** The query that all hooks share, so that every hook sees the result of any reading. */
export function authStatusQuery(place: Pick<CallOptions, "basePath" | "fetch" | "space">) {
  return {
    queryKey: authStatusKey(place),
    // TanStack Query 4 declares the signal as optional.
    queryFn: ({ signal }: { signal?: AbortSignal | undefined }) => authStatus({ ...place, signal }),
  };
}

/** Causes every mounted status to be read again. */
export function refreshAuthStatus(queryClient: QueryClient): void {
  void queryClient.invalidateQueries({ queryKey: ALL_AUTH_STATUS_KEY });
}
