import { announceFlow, type ErrorCode, isConnectionName, isErrorCode } from "@grantry/client";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { refreshAuthStatus } from "./auth-status.ts";
import { useLatest } from "./helpers.ts";
import { RESULT_PARAMETERS } from "./launch.ts";

/** Options of {@link useOAuthRedirectResult}. */
export interface OAuthRedirectResultProps {
  /** `connection` is the name that {@link useConnectorOAuthConnect} was given, if any. */
  onSuccess?: ((connectorId: string, connection?: string) => void) | undefined;
  /** `error` is one of the server's codes; any other text in the URL becomes `unexpected_response`. */
  onError?: ((connectorId: string, error: ErrorCode, connection?: string) => void) | undefined;
}

/**
 * Reads the result of a flow from the URL of this page, once: removes it from the URL and the history, notifies the
 * other tabs, and closes this tab where the URL requests it.
 *
 * Any page can link to such a URL, so the result proves nothing. Use it for a message; the status is read again as well.
 */
export function useOAuthRedirectResult({ onSuccess, onError }: OAuthRedirectResultProps): void {
  const queryClient = useQueryClient();
  const callbacks = useLatest({ onSuccess, onError });

  useEffect(() => {
    // A second run (StrictMode, another hook on the page) finds the URL already cleared.
    const result = takeResult();
    if (!result) {
      return;
    }
    const { connectorId, connection, error } = result;
    refreshAuthStatus(queryClient);
    announceFlow(
      error === undefined ? { connectorId, status: "success" } : { connectorId, status: "error", error },
    );
    if (error === undefined) {
      callbacks.current.onSuccess?.(connectorId, connection);
    } else {
      callbacks.current.onError?.(connectorId, error, connection);
    }
    if (result.autoClose) {
      window.close();
    }
  }, [queryClient, callbacks]);
}

interface RedirectResult {
  connectorId: string;
  connection: string | undefined;
  error: ErrorCode | undefined;
  autoClose: boolean;
}

/** Reads the result and removes it from the URL. */
function takeResult(): RedirectResult | undefined {
  const url = new URL(window.location.href);
  const outcome = url.searchParams.get("oauth_authorization");
  const connectorId = url.searchParams.get("connector_id");
  if ((outcome !== "success" && outcome !== "error") || !connectorId) {
    return undefined;
  }
  const code = url.searchParams.get("error");
  const connection = url.searchParams.get("oauth_connection");
  const autoClose = url.searchParams.get("auto_close") === "true";
  for (const name of RESULT_PARAMETERS) {
    url.searchParams.delete(name);
  }
  window.history.replaceState(window.history.state, "", url.pathname + url.search + url.hash);
  const error = isErrorCode(code) ? code : "unexpected_response";
  return {
    connectorId,
    connection: connection !== null && isConnectionName(connection) ? connection : undefined,
    error: outcome === "error" ? error : undefined,
    autoClose,
  };
}
