import { createServer, type IncomingMessage, type Server } from "node:http";
import { listening, passOn, portOf, startBehind } from "./behind.ts";
import { freePort, type Site } from "./server.ts";

/** The path at which the host signs carol in. */
export const SIGN_IN = "/host/sign-in";

/** A host in front of the server, and a provider on another site. */
export interface StrictHost extends Site {
  /** Origin of the provider. */
  readonly provider: string;
  /** Whether each request to a callback had the session cookie of the host. */
  readonly callbacks: readonly boolean[];
}

/** Starts `grantry serve` behind a host whose session cookie has `SameSite=Strict`. */
export async function startStrictHost(): Promise<StrictHost> {
  const port = await freePort();
  const callbacks: boolean[] = [];
  const [host, provider] = await Promise.all([startHost(port, callbacks), startProvider()]);
  // A name and an address are two sites.
  const [url, target] = [`http://127.0.0.1:${portOf(host)}`, `localhost:${portOf(provider)}`];
  const site = await startBehind([host, provider], url, settings(url, port, target));
  return { ...site, provider: `http://${target}`, callbacks };
}

function hasSession({ headers }: IncomingMessage): boolean {
  return /(^|; )host_session=carol(;|$)/.test(headers.cookie ?? "");
}

/** The host: a reverse proxy that names the user of its session. */
function startHost(port: number, callbacks: boolean[]): Promise<Server> {
  const host = createServer((incoming, outgoing) => {
    if (incoming.url === SIGN_IN) {
      outgoing.setHeader("set-cookie", "host_session=carol; Path=/; HttpOnly; SameSite=Strict");
      outgoing.end("signed in");
      return;
    }
    const { "x-forwarded-user": _, ...headers } = incoming.headers;
    if (hasSession(incoming)) {
      headers["x-forwarded-user"] = "u_carol";
    }
    if (/\/(_oauth_context\/|_oauth_profile_callback\?)/.test(incoming.url ?? "")) {
      callbacks.push(hasSession(incoming));
    }
    passOn(incoming, outgoing, port, { headers });
  });
  return listening(host);
}

/** A provider with a page on which the user allows access. The navigation to the callback begins on that page. */
function startProvider(): Promise<Server> {
  const provider = createServer((incoming, outgoing) => {
    const { pathname, searchParams } = new URL(incoming.url ?? "/", "http://localhost");
    if (pathname === "/token") {
      outgoing.setHeader("content-type", "application/json");
      outgoing.end(JSON.stringify({ access_token: "at-1", token_type: "Bearer", expires_in: 3600 }));
      return;
    }
    if (pathname !== "/authorize") {
      outgoing.writeHead(404).end();
      return;
    }
    const callback = new URL(searchParams.get("redirect_uri") ?? "");
    callback.searchParams.set("code", "code-1");
    callback.searchParams.set("state", searchParams.get("state") ?? "");
    outgoing.setHeader("content-type", "text/html");
    outgoing.end(
      `<!doctype html><title>Provider</title><a href="${callback.href.replaceAll("&", "&amp;")}">Allow</a>`,
    );
  });
  return listening(provider);
}

function settings(url: string, port: number, provider: string): string {
  return `
listen = "127.0.0.1:${port}"
public_base_url = "${url}"
keys.write = "file:primary.key"

[egress]
allow = ["${provider}"]

[identity]
mode = "proxy-header"
proxy.trusted_proxies = ["127.0.0.1"]

[[identity.accounts]]
id = "u_carol"
roles = { default = "admin" }
`;
}
