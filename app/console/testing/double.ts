import type { components } from "../packages/client/src/generated/api-types.ts";
import {
  CONNECTOR_TYPES,
  connector as makeConnector,
  PEOPLE,
  SHARED_CALLBACK,
  seedConnectors,
} from "./seed.ts";

type Schemas = components["schemas"];
type Status = Schemas["AuthStatus"];

/** A flow as the double keeps it. */
export type DoubleFlow = Schemas["Flow"] & {
  user: string;
  space: string;
  returnUrl: string | undefined;
};

/** A refused request. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly more: Record<string, unknown> = {},
  ) {
    super(code);
  }
}

type Handler = (context: {
  user: Schemas["Session"];
  space: string;
  match: RegExpMatchArray;
  url: URL;
  body: Record<string, unknown>;
}) => unknown;

/**
 * A small in-memory server with the same routes and answers as the real one, for unit tests and for working on the
 * console without it. It checks roles and ownership, and nothing cryptographic.
 */
export class Double {
  connectors = seedConnectors();
  flows = new Map<string, DoubleFlow>();
  /** Status by `space/connector/user`. */
  statuses = new Map<string, Status>();
  /** Every request seen, as `METHOD path`. */
  requests: string[] = [];
  /** Life of a flow in milliseconds. */
  flowLife = 600_000;
  /** When set, the next matching requests fail so: `METHOD path` prefix to status, code and extra members. */
  faults = new Map<string, [number, string, Record<string, unknown>?]>();
  /** When set, every request waits for it. */
  gate: Promise<void> | undefined;

  private serial = 0;

  /** A `fetch` that is signed in as this person (or as nobody). */
  fetchAs(username: string | null): typeof globalThis.fetch {
    let signedIn = username;
    return async (input, init) => {
      const url = new URL(String(input), "http://grantry.test");
      const signal = init?.signal;
      signal?.throwIfAborted();
      await this.gate;
      const { response, session } = this.handle(init?.method ?? "GET", url, signedIn, init?.body as string);
      if (session !== undefined) {
        signedIn = session;
      }
      signal?.throwIfAborted();
      return response;
    };
  }

  /** Answers one request. `session` says who is signed in afterwards, when that changed. */
  handle(
    method: string,
    url: URL,
    username: string | null,
    rawBody?: string,
  ): { response: Response; session?: string | null } {
    this.requests.push(`${method} ${url.pathname}${url.search}`);
    try {
      this.failIfTold(method, url.pathname);
      const body = rawBody ? (JSON.parse(rawBody) as Record<string, unknown>) : {};
      if (url.pathname === "/api/session") {
        return this.session(method, username, body);
      }
      const user = username === null ? undefined : PEOPLE[username];
      if (!user) {
        throw new Refusal(401, "not_signed_in");
      }
      const [, spaceInPath, path = url.pathname] = url.pathname.match(/^\/s\/([^/]+)(\/.*)$/) ?? [];
      const space = spaceInPath ?? "default";
      for (const [route, handler] of this.routes()) {
        const match = `${method} ${path}`.match(route);
        if (match) {
          const data = handler({ user, space, match, url, body });
          return { response: data === undefined ? new Response(null, { status: 204 }) : json(200, data) };
        }
      }
      throw new Refusal(404, "not_found");
    } catch (error) {
      if (!(error instanceof Refusal)) {
        throw error;
      }
      const problem = {
        title: error.code,
        status: error.status,
        code: error.code,
        correlation_id: "c-1",
        ...error.more,
      };
      return { response: json(error.status, problem, "application/problem+json") };
    }
  }

  /** Ends a flow the way the callback would. */
  finish(flowId: string, outcome: "authorized" | { code: string }): DoubleFlow {
    const flow = this.flow(flowId);
    if (flow.status !== "awaiting") {
      throw new Error(`flow is ${flow.status}`);
    }
    const key = `${flow.space}/${flow.connectorId}/${flow.user}`;
    if (outcome === "authorized") {
      flow.status = "authorized";
      this.statuses.set(key, {
        user_auth_status: "connected",
        account: `${flow.user.slice(2)}@provider.example`,
        since: new Date().toISOString(),
      });
    } else {
      flow.status = "failed";
      flow.code = outcome.code;
    }
    return flow;
  }

  /** The flow that was started last. */
  get lastFlow(): DoubleFlow {
    const flow = [...this.flows.values()].at(-1);
    if (!flow) {
      throw new Error("no flow was started");
    }
    return flow;
  }

  flow(flowId: string): DoubleFlow {
    const flow = this.flows.get(flowId);
    if (!flow) {
      throw new Refusal(404, "not_found");
    }
    if (flow.status === "awaiting" && Date.parse(flow.expiresAt) <= Date.now()) {
      flow.status = "expired";
      flow.code = "flow_expired";
    }
    return flow;
  }

  private routes(): [RegExp, Handler][] {
    return [
      [/^GET \/api\/actions\/connector_types$/, () => CONNECTOR_TYPES],
      [
        /^GET \/api\/actions\/connectors$/,
        ({ user, space }) => this.inSpace(user, space).map((c) => this.seen(c, user)),
      ],
      [
        /^GET \/api\/actions\/connector\/([^/]+)$/,
        ({ user, space, match }) => this.seen(this.get(user, space, match), user),
      ],
      [/^POST \/api\/actions\/connector(?:\/([^/]+))?$/, (context) => this.create(context)],
      [/^PUT \/api\/actions\/connector\/([^/]+)$/, (context) => this.update(context)],
      [
        /^DELETE \/api\/actions\/connector\/([^/]+)$/,
        ({ user, space, match }) => {
          this.need(user, space, "editor");
          const gone = this.get(user, space, match);
          this.connectors = this.connectors.filter((c) => c !== gone);
        },
      ],
      [
        /^POST \/internal\/actions\/connector\/([^/]+)\/_start_oauth_flow$/,
        ({ user, space, match, body }) => this.start(user, this.get(user, space, match), body),
      ],
      [
        /^POST \/internal\/actions\/connector\/([^/]+)\/_oauth_cancel$/,
        ({ user, body }) => {
          const flow = this.flow(String(body.flowId));
          if (flow.user !== user.user_id) {
            throw new Refusal(403, "forbidden");
          }
          if (flow.status === "awaiting") {
            flow.status = "cancelled";
          }
        },
      ],
      [
        /^POST \/internal\/actions\/connector\/([^/]+)\/_oauth_disconnect$/,
        ({ user, space, match }) => {
          const connector = this.get(user, space, match);
          this.statuses.delete(`${space}/${connector.id}/${user.user_id}`);
        },
      ],
      [
        /^GET \/internal\/actions\/oauth_flow\/([^/]+)$/,
        ({ user, match }) => {
          const flow = this.flow(match[1] ?? "");
          if (flow.user !== user.user_id) {
            throw new Refusal(404, "not_found");
          }
          const { flowId, connectorId, status, code, expiresAt } = flow;
          return { flowId, connectorId, status, code, expiresAt };
        },
      ],
      [
        /^POST \/internal\/actions\/connectors\/_me\/auth_status$/,
        ({ user, space }) =>
          Object.fromEntries(this.inSpace(user, space).map((c) => [c.id, this.status(c, user)])),
      ],
      [/^GET \/internal\/actions\/grants$/, ({ user, space, url }) => this.grants(user, space, url)],
      [
        /^DELETE \/internal\/actions\/grants\/(.+)$/,
        ({ user, space, match }) => {
          this.need(user, space, "admin");
          const key = decodeURIComponent(match[1] ?? "");
          if (!this.statuses.has(key)) {
            throw new Refusal(404, "not_found");
          }
          this.statuses.set(key, { user_auth_status: "needs_reauthorization", reason: "admin" });
        },
      ],
      [
        /^DELETE \/internal\/actions\/users\/([^/]+)\/grants$/,
        ({ user, match }) => {
          this.need(user, "default", "admin");
          const keys = [...this.statuses.keys()].filter((key) => key.endsWith(`/${match[1]}`));
          for (const key of keys) {
            this.statuses.delete(key);
          }
          return { revoked: keys.length, queued: keys.length };
        },
      ],
    ];
  }

  private session(method: string, username: string | null, body: Record<string, unknown>) {
    if (method === "POST") {
      const name = String(body.username);
      if (!PEOPLE[name] || body.password !== name) {
        throw new Refusal(401, "not_signed_in");
      }
      return { response: json(200, PEOPLE[name]), session: name };
    }
    if (method === "DELETE") {
      return { response: new Response(null, { status: 204 }), session: null };
    }
    if (username === null || !PEOPLE[username]) {
      throw new Refusal(401, "not_signed_in");
    }
    return { response: json(200, PEOPLE[username]) };
  }

  private failIfTold(method: string, path: string) {
    for (const [prefix, [status, code, more]] of this.faults) {
      if (`${method} ${path}`.startsWith(prefix)) {
        throw new Refusal(status, code, more);
      }
    }
  }

  private need(user: Schemas["Session"], space: string, role: "viewer" | "editor" | "admin") {
    const order = ["viewer", "editor", "admin"];
    const has = user.spaces.find((s) => s.id === space)?.role;
    if (!has) {
      throw new Refusal(404, "not_found");
    }
    if (order.indexOf(has) < order.indexOf(role)) {
      throw new Refusal(403, "forbidden");
    }
  }

  private inSpace(user: Schemas["Session"], space: string) {
    this.need(user, space, "viewer");
    return this.connectors.filter((c) => c.space_id === space);
  }

  private get(user: Schemas["Session"], space: string, match: RegExpMatchArray) {
    const found = this.inSpace(user, space).find((c) => c.id === decodeURIComponent(match[1] ?? ""));
    if (!found) {
      throw new Refusal(404, "not_found");
    }
    return found;
  }

  private seen(connector: Schemas["Connector"], user: Schemas["Session"]): Schemas["Connector"] {
    return { ...connector, user_auth_status: this.status(connector, user).user_auth_status };
  }

  private status(connector: Schemas["Connector"], user: Schemas["Session"]): Status {
    if (connector.auth_mode === "shared") {
      return { user_auth_status: "not_applicable" };
    }
    const kept = this.statuses.get(`${connector.space_id}/${connector.id}/${user.user_id}`);
    const flow = [...this.flows.values()].find(
      (f) =>
        f.user === user.user_id &&
        f.space === connector.space_id &&
        f.connectorId === connector.id &&
        this.flow(f.flowId).status === "awaiting",
    );
    if (!flow) {
      return kept ?? { user_auth_status: "not_connected" };
    }
    const pending_flow = { flow_id: flow.flowId, expires_at: flow.expiresAt };
    return kept?.user_auth_status === "connected"
      ? { ...kept, pending: true, pending_flow }
      : { user_auth_status: "connecting", pending_flow };
  }

  private start(user: Schemas["Session"], connector: Schemas["Connector"], body: Record<string, unknown>) {
    for (const flow of this.flows.values()) {
      if (
        flow.user === user.user_id &&
        flow.connectorId === connector.id &&
        flow.space === connector.space_id &&
        flow.status === "awaiting"
      ) {
        flow.status = "cancelled";
      }
    }
    this.serial += 1;
    const flowId = `flow-${this.serial}`;
    const flow: DoubleFlow = {
      flowId,
      connectorId: connector.id,
      status: "awaiting",
      expiresAt: new Date(Date.now() + this.flowLife).toISOString(),
      user: user.user_id,
      space: connector.space_id,
      returnUrl: typeof body.returnUrl === "string" ? body.returnUrl : undefined,
    };
    this.flows.set(flowId, flow);
    return {
      authorizationUrl: `https://provider.example/authorize?state=STATE-CANARY-${this.serial}`,
      state: `STATE-CANARY-${this.serial}`,
      flowId,
      expiresAt: flow.expiresAt,
    };
  }

  private create({ user, space, match, body }: Parameters<Handler>[0]) {
    this.need(user, space, "editor");
    const id = match[1] ?? `c-${this.connectors.length + 1}`;
    if (this.inSpace(user, space).some((c) => c.id === id)) {
      throw new Refusal(409, "conflict", { detail: "id" });
    }
    const sent = body as Schemas["ConnectorBody"];
    const made = makeConnector(space, id, sent.name, sent.connector_type_id ?? ".oauth2", {
      config: sent.config,
      auth_mode: sent.auth_mode ?? "per-user",
      is_missing_secrets: !sent.secrets?.clientId,
      redirect_uri: sent.connector_type_id === ".oauth2" ? `${SHARED_CALLBACK}/ctx-${id}` : SHARED_CALLBACK,
    });
    this.connectors.push(made);
    return this.seen(made, user);
  }

  private update({ user, space, match, url, body }: Parameters<Handler>[0]) {
    this.need(user, space, "editor");
    const connector = this.get(user, space, match);
    const sent = body as Schemas["ConnectorBody"];
    const changed = JSON.stringify(sent.config) !== JSON.stringify(connector.config);
    const keys = [...this.statuses].filter(
      ([key, status]) =>
        key.startsWith(`${space}/${connector.id}/`) && status.user_auth_status === "connected",
    );
    const disconnected_users = changed ? keys.length : 0;
    if (url.searchParams.get("dry_run") === "true") {
      return { disconnected_users };
    }
    if (sent.revision !== undefined && sent.revision !== connector.revision) {
      throw new Refusal(409, "conflict", { detail: "revision" });
    }
    connector.name = sent.name;
    connector.config = sent.config;
    connector.revision += 1;
    connector.updated_at = new Date().toISOString();
    if (changed) {
      for (const [key] of keys) {
        this.statuses.set(key, { user_auth_status: "needs_reauthorization", reason: "connector_changed" });
      }
    }
    return { ...this.seen(connector, user), disconnected_users };
  }

  private grants(user: Schemas["Session"], space: string, url: URL): Schemas["GrantPage"] {
    this.need(user, space, "admin");
    const all = [...this.statuses].flatMap(([key, status]): Schemas["Grant"][] => {
      const [grantSpace = "", connectorId = "", userId = ""] = key.split("/");
      if (grantSpace !== space) {
        return [];
      }
      return [
        {
          grantId: key,
          connectorId,
          connectorName:
            this.connectors.find((c) => c.id === connectorId && c.space_id === space)?.name ?? null,
          spaceId: space,
          userId,
          status: status.user_auth_status,
          reason: status.reason ?? null,
          account: status.account ?? null,
          scopes: ["repo"],
          connectedAt: status.since ?? "2026-06-20T14:30:00Z",
          lastUsedAt: status.last_used_at ?? null,
        },
      ];
    });
    const wanted = all.filter((grant) =>
      (["connector", "user", "status"] as const).every((name) => {
        const value = url.searchParams.get(name);
        const of = { connector: grant.connectorId, user: grant.userId, status: grant.status }[name];
        return !value || value === of;
      }),
    );
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const size = 50;
    return {
      grants: wanted.slice(from, from + size),
      nextCursor: from + size < wanted.length ? String(from + size) : null,
    };
  }
}

function json(status: number, body: unknown, type = "application/json"): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": `${type}; charset=utf-8`, date: new Date().toUTCString() },
  });
}
