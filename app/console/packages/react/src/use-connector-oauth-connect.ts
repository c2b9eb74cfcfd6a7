import {
  type AuthStatus,
  cancelFlow,
  type Flow,
  flowStatus,
  GrantryError,
  isErrorCode,
  launchUrl,
  type StartedFlow,
  startFlow,
  watchFlow,
} from "@grantry/client";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { authStatusQuery, refreshAuthStatus } from "./auth-status-query.ts";
import { useCallOptions } from "./context.ts";
import { useSecondsLeft } from "./countdown.ts";
import { useLatest } from "./latest.ts";
import { closingItself, type LaunchTab, leaveFor, openLaunchTab, thisPage } from "./launch.ts";

/** Where the provider's pages open. */
export const OAuthRedirectMode = {
  /** In a tab of their own; this page stays and learns the outcome. */
  NewTab: "new_tab",
  /** In this tab, which comes back to `returnUrl`. */
  Redirect: "redirect",
} as const;
/** See the constants of the same name. */
export type OAuthRedirectMode = (typeof OAuthRedirectMode)[keyof typeof OAuthRedirectMode];

/** Options of {@link useConnectorOAuthConnect}. */
export interface ConnectorOAuthConnectProps {
  connectorId: string;
  /** Space of the connector. Absent: that of the provider, else the default one. */
  spaceId?: string | undefined;
  /** Absent: `Redirect`. */
  redirectMode?: OAuthRedirectMode | undefined;
  /**
   * Page the callback sends the browser to; {@link useOAuthRedirectResult} reads the result there. Absent: this very page
   * in `Redirect` mode, the server's result page in `NewTab` mode.
   */
  returnUrl?: string | undefined;
  /** Milliseconds after which to give up. Absent: the flow's own deadline. */
  timeout?: number | undefined;
  /** The connection is made (`NewTab` mode). */
  onSuccess?: (() => void) | undefined;
  /** It could not be started, or ended otherwise than by a cancel. */
  onError?: ((error: GrantryError) => void) | undefined;
}

/** What {@link useConnectorOAuthConnect} gives. */
export interface ConnectorOAuthConnect {
  /** Starts a flow. To be called inside a click, since it may open a tab. */
  connect: () => void;
  /** The same, and another account at the provider than last time is fine. For use after `account_mismatch`. */
  connectOtherAccount: () => void;
  /** Ends the flow, on the server too. Also ends one that another tab started. */
  cancelConnect: () => void;
  /** The flow is being started. */
  isConnecting: boolean;
  /** The provider's turn, in whichever tab it was started. */
  isAwaitingCallback: boolean;
  /** Seconds until the flow expires; null when none is awaited. */
  secondsLeft: number | null;
  /** Where to go on when the browser blocked the new tab: show it as a link. */
  startUrl: string | null;
  /** The awaited flow. */
  flowId: string | null;
}

type Place = ReturnType<typeof useCallOptions>;

/** One press of "connect". */
interface Attempt {
  readonly connectorId: string;
  readonly place: Place;
  readonly tab: LaunchTab | null;
  /** Set when it was given up before the server had answered. */
  abandoned: boolean;
}

/** An attempt whose flow exists. */
interface Awaiting {
  readonly attempt: Attempt;
  readonly flow: StartedFlow;
  readonly startUrl: string | null;
}

/**
 * Connects the signed-in person's account at one connector.
 *
 * The server is the truth: the outcome is what it says of the flow. Neither the opened tab nor a message is believed.
 */
export function useConnectorOAuthConnect({
  connectorId,
  spaceId,
  redirectMode = OAuthRedirectMode.Redirect,
  returnUrl,
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
  // The newest flow this hook has dealt with: a status read before its end must not bring it back.
  const [ownFlowId, setOwnFlowId] = useState<string | null>(null);
  const elsewhere = useFlowElsewhere(connectorId, place, ownFlowId);

  /** Ends an attempt, unless something else already did. Answers whether it was this call. */
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

  const settle = useCallback(
    (attempt: Attempt, flow: Flow) => {
      if (!release(attempt)) {
        return;
      }
      if (flow.status === "authorized") {
        callbacks.current.onSuccess?.();
      } else if (flow.status === "failed" || flow.status === "expired") {
        callbacks.current.onError?.(errorOf(flow));
      }
    },
    [release, callbacks],
  );

  const begin = useCallback(
    (allowAccountChange: boolean) => {
      if (current.current) {
        return;
      }
      const inNewTab = redirectMode === OAuthRedirectMode.NewTab;
      const attempt: Attempt = {
        connectorId,
        place,
        tab: inNewTab ? openLaunchTab(connectorId, place) : null,
        abandoned: false,
      };
      current.current = attempt;
      setIsConnecting(true);

      const launch = (flow: StartedFlow) => {
        if (attempt.abandoned) {
          cancelFlow(connectorId, flow.flowId, place)
            // It expires by itself.
            .catch(() => {})
            .finally(() => refreshAuthStatus(queryClient));
          return;
        }
        if (!inNewTab) {
          leaveFor(connectorId, flow.flowId, place);
          return;
        }
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
        allowAccountChange,
        returnUrl: inNewTab ? returnUrl && closingItself(returnUrl) : (returnUrl ?? thisPage()),
      }).then(launch, (error) => {
        attempt.tab?.close();
        fail(attempt, error);
      });
    },
    [connectorId, place, redirectMode, returnUrl, queryClient, fail],
  );

  const cancelConnect = useCallback(() => {
    const attempt = current.current;
    attempt?.tab?.close();
    if (attempt && !awaiting) {
      attempt.abandoned = true;
      release(attempt);
      return;
    }
    const flowId = awaiting?.flow.flowId ?? elsewhere?.flow_id;
    if (flowId === undefined) {
      return;
    }
    const end = async () => {
      if (attempt) {
        await cancelFlow(attempt.connectorId, flowId, attempt.place);
        // The provider may have been quicker than the cancel: what the server says counts.
        settle(attempt, await flowStatus(flowId, attempt.place));
      } else {
        await cancelFlow(connectorId, flowId, place);
        setOwnFlowId(flowId);
        refreshAuthStatus(queryClient);
      }
    };
    end().catch((error: unknown) => callbacks.current.onError?.(asGrantryError(error)));
  }, [awaiting, elsewhere, connectorId, place, queryClient, release, settle, callbacks]);

  useEffect(() => {
    if (!awaiting) {
      return;
    }
    const { attempt, flow } = awaiting;
    const abort = new AbortController();
    watchFlow(flow.flowId, { ...attempt.place, signal: abort.signal }).then(
      (last) => !abort.signal.aborted && settle(attempt, last),
      (error) => !abort.signal.aborted && fail(attempt, error),
    );
    return () => abort.abort();
  }, [awaiting, settle, fail]);

  useEffect(() => {
    if (!awaiting || timeout === undefined) {
      return;
    }
    const { attempt, flow } = awaiting;
    const timer = setTimeout(() => {
      attempt.tab?.close();
      fail(attempt, new GrantryError("flow_expired"));
      cancelFlow(attempt.connectorId, flow.flowId, attempt.place)
        // It expires by itself.
        .catch(() => {})
        .finally(() => refreshAuthStatus(queryClient));
    }, timeout);
    return () => clearTimeout(timer);
  }, [awaiting, timeout, fail, queryClient]);

  // Coming back from the provider by the back button may show this very page as it was left.
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
    connect: useCallback(() => begin(false), [begin]),
    connectOtherAccount: useCallback(() => begin(true), [begin]),
    cancelConnect,
    isConnecting,
    isAwaitingCallback: shown !== undefined,
    secondsLeft: useSecondsLeft(shown?.deadline),
    startUrl: awaiting?.startUrl ?? null,
    flowId: awaiting?.flow.flowId ?? elsewhere?.flow_id ?? null,
  };
}

/** A flow of this connector that another tab, or this one before a reload, has under way. Read from the cache only. */
function useFlowElsewhere(connectorId: string, place: Place, ownFlowId: string | null) {
  const { data } = useQuery<Record<string, AuthStatus>, GrantryError>({
    ...authStatusQuery(place),
    enabled: false,
  });
  const flow = data?.[connectorId]?.pending_flow;
  return flow?.flow_id === ownFlowId ? undefined : flow;
}

function errorOf(flow: Flow): GrantryError {
  const fallback = flow.status === "expired" ? "flow_expired" : "provider_error";
  return new GrantryError(isErrorCode(flow.code) ? flow.code : fallback);
}

function asGrantryError(error: unknown): GrantryError {
  return error instanceof GrantryError ? error : new GrantryError("unexpected_answer", { cause: error });
}
