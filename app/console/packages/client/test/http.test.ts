import { describe, expect, it, vi } from "vitest";
import { FakeServer } from "../../../testing/fake-server.ts";
import {
  allConnections,
  authStatus,
  cancelFlow,
  connectionOf,
  connectors,
  createConnector,
  deleteConnector,
  deprovisionUser,
  disconnect,
  ERROR_CODES,
  execute,
  flowStatus,
  GrantryError,
  getConnector,
  isConnectionName,
  launchHandover,
  launchUrl,
  listGrants,
  logIn,
  messages,
  previewUpdate,
  revokeGrant,
  session,
  setDefaultConnection,
  spacePath,
  startFlow,
  updateConnector,
} from "../src/index.ts";

function respondingWith(status: number, body: unknown, headers: Record<string, string> = {}) {
  return vi.fn<typeof fetch>(async () =>
    Response.json(body, { status, headers: { "content-type": "application/problem+json", ...headers } }),
  );
}

async function failureOf(call: Promise<unknown>): Promise<GrantryError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(GrantryError);
  return error as GrantryError;
}

describe("paths", () => {
  it("puts the base path before the space, and adds no prefix for the default space", () => {
    expect(spacePath("/x")).toBe("/x");
    expect(spacePath("/x", { space: "default" })).toBe("/x");
    expect(spacePath("/x", { space: "marketing" })).toBe("/s/marketing/x");
    expect(spacePath("/x", { space: "marketing", basePath: "/hub/" })).toBe("/hub/s/marketing/x");
  });

  it("encodes ids and spaces", async () => {
    const fetch = respondingWith(200, []);
    await connectors({ fetch, space: "a/../b?c" });
    expect(fetch.mock.calls[0]?.[0]).toBe("/s/a%2F..%2Fb%3Fc/api/actions/connectors");
    expect(launchUrl("a/b", "f&x", { space: "m" })).toBe("/s/m/connect/a%2Fb?flow=f%26x");
    expect(launchHandover("github", "f#1")).toBe("/connect/github#f%231");
  });
});

describe("requests", () => {
  it("stays on the origin, follows no redirect and bypasses the cache", async () => {
    const fetch = respondingWith(200, []);
    await connectors({ fetch });
    expect(fetch.mock.calls[0]?.[1]).toMatchObject({
      credentials: "same-origin",
      redirect: "error",
      cache: "no-store",
    });
  });

  it("sends JSON with its content type, and no content type without a body", async () => {
    const fetch = respondingWith(200, { flowId: "f", expiresAt: "2030-01-01T00:00:00Z" });
    await startFlow("github", { fetch, returnUrl: "/x", allowAccountChange: true });
    const [, init] = fetch.mock.calls[0] ?? [];
    expect(init?.headers).toMatchObject({ "content-type": "application/json" });
    expect(JSON.parse(String(init?.body))).toEqual({ returnUrl: "/x", allowAccountChange: true });
    await authStatus({ fetch: fetch.mockResolvedValue(Response.json({})) });
    expect(fetch.mock.calls[1]?.[1]?.headers).not.toHaveProperty("content-type");
  });

  it("R63 drops the authorization URL and the state of a started flow", async () => {
    const server = new FakeServer();
    const flow = await startFlow("github", { fetch: server.fetchAs("bob") });
    expect(Object.keys(flow).sort()).toEqual(["deadline", "expiresAt", "flowId"]);
    expect(JSON.stringify(flow)).not.toContain("CANARY");
  });

  it("corrects a deadline by the server's clock", async () => {
    const serverNow = Date.now() + 3_600_000;
    const fetch = respondingWith(
      200,
      { flowId: "f", expiresAt: new Date(serverNow + 600_000).toISOString() },
      { date: new Date(serverNow).toUTCString() },
    );
    const { deadline } = await startFlow("github", { fetch });
    expect(Math.abs(deadline - (Date.now() + 600_000))).toBeLessThan(2000);
  });
});

describe("errors", () => {
  it("carries the code, the correlation id, the detail and further members", async () => {
    const fetch = respondingWith(
      409,
      {
        title: "x",
        status: 409,
        code: "authorization_required",
        detail: "d",
        correlation_id: "c-9",
        field: "config.scope",
        reason: "not_connected",
      },
      { "retry-after": "7" },
    );
    const error = await failureOf(connectors({ fetch }));
    expect(error).toMatchObject({
      code: "authorization_required",
      status: 409,
      detail: "d",
      correlationId: "c-9",
      field: "config.scope",
      retryAfter: 7,
    });
    expect(error.members.reason).toBe("not_connected");
  });

  it.each([
    ["an unknown code", respondingWith(418, { code: "<b>teapot</b>" })],
    ["a body that is not an object", respondingWith(500, "nope")],
    ["an HTML page of a proxy", vi.fn(async () => new Response("<h1>502</h1>", { status: 502 }))],
    ["a success without JSON", vi.fn(async () => new Response("hello"))],
    [
      "a truncated problem",
      vi.fn(
        async () =>
          new Response('{"code":', { status: 400, headers: { "content-type": "application/problem+json" } }),
      ),
    ],
  ])("reports %s as an unexpected response", async (_what, fetch) => {
    expect((await failureOf(connectors({ fetch }))).code).toBe("unexpected_response");
  });

  it("reports a missing response as a network error", async () => {
    const fetch = vi.fn(async () => {
      throw new TypeError("Failed to fetch");
    });
    expect(await failureOf(connectors({ fetch }))).toMatchObject({ code: "network_error", status: 0 });
  });

  it("rejects an aborted call with the reason of the signal", async () => {
    const abort = new AbortController();
    const fetch: typeof globalThis.fetch = (_input, init) =>
      new Promise((_, reject) => init?.signal?.addEventListener("abort", () => reject(new Error("cut"))));
    const call = connectors({ fetch, signal: abort.signal });
    abort.abort();
    await expect(call).rejects.toMatchObject({ name: "AbortError" });
  });
});

describe("connections", () => {
  it("are named in every request that takes a name, and only where one is given", async () => {
    const fetch = respondingWith(200, { flowId: "f", expiresAt: "2030-01-01T00:00:00Z" });
    const params = { method: "GET", path: "/x" };
    await startFlow("github", { fetch, connection: "work" });
    await startFlow("github", { fetch });
    await execute("github", params, { fetch, connection: "work" });
    await execute("github", params, { fetch });
    fetch.mockImplementation(async () => new Response(null, { status: 204 }));
    await disconnect("github", { fetch, connection: "work" });
    await disconnect("github", { fetch });
    const bodies = fetch.mock.calls.map(([, init]) => init?.body && JSON.parse(String(init.body)));
    expect(bodies).toEqual([
      { connection: "work" },
      {},
      { params, connection: "work" },
      { params },
      { connection: "work" },
      undefined,
    ]);
  });

  it("are set as the default, and cleared", async () => {
    const fetch = vi.fn<typeof globalThis.fetch>(async () => new Response(null, { status: 204 }));
    await setDefaultConnection("a/b", "work", { fetch, space: "marketing" });
    await setDefaultConnection("a/b", null, { fetch });
    expect(fetch.mock.calls.map(([url, init]) => [init?.method, url, init?.body])).toEqual([
      ["PUT", "/s/marketing/internal/actions/connector/a%2Fb/_default_connection", '{"connection":"work"}'],
      ["PUT", "/internal/actions/connector/a%2Fb/_default_connection", '{"connection":null}'],
    ]);
  });

  it("are listed, chosen by the default and ended one by one", async () => {
    const server = new FakeServer();
    const bob = { fetch: server.fetchAs("bob") };
    for (const connection of ["default", "work"]) {
      const { flowId } = await startFlow("github", { ...bob, connection });
      expect((await flowStatus(flowId, bob)).connection).toBe(connection);
      server.finish(flowId, { account: `${connection}@github.example` });
    }
    const both = (await authStatus(bob)).github;
    expect(both).toMatchObject({ user_auth_status: "connected", connection: { name: "default" } });
    expect(allConnections(both).map(({ name }) => name)).toEqual(["default", "work"]);
    expect(connectionOf(both, "work")).toMatchObject({ status: "connected", account: "work@github.example" });
    expect(connectionOf(both, "other")).toBeUndefined();

    const ambiguous = await failureOf(disconnect("github", bob));
    expect(ambiguous).toMatchObject({ code: "connection_ambiguous", status: 409 });
    expect(ambiguous.members.connections).toEqual([
      { name: "default", account: "default@github.example" },
      { name: "work", account: "work@github.example" },
    ]);
    expect((await failureOf(setDefaultConnection("github", "other", bob))).code).toBe("connection_not_found");
    await setDefaultConnection("github", "work", bob);
    expect((await authStatus(bob)).github).toMatchObject({
      connection: { name: "work" },
      default_connection: "work",
    });
    await disconnect("github", bob);
    const left = (await authStatus(bob)).github;
    expect(allConnections(left).map(({ name }) => name)).toEqual(["default"]);
    expect(left).not.toHaveProperty("connections");
    expect(left).not.toHaveProperty("default_connection");
  });

  it("have deadlines on the local clock, in statuses and in connectors", async () => {
    const flow = { flow_id: "f", expires_at: "2030-01-01T00:10:00Z" };
    const connection = { name: "work", status: "connecting", pending_flow: flow };
    const status = { user_auth_status: "not_connected", connection, connections: [connection, connection] };
    const headers = { date: new Date(Date.now() + 3_600_000).toUTCString() };
    const found = [
      (await authStatus({ fetch: respondingWith(200, { c: status }, headers) })).c,
      await getConnector("c", { fetch: respondingWith(200, { id: "c", ...status }, headers) }),
    ];
    const deadlines = found.flatMap((one) =>
      [one?.connection, ...(one?.connections ?? [])].map((shown) => shown?.pending_flow?.deadline ?? 0),
    );
    expect(deadlines).toHaveLength(6);
    for (const deadline of deadlines) {
      expect(Math.abs(deadline - (Date.parse(flow.expires_at) - 3_600_000))).toBeLessThan(2000);
    }
  });

  it("reject an account that is already connected under another name", async () => {
    const server = new FakeServer();
    const bob = { fetch: server.fetchAs("bob") };
    server.finish((await startFlow("github", bob)).flowId, "authorized");
    const { flowId } = await startFlow("github", { ...bob, connection: "again" });
    server.finish(flowId, "authorized");
    expect(await flowStatus(flowId, bob)).toMatchObject({
      status: "failed",
      code: "account_already_connected",
    });
  });

  it.each(["default", "a", "a.b_c-1", "x".repeat(64)])("may be named %s", (name) => {
    expect(isConnectionName(name)).toBe(true);
  });

  it.each(["", "A", "a b", "ä", "a/b", "a\n", "x".repeat(65)])("may not be named %j", async (name) => {
    expect(isConnectionName(name)).toBe(false);
    const call = startFlow("github", { fetch: new FakeServer().fetchAs("bob"), connection: name });
    expect(await failureOf(call)).toMatchObject({ code: "invalid_request", field: "connection" });
  });
});

describe("the other routes", () => {
  it("creates, previews, updates and deletes a connector", async () => {
    const server = new FakeServer();
    const options = { fetch: server.fetchAs("alice") };
    const body = { name: "Docs", connector_type_id: ".sharepoint", config: { tenant: "contoso" } };
    const made = await createConnector({ ...body, secrets: { clientId: "a", clientSecret: "b" } }, options);
    expect(made).not.toHaveProperty("secrets");
    server.finish((await startFlow(made.id, options)).flowId, "authorized");
    const edit = { ...body, config: { tenant: "other" } };
    expect(await previewUpdate(made.id, edit, options)).toEqual({ disconnected_users: 1, affected_users: 1 });
    expect((await authStatus(options))[made.id]?.user_auth_status).toBe("connected");
    expect(await updateConnector(made.id, edit, options)).toMatchObject({
      disconnected_users: 1,
      affected_users: 1,
    });
    await deleteConnector(made.id, options);
    expect((await failureOf(deleteConnector(made.id, options))).code).toBe("not_found");
    await createConnector(body, { ...options, id: "mine" });
    expect((await failureOf(createConnector(body, { ...options, id: "mine" }))).code).toBe("conflict");
  });

  it("R60 separates spaces: the same id is another connector", async () => {
    const server = new FakeServer();
    const fetch = server.fetchAs("bob");
    const flow = await startFlow("github", { fetch, space: "marketing" });
    server.finish(flow.flowId, "authorized");
    expect((await authStatus({ fetch, space: "marketing" })).github?.user_auth_status).toBe("connected");
    expect((await authStatus({ fetch })).github?.user_auth_status).toBe("not_connected");
  });

  it("lists, filters and revokes grants, and deprovisions a user", async () => {
    const server = new FakeServer();
    const bob = { fetch: server.fetchAs("bob") };
    const carol = { fetch: server.fetchAs("carol") };
    for (const id of ["github", "wiki"]) {
      server.finish((await startFlow(id, bob)).flowId, "authorized");
    }
    const page = await listGrants({ ...carol, connector: "github", user: "u_bob", status: "" });
    expect(page.grants.map((grant) => grant.connectorId)).toEqual(["github"]);
    expect(page.grants).toMatchObject([{ connection: "default", status: "connected" }]);
    await revokeGrant(page.grants[0]?.grantId ?? "", carol);
    expect((await authStatus(bob)).github).toMatchObject({
      user_auth_status: "not_connected",
      connection: { status: "needs_reauthorization", reason: "admin" },
    });
    expect(await deprovisionUser("u_bob", carol)).toEqual({ revoked: 2, queued: 2 });
    expect((await failureOf(listGrants(bob))).code).toBe("forbidden");
  });

  it("signs in and returns the session", async () => {
    const fetch = new FakeServer().fetchAs(null);
    expect((await failureOf(session({ fetch }))).code).toBe("not_signed_in");
    await logIn("carol", "carol", { fetch });
    expect((await session({ fetch })).user_id).toBe("u_carol");
  });

  /** The first message on a channel. */
  const messageOn = (name: string) =>
    new Promise<unknown>((resolve) => {
      const channel = new BroadcastChannel(name);
      channel.onmessage = (event) => {
        channel.close();
        resolve(event.data);
      };
    });

  it.each([undefined, "marketing"])(
    "notifies the other tabs of a disconnect in the space %s",
    async (space) => {
      const server = new FakeServer();
      const received = messageOn("oauth_connections_changed");
      await disconnect("github", { fetch: server.fetchAs("bob"), space });
      expect(await received).toEqual({ version: 1, connectorId: "github", spaceId: space ?? "default" });
    },
  );

  it("notifies the other tabs of a start and a cancel, with the space", async () => {
    const options = { fetch: new FakeServer().fetchAs("bob"), space: "marketing" };
    const started = messageOn("oauth_flow_started");
    const ended = messageOn("oauth_flow_completed");
    const { flowId } = await startFlow("github", options);
    expect(await started).toEqual({ version: 1, connectorId: "github", spaceId: "marketing" });
    await cancelFlow("github", flowId, options);
    expect(await ended).toEqual({
      version: 1,
      flowId,
      connectorId: "github",
      spaceId: "marketing",
      status: "error",
      statusCode: 409,
      error: "flow_already_used",
    });
  });
});

describe("messages", () => {
  it("have a sentence for each code", () => {
    expect(Object.keys(messages).sort()).toEqual(
      [...ERROR_CODES, "network_error", "unexpected_response"].sort(),
    );
    for (const [code, sentence] of Object.entries(messages)) {
      expect(sentence, code).toMatch(/^[A-Z].*\.$/);
    }
  });

  it("are those of errors without a detail", () => {
    expect(new GrantryError("flow_expired").message).toBe(messages.flow_expired);
    expect(new GrantryError("flow_expired", { detail: "" }).message).toBe(messages.flow_expired);
    const detailed = new GrantryError("invalid_request", { detail: "name: is missing" });
    expect([detailed.message, detailed.code]).toEqual(["name: is missing", "invalid_request"]);
  });
});
