/** Name of the channel on which tabs tell each other that a flow ended. */
export const FLOW_CHANNEL = "oauth_flow_completed";

/** Name of the channel on which they tell each other that one began. */
export const FLOW_STARTED_CHANNEL = "oauth_flow_started";

/** What is said on the first. It holds no secret, and nobody believes it: hearing it means "look at the server now". */
export interface FlowMessage {
  version: 1;
  /** Absent when the speaker knows only the connector. */
  flowId?: string;
  connectorId: string;
  status: "success" | "error";
  error?: string;
}

/** Tells the other tabs that a flow ended. Does nothing where channels are blocked. */
export function announceFlow(message: Omit<FlowMessage, "version">): void {
  say(FLOW_CHANNEL, { version: 1, ...message } satisfies FlowMessage);
}

/** Tells the other tabs that a flow began. */
export function announceStart(connectorId: string): void {
  say(FLOW_STARTED_CHANNEL, { version: 1, connectorId });
}

function say(name: string, message: unknown): void {
  const channel = openChannel(name);
  channel?.postMessage(message);
  channel?.close();
}

/**
 * Calls `hint` whenever anything at all is said. The content is not handed on, because it could be forged by any script
 * of the origin: ask the server instead. Returns the function that stops listening.
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
    // Absent or refused (old browsers, opaque origins): polling finds the result all the same.
    return undefined;
  }
}
