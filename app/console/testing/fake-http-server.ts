import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { FakeServer } from "./fake-server.ts";
import { USERS } from "./seed.ts";

/** The content security policy of the console's pages, equal to that of the server. */
export const CONSOLE_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; manifest-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const DIST = new URL("../dist/", import.meta.url);
const CALLBACK = "/api/actions/connector/_oauth_callback";

const RESULT_SCRIPT = `
const { flowId, connectorId, spaceId, status, statusCode, error } = document.getElementById("result").dataset;
if (window.BroadcastChannel) {
  new BroadcastChannel("oauth_flow_completed").postMessage({ version: 1, flowId, connectorId, spaceId, status, statusCode: Number(statusCode), error });
}
setTimeout(() => window.close(), 3000);`;

/** The fake server behind real sockets, with a provider on another port: for a browser, without the real server. */
export class FakeHttpServer {
  readonly server = new FakeServer();
  private readonly site = createServer((request, response) => this.guarded(request, response, this.respond));
  private readonly provider = createServer((request, response) =>
    this.guarded(request, response, this.provide),
  );

  async start(port = 0): Promise<{ url: string; providerUrl: string }> {
    return { url: await listen(this.site, port), providerUrl: await listen(this.provider, 0) };
  }

  async stop(): Promise<void> {
    for (const server of [this.site, this.provider]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  private guarded(
    request: IncomingMessage,
    response: ServerResponse,
    handler: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
  ) {
    handler.call(this, request, response).catch((error: unknown) => {
      response.statusCode = 500;
      response.end(String(error));
    });
  }

  private async respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", urlOf(this.site));
    const cookies = cookiesOf(request);
    const user = cookies.get("session") ?? null;
    response.setHeader("content-security-policy", CONSOLE_CSP);
    response.setHeader("cross-origin-opener-policy", "same-origin");
    response.setHeader("referrer-policy", "no-referrer");
    response.setHeader("cache-control", "no-store");
    const [, connectPath, connectorId] = url.pathname.match(/^(?:\/s\/[^/]+)?(\/connect\/([^/]+))$/) ?? [];

    if (url.pathname.startsWith("/assets/")) {
      await file(response, url.pathname.slice(1));
    } else if (connectPath && connectorId) {
      await this.launch(response, url, user, cookies);
    } else if (url.pathname === CALLBACK) {
      // A frame, a prefetch or a script must not consume a code.
      const isDocument = (request.headers["sec-fetch-dest"] ?? "document") === "document";
      if (isDocument) {
        this.callback(response, url, user, cookies);
      } else {
        response.statusCode = 400;
        response.end();
      }
    } else if (url.pathname.startsWith(`${CALLBACK}_result/`)) {
      this.result(response, url.pathname.split("/").at(-1) ?? "");
    } else if (url.pathname === `${CALLBACK}_script`) {
      response.setHeader("content-type", "text/javascript");
      response.end(RESULT_SCRIPT);
    } else if (url.pathname === "/" || url.pathname === "/login" || /^\/s\/[^/]+\/$/.test(url.pathname)) {
      await file(response, "index.html");
    } else {
      const { response: result, session } = this.server.handle(
        request.method ?? "GET",
        url,
        user,
        await textOf(request),
      );
      if (session !== undefined) {
        response.appendHeader("set-cookie", `session=${session ?? ""}; Path=/; HttpOnly; SameSite=Lax`);
      }
      const body = await result.text();
      if (url.pathname.endsWith("_start_oauth_flow") && result.ok) {
        const { flowId } = JSON.parse(body);
        response.appendHeader("set-cookie", `flow_${flowId}=1; Path=/; HttpOnly; SameSite=Lax`);
      }
      response.writeHead(result.status, Object.fromEntries(result.headers));
      response.end(body);
    }
  }

  /** The launch page; with a flow, the redirect to the provider, for the user and the browser that started the flow. */
  private async launch(
    response: ServerResponse,
    url: URL,
    user: string | null,
    cookies: Map<string, string>,
  ) {
    const flowId = url.searchParams.get("flow");
    if (flowId === null) {
      await file(response, "connect.html");
      return;
    }
    const flow = this.server.flows.get(flowId);
    if (!flow || flow.user !== USERS[user ?? ""]?.user_id || !cookies.has(`flow_${flowId}`)) {
      response.statusCode = 404;
      response.end("flow_not_found");
      return;
    }
    redirect(response, `${urlOf(this.provider)}/authorize?state=STATE-CANARY-${flowId}`);
  }

  private callback(response: ServerResponse, url: URL, user: string | null, cookies: Map<string, string>) {
    const flowId = url.searchParams.get("state")?.replace("STATE-CANARY-", "") ?? "";
    const flow = this.server.flow(flowId);
    const code =
      flow.user !== USERS[user ?? ""]?.user_id
        ? "user_mismatch"
        : flow.status === "expired"
          ? "flow_expired"
          : flow.status === "cancelled"
            ? flowId
            : flow.status !== "awaiting"
              ? "flow_already_used"
              : !cookies.has(`flow_${flowId}`)
                ? "browser_mismatch"
                : undefined;
    if (code) {
      redirect(response, `${CALLBACK}_result/${code}`);
      return;
    }
    const denied = url.searchParams.get("error");
    const account = url.searchParams.get("code")?.replace("CODE-CANARY-", "");
    this.server.finish(flowId, denied ? { code: "access_denied" } : { account: `${account}@example.test` });
    if (!flow.returnUrl) {
      redirect(response, `${CALLBACK}_result/${flowId}`);
      return;
    }
    const back = new URL(flow.returnUrl, url);
    back.searchParams.set("oauth_authorization", flow.code ? "error" : "success");
    back.searchParams.set("connector_id", flow.connectorId);
    back.searchParams.set("status_code", "200");
    if (flow.code) {
      back.searchParams.set("error", flow.code);
      back.searchParams.set("status_code", flow.code === "access_denied" ? "403" : "409");
    }
    redirect(response, back.href);
  }

  /** The result of a flow, or the page of an error code. */
  private result(response: ServerResponse, id: string) {
    const flow = this.server.flows.get(id);
    const status = flow?.status === "authorized" ? "success" : "error";
    const heading = flow?.status === "cancelled" ? "Cancelled" : "Not connected";
    html(
      response,
      `<main id="result" data-flow-id="${flow ? id : ""}" data-connector-id="${flow?.connectorId ?? ""}"
      data-space-id="${flow?.space ?? ""}" data-status="${flow && flow.status !== "cancelled" ? status : ""}" data-status-code="${flow?.code ? 403 : 200}" data-error="${flow?.code ?? ""}">
      <h1>${status === "success" ? "Connected" : heading}</h1></main><script src="${CALLBACK}_script"></script>`,
    );
  }

  /** A provider: log-in, consent, redirect. It sends no opener policy, so that only the launch page protects the opener. */
  private async provide(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", urlOf(this.provider));
    const form = new URLSearchParams(await textOf(request));
    const state = form.get("state") ?? url.searchParams.get("state") ?? "";
    const account = form.get("username") ?? "";
    const hidden = `<input type="hidden" name="state" value="${state}">`;
    const another = `<a href="/authorize?state=${encodeURIComponent(state)}">Use another account</a>`;
    switch (url.pathname) {
      case "/authorize":
        html(
          response,
          `<h1>Log in</h1><form method="post" action="/log-in">${hidden}<label>User name <input name="username"></label>
          <label>Password <input name="password" type="password"></label><button>Log in</button></form>${another}`,
        );
        return;
      case "/log-in":
        html(
          response,
          `<h1>Allow access?</h1><form method="post" action="/consent">${hidden}
          <input type="hidden" name="username" value="${encodeURIComponent(account)}">
          <button name="decision" value="allow">Allow</button><button name="decision" value="deny">Deny</button></form>`,
        );
        return;
      case "/consent": {
        const outcome =
          form.get("decision") === "allow" ? `code=CODE-CANARY-${account}` : "error=access_denied";
        redirect(response, `${urlOf(this.site)}${CALLBACK}?${outcome}&state=${encodeURIComponent(state)}`);
        return;
      }
      default:
        response.statusCode = 404;
        response.end();
    }
  }
}

const TYPES: Record<string, string> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

async function file(response: ServerResponse, path: string): Promise<void> {
  response.setHeader("content-type", TYPES[path.split(".").at(-1) ?? ""] ?? "application/octet-stream");
  response.end(await readFile(new URL(path, DIST)));
}

function html(response: ServerResponse, body: string): void {
  response.setHeader("content-type", TYPES.html ?? "");
  response.end(`<!doctype html><html lang="en"><title>Page</title>${body}</html>`);
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(303, { location });
  response.end();
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
  }
  return text;
}

function cookiesOf(request: IncomingMessage): Map<string, string> {
  const pairs = (request.headers.cookie ?? "").split("; ").map((pair) => pair.split("=", 2));
  return new Map(pairs.filter(([, value]) => value).map(([name = "", value = ""]) => [name, value]));
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function listen(server: Server, port: number): Promise<string> {
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return urlOf(server);
}
