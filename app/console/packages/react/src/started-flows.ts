import type { StartedFlow } from "@grantry/client";

/** Key of the flows that this browser started, with their deadlines, in the storage that its tabs share. Ids are no secrets. */
const STARTED = "grantry.flows";

/** The same where the storage cannot be written. */
let ofThisPage: Record<string, number> = {};

/** Remembers that this browser started a flow, as long as the flow can wait. */
export function rememberFlow({ flowId, deadline }: StartedFlow): void {
  const waiting = Object.entries(startedFlows()).filter(([, end]) => end > Date.now());
  const flows = Object.fromEntries([...waiting, [flowId, deadline]]);
  try {
    localStorage.setItem(STARTED, JSON.stringify(flows));
    ofThisPage = {};
  } catch {
    ofThisPage = flows;
  }
}

/** Whether this browser started the flow. Without a storage, whether this page did. */
export function isFlowOfBrowser(flowId: string): boolean {
  return Object.hasOwn(startedFlows(), flowId);
}

function startedFlows(): Record<string, number> {
  try {
    return { ...ofThisPage, ...JSON.parse(localStorage.getItem(STARTED) ?? "{}") };
  } catch {
    return ofThisPage;
  }
}
