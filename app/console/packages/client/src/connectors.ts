import { announceFlow } from "./channel.ts";
import type { components } from "./generated/api-types.ts";
import { type CallOptions, onOurClock, rootPath, send, spacePath } from "./http.ts";
import type {
  AuthStatus,
  Connector,
  ConnectorBody,
  ConnectorType,
  ExecuteParams,
  ExecuteResult,
} from "./types.ts";

type Schemas = components["schemas"];

const path = (id: string, options: CallOptions) =>
  spacePath(`/api/actions/connector/${encodeURIComponent(id)}`, options);

/** The connectors of the space. */
export async function connectors(options: CallOptions = {}): Promise<Connector[]> {
  return (await send<Connector[]>("GET", spacePath("/api/actions/connectors", options), options)).data;
}

/** One connector. */
export async function getConnector(id: string, options: CallOptions = {}): Promise<Connector> {
  return (await send<Connector>("GET", path(id, options), options)).data;
}

/** Creates a connector, under the given id or one the server picks. Editors only. */
export async function createConnector(
  body: ConnectorBody,
  options: CallOptions & { id?: string | undefined } = {},
): Promise<Connector> {
  const to =
    options.id === undefined ? spacePath("/api/actions/connector", options) : path(options.id, options);
  return (await send<Connector>("POST", to, options, body)).data;
}

/** Updates a connector. `disconnected_users` of the answer says how many connections the edit ended. Editors only. */
export async function updateConnector(
  id: string,
  body: ConnectorBody,
  options: CallOptions = {},
): Promise<Connector> {
  return (await send<Connector>("PUT", path(id, options), options, body)).data;
}

/** How many people the update would disconnect. Changes nothing. */
export async function dryRunUpdate(
  id: string,
  body: ConnectorBody,
  options: CallOptions = {},
): Promise<number> {
  const answer = await send<Schemas["DryRun"]>("PUT", `${path(id, options)}?dry_run=true`, options, body);
  return answer.data.disconnected_users;
}

/** Deletes a connector and ends every connection made through it. Editors only. */
export async function deleteConnector(id: string, options: CallOptions = {}): Promise<void> {
  await send<void>("DELETE", path(id, options), options);
}

/** Runs a connector once, as oneself. Any status of the API is in `data.status`. */
export async function execute(
  id: string,
  params: ExecuteParams,
  options: CallOptions = {},
): Promise<ExecuteResult> {
  return (await send<ExecuteResult>("POST", `${path(id, options)}/_execute`, options, { params })).data;
}

/** The provider profiles that connectors can be made from. */
export async function connectorTypes(options: CallOptions = {}): Promise<ConnectorType[]> {
  return (await send<ConnectorType[]>("GET", rootPath("/api/actions/connector_types", options), options))
    .data;
}

/** One's own status at every connector of the space, by connector id. */
export async function authStatus(options: CallOptions = {}): Promise<Record<string, AuthStatus>> {
  const { data, clockOffset } = await send<Record<string, Schemas["AuthStatus"]>>(
    "POST",
    spacePath("/internal/actions/connectors/_me/auth_status", options),
    options,
  );
  return Object.fromEntries(
    Object.entries(data).map(([id, { pending_flow: flow, ...status }]) => [
      id,
      flow
        ? { ...status, pending_flow: { ...flow, deadline: onOurClock(flow.expires_at, clockOffset) } }
        : status,
    ]),
  );
}

/** Ends one's own connection. Idempotent. The provider is told afterwards, by the server. Other tabs are told to look. */
export async function disconnect(connectorId: string, options: CallOptions = {}): Promise<void> {
  await send<void>(
    "POST",
    spacePath(`/internal/actions/connector/${encodeURIComponent(connectorId)}/_oauth_disconnect`, options),
    options,
  );
  announceFlow({ connectorId, status: "success" });
}
