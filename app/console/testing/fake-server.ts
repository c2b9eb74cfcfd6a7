import type { components } from "../packages/client/src/generated/api-types.ts";
import type {
  ConnectorTest,
  ConsentFacts,
  Diagnostics,
  Flow,
  Grant,
  User,
  UserDetails,
} from "../packages/client/src/types.ts";
import { CONNECTOR_TYPES, connector as makeConnector, redirectUriOf, seedConnectors, USERS } from "./seed.ts";

type Schemas = components["schemas"];
type Connection = Schemas["Connection"];

/** A flow as the server stores it. */
export type FakeFlow = Omit<Flow, "deadline"> & {
  user: string;
  space: string;
  returnUrl: string | undefined;
  allowsAccountChange: boolean;
  selectsAccount: boolean;
};

/** A rejected request. */
class Rejection extends Error {
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

/** The end of a flow. `account` is the account at the provider; absent: one derived from the user's name. */
export type FlowOutcome = "authorized" | { account: string } | { code: string };

/**
 * A small in-memory server with the routes and responses of the real one, for unit tests and for working on the console
 * without it. It checks roles and ownership, and implements no cryptography.
 */
export class FakeServer {
  connectors = seedConnectors();
  flows = new Map<string, FakeFlow>();
  /** Connections by `space/connector/user/name`. */
  connections = new Map<string, Connection>();
  /** Names of default connections by `space/connector/user`. */
  defaults = new Map<string, string>();
  /** Who ended a connection, and when, by `space/connector/user/name`. */
  ended = new Map<string, { by: string; at: string }>();
  /** Ended connections whose tokens are still to be revoked, by `space/connector/user/name`. */
  pendingRevocations = new Set<string>();
  /** Users who need a new consent after an edit, besides those it disconnects. */
  otherAffectedUsers = 0;
  /** Users that were deprovisioned, with the time. */
  deprovisioned = new Map<string, string>();
  /** Users without an account here, such as those of a host. */
  otherUsers: User[] = [];
  /** Diagnostics by connector id. */
  diagnostics = new Map<string, Diagnostics>();
  /** The status that the API responds with when a connection is tried, by connector id. Absent: 200. */
  apiStatuses = new Map<string, number>();
  /** Results of tests by connector id. Without one, everything is in order. */
  tests = new Map<string, ConnectorTest>();
  /** What the metadata of an issuer adds, by connector id. */
  consents = new Map<string, ConsentFacts>();
  /** No request arrives. */
  isGone = false;
  /** The version of the consent in each start that has one. */
  consentVersions: string[] = [];
  /** Every request received, as `METHOD path`. */
  requests: string[] = [];
  /** Lifetime of a flow in milliseconds. */
  flowLifetime = 600_000;
  /** Faults of matching requests: `METHOD path` prefix to status, code and extra members. */
  faults = new Map<string, [number, string, Record<string, unknown>?]>();
  /** If set, every request waits for it. */
  gate: Promise<void> | undefined;

  private serial = 0;

  /** A `fetch` that is signed in as this user; null: signed out. */
  fetchAs(username: string | null): typeof globalThis.fetch {
    let signedIn = username;
    return async (input, init) => {
      const url = new URL(String(input), "http://grantry.test");
      const signal = init?.signal;
      signal?.throwIfAborted();
      await this.gate;
      if (this.isGone) {
        throw new TypeError("Failed to fetch");
      }
      const { response, session } = this.handle(init?.method ?? "GET", url, signedIn, init?.body as string);
      if (session !== undefined) {
        signedIn = session;
      }
      signal?.throwIfAborted();
      return response;
    };
  }

  /** Handles one request. `session` is the user who is signed in afterwards, where that changed. */
  handle(
    method: string,
    url: URL,
    username: string | null,
    rawBody?: string,
  ): { response: Response; session?: string | null } {
    if (url.pathname === "/readyz") {
      return { response: new Response("ok") };
    }
    this.requests.push(`${method} ${url.pathname}${url.search}`);
    try {
      this.injectFault(method, url.pathname);
      const body = rawBody ? (JSON.parse(rawBody) as Record<string, unknown>) : {};
      if (url.pathname === "/api/session") {
        return this.session(method, username, body);
      }
      const user = username === null ? undefined : USERS[username];
      if (!user) {
        throw new Rejection(401, "not_signed_in");
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
      throw new Rejection(404, "not_found");
    } catch (error) {
      if (!(error instanceof Rejection)) {
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

  /** Stores a connection: connected and named `default`, unless `more` differs. `key` is `space/connector/user`. */
  setConnection(key: string, more: Partial<Connection> = {}): void {
    const connection: Connection = { name: "default", status: "connected", ...more };
    this.connections.set(`${key}/${connection.name}`, connection);
  }

  /** Ends a flow as the callback does. */
  finish(flowId: string, outcome: FlowOutcome): FakeFlow {
    const flow = this.flow(flowId);
    if (flow.status !== "awaiting") {
      throw new Error(`flow is ${flow.status}`);
    }
    const key = `${flow.space}/${flow.connectorId}/${flow.user}`;
    const before = this.connections.get(`${key}/${flow.connection}`);
    const granted = typeof outcome === "object" && "account" in outcome;
    const account = granted ? outcome.account : `${flow.user.slice(2)}@provider.example`;
    const unusedName = this.unusedName(key, account);
    if (typeof outcome === "object" && "code" in outcome) {
      this.fail(flow, outcome.code);
    } else if (
      this.connectionsOf(key).some((one) => one.account === account && one.name !== flow.connection)
    ) {
      this.fail(flow, "account_already_connected", { usedAccount: account, unusedName });
    } else if (before?.account && before.account !== account && !flow.allowsAccountChange) {
      this.fail(flow, "account_mismatch", {
        connectedAccount: before.account,
        usedAccount: account,
        unusedName,
      });
    } else {
      flow.status = "authorized";
      this.ended.delete(`${key}/${flow.connection}`);
      this.setConnection(key, { name: flow.connection, account, since: new Date().toISOString() });
    }
    return flow;
  }

  private fail(
    flow: FakeFlow,
    code: string,
    accounts: Pick<FakeFlow, "connectedAccount" | "usedAccount" | "unusedName"> = {},
  ): void {
    Object.assign(flow, { status: "failed", code, ...accounts });
  }

  /** The flow that was started last. */
  get lastFlow(): FakeFlow {
    const flow = [...this.flows.values()].at(-1);
    if (!flow) {
      throw new Error("no flow was started");
    }
    return flow;
  }

  flow(flowId: string): FakeFlow {
    const flow = this.flows.get(flowId);
    if (!flow) {
      throw new Rejection(404, "not_found");
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
            throw new Rejection(403, "forbidden");
          }
          if (flow.status === "awaiting") {
            flow.status = "cancelled";
          }
        },
      ],
      [
        /^POST \/internal\/actions\/connector\/([^/]+)\/_oauth_disconnect$/,
        ({ user, space, match, body }) => this.disconnect(user, this.get(user, space, match), body),
      ],
      [
        /^PUT \/internal\/actions\/connector\/([^/]+)\/_default_connection$/,
        ({ user, space, match, body }) => this.setDefault(user, this.get(user, space, match), body),
      ],
      [
        /^GET \/internal\/actions\/oauth_flow\/([^/]+)$/,
        ({ user, match }) => {
          const flow = this.flow(match[1] ?? "");
          if (flow.user !== user.user_id) {
            throw new Rejection(404, "not_found");
          }
          const { user: _user, space, returnUrl, allowsAccountChange, selectsAccount, ...shown } = flow;
          return shown;
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
          const connection = this.connections.get(key);
          if (!connection) {
            throw new Rejection(404, "not_found");
          }
          this.connections.set(key, {
            name: connection.name,
            status: "needs_reauthorization",
            reason: "admin",
          });
          this.pendingRevocations.delete(key);
          this.ended.set(key, { by: user.user_id, at: new Date().toISOString() });
        },
      ],
      [
        /^GET \/api\/actions\/connector\/([^/]+)\/diagnostics$/,
        ({ user, space, match }) => {
          this.need(user, space, "editor");
          return this.diagnostics.get(this.get(user, space, match).id) ?? { anomalies: [] };
        },
      ],
      [
        /^POST \/internal\/actions\/connector\/([^/]+)\/_try$/,
        ({ user, space, match, body }) => {
          const connector = this.get(user, space, match);
          const connection = this.connectionsOf(keyOf(connector, user)).find(
            (one) => one.name === nameOf(body),
          );
          if (connection?.status !== "connected") {
            throw new Rejection(409, "authorization_required");
          }
          const { name, account } = connection;
          return { http_status: this.apiStatuses.get(connector.id) ?? 200, connection: name, account };
        },
      ],
      [
        /^POST \/internal\/actions\/connector\/([^/]+)\/_test$/,
        ({ user, space, match }) => {
          this.need(user, space, "editor");
          const tested = this.get(user, space, match);
          return this.tests.get(tested.id) ?? testOf(tested);
        },
      ],
      [
        /^GET \/internal\/actions\/connector\/([^/]+)\/_consent$/,
        ({ user, space, match }) => {
          const { id, consent } = this.get(user, space, match);
          return this.consents.get(id) ?? consent;
        },
      ],
      [
        /^GET \/internal\/actions\/users$/,
        ({ user }) => {
          this.need(user, "default", "admin");
          return this.users();
        },
      ],
      [
        /^GET \/internal\/actions\/users\/([^/]+)$/,
        ({ user, match }) => {
          this.need(user, "default", "admin");
          return this.userDetails(decodeURIComponent(match[1] ?? ""));
        },
      ],
      [
        /^POST \/internal\/actions\/users\/([^/]+)\/_reinstate$/,
        ({ user, match }) => {
          this.need(user, "default", "admin");
          this.deprovisioned.delete(this.userDetails(decodeURIComponent(match[1] ?? "")).id);
        },
      ],
      [
        /^DELETE \/internal\/actions\/users\/([^/]+)\/grants$/,
        ({ user, match }) => {
          this.need(user, "default", "admin");
          const { id } = this.userDetails(decodeURIComponent(match[1] ?? ""));
          this.deprovisioned.set(id, new Date().toISOString());
          const keys = [...this.connections.keys()].filter((key) => key.split("/")[2] === id);
          for (const key of keys) {
            this.connections.delete(key);
          }
          return { revoked: keys.length, queued: keys.length };
        },
      ],
    ];
  }

  private users(): User[] {
    const accounts = Object.values(USERS).map(({ user_id, display_name }) => ({
      id: user_id,
      name: display_name ?? null,
    }));
    const known = new Set([...accounts, ...this.otherUsers].map(({ id }) => id));
    const holders = [...this.connections.keys()]
      .map((key) => key.split("/")[2] ?? "")
      .filter((id) => !known.has(id));
    const others = [...new Set(holders)].map((id) => ({ id }));
    return [...accounts, ...this.otherUsers, ...others].map((user) => ({
      disabled: false,
      ...user,
      deprovisioned_at: this.deprovisioned.get(user.id) ?? null,
    }));
  }

  private userDetails(id: string): UserDetails {
    const user = this.users().find((one) => one.id === id);
    if (!user) {
      throw new Rejection(404, "not_found");
    }
    const connections = [...this.connections]
      .filter(([key]) => key.split("/")[2] === id && !this.ended.has(key))
      .map(([key, connection]) => {
        const [space_id = "", connector_id = ""] = key.split("/");
        const connector = this.connectors.find((c) => c.id === connector_id && c.space_id === space_id);
        return {
          space_id,
          connector_id,
          connector_name: connector?.name ?? null,
          connection: connection.name,
          account: connection.account ?? null,
          state: connection.status === "connected" ? ("grant" as const) : ("needs_consent" as const),
        };
      });
    const grants = connections.filter(({ state }) => state === "grant").length;
    return { ...user, grants, former_grants: connections.length - grants, flows: 0, connections };
  }

  private session(method: string, username: string | null, body: Record<string, unknown>) {
    if (method === "POST") {
      const name = String(body.username);
      if (!USERS[name] || body.password !== name) {
        throw new Rejection(401, "not_signed_in");
      }
      return { response: json(200, USERS[name]), session: name };
    }
    if (method === "DELETE") {
      return { response: new Response(null, { status: 204 }), session: null };
    }
    if (username === null || !USERS[username]) {
      throw new Rejection(401, "not_signed_in");
    }
    return { response: json(200, USERS[username]) };
  }

  private injectFault(method: string, path: string) {
    for (const [prefix, [status, code, more]] of this.faults) {
      if (`${method} ${path}`.startsWith(prefix)) {
        throw new Rejection(status, code, more);
      }
    }
  }

  private need(user: Schemas["Session"], space: string, role: "viewer" | "editor" | "admin") {
    const order = ["viewer", "editor", "admin"];
    const has = user.spaces.find((s) => s.id === space)?.role;
    if (!has) {
      throw new Rejection(404, "not_found");
    }
    if (order.indexOf(has) < order.indexOf(role)) {
      throw new Rejection(403, "forbidden");
    }
  }

  private inSpace(user: Schemas["Session"], space: string) {
    this.need(user, space, "viewer");
    return this.connectors.filter((c) => c.space_id === space);
  }

  private get(user: Schemas["Session"], space: string, match: RegExpMatchArray) {
    const found = this.inSpace(user, space).find((c) => c.id === decodeURIComponent(match[1] ?? ""));
    if (!found) {
      throw new Rejection(404, "not_found");
    }
    return found;
  }

  private seen(connector: Schemas["Connector"], user: Schemas["Session"]): Schemas["Connector"] {
    return { ...connector, ...this.status(connector, user) };
  }

  private status(connector: Schemas["Connector"], user: Schemas["Session"]): Schemas["AuthStatus"] {
    if (connector.auth_mode === "shared") {
      return { user_auth_status: "not_applicable" };
    }
    const key = keyOf(connector, user);
    const flows = this.awaitingFlows(connector, user);
    const stored = this.connectionsOf(key);
    const started = flows
      .filter((flow) => stored.every(({ name }) => name !== flow.connection))
      .map((flow): Connection => ({ name: flow.connection, status: "connecting" }));
    const all = [...stored, ...started].map((connection): Connection => {
      const flow = flows.find((one) => one.connection === connection.name);
      return flow ? withFlow(connection, flow) : connection;
    });
    const chosen = this.defaults.get(key);
    const only = all.length === 1 ? all[0]?.name : undefined;
    const name = chosen ?? only ?? "default";
    const connection = all.find((one) => one.name === name) ?? { name, status: "not_connected" };
    return {
      user_auth_status: connection.status === "connected" ? "connected" : "not_connected",
      connection,
      ...(all.length > 1 && { connections: all }),
      ...(chosen !== undefined && { default_connection: chosen }),
    };
  }

  private connectionsOf(key: string): Connection[] {
    return [...this.connections]
      .filter(([one]) => one.startsWith(`${key}/`))
      .map(([, connection]) => connection);
  }

  private unusedName(key: string, account: string): string {
    const name = account.replace(/@.*/, "").toLowerCase();
    return this.connections.has(`${key}/${name}`) ? `${name}-2` : name;
  }

  private awaitingFlows(connector: Schemas["Connector"], user: Schemas["Session"]): FakeFlow[] {
    return [...this.flows.values()].filter(
      (flow) =>
        flow.user === user.user_id &&
        flow.connectorId === connector.id &&
        flow.space === connector.space_id &&
        this.flow(flow.flowId).status === "awaiting",
    );
  }

  private start(user: Schemas["Session"], connector: Schemas["Connector"], body: Record<string, unknown>) {
    const connection = nameOf(body) ?? "default";
    if (typeof body.consentVersion === "string") {
      this.consentVersions.push(body.consentVersion);
    }
    if (this.deprovisioned.has(user.user_id)) {
      throw new Rejection(403, "user_deprovisioned");
    }
    for (const flow of this.awaitingFlows(connector, user)) {
      if (flow.connection === connection) {
        flow.status = "cancelled";
      }
    }
    this.serial += 1;
    const flowId = `flow-${this.serial}`;
    const flow: FakeFlow = {
      flowId,
      connectorId: connector.id,
      connection,
      status: "awaiting",
      expiresAt: new Date(Date.now() + this.flowLifetime).toISOString(),
      user: user.user_id,
      space: connector.space_id,
      returnUrl: typeof body.returnUrl === "string" ? body.returnUrl : undefined,
      allowsAccountChange: body.allowAccountChange === true,
      selectsAccount: body.selectAccount === true,
    };
    this.flows.set(flowId, flow);
    return {
      authorizationUrl: `https://provider.example/authorize?state=STATE-CANARY-${this.serial}`,
      state: `STATE-CANARY-${this.serial}`,
      flowId,
      expiresAt: flow.expiresAt,
    };
  }

  private disconnect(
    user: Schemas["Session"],
    connector: Schemas["Connector"],
    body: Record<string, unknown>,
  ): void {
    const key = keyOf(connector, user);
    const all = this.connectionsOf(key);
    const name = nameOf(body) ?? (all.length > 1 ? this.defaults.get(key) : all[0]?.name);
    if (name === undefined && all.length > 1) {
      const connections = all.map(({ name, account }) => ({ name, account }));
      throw new Rejection(409, "connection_ambiguous", { connections });
    }
    this.connections.delete(`${key}/${name}`);
    if (this.defaults.get(key) === name) {
      this.defaults.delete(key);
    }
  }

  private setDefault(
    user: Schemas["Session"],
    connector: Schemas["Connector"],
    body: Record<string, unknown>,
  ): void {
    const key = keyOf(connector, user);
    const name = nameOf(body);
    if (name === undefined) {
      this.defaults.delete(key);
    } else if (this.connections.has(`${key}/${name}`)) {
      this.defaults.set(key, name);
    } else {
      throw new Rejection(404, "connection_not_found");
    }
  }

  private create({ user, space, match, body }: Parameters<Handler>[0]) {
    this.need(user, space, "editor");
    const id = match[1] ?? `c-${this.connectors.length + 1}`;
    if (this.inSpace(user, space).some((c) => c.id === id)) {
      throw new Rejection(409, "conflict", { field: "id", detail: "id: is taken by another connector" });
    }
    const sent = body as Schemas["ConnectorBody"];
    const made = makeConnector(space, id, sent.name, sent.connector_type_id ?? ".oauth2", {
      config: sent.config,
      auth_mode: sent.auth_mode ?? "per-user",
      is_missing_secrets: !sent.secrets?.clientId,
      redirect_uri: redirectUriOf(sent.connector_type_id, id),
    });
    this.connectors.push(made);
    return this.seen(made, user);
  }

  private update({ user, space, match, url, body }: Parameters<Handler>[0]) {
    this.need(user, space, "editor");
    const connector = this.get(user, space, match);
    const sent = body as Schemas["ConnectorBody"];
    const changed = JSON.stringify(sent.config) !== JSON.stringify(connector.config);
    const ended = [...this.connections].filter(
      ([key, { status }]) => key.startsWith(`${space}/${connector.id}/`) && status === "connected",
    );
    const disconnected_users = changed ? new Set(ended.map(([key]) => key.split("/")[2])).size : 0;
    const affected_users = disconnected_users + this.otherAffectedUsers;
    if (url.searchParams.get("dry_run") === "true") {
      return { disconnected_users, affected_users };
    }
    if (sent.revision !== undefined && sent.revision !== connector.revision) {
      throw new Rejection(409, "conflict", { field: "revision", detail: "revision: is not the current one" });
    }
    connector.name = sent.name;
    connector.config = sent.config;
    connector.is_missing_secrets = connector.is_missing_secrets && !sent.secrets?.clientId;
    connector.revision += 1;
    connector.updated_at = new Date().toISOString();
    if (changed) {
      for (const [key, { name }] of ended) {
        this.connections.set(key, { name, status: "needs_reauthorization", reason: "connector_changed" });
      }
    }
    return { ...this.seen(connector, user), disconnected_users, affected_users };
  }

  private grantStatus(key: string, { status, reason }: Connection): Grant["status"] {
    if (this.ended.has(key) && reason === "admin") {
      return "revoked";
    }
    return status === "connecting" ? "not_connected" : status;
  }

  private grants(user: Schemas["Session"], space: string, url: URL): Schemas["GrantPage"] {
    this.need(user, space, "admin");
    const all = [...this.connections].flatMap(([key, connection]): Grant[] => {
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
          connection: connection.name,
          status: this.grantStatus(key, connection),
          reason: connection.reason ?? null,
          account: connection.account ?? null,
          scopes: ["repo"],
          connectedAt: connection.since ?? "2026-06-20T14:30:00Z",
          lastUsedAt: connection.last_used_at ?? null,
          endedAt: this.ended.get(key)?.at ?? null,
          endedBy: this.ended.get(key)?.by ?? null,
          revocable: !this.ended.has(key) || this.pendingRevocations.has(key),
        },
      ];
    });
    const matching = all.filter((grant) =>
      (["connector", "user", "status"] as const).every((name) => {
        const value = url.searchParams.get(name);
        const actual = { connector: grant.connectorId, user: grant.userId, status: grant.status }[name];
        return !value || value === actual;
      }),
    );
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const size = 50;
    return {
      grants: matching.slice(from, from + size),
      nextCursor: from + size < matching.length ? String(from + size) : null,
    };
  }
}

function keyOf(connector: Schemas["Connector"], user: Schemas["Session"]): string {
  return `${connector.space_id}/${connector.id}/${user.user_id}`;
}

/** A test that finds nothing wrong, except for a missing secret. */
function testOf({ is_missing_secrets, redirect_uri }: Schemas["Connector"]): ConnectorTest {
  const client: ConnectorTest["results"] = is_missing_secrets
    ? [
        { name: "settings", ok: false, detail: "missing", field: "secrets.clientId" },
        { name: "endpoints", ok: true, detail: "resolved" },
        { name: "client", detail: "not_tested" },
      ]
    : [
        { name: "settings", ok: true, detail: "complete" },
        { name: "endpoints", ok: true, detail: "reached" },
        { name: "client", ok: true, detail: "accepted" },
      ];
  const results: ConnectorTest["results"] = [
    ...client,
    { name: "api", detail: "not_tested" },
    { name: "redirect_uri", detail: "to_register" },
  ];
  return redirect_uri ? { results, redirect_uri } : { results };
}

/** The connection that a request names. */
function nameOf(body: Record<string, unknown>): string | undefined {
  const name = body.connection;
  if (name === undefined || name === null) {
    return undefined;
  }
  if (typeof name !== "string" || !/^[a-z0-9._-]{1,64}$/.test(name)) {
    throw new Rejection(400, "invalid_request", { field: "connection", detail: "connection: is not a name" });
  }
  return name;
}

function withFlow(connection: Connection, flow: FakeFlow): Connection {
  const pending_flow = { flow_id: flow.flowId, expires_at: flow.expiresAt };
  return connection.status === "connected" || connection.status === "needs_reauthorization"
    ? { ...connection, reconnecting: true, pending_flow }
    : { ...connection, status: "connecting", pending_flow };
}

function json(status: number, body: unknown, type = "application/json"): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": `${type}; charset=utf-8`, date: new Date().toUTCString() },
  });
}
