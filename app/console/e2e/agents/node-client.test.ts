import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  AgentClient,
  AuthorizationRequiredError,
  ConnectionAmbiguousError,
  ForbiddenError,
  InvalidRequestError,
  NetworkError,
  NotFoundError,
  UnauthenticatedError,
} from "@grantry/client/node";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort, type Site, startSite } from "../harness/server.ts";
import { ScriptedUser } from "./scripted-user.ts";

const ME = { method: "GET", path: "/me" };
const newKey = () => `gak_${randomBytes(32).toString("base64url")}`;
const KEY = newKey();
const RUNNER_KEY = newKey();

let site: Site;
let client: AgentClient;
/** Origin of the API of the demo. */
let api: string;

beforeAll(async () => {
  site = await startSite({ settings: agent("workflows", KEY, true) + agent("runner", RUNNER_KEY, false) });
  client = new AgentClient({ baseUrl: site.url, key: KEY });
  api = await (await signedIn("alice")).originOfApi("files");
});
afterAll(async () => {
  await site?.stop();
});

function agent(name: string, key: string, accessTokens: boolean): string {
  const hash = createHash("sha256").update(key).digest("hex");
  return `
[[identity.agents]]
name = "${name}"
key_sha256 = "${hash}"
spaces = ["default"]
access_tokens = ${accessTokens}
`;
}

/** Signs in a user of the demo. */
async function signedIn(name: string): Promise<ScriptedUser> {
  const user = new ScriptedUser(site.url, name);
  await user.signIn();
  return user;
}

/** The error with which a call rejects. */
async function failureOf<T>(call: Promise<unknown>, Class: new (...parameters: never[]) => T): Promise<T> {
  const error = await call.then(
    () => expect.unreachable("the call did not fail"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Class);
  return error as T;
}

it("the quick start of the README prints the start link, and after consent the response", async () => {
  const run = await quickStart();
  const before = await run();
  expect(before).toBe(`Connect first: ${site.url}/api/actions/connector/files/oauth/start\n`);
  await (await signedIn("alice")).connect(before.slice(before.indexOf("http")).trim());
  expect(await run()).toMatch(/^200 .*user: 'alice@example\.test'/s);
});

/** The first example for back ends, as a program. */
async function quickStart(): Promise<() => Promise<string>> {
  const readme = await readFile(new URL("../../packages/client/README.md", import.meta.url), "utf8");
  const example = /```js\n([^`]*@grantry\/client\/node.*?)```/s.exec(readme)?.[1];
  if (example === undefined) {
    throw new Error("the README has no example for back ends");
  }
  const program = example.replace("http://127.0.0.1:8080", site.url);
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  const env = { ...process.env, WORKFLOWS_KEY: KEY };
  return async () => {
    const parameters = ["--input-type=module", "--eval", program];
    return (await promisify(execFile)("node", parameters, { cwd, env })).stdout;
  };
}

it("a user connects by the start link of the error, and the agent fetches a token", async () => {
  const required = await failureOf(client.executeAs("u_carol", "files", ME), AuthorizationRequiredError);
  expect(required).toMatchObject({ connection: "default", reason: "not_connected", status: 409 });

  await (await signedIn("carol")).connect(required.startUrl);
  const { data } = await client.executeAs("u_carol", "files", { ...ME, query: { verbose: true } });
  expect(data).toMatchObject({ status: 200, body: { user: "carol@example.test" } });

  const token = await client.accessTokenFor("u_carol", "files", api);
  expect(Date.parse(token.expires_at ?? "")).toBeGreaterThan(Date.now());
  const authorization = `${token.token_type} ${token.access_token}`;
  const direct = await fetch(`${api}/api/me`, { headers: { authorization } });
  expect(await direct.json()).toMatchObject({ user: "carol@example.test" });
});

it("a named connection is in the start link, and two connections are ambiguous", async () => {
  for (const [connection, account] of [
    ["home", "bob"],
    ["work", "carol"],
  ] as const) {
    const call = client.executeAs("u_bob", "files", ME, { connection });
    const required = await failureOf(call, AuthorizationRequiredError);
    expect(required.connection).toBe(connection);
    await (await signedIn("bob")).connect(required.startUrl, account);
  }
  const ambiguous = await failureOf(client.executeAs("u_bob", "files", ME), ConnectionAmbiguousError);
  expect(ambiguous.connections).toEqual([
    { name: "home", account: "bob@example.test" },
    { name: "work", account: "carol@example.test" },
  ]);
  const { data } = await client.executeAs("u_bob", "files", ME, { connection: "work" });
  expect(data.body).toMatchObject({ user: "carol@example.test" });
});

it("each refusal has its class", async () => {
  const as = (key: string, baseUrl = site.url) => new AgentClient({ baseUrl, key });
  await failureOf(as(newKey()).executeAs("u_alice", "files", ME), UnauthenticatedError);
  await failureOf(as(RUNNER_KEY).accessTokenFor("u_alice", "files", api), ForbiddenError);
  await failureOf(client.executeAs("u_alice", "absent", ME), NotFoundError);
  await failureOf(client.executeAs("u_alice", "files", ME, { space: "marketing" }), NotFoundError);
  await failureOf(as(KEY, `http://127.0.0.1:${await freePort()}`).executeAs("u", "files", ME), NetworkError);

  const params = { ...ME, headers: { authorization: "x" } };
  const invalid = await failureOf(client.executeAs("u_carol", "files", params), InvalidRequestError);
  expect(invalid.field).toBe("params.headers");
});
