/** Name of the channel on which tabs tell each other that a flow ended. */
export const FLOW_CHANNEL = "oauth_flow_completed";

/** What is said there. It holds no secret, and nobody believes it: hearing it means "look at the server now". */
export interface FlowMessage {
  version: 1;
  /** Absent when the speaker knows only the connector. */
  flowId?: string;
  connectorId: string;
  status: "success" | "error";
  error?: string;
}

/** Tells the other tabs to look. Does nothing where channels are blocked. */
export function announceFlow(message: Omit<FlowMessage, "version">): void {
  const channel = openChannel();
  if (!channel) {
    return;
  }
  channel.postMessage({ version: 1, ...message } satisfies FlowMessage);
  channel.close();
}

/**
 * Calls `hint` whenever anything at all is said. The content is not handed on, because it could be forged by any script
 * of the origin: ask the server instead. Returns the function that stops listening.
 */
export function onFlowHint(hint: () => void): () => void {
  const channel = openChannel();
  if (!channel) {
    return () => {};
  }
  const listener = () => hint();
  channel.addEventListener("message", listener);
  channel.addEventListener("messageerror", listener);
  return () => channel.close();
}

function openChannel(): BroadcastChannel | undefined {
  try {
    return new BroadcastChannel(FLOW_CHANNEL);
  } catch {
    // Absent or refused (old browsers, opaque origins): polling finds the result all the same.
    return undefined;
  }
}
