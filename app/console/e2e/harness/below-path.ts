import { execFile } from "node:child_process";
import { createServer, type Server } from "node:http";
import { promisify } from "node:util";
import { listening, passOn, portOf, startBehind } from "./behind.ts";
import { BINARY, freePort, type Site } from "./server.ts";

const run = promisify(execFile);

/** Whether a proxy passes on the path of the public base URL. */
export type Prefix = "kept" | "removed";

/** Starts `grantry serve` below a path, behind a proxy. The admin is carol, with the password `carol-demo`. */
export async function startBelowPath(path: string, prefix: Prefix): Promise<Site> {
  const port = await freePort();
  const proxy = await startProxy(port, path, prefix);
  const url = `http://127.0.0.1:${portOf(proxy)}${path}`;
  return startBehind([proxy], url, settings(url, port, await hashOf("carol-demo")));
}

function startProxy(port: number, path: string, prefix: Prefix): Promise<Server> {
  const proxy = createServer((incoming, outgoing) => {
    const target = incoming.url ?? "";
    if (target !== path && !target.startsWith(`${path}/`)) {
      outgoing.writeHead(404).end("outside the path");
      return;
    }
    const sent = prefix === "kept" ? target : target.slice(path.length) || "/";
    passOn(incoming, outgoing, port, { path: sent });
  });
  return listening(proxy);
}

async function hashOf(password: string): Promise<string> {
  const hashing = run(BINARY, ["accounts", "hash-password"]);
  hashing.child.stdin?.end(`${password}\n`);
  return (await hashing).stdout.trim();
}

function settings(url: string, port: number, hash: string): string {
  return `
listen = "127.0.0.1:${port}"
public_base_url = "${url}"
keys.write = "file:primary.key"

[[spaces]]
id = "default"
name = "Company"

[[spaces]]
id = "marketing"
name = "Marketing & Sales"

[[identity.accounts]]
id = "u_carol"
name = "Carol Example"
username = "carol"
password_hash = "${hash}"
roles = { default = "admin", marketing = "viewer" }
`;
}
