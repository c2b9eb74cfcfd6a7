// Checks the content of `npm pack`: the built modules with their types, the sources of their maps, a README, a licence, and
// no other file. Then uses the packages in a separate program with strict types.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const ALLOWED = [
  /^package\.json$/,
  /^README\.md$/,
  /^LICENSE$/,
  /^dist\/.+\.(js|js\.map|d\.ts|d\.ts\.map)$/,
  /^src\/.+\.tsx?$/,
];
const REQUIRED = ["package.json", "README.md", "LICENSE", "dist/index.js", "dist/index.d.ts"];
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
  const problems = [
    ...paths
      .filter((path) => !ALLOWED.some((allowed) => allowed.test(path)))
      .map((path) => `${path} does not belong in it`),
    ...REQUIRED.filter((path) => !paths.includes(path)).map((path) => `${path} is missing`),
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

/** Compiles a program with the packed packages, and loads the client in Node. */
function consume() {
  for (const name of ["react", "@types", "@tanstack", "csstype"]) {
    symlinkSync(resolve("node_modules", name), join(place, "node_modules", name));
  }
  writeFileSync(join(place, "package.json"), '{"type":"module"}');
  writeFileSync(join(place, "consumer.ts"), CONSUMER);
  for (const [module, moduleResolution] of [
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ]) {
    const options = ["--strict", "--noEmit", "--target", "es2022", "--lib", "es2023,dom,dom.iterable"];
    const how = ["--module", module, "--moduleResolution", moduleResolution, "--types", ""];
    run(resolve("node_modules/.bin/tsc"), [...options, ...how, "consumer.ts"], place);
  }
  const loaded = run(
    "node",
    ["-e", "import('@grantry/client').then((c) => console.log(typeof c.watchFlow))"],
    place,
  );
  if (loaded.trim() !== "function") {
    console.error("  the client cannot be loaded");
    failed = true;
  }
  console.log("both compile in a strict program and load in Node");
}

function run(command, parameters, cwd = ".") {
  try {
    return execFileSync(command, parameters, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    console.error(error.stdout, error.stderr);
    throw error;
  }
}
