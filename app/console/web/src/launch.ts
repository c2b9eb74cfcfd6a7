import { type AuthStatus, allConnections, authStatus, GrantryError, type PendingFlow } from "@grantry/client";
import { launch as german } from "./i18n/de.json";
import { launch as english } from "./i18n/en.json";
import { preferredLanguage } from "./i18n/languages.ts";
import { BASE_PATH, placeOf } from "./lib/location.ts";

/** Pause between two readings of the status, in milliseconds. */
const INTERVAL = 1500;
/** The page stops waiting after this number of readings. */
const READINGS = 20;

type Messages = typeof english;

/**
 * The launch page: opened inside a click, it waits for its flow, removes its opener, and navigates to the same path with
 * `?flow=…`, where the server checks user and browser and redirects to the provider.
 *
 * The flow arrives in the fragment. Where the opener cannot reach this page (another opener policy), the page reads the
 * user's newest pending flow of this connector from the server.
 */
export function launch(): void {
  const messages = { en: english, de: german }[applyPreferences()];
  show(messages.title, messages.text);
  if (followFragment()) {
    return;
  }
  window.addEventListener("hashchange", followFragment);
  void findFlow(messages);
}

function followFragment(): boolean {
  const flowId = decode(window.location.hash.slice(1));
  if (flowId === "") {
    return false;
  }
  continueWith(flowId);
  return true;
}

function continueWith(flowId: string): void {
  // The provider's page must not be able to navigate the page that opened this one.
  window.opener = null;
  window.location.replace(`${window.location.pathname}?flow=${encodeURIComponent(flowId)}`);
}

async function findFlow(messages: Messages): Promise<void> {
  const { space } = placeOf(new URL(window.location.href));
  const connectorId = decode(window.location.pathname.split("/").pop() ?? "");
  for (let reading = 0; reading < READINGS; reading += 1) {
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    if (window.location.hash !== "") {
      return;
    }
    try {
      const statuses = await authStatus({ space, basePath: BASE_PATH });
      const flow = newestFlow(statuses[connectorId]);
      if (flow) {
        continueWith(flow.flow_id);
        return;
      }
    } catch (error) {
      if (error instanceof GrantryError && error.code === "not_signed_in") {
        show(messages.signedOutTitle, messages.signedOutText, { final: true });
        return;
      }
    }
  }
  show(messages.stuckTitle, messages.stuckText, { final: true });
}

/** Flows of several connections can be pending; the tab was opened for the last one. */
function newestFlow(status: AuthStatus | undefined): PendingFlow | undefined {
  return allConnections(status)
    .flatMap(({ pending_flow }) => pending_flow ?? [])
    .sort((a, b) => b.deadline - a.deadline)[0];
}

function show(title: string, text: string, { final = false } = {}): void {
  document.title = title;
  setText("title", title);
  setText("text", text);
  document.body.classList.toggle("is-final", final);
}

function setText(id: string, text: string): void {
  const element = document.getElementById(id);
  if (element) {
    element.textContent = text;
  }
}

/** Applies the language and the colours chosen in the console. Returns the language. */
function applyPreferences() {
  let stored: string | null = null;
  try {
    stored = localStorage.getItem("grantry.language");
    document.documentElement.dataset.theme = localStorage.getItem("grantry.theme") ?? "system";
  } catch {
    // Storage is disabled: use the language and colours of the browser.
  }
  const language = preferredLanguage(stored, navigator.languages);
  document.documentElement.lang = language;
  return language;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
