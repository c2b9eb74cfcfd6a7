import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { BINARY, type Site, start } from "./server.ts";

const run = promisify(execFile);

/**
 * Starts `grantry serve` with a configuration and a new key, `primary.key`. `url` is that of a server of the test which passes
 * requests on. Stopping the site closes the servers of the test as well.
 */
export async function startBehind(
  servers: readonly Server[],
  url: string,
  configuration: string,
): Promise<Site> {
  const folder = await mkdtemp(join(tmpdir(), "grantry-e2e-"));
  let server: { stop(): Promise<void> } | undefined;
  const stop = async () => {
    for (const own of servers) {
      own.close();
    }
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const config = join(folder, "grantry.toml");
    await run(BINARY, ["keys", "generate", "--out", join(folder, "primary.key")]);
    await writeFile(config, configuration);
    server = await start(url, ["serve", "--config", config]);
    return { url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Passes a request on to a port of this machine, and its response back. */
export function passOn(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  port: number,
  changed: { path?: string; headers?: IncomingHttpHeaders } = {},
): void {
  const { path = incoming.url, headers = incoming.headers } = changed;
  const forwarded = request(
    { host: "127.0.0.1", port, path, method: incoming.method, headers },
    (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(outgoing);
    },
  );
  forwarded.on("error", () => outgoing.writeHead(502).end());
  incoming.pipe(forwarded);
}

/** Lets a server listen on a free port of this machine. */
export function listening(server: Server): Promise<Server> {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

/** The port of a server that listens. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
