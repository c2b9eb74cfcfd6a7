import { launchHandover, launchUrl } from "@grantry/client";

type Place = { space?: string | undefined; basePath?: string | undefined };

/** A tab that shows the launch page and waits for its flow. */
export interface LaunchTab {
  /** Passes the flow to the tab. Returns false where the tab cannot be reached. */
  handOver(flowId: string): boolean;
  /** Closes the tab, where the browser allows it. */
  close(): void;
}

/**
 * Opens the launch page. Call it inside a click, or the browser blocks it as a pop-up. Returns null where the browser
 * blocks it anyway.
 *
 * Without `noopener`: with it, `window.open` returns null even where the tab opened. The launch page removes its opener
 * before it leaves the origin.
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
        // The browser no longer allows access to the tab.
      }
    },
  };
}

/** Key of the flow for which this tab left the page, in the storage of the tab. */
const LEFT_FOR = "grantry.flow";

/** Navigates this page to the provider, through the server. */
export function leaveFor(connectorId: string, flowId: string, place: Place): void {
  try {
    sessionStorage.setItem(LEFT_FOR, flowId);
  } catch {
    // Without a storage the result contains no accounts.
  }
  window.location.assign(launchUrl(connectorId, flowId, place));
}

/** The flow for which this tab left a page before, once. */
export function takeLeftFlow(): string | undefined {
  try {
    const flowId = sessionStorage.getItem(LEFT_FOR);
    sessionStorage.removeItem(LEFT_FOR);
    return flowId ?? undefined;
  } catch {
    return undefined;
  }
}

/** Path, query and fragment of this page, without the result of an earlier flow. */
export function thisPage(): string {
  const url = new URL(window.location.href);
  for (const name of RESULT_PARAMETERS) {
    url.searchParams.delete(name);
  }
  return url.pathname + url.search + url.hash;
}

/** The query parameters that carry the result of a flow in the return URL. */
export const RESULT_PARAMETERS = [
  "oauth_authorization",
  "connector_id",
  "error",
  "status_code",
  "auto_close",
  "oauth_connection",
] as const;

/** Adds query parameters to a return URL. Keeps a relative URL relative. */
export function withParameters(returnUrl: string, parameters: Readonly<Record<string, string>>): string {
  const query = new URLSearchParams(parameters).toString();
  if (query === "") {
    return returnUrl;
  }
  const hash = returnUrl.indexOf("#");
  const end = hash < 0 ? returnUrl.length : hash;
  const beforeFragment = returnUrl.slice(0, end);
  return `${beforeFragment}${beforeFragment.includes("?") ? "&" : "?"}${query}${returnUrl.slice(end)}`;
}
