import { type AuthStatus, type GrantryError, onFlowHint } from "@grantry/client";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { authStatusQuery, refreshAuthStatus } from "./auth-status-query.ts";
import { useCallOptions } from "./context.ts";

/** Pause between two readings while a flow is pending, in milliseconds. */
const PENDING_INTERVAL = 3000;
/** Messages from other tabs cause at most one reading in this time, in milliseconds. */
const HINT_GAP = 500;

/** Options of {@link useConnectorAuthStatus}. */
export interface ConnectorAuthStatusProps {
  /** Space to read. Absent: that of the provider, else the default one. */
  spaceId?: string | undefined;
}

/** What {@link useConnectorAuthStatus} gives. */
export interface ConnectorAuthStatuses {
  /** Status by connector id; undefined until the first answer. */
  authStatus: Readonly<Record<string, AuthStatus>> | undefined;
  isLoading: boolean;
  error: GrantryError | null;
  refetch: () => void;
}

/**
 * One's own status at every connector of a space. Kept fresh while a flow is pending, when the window gets the focus,
 * and when another tab says that something happened.
 */
export function useConnectorAuthStatus({ spaceId }: ConnectorAuthStatusProps = {}): ConnectorAuthStatuses {
  const place = useCallOptions(spaceId);
  const queryClient = useQueryClient();
  const query = useQuery<Record<string, AuthStatus>, GrantryError>({
    ...authStatusQuery(place),
    refetchOnWindowFocus: "always",
    refetchInterval: (running) => (hasPendingFlow(running.state.data) ? PENDING_INTERVAL : false),
  });

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const hint = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        refreshAuthStatus(queryClient);
      }, HINT_GAP);
    };
    const stop = onFlowHint(hint);
    // A window beside another one gets the focus without having been hidden.
    window.addEventListener("focus", hint);
    return () => {
      stop();
      window.removeEventListener("focus", hint);
      clearTimeout(timer);
    };
  }, [queryClient]);

  return {
    authStatus: query.data,
    isLoading: query.isPending,
    error: query.error,
    refetch: () => void query.refetch(),
  };
}

function hasPendingFlow(statuses: Record<string, AuthStatus> | undefined): boolean {
  return Object.values(statuses ?? {}).some(
    (status) => status.user_auth_status === "connecting" || status.pending === true,
  );
}
