import { announceFlow, announceStart } from "./channel.ts";
import type { components } from "./generated/api-types.ts";
import { type CallOptions, onOurClock, send, spacePath } from "./http.ts";
import type { Flow, StartedFlow } from "./types.ts";

/** How to start a flow. */
export interface StartOptions extends CallOptions {
  /** Where the callback sends the browser: a path, or an absolute URL of the same public origin. Absent: the result page. */
  returnUrl?: string | undefined;
  /** Accept another account at the provider than last time. */
  allowAccountChange?: boolean | undefined;
}

/**
 * Starts a flow for the signed-in person. The browser then goes to {@link launchUrl}, which hands it on to the provider.
 *
 * The answer's authorization URL and state are dropped here: no page needs them, so none can leak them.
 */
export async function startFlow(connectorId: string, options: StartOptions = {}): Promise<StartedFlow> {
  const body: components["schemas"]["StartFlowBody"] = {};
  if (options.returnUrl !== undefined) {
    body.returnUrl = options.returnUrl;
  }
  if (options.allowAccountChange) {
    body.allowAccountChange = true;
  }
  const { data, clockOffset } = await send<components["schemas"]["StartedFlow"]>(
    "POST",
    spacePath(`/internal/actions/connector/${encodeURIComponent(connectorId)}/_start_oauth_flow`, options),
    options,
    body,
  );
  announceStart(connectorId);
  return {
    flowId: data.flowId,
    expiresAt: data.expiresAt,
    deadline: onOurClock(data.expiresAt, clockOffset),
  };
}

/** Ends a flow on the server. Idempotent. Other tabs are told to look. */
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
  announceFlow({ flowId, connectorId, status: "error" });
}

/** Reads where a flow stands. Only its starter may. */
export async function flowStatus(flowId: string, options: CallOptions = {}): Promise<Flow> {
  const { data, clockOffset } = await send<components["schemas"]["Flow"]>(
    "GET",
    spacePath(`/internal/actions/oauth_flow/${encodeURIComponent(flowId)}`, options),
    options,
  );
  return { ...data, deadline: onOurClock(data.expiresAt, clockOffset) };
}

/**
 * Path of the launch page. Without a flow it is a page that waits to be told one; with a flow the server checks person
 * and browser and redirects (303) to the provider.
 */
export function launchUrl(
  connectorId: string,
  flowId?: string,
  options: Pick<CallOptions, "space" | "basePath"> = {},
): string {
  const path = spacePath(`/connect/${encodeURIComponent(connectorId)}`, options);
  return flowId === undefined ? path : `${path}?flow=${encodeURIComponent(flowId)}`;
}

/** Path of the launch page that is told its flow by the fragment, and cuts its opener before it goes on. */
export function launchHandover(
  connectorId: string,
  flowId: string,
  options: Pick<CallOptions, "space" | "basePath"> = {},
): string {
  return `${launchUrl(connectorId, undefined, options)}#${encodeURIComponent(flowId)}`;
}
