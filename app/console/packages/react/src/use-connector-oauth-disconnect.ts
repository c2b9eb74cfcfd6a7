import { disconnect, type GrantryError } from "@grantry/client";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useCallback } from "react";
import { refreshAuthStatus } from "./auth-status.ts";
import { useCallOptions } from "./context.ts";
import { isRunning } from "./helpers.ts";

/** Options of {@link useConnectorOAuthDisconnect}. */
export interface ConnectorOAuthDisconnectProps {
  connectorId: string;
  /** Space of the connector. Absent: that of the provider, else the default one. */
  spaceId?: string | undefined;
  /** Name of the connection. Absent: the only one, or with several the user's default one, else `connection_ambiguous`. */
  connection?: string | undefined;
  onSuccess?: (() => void) | undefined;
  onError?: ((error: GrantryError) => void) | undefined;
}

/** Result of {@link useConnectorOAuthDisconnect}. */
export interface ConnectorOAuthDisconnect {
  disconnect: () => void;
  isDisconnecting: boolean;
}

/** Ends a connection of the signed-in user. */
export function useConnectorOAuthDisconnect({
  connectorId,
  spaceId,
  connection,
  onSuccess,
  onError,
}: ConnectorOAuthDisconnectProps): ConnectorOAuthDisconnect {
  const place = useCallOptions(spaceId);
  const queryClient = useQueryClient();
  const { mutate, status } = useMutation<void, GrantryError, void>({
    mutationFn: () => disconnect(connectorId, { ...place, connection }),
    onSuccess: () => onSuccess?.(),
    onError: (error) => onError?.(error),
    onSettled: () => refreshAuthStatus(queryClient),
  });
  return { disconnect: useCallback(() => mutate(), [mutate]), isDisconnecting: isRunning(status) };
}
