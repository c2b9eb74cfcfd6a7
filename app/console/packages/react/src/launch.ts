import { launchHandover, launchUrl } from "@grantry/client";

type Place = { space?: string | undefined; basePath?: string | undefined };

/** A tab that shows the launch page and waits to be told its flow. */
export interface LaunchTab {
  /** Hands the flow over. Answers false when the tab is out of reach. */
  handOver(flowId: string): boolean;
  /** Closes the tab, as far as the browser lets us. */
  close(): void;
}

/**
 * Opens the launch page. To be called inside the click, or the browser takes it for an unwanted pop-up. Answers null
 * when it does so all the same.
 *
 * `noopener` is left out on purpose: with it `window.open` answers null also when the tab did open. The launch page cuts
 * the link from its side before it leaves the origin.
 */
export function openLaunchTab(connectorId: string, place: Place): LaunchTab | null {
  const tab = window.open(launchUrl(connectorId, undefined, place), "_blank");
  if (!tab) {
    return null;
  }
  return {
    handOver(flowId) {
      try {
        if (tab.closed) {
          return false;
        }
        tab.location.replace(launchHandover(connectorId, flowId, place));
        return true;
      } catch {
        return false;
      }
    },
    close() {
      try {
        tab.close();
      } catch {
        // A tab that is no longer ours to close.
      }
    },
  };
}

/** Leaves this page for the provider, by way of the server. */
export function leaveFor(connectorId: string, flowId: string, place: Place): void {
  window.location.assign(launchUrl(connectorId, flowId, place));
}

/** Path and query of this page, without a result that an earlier flow may have left there. */
export function thisPage(): string {
  const url = new URL(window.location.href);
  for (const name of RESULT_PARAMETERS) {
    url.searchParams.delete(name);
  }
  return url.pathname + url.search;
}

/** The query parameters a callback leaves in the return URL. */
export const RESULT_PARAMETERS = [
  "oauth_authorization",
  "connector_id",
  "error",
  "status_code",
  "auto_close",
] as const;

/** Adds `auto_close=true` to a return URL, so that the page there closes its tab. Keeps a relative URL relative. */
export function closingItself(returnUrl: string): string {
  const [beforeFragment = "", fragment] = returnUrl.split("#", 2);
  const separator = beforeFragment.includes("?") ? "&" : "?";
  const url = `${beforeFragment}${separator}auto_close=true`;
  return fragment === undefined ? url : `${url}#${fragment}`;
}
