import { announceFlow, type ErrorCode, isErrorCode } from "@grantry/client";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { refreshAuthStatus } from "./auth-status-query.ts";
import { useLatest } from "./latest.ts";
import { RESULT_PARAMETERS } from "./launch.ts";

/** Options of {@link useOAuthRedirectResult}. */
export interface OAuthRedirectResultProps {
  onSuccess?: ((connectorId: string) => void) | undefined;
  /** `error` is one of the server's codes; anything else in the URL arrives as `unexpected_answer`. */
  onError?: ((connectorId: string, error: ErrorCode) => void) | undefined;
}

/**
 * Reads the result that the callback left in this page's URL, once: takes it out of the URL and the history, tells the
 * other tabs to look, and closes this tab when the URL asks for it.
 *
 * Anybody can write such a URL. Take the result for what to say, never for what is: the status is re-read as well.
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
    const { connectorId, error } = result;
    refreshAuthStatus(queryClient);
    announceFlow(
      error === undefined ? { connectorId, status: "success" } : { connectorId, status: "error", error },
    );
    if (error === undefined) {
      callbacks.current.onSuccess?.(connectorId);
    } else {
      callbacks.current.onError?.(connectorId, error);
    }
    if (result.autoClose) {
      window.close();
    }
  }, [queryClient, callbacks]);
}

interface RedirectResult {
  connectorId: string;
  error: ErrorCode | undefined;
  autoClose: boolean;
}

/** Takes the result out of the URL. */
function takeResult(): RedirectResult | undefined {
  const url = new URL(window.location.href);
  const outcome = url.searchParams.get("oauth_authorization");
  const connectorId = url.searchParams.get("connector_id");
  if ((outcome !== "success" && outcome !== "error") || !connectorId) {
    return undefined;
  }
  const code = url.searchParams.get("error");
  const autoClose = url.searchParams.get("auto_close") === "true";
  for (const name of RESULT_PARAMETERS) {
    url.searchParams.delete(name);
  }
  window.history.replaceState(window.history.state, "", url.pathname + url.search + url.hash);
  const error = isErrorCode(code) ? code : "unexpected_answer";
  return { connectorId, error: outcome === "error" ? error : undefined, autoClose };
}
