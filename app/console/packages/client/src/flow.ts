import { announceFlow, announceStart, spaceIdOf } from "./channel.ts";
import type { components } from "./generated/api-types.ts";
import { type CallOptions, onLocalClock, send, spacePath } from "./http.ts";
import type { Flow, StartedFlow } from "./types.ts";

/** How to start a flow. */
export interface StartOptions extends CallOptions {
  /** Where the callback sends the browser: a path, or an absolute URL of the same public origin. Absent: the result page. */
  returnUrl?: string | undefined;
  /** Name of the connection. Absent: `default`. */
  connection?: string | undefined;
  /** Accept another account at the provider than last time. */
  allowAccountChange?: boolean | undefined;
  /** Ask the provider to let the user choose the account. */
  selectAccount?: boolean | undefined;
  /**
   * `version` of what the user was shown: of `consent()`, or without an issuer of the connector's `consent`. The start
   * fails with `connector_changed` if it has changed.
   */
  consentVersion?: string | undefined;
}

/**
 * Starts a flow for the signed-in user. The browser then goes to {@link launchUrl}, which redirects to the provider.
 *
 * The authorization URL and the state of the response are dropped here: no page needs them, so no page can leak them.
 */
export async function startFlow(connectorId: string, options: StartOptions = {}): Promise<StartedFlow> {
  const body: components["schemas"]["StartFlowBody"] = {};
  if (options.returnUrl !== undefined) {
    body.returnUrl = options.returnUrl;
  }
  if (options.connection !== undefined) {
    body.connection = options.connection;
  }
  if (options.allowAccountChange) {
    body.allowAccountChange = true;
  }
  if (options.selectAccount) {
    body.selectAccount = true;
  }
  if (options.consentVersion !== undefined) {
    body.consentVersion = options.consentVersion;
  }
  const { data, clockOffset } = await send<components["schemas"]["StartedFlow"]>(
    "POST",
    spacePath(`/internal/actions/connector/${encodeURIComponent(connectorId)}/_start_oauth_flow`, options),
    options,
    body,
  );
  announceStart(connectorId, options.space);
  return {
    flowId: data.flowId,
    expiresAt: data.expiresAt,
    deadline: onLocalClock(data.expiresAt, clockOffset),
  };
}

/** Ends a flow on the server, and announces it to the other tabs. Idempotent. */
export async function cancelFlow(
  connectorId: string,
  flowId: string,
  options: CallOptions = {},
): Promise<void> {
  await send<void>(
    "POST",
    spacePath(`/internal/actions/connector/${encodeURIComponent(connectorId)}/_oauth_cancel`, options),
    options,
    { flowId },
  );
  // The status with which the callback of a cancelled flow is refused.
  announceFlow({
    flowId,
    connectorId,
    spaceId: spaceIdOf(options.space),
    status: "error",
    statusCode: 409,
    error: "flow_already_used",
  });
}

/** Reads the status of a flow. Only the user who started it may. */
export async function flowStatus(flowId: string, options: CallOptions = {}): Promise<Flow> {
  const { data, clockOffset } = await send<components["schemas"]["Flow"]>(
    "GET",
    spacePath(`/internal/actions/oauth_flow/${encodeURIComponent(flowId)}`, options),
    options,
  );
  return { ...data, deadline: onLocalClock(data.expiresAt, clockOffset) };
}

/**
 * Path of the launch page. Without a flow the page waits to receive one; with a flow the server checks user and browser
 * and redirects (303) to the provider.
 */
export function launchUrl(
  connectorId: string,
  flowId?: string,
  options: Pick<CallOptions, "space" | "basePath"> = {},
): string {
  const path = spacePath(`/connect/${encodeURIComponent(connectorId)}`, options);
  return flowId === undefined ? path : `${path}?flow=${encodeURIComponent(flowId)}`;
}

/** Path of the launch page with the flow in the fragment. The page removes its opener before it continues. */
export function launchHandover(
  connectorId: string,
  flowId: string,
  options: Pick<CallOptions, "space" | "basePath"> = {},
): string {
  return `${launchUrl(connectorId, undefined, options)}#${encodeURIComponent(flowId)}`;
}
