/** Name of the channel on which tabs announce that a flow ended. */
export const FLOW_CHANNEL = "oauth_flow_completed";

/** Name of the channel on which tabs announce that a flow began. */
export const FLOW_STARTED_CHANNEL = "oauth_flow_started";

/** A message on the first channel. It contains no secret and is never used as a result: it means "read the status now". */
export interface FlowMessage {
  version: 1;
  /** Absent where the sender has only the connector's id. */
  flowId?: string;
  connectorId: string;
  status: "success" | "error";
  error?: string;
}

/** Announces to the other tabs that a flow ended. Does nothing where channels are blocked. */
export function announceFlow(message: Omit<FlowMessage, "version">): void {
  post(FLOW_CHANNEL, { version: 1, ...message } satisfies FlowMessage);
}

/** Announces to the other tabs that a flow began. */
export function announceStart(connectorId: string): void {
  post(FLOW_STARTED_CHANNEL, { version: 1, connectorId });
}

function post(name: string, message: unknown): void {
  const channel = openChannel(name);
  channel?.postMessage(message);
  channel?.close();
}

/**
 * Calls `hint` for every message. The content is not passed on, because any script of the origin could forge it: read
 * the status from the server instead. Returns the function that stops listening.
 */
export function onFlowHint(hint: () => void): () => void {
  const listener = () => hint();
  const channels = [openChannel(FLOW_CHANNEL), openChannel(FLOW_STARTED_CHANNEL)];
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

function openChannel(name: string): BroadcastChannel | undefined {
  try {
    return new BroadcastChannel(name);
  } catch {
    // Not available or blocked (old browsers, opaque origins): polling finds the result.
    return undefined;
  }
}
