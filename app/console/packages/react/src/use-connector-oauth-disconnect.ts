import { disconnect, type GrantryError } from "@grantry/client";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useCallback } from "react";
import { refreshAuthStatus } from "./auth-status-query.ts";
import { useCallOptions } from "./context.ts";

/** Options of {@link useConnectorOAuthDisconnect}. */
export interface ConnectorOAuthDisconnectProps {
  connectorId: string;
  /** Space of the connector. Absent: that of the provider, else the default one. */
  spaceId?: string | undefined;
  onSuccess?: (() => void) | undefined;
  onError?: ((error: GrantryError) => void) | undefined;
}

/** What {@link useConnectorOAuthDisconnect} gives. */
export interface ConnectorOAuthDisconnect {
  disconnect: () => void;
  isDisconnecting: boolean;
}

/** Ends one's own connection. */
export function useConnectorOAuthDisconnect({
  connectorId,
  spaceId,
  onSuccess,
  onError,
}: ConnectorOAuthDisconnectProps): ConnectorOAuthDisconnect {
  const place = useCallOptions(spaceId);
  const queryClient = useQueryClient();
  const { mutate, isPending } = useMutation<void, GrantryError, void>({
    mutationFn: () => disconnect(connectorId, place),
    onSuccess: () => onSuccess?.(),
    onError: (error) => onError?.(error),
    onSettled: () => refreshAuthStatus(queryClient),
  });
  return { disconnect: useCallback(() => mutate(), [mutate]), isDisconnecting: isPending };
}
