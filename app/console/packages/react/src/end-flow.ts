import { cancelFlow, type Flow, flowStatus, GrantryError } from "@grantry/client";

/** Longest pause between two attempts without a connection, in milliseconds. */
const RETRY = 5000;

/**
 * Ends a flow on the server and returns its last state: it may have ended otherwise before. Without a connection, it is
 * repeated until there is one. Returns undefined where the deadline of the flow passed before.
 */
export async function endFlow(
  connectorId: string,
  { flowId, deadline }: { flowId: string; deadline: number },
  place: Parameters<typeof cancelFlow>[2],
): Promise<Flow | undefined> {
  for (;;) {
    try {
      await cancelFlow(connectorId, flowId, place);
      return await flowStatus(flowId, place);
    } catch (error) {
      if (!(error instanceof GrantryError) || error.code !== "network_error") {
        throw error;
      }
    }
    const left = deadline - Date.now();
    if (left <= 0) {
      return undefined;
    }
    await connectionOr(Math.min(RETRY, left));
  }
}

/** Waits for the browser to be online again, at most this long. */
async function connectionOr(milliseconds: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const proceed = () => {
      clearTimeout(timer);
      window.removeEventListener("online", proceed);
      resolve();
    };
    const timer = setTimeout(proceed, milliseconds);
    window.addEventListener("online", proceed);
  });
}
