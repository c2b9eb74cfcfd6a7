import { type ChildProcess, spawn } from "node:child_process";
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Site } from "./site.ts";

const BINARY = fileURLToPath(new URL("../../../../target/debug/grantry", import.meta.url));
/** A debug build on a busy machine takes its time. */
const START_TIMEOUT = 60_000;

/** Starts `grantry demo` on fresh data and waits until it is ready. `settings` are lines for its configuration file. */
export async function startServer(settings = ""): Promise<Site> {
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
      // The demo writes its configuration at the first start, and keeps what is in it from then on.
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

async function start(url: string, parameters: string[]): Promise<Server> {
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
      throw new Error(`the server did not become ready:\n${output()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { stop };
}

/** Keeps the end of what a process says, for the error that may come. */
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

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") {
    throw new Error("no free port");
  }
  return address.port;
}
