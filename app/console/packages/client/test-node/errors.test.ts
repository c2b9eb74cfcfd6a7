import { readFile } from "node:fs/promises";
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import * as node from "../src/node/index.ts";
import { clientOf, failureOf, problem, scripted } from "./kit.ts";

const GET = { method: "GET", path: "/" };
const START = "https://grantry.example/api/actions/connector/files/oauth/start";

const failWith = (response: Response | (() => Promise<Response>)) =>
  failureOf(clientOf(scripted(response), { maxRetries: 0 }).executeAs("u_alice", "files", GET));

describe("typed errors", () => {
  it("authorization_required has connection, reason and start link", async () => {
    const members = { reason: "not_connected", startUrl: START };
    const error = await failWith(problem("authorization_required", 409, members));
    expect(error).toBeInstanceOf(node.AuthorizationRequiredError);
    expect(error).toMatchObject({
      name: "AuthorizationRequiredError",
      code: "authorization_required",
      message: "Why.",
      status: 409,
      correlationId: "c1",
      connection: "default",
      ...members,
    });
    const named = { reason: "expired", startUrl: `${START}?connection=work` };
    expect(await failWith(problem("authorization_required", 409, named))).toMatchObject({
      connection: "work",
    });
  });

  it("the documentation of reason names a reason of the server", async () => {
    const read = (path: string) => readFile(new URL(path, import.meta.url), "utf8");
    const [source, events] = await Promise.all([
      read("../src/node/errors.ts"),
      read("../../../../../docs/reference/audit-events.md"),
    ]);
    const named = /Why, such as `not_connected` or `(\w+)`/.exec(source)?.[1];
    expect(events).toContain(`| \`${named}\` |`);
  });

  it("refresh_refused has the status of the provider, the wait and the start link", async () => {
    const members = { providerStatus: 400, startUrl: `${START}?connection=work` };
    const error = await failWith(problem("refresh_refused", 503, members, { "retry-after": "60" }));
    expect(error).toBeInstanceOf(node.RefreshRefusedError);
    expect(error).toMatchObject({ ...members, retryAfter: 60, connection: "work" });
  });

  it("connection_ambiguous has the connections", async () => {
    const connections = [{ name: "home" }, { name: "work", account: "a@b" }];
    const error = await failWith(problem("connection_ambiguous", 409, { connections }));
    expect(error).toBeInstanceOf(node.ConnectionAmbiguousError);
    expect(error).toMatchObject({ connections });
  });

  it("every code has the class of the table in the README", async () => {
    const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
    const table = readme.slice(readme.indexOf("## Back ends")).match(/^\| `\w+Error`.*$/gm) ?? [];
    const documented = new Map<string, string>();
    for (const row of table) {
      const [, name = "", codes = ""] = row.split("|");
      for (const [, code = ""] of codes.matchAll(/`(\w+)`/g)) {
        documented.set(code, /`(\w+)`/.exec(name)?.[1] ?? "");
      }
    }
    expect(documented.get("network_error")).toBe("NetworkError");
    for (const code of node.ERROR_CODES) {
      const error = await failWith(problem(code, 400));
      expect(error.name, code).toBe(documented.get(code) ?? "GrantryError");
    }
  });

  it("each code of an agent's request has a class", async () => {
    const classes: [new (...parameters: never[]) => Error, string[]][] = [
      [node.ConnectionNotFoundError, ["connection_not_found"]],
      [node.UnauthenticatedError, ["not_signed_in"]],
      [node.ForbiddenError, ["forbidden", "destination_refused", "permission_lost", "user_deprovisioned"]],
      [node.NotFoundError, ["not_found"]],
      [node.InvalidRequestError, ["invalid_request", "payload_too_large", "unsupported_media_type"]],
      [node.InvalidRequestError, ["url_too_long", "headers_too_large", "method_not_allowed"]],
      [node.RateLimitedError, ["rate_limited"]],
      [node.UnavailableError, ["provider_unavailable", "store_unavailable"]],
      [node.UnavailableError, ["audit_unavailable", "directory_unavailable"]],
      [node.MisconfiguredError, ["provider_misconfigured", "connector_tampered", "connector_incomplete"]],
      [node.MisconfiguredError, ["host_not_allowed", "wrong_host"]],
      [node.ApiFailedError, ["api_unreachable", "response_too_large"]],
    ];
    for (const [Class, codes] of classes) {
      for (const code of codes) {
        const error = await failWith(problem(code, 400, { field: "params.path" }));
        expect(error, code).toBeInstanceOf(Class);
        expect(error).toMatchObject({ code, name: Class.name, field: "params.path" });
      }
    }
  });

  it("codes of flows, and internal errors, stay plain", async () => {
    for (const code of ["internal", "flow_expired"]) {
      expect((await failWith(problem(code, 500))).name).toBe("GrantryError");
    }
  });

  it("a response that is not of the API is unexpected_response", async () => {
    const page = () => new Response("<h1>Bad gateway</h1>", { status: 502 });
    expect(await failWith(page())).toMatchObject({ code: "unexpected_response", status: 502 });
    const cut = await failWith(new Response('{"access_token":"secret'));
    expect(cut).toMatchObject({ code: "unexpected_response", status: 200 });
    expect(inspect(cut, { depth: 9, showHidden: true })).not.toContain("secret");
  });

  it("a result without the members of its type is unexpected_response, and its content is not quoted", async () => {
    const results = [null, "ok", [], {}, { data: null }, { data: { status: "secret" } }];
    for (const result of results) {
      const error = await failWith(Response.json(result));
      expect(error, JSON.stringify(result)).toMatchObject({ code: "unexpected_response", status: 200 });
    }
    const tokens = [null, {}, { access_token: "secret" }, { access_token: 1, token_type: "Bearer" }];
    for (const token of tokens) {
      const client = clientOf(scripted(Response.json(token)));
      const error = await failureOf(client.accessTokenFor("u", "files", "https://api.example"));
      expect(error, JSON.stringify(token)).toMatchObject({ code: "unexpected_response", status: 200 });
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("secret");
    }
  });

  it("a failed connection is a NetworkError with its cause", async () => {
    const cause = new TypeError("fetch failed");
    const error = await failWith(() => Promise.reject(cause));
    expect(error).toBeInstanceOf(node.NetworkError);
    expect(error).toMatchObject({ code: "network_error", status: 0, cause });
  });
});
