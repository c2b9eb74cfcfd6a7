import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FakeHttpServer } from "../../testing/fake-http-server.ts";
import { isFake } from "./demo.ts";

/** The program under test; `SERVER_BINARY` names another one. */
export const BINARY =
  process.env.SERVER_BINARY ?? fileURLToPath(new URL("../../../../target/debug/grantry", import.meta.url));
/** Enough for a debug build on a busy machine. */
const START_TIMEOUT = 60_000;

/** The server that the browser tests run against. */
export interface Site {
  /** Origin of the console. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Differences between a site and the demo. */
export interface SiteOptions {
  /** Lifetime of a flow. Absent: ten minutes. */
  flowSeconds?: number;
  /** TOML that is appended to the configuration of the real server. */
  settings?: string;
}

/** Starts the real server; with `E2E_SITE=fake` the fake one, to work on the console alone. */
export async function startSite({ flowSeconds, settings = "" }: SiteOptions = {}): Promise<Site> {
  if (!isFake) {
    return startServer(settings + (flowSeconds ? `\n[oauth]\nflow_ttl = "${flowSeconds}s"\n` : ""));
  }
  const fake = new FakeHttpServer();
  if (flowSeconds) {
    fake.server.flowLifetime = flowSeconds * 1000;
  }
  const { url } = await fake.start();
  return { url, stop: () => fake.stop() };
}

/** Starts `grantry demo` on fresh data and waits until it is ready. `settings` is appended to its configuration file. */
async function startServer(settings = ""): Promise<Site> {
  const folder = await mkdtemp(join(tmpdir(), "grantry-e2e-"));
  const data = join(folder, "demo");
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let server: Server | undefined;
  const stop = async () => {
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    server = await start(url, ["demo", "--data", data, "--port", String(port), "--fresh"]);
    if (settings !== "") {
      // The demo writes its configuration at the first start, and keeps it afterwards.
      await server.stop();
      await appendFile(join(data, "grantry.toml"), settings);
      server = await start(url, ["demo", "--data", data, "--port", String(port)]);
    }
    return { url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Server {
  stop(): Promise<void>;
}

/** Starts the program and waits until it is ready at a URL. */
export async function start(url: string, parameters: string[]): Promise<Server> {
  const child = spawn(BINARY, parameters, { stdio: ["ignore", "pipe", "pipe"] });
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  const output = keepOutput(child);
  const stop = async () => {
    child.kill("SIGTERM");
    await exited;
  };
  const deadline = Date.now() + START_TIMEOUT;
  while (!(await isReady(url))) {
    if (child.exitCode !== null || child.pid === undefined || Date.now() > deadline) {
      await stop();
      throw new Error(`${BINARY} did not become ready:\n${output()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  // Another server can have taken the port.
  if (child.exitCode !== null) {
    throw new Error(`${BINARY} ended:\n${output()}`);
  }
  return { stop };
}

/** Keeps the end of the output of a process, for an error message. */
function keepOutput(child: ChildProcess): () => string {
  let output = "";
  const keep = (chunk: Buffer) => {
    output = (output + chunk).slice(-20_000);
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  return () => output;
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/readyz`)).ok;
  } catch {
    return false;
  }
}

/** A port that is free at the moment, below the ports that the system gives to outgoing connections. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = randomInt(20_000, 32_768);
    if (await canListen(port)) {
      return port;
    }
  }
  throw new Error("no free port");
}

function canListen(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
