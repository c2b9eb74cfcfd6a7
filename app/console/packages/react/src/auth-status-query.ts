import { authStatus, type CallOptions } from "@grantry/client";
import type { QueryClient } from "@tanstack/react-query";
import { ALL_AUTH_STATUS_KEY, authStatusKey } from "./keys.ts";

/** The query all hooks share, so that what one learns the others see. */
export function authStatusQuery(place: Pick<CallOptions, "basePath" | "fetch" | "space">) {
  return {
    queryKey: authStatusKey(place),
    queryFn: ({ signal }: { signal: AbortSignal }) => authStatus({ ...place, signal }),
  };
}

/** Has every mounted status read again. */
export function refreshAuthStatus(queryClient: QueryClient): void {
  void queryClient.invalidateQueries({ queryKey: ALL_AUTH_STATUS_KEY });
}
