import { announceFlow, flowStatus, GrantryError, isConnectionName, isErrorCode } from "@grantry/client";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { refreshAuthStatus } from "./auth-status.ts";
import { useCallOptions } from "./context.ts";
import { flowError } from "./flow-error.ts";
import { useLatest } from "./helpers.ts";
import { RESULT_PARAMETERS, takeLeftFlow } from "./launch.ts";
import { onUrlChange } from "./url-changes.ts";

/** Options of {@link useOAuthRedirectResult}. */
export interface OAuthRedirectResultProps {
  /** Space of the connectors whose results arrive here. Absent: that of the provider, else the default one. */
  spaceId?: string | undefined;
  /** `connection` is the name that {@link useConnectorOAuthConnect} was given, if any. */
  onSuccess?: ((connectorId: string, connection?: string) => void) | undefined;
  /**
   * `error.code` is one of the server's codes; any other text in the URL becomes `unexpected_response`. The `members` of
   * `account_mismatch` contain `connectedAccount`, `usedAccount` and `unusedName`, read from the server, where this tab
   * started the flow and the server responds within five seconds.
   */
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
  const place = useCallOptions(spaceId);
  const latest = useLatest({ onSuccess, onError, replaceUrl, place });

  useEffect(() => {
    const read = () => {
      // A second run (StrictMode, another hook on the page) finds the result already taken.
      const result = takeResult(latest.current.replaceUrl ?? replaceInHistory);
      if (!result) {
        return;
      }
      const { connectorId, connection, error } = result;
      const { place } = latest.current;
      const flowId = takeLeftFlow();
      refreshAuthStatus(queryClient);
      announceFlow({
        connectorId,
        spaceId: place.space ?? "default",
        ...(error
          ? { status: "error", statusCode: error.status, error: error.code }
          : { status: "success", statusCode: 200 }),
      });
      const finish = (shown: GrantryError | undefined) => {
        if (shown) {
          latest.current.onError?.(connectorId, shown, connection);
        } else {
          latest.current.onSuccess?.(connectorId, connection);
        }
        if (result.autoClose) {
          window.close();
        }
      };
      if (error?.code === "account_mismatch" && flowId !== undefined) {
        // Called outside the promise, so that an exception of a callback is an error of the page and not a rejection.
        void withAccounts(error, connectorId, flowId, place).then((shown) =>
          queueMicrotask(() => finish(shown)),
        );
      } else {
        finish(error);
      }
    };
    read();
    return onUrlChange(read);
  }, [queryClient, latest]);
}

/** Longest wait for the accounts of a flow, in milliseconds. */
const ACCOUNTS_DEADLINE = 5000;

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

/** The error with the accounts of the flow, where the server confirms in time that this is its result. */
async function withAccounts(
  error: GrantryError,
  connectorId: string,
  flowId: string,
  place: ReturnType<typeof useCallOptions>,
): Promise<GrantryError> {
  const abort = new AbortController();
  // The `fetch` of a host may ignore the signal.
  const late = new Promise<undefined>((resolve) =>
    setTimeout(() => {
      abort.abort();
      resolve(undefined);
    }, ACCOUNTS_DEADLINE),
  );
  const status = flowStatus(flowId, { ...place, signal: abort.signal }).catch(() => undefined);
  const flow = await Promise.race([status, late]);
  if (flow?.connectorId !== connectorId || flow.code !== error.code) {
    return error;
  }
  return new GrantryError(error.code, { status: error.status, members: flowError(flow).members });
}

function replaceInHistory(url: string): void {
  const { state } = window.history;
  window.history.replaceState(state, "", url);
  window.dispatchEvent(new PopStateEvent("popstate", { state }));
}
