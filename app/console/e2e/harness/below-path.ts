import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { BINARY, freePort, type Site } from "./server.ts";

const run = promisify(execFile);

/** Whether a proxy passes on the path of the public base URL. */
export type Prefix = "kept" | "removed";

/** Starts `grantry serve` below a path, behind a proxy. The admin is carol, with the password `carol-demo`. */
export async function startBelowPath(path: string, prefix: Prefix): Promise<Site> {
  const folder = await mkdtemp(join(tmpdir(), "grantry-e2e-"));
  const port = await freePort();
  const proxy = await startProxy(port, path, prefix);
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}${path}`;
  const config = join(folder, "grantry.toml");
  await run(BINARY, ["keys", "generate", "--out", join(folder, "primary.key")]);
  await writeFile(config, settings(url, port, await hashOf("carol-demo")));
  const server = spawn(BINARY, ["serve", "--config", config], { stdio: "ignore" });
  const exited = new Promise((resolve) => server.once("exit", resolve));
  const stop = async () => {
    proxy.close();
    server.kill("SIGTERM");
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  for (let polls = 0; polls < 600; polls += 1) {
    if (await fetch(`${url}/readyz`).then(({ ok }) => ok)) {
      return { url, stop };
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await stop();
  throw new Error("the server did not become ready");
}

function startProxy(port: number, path: string, prefix: Prefix): Promise<Server> {
  const proxy = createServer((incoming, outgoing) => {
    const target = incoming.url ?? "";
    if (target !== path && !target.startsWith(`${path}/`)) {
      outgoing.writeHead(404).end("outside the path");
      return;
    }
    const sent = prefix === "kept" ? target : target.slice(path.length) || "/";
    const forwarded = request(
      { host: "127.0.0.1", port, path: sent, method: incoming.method, headers: incoming.headers },
      (response) => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers);
        response.pipe(outgoing);
      },
    );
    forwarded.on("error", () => outgoing.writeHead(502).end());
    incoming.pipe(forwarded);
  });
  return new Promise((resolve) => proxy.listen(0, "127.0.0.1", () => resolve(proxy)));
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
