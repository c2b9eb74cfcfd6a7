import { spacePrefix } from "@grantry/client";
import { useSyncExternalStore } from "react";

/** The views of the console. */
export type View = "connectors" | "connections" | "new" | "login";

/** The current place. The URL contains everything that a reload must restore. */
export interface Place {
  space: string;
  view: View;
  parameters: URLSearchParams;
}

/** Path under which the host mounts Grantry, taken from the URL of this script. */
export const BASE_PATH = import.meta.env.PROD
  ? new URL(/* @vite-ignore */ "..", import.meta.url).pathname.replace(/\/$/, "")
  : "";

/** Reads a place from a URL. */
export function placeOf(url: URL): Place {
  const path = url.pathname.slice(BASE_PATH.length);
  const space = path.match(/^\/s\/([^/]+)/)?.[1];
  const parameters = url.searchParams;
  const view =
    (["connections", "new"] as const).find((one) => one === parameters.get("view")) ?? "connectors";
  return {
    space: space === undefined ? "default" : decode(space),
    view: path === "/login" ? "login" : view,
    parameters,
  };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** URL of a view of a space. */
export function urlOf(
  space: string,
  view: Exclude<View, "login"> = "connectors",
  more: Record<string, string> = {},
): string {
  const query = new URLSearchParams();
  if (view !== "connectors") {
    query.set("view", view);
  }
  for (const [name, value] of Object.entries(more)) {
    if (value !== "") {
      query.set(name, value);
    }
  }
  return `${BASE_PATH}${spacePrefix(space)}/${query.size > 0 ? `?${query}` : ""}`;
}

/** Asks before the page is left; `proceed` leaves it. */
type Hold = (proceed: () => void) => void;

let hold: Hold | undefined;
/** The URL that is shown while a navigation is held. */
let shownUrl = "";

/** Asks before every navigation that leaves the page: of the browser's buttons, and of links. Returns the function that ends this. */
export function holdNavigation(ask: Hold): () => void {
  hold = ask;
  shownUrl = window.location.href;
  return () => {
    if (hold === ask) {
      hold = undefined;
    }
  };
}

/** Navigates to a URL of the console without loading the page. */
export function navigate(url: string, { replace = false } = {}): void {
  if (hold && !replace) {
    hold(() => {
      hold = undefined;
      navigate(url);
    });
    return;
  }
  if (replace) {
    history.replaceState(history.state, "", url);
  } else {
    history.pushState(null, "", url);
  }
  window.dispatchEvent(new Event(NAVIGATED));
}

/** The target of a log-in: a path of this origin, or the start page. */
export function safeNext(next: string | null): string {
  const start = urlOf("default");
  if (!next?.startsWith("/") || /[\\\p{Cc}]/u.test(next)) {
    return start;
  }
  try {
    const url = new URL(next, window.location.origin);
    const isSameOrigin = url.origin === window.location.origin && !url.pathname.startsWith("//");
    return isSameOrigin ? url.pathname + url.search + url.hash : start;
  } catch {
    return start;
  }
}

/** The current place; updated on every navigation. */
export function usePlace(): Place {
  return placeOf(new URL(useSyncExternalStore(subscribe, () => window.location.href)));
}

const NAVIGATED = "grantry:navigated";

function subscribe(changed: () => void): () => void {
  const moved = () => {
    if (hold && window.location.href !== shownUrl) {
      // The browser has moved already: restore the URL, and continue after the user agrees.
      const target = window.location.href;
      history.pushState(null, "", shownUrl);
      hold(() => {
        hold = undefined;
        navigate(target);
      });
      return;
    }
    changed();
  };
  window.addEventListener("popstate", moved);
  window.addEventListener(NAVIGATED, changed);
  return () => {
    window.removeEventListener("popstate", moved);
    window.removeEventListener(NAVIGATED, changed);
  };
}
