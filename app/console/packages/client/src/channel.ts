/** Name of the channel on which tabs announce that a flow ended. */
export const FLOW_CHANNEL = "oauth_flow_completed";

/** Name of the channel on which tabs announce that a flow began. */
export const FLOW_STARTED_CHANNEL = "oauth_flow_started";

/** Name of the channel on which tabs announce that connections changed without a flow. */
export const CONNECTIONS_CHANNEL = "oauth_connections_changed";

/** A message on the first channel. It contains no secret and is never used as a result: it means "read the status now". */
export interface FlowMessage {
  version: 1;
  /** Absent where the sender has only the connector's id. */
  flowId?: string;
  connectorId: string;
  /** Space of the connector. The same id can exist in several. */
  spaceId: string;
  status: "success" | "error";
  /** The HTTP status that the result would have in the API; 200 for a success. */
  statusCode: number;
  error?: string;
}

/** Announces to the other tabs that a flow ended. Does nothing where channels are blocked. */
export function announceFlow(message: Omit<FlowMessage, "version">): void {
  post(FLOW_CHANNEL, { version: 1, ...message } satisfies FlowMessage);
}

/** Announces to the other tabs that a flow began. */
export function announceStart(connectorId: string, space: string | undefined): void {
  post(FLOW_STARTED_CHANNEL, { version: 1, connectorId, spaceId: spaceIdOf(space) });
}

/** Announces to the other tabs that connections changed. Not on the channel of flows, where it would end a waiting one. */
export function announceChange(connectorId: string, space: string | undefined): void {
  post(CONNECTIONS_CHANNEL, { version: 1, connectorId, spaceId: spaceIdOf(space) });
}

/** The id of a space in messages. */
export function spaceIdOf(space: string | undefined): string {
  return space ?? "default";
}

function post(name: string, message: unknown): void {
  const channel = openChannel(name);
  channel?.postMessage(message);
  channel?.close();
}

/**
 * Calls `hint` for every message about this space. The content is not passed on, because any script of the origin could
 * forge it: read the status from the server instead. A message that names another space is ignored. Returns the function
 * that stops listening.
 */
export function onFlowHint(hint: () => void, space?: string): () => void {
  const listener = (event: Event) => {
    const named = spaceNamedBy(event);
    if (named === undefined || named === spaceIdOf(space)) {
      hint();
    }
  };
  const names = [FLOW_CHANNEL, FLOW_STARTED_CHANNEL, CONNECTIONS_CHANNEL];
  const channels = names.map(openChannel);
  for (const channel of channels) {
    channel?.addEventListener("message", listener);
    channel?.addEventListener("messageerror", listener);
  }
  return () => {
    for (const channel of channels) {
      channel?.close();
    }
  };
}

function spaceNamedBy(event: Event): string | undefined {
  const data: unknown = (event as MessageEvent).data;
  const space = typeof data === "object" && data !== null && "spaceId" in data ? data.spaceId : undefined;
  return typeof space === "string" ? space : undefined;
}

function openChannel(name: string): BroadcastChannel | undefined {
  try {
    return new BroadcastChannel(name);
  } catch {
    // Not available or blocked (old browsers, opaque origins): polling finds the result.
    return undefined;
  }
}
