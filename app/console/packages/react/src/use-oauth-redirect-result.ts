import { announceFlow, GrantryError, isConnectionName, isErrorCode } from "@grantry/client";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { refreshAuthStatus } from "./auth-status.ts";
import { useCallOptions } from "./context.ts";
import { useLatest } from "./helpers.ts";
import { RESULT_PARAMETERS } from "./launch.ts";
import { onUrlChange } from "./url-changes.ts";

/** Options of {@link useOAuthRedirectResult}. */
export interface OAuthRedirectResultProps {
  /** Space of the connectors whose results arrive here. Absent: that of the provider, else the default one. */
  spaceId?: string | undefined;
  /** `connection` is the name that {@link useConnectorOAuthConnect} was given, if any. */
  onSuccess?: ((connectorId: string, connection?: string) => void) | undefined;
  /** `error.code` is one of the server's codes; any other text in the URL becomes `unexpected_response`. */
  onError?: ((connectorId: string, error: GrantryError, connection?: string) => void) | undefined;
  /**
   * Replaces the URL by this one, which has no result: path, query and fragment. Absent: `history.replaceState`, followed by
   * a `popstate` event, so that routers read the new URL.
   */
  replaceUrl?: ((url: string) => void) | undefined;
}

/**
 * Reads the result of a flow from the URL of this page, once: removes it from the URL and the history, notifies the
 * other tabs, and closes this tab where the URL requests it. Results that arrive later, by navigation in the page, are read
 * too.
 *
 * Any page can link to such a URL, so the result proves nothing. Use it for a message; the status is read again as well.
 */
export function useOAuthRedirectResult({
  spaceId,
  onSuccess,
  onError,
  replaceUrl,
}: OAuthRedirectResultProps = {}): void {
  const queryClient = useQueryClient();
  const { space } = useCallOptions(spaceId);
  const latest = useLatest({ onSuccess, onError, replaceUrl, space });

  useEffect(() => {
    const read = () => {
      // A second run (StrictMode, another hook on the page) finds the result already taken.
      const result = takeResult(latest.current.replaceUrl ?? replaceInHistory);
      if (!result) {
        return;
      }
      const { connectorId, connection, error } = result;
      const { onSuccess, onError, space = "default" } = latest.current;
      refreshAuthStatus(queryClient);
      announceFlow({
        connectorId,
        spaceId: space,
        ...(error
          ? { status: "error", statusCode: error.status, error: error.code }
          : { status: "success", statusCode: 200 }),
      });
      if (error) {
        onError?.(connectorId, error, connection);
      } else {
        onSuccess?.(connectorId, connection);
      }
      if (result.autoClose) {
        window.close();
      }
    };
    read();
    return onUrlChange(read);
  }, [queryClient, latest]);
}

interface RedirectResult {
  connectorId: string;
  connection: string | undefined;
  error: GrantryError | undefined;
  autoClose: boolean;
}

/** The URL whose result was taken and that is still shown, because `replaceUrl` replaces it later. */
let taken: string | undefined;

/** Reads the result and removes it from the URL. */
function takeResult(replaceUrl: (url: string) => void): RedirectResult | undefined {
  const { href } = window.location;
  if (href === taken) {
    return undefined;
  }
  const url = new URL(href);
  const result = resultIn(url.searchParams);
  taken = result && href;
  if (result) {
    for (const name of RESULT_PARAMETERS) {
      url.searchParams.delete(name);
    }
    replaceUrl(url.pathname + url.search + url.hash);
    if (window.location.href !== href) {
      taken = undefined;
    }
  }
  return result;
}

function resultIn(parameters: URLSearchParams): RedirectResult | undefined {
  const outcome = parameters.get("oauth_authorization");
  const connectorId = parameters.get("connector_id");
  if ((outcome !== "success" && outcome !== "error") || !connectorId) {
    return undefined;
  }
  const connection = parameters.get("oauth_connection");
  return {
    connectorId,
    connection: connection !== null && isConnectionName(connection) ? connection : undefined,
    error: outcome === "error" ? errorIn(parameters) : undefined,
    autoClose: parameters.get("auto_close") === "true",
  };
}

function errorIn(parameters: URLSearchParams): GrantryError {
  const code = parameters.get("error");
  const status = parameters.get("status_code") ?? "";
  return new GrantryError(isErrorCode(code) ? code : "unexpected_response", {
    status: /^[45]\d\d$/.test(status) ? Number(status) : 400,
  });
}

function replaceInHistory(url: string): void {
  const { state } = window.history;
  window.history.replaceState(state, "", url);
  window.dispatchEvent(new PopStateEvent("popstate", { state }));
}
