import type { BrowserContext, Locator, Page } from "playwright-core";
import { newTab } from "./tabs.ts";

/**
 * Waits until a tab returns to the front end, and loads it. A page that is served by the test is not served as the target of a
 * redirect. Returns the URL.
 */
export async function arrive(tab: Page): Promise<string> {
  await tab.waitForURL(/\/host-app\?/);
  const url = tab.url();
  // The tab may close before it has loaded.
  await tab.reload().catch(() => {});
  return url;
}

/** What the create form asks for. */
export interface Form {
  id: string;
  name: string;
  clientId: string;
  clientSecret: string;
  authorizationUrl: string;
  tokenUrl: string;
  scope: string;
}

/**
 * A front end that was written for the earlier API: a list of connectors with their buttons, and a create form. It is on the
 * origin of the server, as behind one proxy, and routes by fragment. It uses nothing of this repository.
 */
export class ExistingFrontEnd {
  private constructor(readonly page: Page) {}

  /** Opens its list of a space. The user of the context is signed in. */
  static async open(context: BrowserContext, origin: string, space = "default"): Promise<ExistingFrontEnd> {
    await context.route(
      (url) => url.origin === origin && url.pathname.endsWith("/host-app"),
      (route) => route.fulfill({ contentType: "text/html", body: PAGE }),
    );
    await context.addInitScript(program);
    const page = await context.newPage();
    await page.goto(`${origin}${space === "default" ? "" : `/s/${space}`}/host-app#/connectors`);
    const front = new ExistingFrontEnd(page);
    await front.row("").first().waitFor();
    return front;
  }

  row(id: string): Locator {
    return this.page.locator(id === "" ? "li" : `li[data-id="${id}"]`);
  }

  button(id: string, name: string): Locator {
    return this.row(id).getByRole("button", { name, exact: true });
  }

  /** The names of the buttons of a connector. */
  async buttons(id: string): Promise<string[]> {
    await this.row(id).waitFor();
    return this.row(id).getByRole("button").allTextContents();
  }

  /** Presses connect, and returns the tab of the provider. */
  async connect(id: string): Promise<Page> {
    return newTab(this.page.context(), () => this.button(id, "Connect").click());
  }

  /** Waits for a line of the log: results of flows, as `success files 200`. */
  async expectLog(line: string): Promise<void> {
    await this.page.locator("output", { hasText: line }).waitFor();
  }

  async log(): Promise<string> {
    return (await this.page.locator("output").textContent()) ?? "";
  }

  async create(form: Form): Promise<void> {
    for (const [name, value] of Object.entries(form)) {
      await this.page.locator(`input[name="${name}"]`).fill(value);
    }
    await this.page.getByRole("button", { name: "Create" }).click();
  }

  /** Opens the list again. */
  async reload(): Promise<void> {
    await this.page.reload();
    await this.row("").first().waitFor();
  }
}

const INPUTS = ["id", "name", "clientId", "clientSecret", "authorizationUrl", "tokenUrl", "scope"];
const PAGE = `<!doctype html><html lang="en"><title>Host</title><output></output><ul></ul><form>
${INPUTS.map((name) => `<label>${name} <input name="${name}"></label>`).join("")}<button>Create</button></form></html>`;

/** The program of the page. It is sent to the browser as text, so it contains everything that it uses. */
function program(): void {
  // A context that opens two lists runs this twice.
  if (!window.location.pathname.endsWith("/host-app") || "hostApp" in window) {
    return;
  }
  Object.assign(window, { hostApp: true });
  type Json = Record<string, unknown>;
  const prefix = window.location.pathname.replace(/\/host-app$/, "");
  const spaceId = prefix === "" ? "default" : prefix.slice("/s/".length);
  const waiting = new Map<string, string>();

  const call = async (method: string, path: string, body?: Json) => {
    const headers: Record<string, string> = { "kbn-xsrf": "true", "content-type": "application/json" };
    const init: RequestInit = { method, headers };
    if (body) {
      init.body = JSON.stringify(body);
    }
    const response = await fetch(prefix + path, init);
    const text = await response.text();
    const json = text === "" ? {} : JSON.parse(text);
    if (!response.ok) {
      throw Object.assign(new Error(json.message), { statusCode: json.statusCode });
    }
    return json;
  };

  const log = (line: string) => {
    const output = document.querySelector("output");
    if (output) {
      output.textContent += `${line}\n`;
    }
  };

  const channel = new BroadcastChannel("oauth_flow_completed");
  channel.onmessage = ({ data }) => {
    if (data.spaceId === spaceId && waiting.delete(data.connectorId)) {
      log(`${data.status} ${data.connectorId} ${data.statusCode} ${data.error ?? ""}`);
      void list();
    }
  };

  /** Reads the result of a flow that returned to this page. Returns whether this tab was only opened for it. */
  const readResult = (): boolean => {
    const url = new URL(window.location.href);
    const { searchParams } = url;
    const status = searchParams.get("oauth_authorization");
    const connectorId = searchParams.get("connector_id");
    if (!status || !connectorId) {
      return false;
    }
    const statusCode = Number(searchParams.get("status_code"));
    const error = searchParams.get("error") ?? undefined;
    const autoClose = searchParams.get("auto_close") === "true";
    channel.postMessage({ connectorId, spaceId, status, statusCode, error });
    for (const name of ["oauth_authorization", "connector_id", "status_code", "error", "auto_close"]) {
      searchParams.delete(name);
    }
    window.history.replaceState(null, "", url);
    log(`${status} ${connectorId} ${statusCode} ${error ?? ""} at ${url.hash}`);
    if (autoClose) {
      window.close();
    }
    return autoClose;
  };

  const connect = async (id: string) => {
    const { pathname, hash } = window.location;
    const { authorizationUrl, state } = await call(
      "POST",
      `/internal/actions/connector/${id}/_start_oauth_flow`,
      { returnUrl: `${window.location.origin}${pathname}?auto_close=true${hash}` },
    );
    waiting.set(id, state);
    window.open(authorizationUrl, "_blank", "noopener");
    await list();
  };

  const connectHere = async (id: string) => {
    const { authorizationUrl } = await call("POST", `/internal/actions/connector/${id}/_start_oauth_flow`, {
      returnUrl: window.location.href,
    });
    window.location.assign(authorizationUrl);
  };

  const cancel = async (id: string) => {
    const state = waiting.get(id);
    waiting.delete(id);
    await call("POST", `/internal/actions/connector/${id}/_oauth_cancel`, { state });
    await list();
  };

  const disconnect = async (id: string) => {
    await call("POST", `/internal/actions/connector/${id}/_oauth_disconnect`);
    await list();
  };

  const button = (text: string, action: () => Promise<void>) => {
    const element = document.createElement("button");
    element.textContent = text;
    element.addEventListener("click", () => {
      action().catch((error) => log(`failed ${error.statusCode} ${error.message}`));
    });
    return element;
  };

  const buttonsOf = (connector: Json): HTMLButtonElement[] => {
    const id = String(connector.id);
    const config = connector.config as Json;
    if (config.authType !== "oauth_authorization_code") {
      return [];
    }
    if (waiting.has(id)) {
      return [button("Cancel", () => cancel(id))];
    }
    // The list has a button for these two values only.
    switch (connector.user_auth_status) {
      case "connected":
        return [button("Disconnect", () => disconnect(id))];
      case "not_connected":
        return [button("Connect", () => connect(id)), button("Connect here", () => connectHere(id))];
      default:
        return [];
    }
  };

  const list = async () => {
    const types: Json[] = await call("GET", "/api/actions/connector_types");
    const usable = types.filter(
      (type) =>
        type.enabled === true &&
        type.enabled_in_config === true &&
        type.enabled_in_license === true &&
        type.minimum_license_required === "basic" &&
        (type.supported_feature_ids as string[]).includes("workflows") &&
        type.is_system_action_type === false &&
        type.source === "spec",
    );
    const connectors: Json[] = await call("GET", "/api/actions/connectors");
    const rows = connectors
      .filter((connector) => connector.is_system_action === false && connector.is_preconfigured === false)
      .map((connector) => {
        const row = document.createElement("li");
        const type = usable.find(({ id }) => id === connector.connector_type_id);
        const isDeprecated = [
          connector.is_deprecated,
          connector.is_connector_type_deprecated,
          type?.is_deprecated,
        ];
        const notes = [
          connector.name,
          type?.name,
          connector.is_missing_secrets ? "secrets missing" : "",
          isDeprecated.every((deprecated) => deprecated === false) ? "" : "deprecated",
          `used ${connector.referenced_by_count} times`,
        ];
        row.dataset.id = String(connector.id);
        row.append(notes.join(" · "), ...buttonsOf(connector));
        return row;
      });
    document.querySelector("ul")?.replaceChildren(...rows);
  };

  const create = async (form: HTMLFormElement) => {
    const value = (name: string) => String(new FormData(form).get(name));
    const secrets = {
      authType: "oauth_authorization_code",
      clientId: value("clientId"),
      clientSecret: value("clientSecret"),
      authorizationUrl: value("authorizationUrl"),
      tokenUrl: value("tokenUrl"),
      scope: value("scope"),
      useBasicAuth: true,
    };
    await call("POST", `/api/actions/connector/${value("id")}`, {
      name: value("name"),
      connector_type_id: ".oauth2",
      config: {},
      secrets,
    });
    log(`created ${value("id")}`);
    await list();
  };

  document.addEventListener("DOMContentLoaded", () => {
    const form = document.querySelector("form");
    if (!form) {
      return;
    }
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      create(form).catch((error) => log(`failed ${error.statusCode} ${error.message}`));
    });
    if (!readResult()) {
      void list();
    }
  });
}
