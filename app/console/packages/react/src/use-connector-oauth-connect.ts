import {
  type AuthStatus,
  cancelFlow,
  connectionOf,
  DEFAULT_CONNECTION,
  type Flow,
  GrantryError,
  launchUrl,
  type StartedFlow,
  type StartOptions,
  startFlow,
  watchFlow,
} from "@grantry/client";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { authStatusQuery, refreshAuthStatus } from "./auth-status.ts";
import { useCallOptions } from "./context.ts";
import { endFlow } from "./end-flow.ts";
import { flowError } from "./flow-error.ts";
import { useLatest, useSecondsLeft } from "./helpers.ts";
import { type LaunchTab, leaveFor, openLaunchTab, thisPage, withParameters } from "./launch.ts";
import { isFlowOfBrowser, rememberFlow } from "./started-flows.ts";

/** Where the provider's pages open. */
export const OAuthRedirectMode = {
  /** In a new tab; this page stays open and receives the result. */
  NewTab: "new_tab",
  /** In this tab, which returns to `returnUrl`. */
  Redirect: "redirect",
} as const;
/** See the constants of the same name. */
export type OAuthRedirectMode = (typeof OAuthRedirectMode)[keyof typeof OAuthRedirectMode];

/** Options of {@link useConnectorOAuthConnect}. */
export interface ConnectorOAuthConnectProps {
  connectorId: string;
  /** Space of the connector. Absent: that of the provider, else the default one. */
  spaceId?: string | undefined;
  /** Name of the connection: 1 to 64 characters of `[a-z0-9._-]`. Absent: `default`. */
  connection?: string | undefined;
  /** Absent: `Redirect`. */
  redirectMode?: OAuthRedirectMode | undefined;
  /**
   * Page to which the callback sends the browser; {@link useOAuthRedirectResult} reads the result there. Absent: this
   * page in `Redirect` mode, the server's result page in `NewTab` mode.
   */
  returnUrl?: string | undefined;
  /**
   * `version` of what the user is shown before `connect`: of `consent()`, or without an issuer of the connector's
   * `consent`. The start fails with `connector_changed` if it has changed since. Absent: it is not compared.
   */
  consentVersion?: string | undefined;
  /** Milliseconds after which the flow is cancelled. Absent: the deadline of the flow. */
  timeout?: number | undefined;
  /** Called when the account is connected (`NewTab` mode). */
  onSuccess?: (() => void) | undefined;
  /**
   * Called when the flow could not be started, or ended other than by success or cancel. The `members` of
   * `account_mismatch` contain `connectedAccount`, `usedAccount` and `unusedName`.
   */
  onError?: ((error: GrantryError) => void) | undefined;
}

/** Result of {@link useConnectorOAuthConnect}. */
export interface ConnectorOAuthConnect {
  /** Starts a flow. Call it inside a click, since it may open a tab. A flow that is awaited is cancelled. */
  connect: () => void;
  /** The same, and accepts another account at the provider than last time. For use after `account_mismatch`. */
  connectOtherAccount: () => void;
  /** The same as `connect`, and asks the provider to let the user choose the account. For use after `account_mismatch`. */
  selectAccount: () => void;
  /**
   * Ends the flow, also on the server, and without a connection as soon as there is one. Also ends a flow that another tab
   * started. The hook stops waiting at once; `onSuccess` is still called where the account was connected before.
   */
  cancelConnect: () => void;
  /** The flow is being started. */
  isConnecting: boolean;
  /** A flow waits for the provider, in this or another tab. */
  isAwaitingCallback: boolean;
  /** Seconds until the flow expires; null when none is awaited. */
  secondsLeft: number | null;
  /** Where the browser blocked the new tab: the URL to show as a link. */
  startUrl: string | null;
  /** The awaited flow. */
  flowId: string | null;
  /**
   * The hooks in this browser did not start the awaited flow. Only the browser that started it can continue it, at
   * `launchUrl`; `connect` replaces it. Where the browser has no storage, also true in other tabs and after a reload.
   */
  isStartedElsewhere: boolean;
}

type Place = ReturnType<typeof useCallOptions>;
type AccountRules = Pick<StartOptions, "allowAccountChange" | "selectAccount">;

/** One call of `connect`. */
interface Attempt {
  readonly connectorId: string;
  readonly place: Place;
  readonly tab: LaunchTab | null;
  /** Set when the server has responded. */
  flow: StartedFlow | undefined;
  /** Set when it was cancelled before the server had responded. */
  abandoned: boolean;
}

/** An attempt whose flow exists. */
interface Awaiting {
  readonly attempt: Attempt;
  readonly flow: StartedFlow;
  readonly startUrl: string | null;
}

/**
 * Connects an account of the signed-in user at one connector.
 *
 * The result is the status of the flow on the server. The opened tab and messages of other tabs prove nothing.
 */
export function useConnectorOAuthConnect({
  connectorId,
  spaceId,
  connection,
  redirectMode = OAuthRedirectMode.Redirect,
  returnUrl,
  consentVersion,
  timeout,
  onSuccess,
  onError,
}: ConnectorOAuthConnectProps): ConnectorOAuthConnect {
  const place = useCallOptions(spaceId);
  const queryClient = useQueryClient();
  const callbacks = useLatest({ onSuccess, onError });
  const current = useRef<Attempt | null>(null);
  const [isConnecting, setIsConnecting] = useState(false);
  const [awaiting, setAwaiting] = useState<Awaiting | null>(null);
  // The newest flow of this hook: a status that was read before its end must not show it again.
  const [ownFlowId, setOwnFlowId] = useState<string | null>(null);
  // Flows that are being cancelled, so that each causes one request.
  const cancelling = useRef(new Set<string>());
  const elsewhere = useFlowElsewhere(connectorId, connection, place, ownFlowId);

  /** Ends an attempt, unless it has already ended. Returns whether this call ended it. */
  const release = useCallback(
    (attempt: Attempt): boolean => {
      refreshAuthStatus(queryClient);
      if (current.current !== attempt) {
        return false;
      }
      current.current = null;
      setIsConnecting(false);
      setAwaiting(null);
      return true;
    },
    [queryClient],
  );

  const fail = useCallback(
    (attempt: Attempt, error: unknown) => {
      if (release(attempt)) {
        callbacks.current.onError?.(asGrantryError(error));
      }
    },
    [release, callbacks],
  );

  const report = useCallback(
    (flow: Flow) => {
      if (flow.status === "authorized") {
        callbacks.current.onSuccess?.();
      } else if (flow.status === "failed" || flow.status === "expired") {
        callbacks.current.onError?.(flowError(flow));
      }
    },
    [callbacks],
  );

  const finish = useCallback(
    (attempt: Attempt, flow: Flow) => {
      if (release(attempt)) {
        report(flow);
      }
    },
    [release, report],
  );

  const begin = useCallback(
    (account: AccountRules) => {
      const before = current.current;
      if (before && !before.flow) {
        return;
      }
      if (before?.flow) {
        before.tab?.close();
        release(before);
        // An error is harmless: the start of the next flow ends this one too.
        cancelFlow(before.connectorId, before.flow.flowId, before.place).catch(() => {});
      }
      const inNewTab = redirectMode === OAuthRedirectMode.NewTab;
      const attempt: Attempt = {
        connectorId,
        place,
        tab: inNewTab ? openLaunchTab(connectorId, place) : null,
        flow: undefined,
        abandoned: false,
      };
      current.current = attempt;
      setIsConnecting(true);

      const launch = (flow: StartedFlow) => {
        if (attempt.abandoned) {
          cancelFlow(connectorId, flow.flowId, place)
            // An error is harmless: the flow expires.
            .catch(() => {})
            .finally(() => refreshAuthStatus(queryClient));
          return;
        }
        rememberFlow(flow);
        if (!inNewTab) {
          leaveFor(connectorId, flow.flowId, place);
          return;
        }
        attempt.flow = flow;
        const handedOver = attempt.tab?.handOver(flow.flowId) ?? false;
        setIsConnecting(false);
        setOwnFlowId(flow.flowId);
        setAwaiting({
          attempt,
          flow,
          startUrl: handedOver ? null : launchUrl(connectorId, flow.flowId, place),
        });
        refreshAuthStatus(queryClient);
      };
      startFlow(connectorId, {
        ...place,
        ...account,
        connection,
        consentVersion,
        returnUrl: resultUrl(inNewTab ? returnUrl : (returnUrl ?? thisPage()), connection, inNewTab),
      }).then(launch, (error) => {
        attempt.tab?.close();
        fail(attempt, error);
      });
    },
    [connectorId, connection, consentVersion, place, redirectMode, returnUrl, queryClient, release, fail],
  );

  const cancelConnect = useCallback(() => {
    const attempt = current.current;
    attempt?.tab?.close();
    if (attempt && !attempt.flow) {
      attempt.abandoned = true;
      release(attempt);
      return;
    }
    const flow = attempt?.flow ?? (elsewhere && { flowId: elsewhere.flow_id, deadline: elsewhere.deadline });
    if (!flow || cancelling.current.has(flow.flowId)) {
      return;
    }
    const { flowId } = flow;
    cancelling.current.add(flowId);
    setOwnFlowId(flowId);
    if (attempt) {
      release(attempt);
    }
    endFlow(attempt?.connectorId ?? connectorId, flow, attempt?.place ?? place)
      .then(
        (last) => attempt && last && report(last),
        (error: unknown) => {
          // The flow still exists: the status on the server shows it again.
          setOwnFlowId((own) => (own === flowId ? null : own));
          callbacks.current.onError?.(asGrantryError(error));
        },
      )
      .finally(() => {
        cancelling.current.delete(flowId);
        refreshAuthStatus(queryClient);
      });
  }, [elsewhere, connectorId, place, queryClient, release, report, callbacks]);

  useEffect(() => {
    if (!awaiting) {
      return;
    }
    const { attempt, flow } = awaiting;
    const abort = new AbortController();
    watchFlow(flow.flowId, { ...attempt.place, signal: abort.signal }).then(
      (last) => !abort.signal.aborted && finish(attempt, last),
      (error) => !abort.signal.aborted && fail(attempt, error),
    );
    return () => abort.abort();
  }, [awaiting, finish, fail]);

  useEffect(() => {
    if (!awaiting || timeout === undefined) {
      return;
    }
    const { attempt, flow } = awaiting;
    const timer = setTimeout(() => {
      attempt.tab?.close();
      fail(attempt, new GrantryError("flow_expired"));
      cancelFlow(attempt.connectorId, flow.flowId, attempt.place)
        // An error is harmless: the flow expires.
        .catch(() => {})
        .finally(() => refreshAuthStatus(queryClient));
    }, timeout);
    return () => clearTimeout(timer);
  }, [awaiting, timeout, fail, queryClient]);

  // The back button may restore this page from the cache, in the state before it was left.
  useEffect(() => {
    const revive = (event: PageTransitionEvent) => {
      if (event.persisted && current.current && !awaiting) {
        release(current.current);
      }
    };
    window.addEventListener("pageshow", revive);
    return () => window.removeEventListener("pageshow", revive);
  }, [awaiting, release]);

  const shown = awaiting?.flow ?? (isConnecting ? undefined : elsewhere);
  return {
    connect: useCallback(() => begin({}), [begin]),
    connectOtherAccount: useCallback(() => begin({ allowAccountChange: true }), [begin]),
    selectAccount: useCallback(() => begin({ selectAccount: true }), [begin]),
    cancelConnect,
    isConnecting,
    isAwaitingCallback: shown !== undefined,
    secondsLeft: useSecondsLeft(shown?.deadline),
    startUrl: awaiting?.startUrl ?? null,
    flowId: awaiting?.flow.flowId ?? elsewhere?.flow_id ?? null,
    isStartedElsewhere: shown !== undefined && shown === elsewhere && !isFlowOfBrowser(elsewhere.flow_id),
  };
}

/** The return URL with what {@link useOAuthRedirectResult} reads there beside the result. */
function resultUrl(
  url: string | undefined,
  connection: string | undefined,
  autoClose: boolean,
): string | undefined {
  return (
    url &&
    withParameters(url, {
      ...(connection !== undefined && { oauth_connection: connection }),
      ...(autoClose && { auto_close: "true" }),
    })
  );
}

/** A pending flow of this connection that another tab started, or this one before a reload. Read from the cache only. */
function useFlowElsewhere(
  connectorId: string,
  connection: string | undefined,
  place: Place,
  ownFlowId: string | null,
) {
  const { data } = useQuery<Record<string, AuthStatus>, GrantryError>({
    ...authStatusQuery(place),
    enabled: false,
  });
  const flow = connectionOf(data?.[connectorId], connection ?? DEFAULT_CONNECTION)?.pending_flow;
  return flow?.flow_id === ownFlowId ? undefined : flow;
}

function asGrantryError(error: unknown): GrantryError {
  return error instanceof GrantryError ? error : new GrantryError("unexpected_response", { cause: error });
}
