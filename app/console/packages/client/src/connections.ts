import { announceChange } from "./channel.ts";
import type { components } from "./generated/api-types.ts";
import { type CallOptions, onLocalClock, send, spacePath } from "./http.ts";
import type { AuthStatus, Connection, TriedConnection } from "./types.ts";

type Schemas = components["schemas"];

/** Name of the connection where none is given. */
export const DEFAULT_CONNECTION = "default";

/** Checks the name of a connection: 1 to 64 characters of `[a-z0-9._-]`. */
export function isConnectionName(name: string): boolean {
  return /^[a-z0-9._-]{1,64}$/.test(name);
}

/** The signed-in user's status at every connector of the space, by connector id. */
export async function authStatus(options: CallOptions = {}): Promise<Record<string, AuthStatus>> {
  const { data, clockOffset } = await send<Record<string, Schemas["AuthStatus"]>>(
    "POST",
    spacePath("/internal/actions/connectors/_me/auth_status", options),
    options,
  );
  return Object.fromEntries(
    Object.entries(data).map(([id, status]) => [id, withDeadlines(status, clockOffset)]),
  );
}

/**
 * The connection with this name, or without one the connection that the server shows for the connector; undefined where
 * the user has none of this name.
 */
export function connectionOf(status: AuthStatus | undefined, name?: string): Connection | undefined {
  return name === undefined
    ? status?.connection
    : allConnections(status).find((connection) => connection.name === name);
}

/** All connections of a status, including one that is not connected. */
export function allConnections(status: AuthStatus | undefined): readonly Connection[] {
  return status?.connections ?? (status?.connection ? [status.connection] : []);
}

/** Options of {@link disconnect}. */
export interface DisconnectOptions extends CallOptions {
  /** Absent: the only connection, or with several the user's default one; else the call rejects with `connection_ambiguous`. */
  connection?: string | undefined;
}

/** Ends a connection of the signed-in user. Idempotent. The server revokes it at the provider afterwards. */
export async function disconnect(connectorId: string, options: DisconnectOptions = {}): Promise<void> {
  const { connection } = options;
  await send<void>(
    "POST",
    connectorPath(connectorId, "_oauth_disconnect", options),
    options,
    connection === undefined ? undefined : ({ connection } satisfies Schemas["DisconnectBody"]),
  );
  announceChange(connectorId, options.space);
}

/** Options of {@link tryConnection}. */
export interface TryOptions extends CallOptions {
  /** Absent: the only connection, or with several the user's default one; else the call rejects with `connection_ambiguous`. */
  connection?: string | undefined;
}

/**
 * Sends one request to the API with a connection of the signed-in user, and returns the status of the response. For connectors
 * with `can_be_tried`.
 */
export async function tryConnection(connectorId: string, options: TryOptions = {}): Promise<TriedConnection> {
  const { connection } = options;
  const body: Schemas["TryBody"] = connection === undefined ? {} : { connection };
  return (await send<TriedConnection>("POST", connectorPath(connectorId, "_try", options), options, body))
    .data;
}

/** Sets the connection that requests without a name use; `null` clears it. Rejects with `connection_not_found`. */
export async function setDefaultConnection(
  connectorId: string,
  connection: string | null,
  options: CallOptions = {},
): Promise<void> {
  const body: Schemas["DefaultConnectionBody"] = { connection };
  await send<void>("PUT", connectorPath(connectorId, "_default_connection", options), options, body);
  announceChange(connectorId, options.space);
}

/** Adds the deadlines of pending flows, in milliseconds on the clock of `Date.now()`. */
export function withDeadlines<T extends Schemas["AuthStatus"]>(
  { connection, connections, ...others }: T,
  clockOffset: number,
): Omit<T, "connection" | "connections"> & Pick<AuthStatus, "connection" | "connections"> {
  return {
    ...others,
    ...(connection && { connection: withDeadline(connection, clockOffset) }),
    ...(connections && { connections: connections.map((one) => withDeadline(one, clockOffset)) }),
  };
}

function withDeadline(
  { pending_flow, ...connection }: Schemas["Connection"],
  clockOffset: number,
): Connection {
  return pending_flow
    ? {
        ...connection,
        pending_flow: { ...pending_flow, deadline: onLocalClock(pending_flow.expires_at, clockOffset) },
      }
    : connection;
}

function connectorPath(connectorId: string, action: string, options: CallOptions): string {
  return spacePath(`/internal/actions/connector/${encodeURIComponent(connectorId)}/${action}`, options);
}
