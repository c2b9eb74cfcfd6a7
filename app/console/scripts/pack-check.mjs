// Checks the content of `npm pack` against the list of sources: each module with its types, its maps and the sources of the
// maps, a README, a licence, and no other file. Then uses the packages in separate programs with strict types.
import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const BESIDE_MODULES = ["package.json", "README.md", "LICENSE"];
/** What a module is built to. */
const BUILT = [".js", ".js.map", ".d.ts", ".d.ts.map"];
const CONSUMER = `
import { type Connector, connectionOf, GrantryError, startFlow, watchFlow } from "@grantry/client";
import { OAuthRedirectMode, useConnectorOAuthConnect } from "@grantry/react";
export const started: Promise<{ flowId: string }> = startFlow("github", { space: "marketing" });
export const name = (connector: Connector): string => connector.name;
export const account = (connector: Connector) => connectionOf(connector, "work")?.account;
export const watched = watchFlow("f", { onChange: (flow) => void flow.status });
export const isTyped = (error: unknown) => error instanceof GrantryError && error.code === "access_denied";
export const useHook = () =>
  useConnectorOAuthConnect({ connectorId: "c", connection: "work", redirectMode: OAuthRedirectMode.NewTab });
// @ts-expect-error a flow is started for a connector
startFlow(1);
`;
/** A back end, whose types do not contain those of a browser. */
const BACK_END = `
import { AgentClient, AuthorizationRequiredError, type ExecuteResult } from "@grantry/client/node";
const client = new AgentClient({ baseUrl: "http://127.0.0.1:8080", key: "gak_x" });
const signal = AbortSignal.timeout(1000);
export const ran: Promise<ExecuteResult> = client.executeAs("u", "c", { method: "GET", path: "/" }, { signal });
export const token: Promise<{ access_token: string }> = client.accessTokenFor("u", "c", "https://api.example");
export const link = (error: unknown) => (error instanceof AuthorizationRequiredError ? error.startUrl : undefined);
// @ts-expect-error a client needs a key
new AgentClient({ baseUrl: "" });
`;

const place = mkdtempSync(join(tmpdir(), "grantry-pack-"));
let failed = false;
try {
  for (const name of ["client", "react"]) {
    check(name);
  }
  consume();
} finally {
  rmSync(place, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

function check(name) {
  const [packed] = JSON.parse(
    run("npm", ["pack", "--json", `--pack-destination=${place}`, `./packages/${name}`]),
  );
  const paths = packed.files.map(({ path }) => path);
  const expected = expectedFiles(`packages/${name}`);
  const problems = [
    ...paths.filter((path) => !expected.includes(path)).map((path) => `${path} does not belong in it`),
    ...expected.filter((path) => !paths.includes(path)).map((path) => `${path} is missing`),
  ];
  if (JSON.parse(readFileSync(`packages/${name}/package.json`, "utf8")).sideEffects !== false) {
    problems.push("it does not declare that it has no side effects");
  }
  console.log(`${packed.name}: ${paths.length} files, ${(packed.size / 1000).toFixed(1)} kB`);
  for (const problem of problems) {
    console.error(`  ${problem}`);
    failed = true;
  }
  const target = join(place, "node_modules/@grantry", name);
  mkdirSync(target, { recursive: true });
  run("tar", ["xzf", join(place, packed.filename), "-C", target, "--strip-components=1"]);
}

/** The files of a package: its sources, and what they are built to. */
function expectedFiles(folder) {
  const sources = readdirSync(join(folder, "src"), { recursive: true }).filter((path) =>
    /\.tsx?$/.test(path),
  );
  const built = sources.flatMap((path) => BUILT.map((end) => `dist/${path.replace(/\.tsx?$/, end)}`));
  return [...BESIDE_MODULES, ...sources.map((path) => `src/${path}`), ...built];
}

/** Compiles programs with the packed packages, and loads the client in Node. */
function consume() {
  for (const name of ["react", "@types", "@tanstack", "csstype", "undici-types"]) {
    symlinkSync(resolve("node_modules", name), join(place, "node_modules", name));
  }
  writeFileSync(join(place, "package.json"), '{"type":"module"}');
  writeFileSync(join(place, "consumer.ts"), CONSUMER);
  writeFileSync(join(place, "back-end.ts"), BACK_END);
  for (const [module, moduleResolution] of [
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ]) {
    const options = ["--strict", "--noEmit", "--target", "es2022", "--lib", "es2023,dom,dom.iterable"];
    const how = ["--module", module, "--moduleResolution", moduleResolution, "--types", ""];
    run(resolve("node_modules/.bin/tsc"), [...options, ...how, "consumer.ts"], place);
  }
  const backEnd = ["--strict", "--noEmit", "--target", "es2022", "--lib", "es2023", "--types", "node"];
  run(resolve("node_modules/.bin/tsc"), [...backEnd, "--module", "nodenext", "back-end.ts"], place);
  const script =
    "const [c, n] = [await import('@grantry/client'), await import('@grantry/client/node')];" +
    "console.log(typeof c.watchFlow, typeof n.AgentClient, n.GrantryError === c.GrantryError)";
  const loaded = run("node", ["--input-type=module", "-e", script], place);
  if (loaded.trim() !== "function function true") {
    console.error("  the client cannot be loaded");
    failed = true;
  }
  console.log("both compile in strict programs and load in Node");
}

function run(command, parameters, cwd = ".") {
  try {
    return execFileSync(command, parameters, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    console.error(error.stdout, error.stderr);
    throw error;
  }
}
