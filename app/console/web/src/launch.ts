import { authStatus, GrantryError } from "@grantry/client";
import { launch as german } from "./i18n/de.json";
import { launch as english } from "./i18n/en.json";
import { preferredLanguage } from "./i18n/languages.ts";
import { BASE_PATH, placeOf } from "./lib/location.ts";

/** Pause between two looks for a pending flow, in milliseconds. */
const INTERVAL = 1500;
/** After so many looks nobody is going to start one. */
const LOOKS = 20;

type Messages = typeof english;

/**
 * The launch page: opened in the click, it waits until it is told its flow, cuts the link to its opener, and goes to the
 * same path with `?flow=…`, where the server checks person and browser and redirects to the provider.
 *
 * The flow comes in the fragment. Where the opener cannot reach this page (another opener policy), the server is asked
 * for the person's pending flow of this connector instead.
 */
export function launch(): void {
  const messages = { en: english, de: german }[applyPreferences()];
  say(messages.title, messages.text);
  if (followFragment()) {
    return;
  }
  window.addEventListener("hashchange", followFragment);
  void lookForFlow(messages);
}

function followFragment(): boolean {
  const flowId = decode(window.location.hash.slice(1));
  if (flowId === "") {
    return false;
  }
  goOn(flowId);
  return true;
}

function goOn(flowId: string): void {
  // The provider's page must not be able to navigate the page that opened this one.
  window.opener = null;
  window.location.replace(`${window.location.pathname}?flow=${encodeURIComponent(flowId)}`);
}

async function lookForFlow(messages: Messages): Promise<void> {
  const { space } = placeOf(new URL(window.location.href));
  const connectorId = decode(window.location.pathname.split("/").pop() ?? "");
  for (let look = 0; look < LOOKS; look += 1) {
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    if (window.location.hash !== "") {
      return;
    }
    try {
      const statuses = await authStatus({ space, basePath: BASE_PATH });
      const flow = statuses[connectorId]?.pending_flow;
      if (flow) {
        goOn(flow.flow_id);
        return;
      }
    } catch (error) {
      if (error instanceof GrantryError && error.code === "not_signed_in") {
        say(messages.signedOutTitle, messages.signedOutText, { final: true });
        return;
      }
    }
  }
  say(messages.stuckTitle, messages.stuckText, { final: true });
}

function say(title: string, text: string, { final = false } = {}): void {
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

/** Takes over the language and the colours chosen in the console. Answers the language. */
function applyPreferences() {
  let stored: string | null = null;
  try {
    stored = localStorage.getItem("grantry.language");
    document.documentElement.dataset.theme = localStorage.getItem("grantry.theme") ?? "system";
  } catch {
    // Storage is off: the browser's own language and colours do.
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
