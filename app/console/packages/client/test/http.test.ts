import { describe, expect, it, vi } from "vitest";
import { Double } from "../../../testing/double.ts";
import {
  authStatus,
  connectors,
  createConnector,
  deleteConnector,
  disconnect,
  dryRunUpdate,
  GrantryError,
  launchHandover,
  launchUrl,
  listGrants,
  logIn,
  offBoard,
  revokeGrant,
  session,
  spacePath,
  startFlow,
  updateConnector,
} from "../src/index.ts";

function answering(status: number, body: unknown, headers: Record<string, string> = {}) {
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
  it("puts the mount before the space, and gives the default space no prefix", () => {
    expect(spacePath("/x")).toBe("/x");
    expect(spacePath("/x", { space: "default" })).toBe("/x");
    expect(spacePath("/x", { space: "marketing" })).toBe("/s/marketing/x");
    expect(spacePath("/x", { space: "marketing", basePath: "/hub/" })).toBe("/hub/s/marketing/x");
  });

  it("encodes what it is given", async () => {
    const fetch = answering(200, []);
    await connectors({ fetch, space: "a/../b?c" });
    expect(fetch.mock.calls[0]?.[0]).toBe("/s/a%2F..%2Fb%3Fc/api/actions/connectors");
    expect(launchUrl("a/b", "f&x", { space: "m" })).toBe("/s/m/connect/a%2Fb?flow=f%26x");
    expect(launchHandover("github", "f#1")).toBe("/connect/github#f%231");
  });
});

describe("requests", () => {
  it("stays on the origin, follows no redirect and keeps nothing in the cache", async () => {
    const fetch = answering(200, []);
    await connectors({ fetch });
    expect(fetch.mock.calls[0]?.[1]).toMatchObject({
      credentials: "same-origin",
      redirect: "error",
      cache: "no-store",
    });
  });

  it("sends JSON as such, and no content type without a body", async () => {
    const fetch = answering(200, { flowId: "f", expiresAt: "2030-01-01T00:00:00Z" });
    await startFlow("github", { fetch, returnUrl: "/x", allowAccountChange: true });
    const [, init] = fetch.mock.calls[0] ?? [];
    expect(init?.headers).toMatchObject({ "content-type": "application/json" });
    expect(JSON.parse(String(init?.body))).toEqual({ returnUrl: "/x", allowAccountChange: true });
    await authStatus({ fetch: fetch.mockResolvedValue(Response.json({})) });
    expect(fetch.mock.calls[1]?.[1]?.headers).not.toHaveProperty("content-type");
  });

  it("R63 drops the authorization URL and the state of a started flow", async () => {
    const double = new Double();
    const flow = await startFlow("github", { fetch: double.fetchAs("bob") });
    expect(Object.keys(flow).sort()).toEqual(["deadline", "expiresAt", "flowId"]);
    expect(JSON.stringify(flow)).not.toContain("CANARY");
  });

  it("corrects a deadline by the server's clock", async () => {
    const serverNow = Date.now() + 3_600_000;
    const fetch = answering(
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
    const fetch = answering(
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
    ["a code we do not know", answering(418, { code: "<b>teapot</b>" })],
    ["a body that is no object", answering(500, "nope")],
    ["HTML of a proxy", vi.fn(async () => new Response("<h1>502</h1>", { status: 502 }))],
    ["success that is no JSON", vi.fn(async () => new Response("hello"))],
    [
      "a problem cut short",
      vi.fn(
        async () =>
          new Response('{"code":', { status: 400, headers: { "content-type": "application/problem+json" } }),
      ),
    ],
  ])("calls %s an unexpected answer", async (_what, fetch) => {
    expect((await failureOf(connectors({ fetch }))).code).toBe("unexpected_answer");
  });

  it("calls no answer a network error", async () => {
    const fetch = vi.fn(async () => {
      throw new TypeError("Failed to fetch");
    });
    expect(await failureOf(connectors({ fetch }))).toMatchObject({ code: "network_error", status: 0 });
  });

  it("passes an abort on as such", async () => {
    const abort = new AbortController();
    const fetch: typeof globalThis.fetch = (_input, init) =>
      new Promise((_, reject) => init?.signal?.addEventListener("abort", () => reject(new Error("cut"))));
    const call = connectors({ fetch, signal: abort.signal });
    abort.abort();
    await expect(call).rejects.toMatchObject({ name: "AbortError" });
  });
});

describe("every other route", () => {
  it("creates, previews, updates and deletes a connector", async () => {
    const double = new Double();
    const options = { fetch: double.fetchAs("alice") };
    const body = { name: "Docs", connector_type_id: ".sharepoint", config: { tenant: "contoso" } };
    const made = await createConnector({ ...body, secrets: { clientId: "a", clientSecret: "b" } }, options);
    expect(made).not.toHaveProperty("secrets");
    double.finish((await startFlow(made.id, options)).flowId, "authorized");
    const edit = { ...body, config: { tenant: "other" } };
    expect(await dryRunUpdate(made.id, edit, options)).toBe(1);
    expect((await authStatus(options))[made.id]?.user_auth_status).toBe("connected");
    expect((await updateConnector(made.id, edit, options)).disconnected_users).toBe(1);
    await deleteConnector(made.id, options);
    expect((await failureOf(deleteConnector(made.id, options))).code).toBe("not_found");
    await createConnector(body, { ...options, id: "mine" });
    expect((await failureOf(createConnector(body, { ...options, id: "mine" }))).code).toBe("conflict");
  });

  it("R60 keeps spaces apart: the same id is another connector", async () => {
    const double = new Double();
    const fetch = double.fetchAs("bob");
    const flow = await startFlow("github", { fetch, space: "marketing" });
    double.finish(flow.flowId, "authorized");
    expect((await authStatus({ fetch, space: "marketing" })).github?.user_auth_status).toBe("connected");
    expect((await authStatus({ fetch })).github?.user_auth_status).toBe("not_connected");
  });

  it("lists, filters and revokes grants and off-boards", async () => {
    const double = new Double();
    const bob = { fetch: double.fetchAs("bob") };
    const carol = { fetch: double.fetchAs("carol") };
    for (const id of ["github", "wiki"]) {
      double.finish((await startFlow(id, bob)).flowId, "authorized");
    }
    const page = await listGrants({ ...carol, connector: "github", user: "u_bob", status: "" });
    expect(page.grants.map((grant) => grant.connectorId)).toEqual(["github"]);
    await revokeGrant(page.grants[0]?.grantId ?? "", carol);
    expect((await authStatus(bob)).github).toMatchObject({ reason: "admin" });
    expect(await offBoard("u_bob", carol)).toEqual({ revoked: 2, queued: 2 });
    expect((await failureOf(listGrants(bob))).code).toBe("forbidden");
  });

  it("signs in and says who one is", async () => {
    const fetch = new Double().fetchAs(null);
    expect((await failureOf(session({ fetch }))).code).toBe("not_signed_in");
    await logIn("carol", "carol", { fetch });
    expect((await session({ fetch })).user_id).toBe("u_carol");
  });

  it("tells the other tabs to look after a disconnect", async () => {
    const double = new Double();
    const heard = new Promise<unknown>((resolve) => {
      const channel = new BroadcastChannel("oauth_flow_completed");
      channel.onmessage = (event) => {
        channel.close();
        resolve(event.data);
      };
    });
    await disconnect("github", { fetch: double.fetchAs("bob") });
    expect(await heard).toEqual({ version: 1, connectorId: "github", status: "success" });
  });
});
