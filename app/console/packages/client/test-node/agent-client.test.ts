import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { AgentClient } from "../src/node/index.ts";
import { clientOf, KEY, reasonOf, scripted } from "./kit.ts";

const RESULT = { status: "ok", connector_id: "files", data: { status: 404, headers: {}, body: "no" } };
const TOKEN = { access_token: "t", token_type: "Bearer", expires_at: "2030-01-01T00:00:00Z" };

describe("requests", () => {
  it("runs a connector for a user, with the key, below the path of the mount", async () => {
    const fetch = scripted(Response.json(RESULT));
    const params = { method: "GET", path: "/files", query: { page: 2 } };
    const result = await clientOf(fetch).executeAs("u_alice", "files", params);
    expect(result).toEqual(RESULT);
    const [url, init] = fetch.mock.calls[0] ?? [];
    expect(url).toBe("https://grantry.example/hub/api/actions/connector/files/_execute");
    expect(init).toMatchObject({
      method: "POST",
      redirect: "error",
      headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    });
    expect(JSON.parse(String(init?.body))).toEqual({ act_as: "u_alice", params });
  });

  it("fetches an access token for a destination", async () => {
    const fetch = scripted(Response.json(TOKEN));
    const client = clientOf(fetch);
    const token = await client.accessTokenFor("u_alice", "files", "https://api.example", {
      connection: "work",
    });
    expect(token).toEqual(TOKEN);
    const [url, init] = fetch.mock.calls[0] ?? [];
    expect(url).toBe("https://grantry.example/hub/internal/actions/connector/files/_access_token");
    expect(JSON.parse(String(init?.body))).toEqual({
      user: "u_alice",
      destination: "https://api.example",
      connection: "work",
    });
  });

  it("uses the space of the call, else the one of the client, and encodes ids", async () => {
    const fetch = scripted(Response.json(TOKEN), Response.json(TOKEN), Response.json(TOKEN));
    const client = clientOf(fetch, { space: "marketing" });
    await client.accessTokenFor("u", "a/b", "https://api.example");
    await client.accessTokenFor("u", "files", "https://api.example", { space: "other" });
    await client.accessTokenFor("u", "files", "https://api.example", { space: "default" });
    expect(fetch.mock.calls.map(([url]) => new URL(String(url)).pathname)).toEqual([
      "/hub/s/marketing/internal/actions/connector/a%2Fb/_access_token",
      "/hub/s/other/internal/actions/connector/files/_access_token",
      "/hub/internal/actions/connector/files/_access_token",
    ]);
  });

  it.each(["", ".", ".."])("refuses %j as a space or connector, and sends nothing", async (name) => {
    const fetch = scripted();
    const client = clientOf(fetch);
    const params = { method: "GET", path: "/" };
    const calls = [
      client.executeAs("u", name, params),
      client.executeAs("u", "files", params, { space: name }),
      client.accessTokenFor("u", name, "https://api.example"),
      client.accessTokenFor("u", "files", "https://api.example", { space: name }),
    ];
    const messages = (await Promise.all(calls.map(reasonOf))).map(String);
    expect(messages.map((message) => message.split(":", 2).join(":"))).toEqual([
      "TypeError: connectorId",
      "TypeError: space",
      "TypeError: connectorId",
      "TypeError: space",
    ]);
    expect(fetch).not.toHaveBeenCalled();
    expect(() => clientOf(fetch, { space: name })).toThrow(TypeError);
  });

  it.each([Number.NaN, -1])("%d repetitions, or a pause of that length, are not accepted", (value) => {
    expect(() => clientOf(fetch, { maxRetries: value })).toThrow(/^maxRetries: /);
    expect(() => clientOf(fetch, { maxRetryWait: value })).toThrow(/^maxRetryWait: /);
  });

  it("endless repetitions are not accepted", () => {
    expect(() => clientOf(fetch, { maxRetries: Number.POSITIVE_INFINITY })).toThrow(/^maxRetries: /);
  });

  it("a body that is not JSON is a TypeError of the caller, and nothing is sent", async () => {
    const fetch = scripted();
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    for (const body of [1n, cycle]) {
      const call = clientOf(fetch).executeAs("u", "files", { method: "POST", path: "/", body });
      expect(await reasonOf(call)).toBeInstanceOf(TypeError);
    }
    expect(fetch).not.toHaveBeenCalled();
  });
});

describe("options", () => {
  it("refuses a key that is not a header value, without quoting it", () => {
    for (const key of ["", `${KEY}\n`, "gak_ä", `${KEY} `]) {
      const made = () => new AgentClient({ baseUrl: "https://grantry.example", key });
      expect(made).toThrow(/^key: /);
      expect(made).not.toThrow(/gak_/);
    }
  });

  it("refuses a base URL that is none", () => {
    const unusable = ["", "/hub", "ftp://a", "https://u:p@a", "https://a/?x", "https://a/#x"];
    for (const baseUrl of unusable) {
      expect(() => new AgentClient({ baseUrl, key: KEY }), baseUrl).toThrow(/^baseUrl: /);
    }
  });

  it("refuses a timeout that no timer has", () => {
    for (const timeout of [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
      expect(() => clientOf(scripted(), { timeout }), String(timeout)).toThrow(/^timeout: /);
    }
    clientOf(scripted(), { timeout: 2 ** 31 - 1 });
  });

  it("does not print the key", () => {
    expect(inspect(clientOf(scripted()), { depth: 9, showHidden: true })).not.toContain(KEY);
  });
});
