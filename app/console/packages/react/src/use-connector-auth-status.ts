import {
  type AuthStatus,
  allConnections,
  connectionOf,
  type GrantryError,
  onFlowHint,
} from "@grantry/client";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { authStatusKey, authStatusQuery, refreshAuthStatus } from "./auth-status.ts";
import { useCallOptions } from "./context.ts";
import { isRunning } from "./helpers.ts";

/** Pause between two readings while a flow is pending, in milliseconds. */
const PENDING_INTERVAL = 3000;
/** Shortest pause between two readings that messages from other tabs cause, in milliseconds. */
const HINT_GAP = 500;

/** Options of {@link useConnectorAuthStatus}. */
export interface ConnectorAuthStatusProps {
  /** Space to read. Absent: that of the provider, else the default one. */
  spaceId?: string | undefined;
  /** Name of a connection: each status is that of the connection with this name. Absent: the one that the server shows. */
  connection?: string | undefined;
}

/** Result of {@link useConnectorAuthStatus}. */
export interface ConnectorAuthStatuses {
  /** Status by connector id; undefined until the first response. */
  authStatus: Readonly<Record<string, AuthStatus>> | undefined;
  isLoading: boolean;
  error: GrantryError | null;
  refetch: () => void;
}

/**
 * The signed-in user's status at every connector of a space. Read again while a flow is pending, when the window gets the
 * focus, and when another tab announces a change.
 */
export function useConnectorAuthStatus({
  spaceId,
  connection,
}: ConnectorAuthStatusProps = {}): ConnectorAuthStatuses {
  const place = useCallOptions(spaceId);
  const queryClient = useQueryClient();
  const query = useQuery<Record<string, AuthStatus>, GrantryError>({
    ...authStatusQuery(place),
    refetchOnWindowFocus: "always",
    // TanStack Query 4 and 5 call this with different parameters, so the data is read from the cache.
    refetchInterval: () =>
      hasPendingFlow(queryClient.getQueryData(authStatusKey(place))) ? PENDING_INTERVAL : false,
  });

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const hint = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        refreshAuthStatus(queryClient);
      }, HINT_GAP);
    };
    const stop = onFlowHint(hint, place.space);
    // A window beside another one gets the focus without a change of its visibility.
    window.addEventListener("focus", hint);
    return () => {
      stop();
      window.removeEventListener("focus", hint);
      clearTimeout(timer);
    };
  }, [queryClient, place.space]);

  return {
    authStatus: useMemo(() => statusesOf(query.data, connection), [query.data, connection]),
    isLoading: isRunning(query.status),
    error: query.error,
    refetch: () => void query.refetch(),
  };
}

function hasPendingFlow(statuses: Record<string, AuthStatus> | undefined): boolean {
  return Object.values(statuses ?? {}).some((status) =>
    allConnections(status).some(
      ({ status, reconnecting }) => status === "connecting" || reconnecting === true,
    ),
  );
}

function statusesOf(
  statuses: Record<string, AuthStatus> | undefined,
  name: string | undefined,
): Record<string, AuthStatus> | undefined {
  if (!statuses || name === undefined) {
    return statuses;
  }
  return Object.fromEntries(Object.entries(statuses).map(([id, status]) => [id, statusOf(status, name)]));
}

function statusOf(status: AuthStatus, name: string): AuthStatus {
  if (status.user_auth_status === "not_applicable") {
    return status;
  }
  const connection = connectionOf(status, name) ?? { name, status: "not_connected" };
  const user_auth_status = connection.status === "connected" ? "connected" : "not_connected";
  return { ...status, user_auth_status, connection };
}
