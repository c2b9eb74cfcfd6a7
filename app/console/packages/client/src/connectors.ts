import { withDeadlines } from "./connections.ts";
import type { components } from "./generated/api-types.ts";
import { type ApiResponse, type CallOptions, rootPath, send, spacePath } from "./http.ts";
import type {
  Connector,
  ConnectorBody,
  ConnectorTest,
  ConnectorType,
  ConsentFacts,
  Diagnostics,
  ExecuteParams,
  ExecuteResult,
  UpdatePreview,
} from "./types.ts";

type Schemas = components["schemas"];

const path = (id: string, options: CallOptions) =>
  spacePath(`/api/actions/connector/${encodeURIComponent(id)}`, options);

/** The connectors of the space. */
export async function connectors(options: CallOptions = {}): Promise<Connector[]> {
  const { data, clockOffset } = await send<Schemas["Connector"][]>(
    "GET",
    spacePath("/api/actions/connectors", options),
    options,
  );
  return data.map((connector) => withDeadlines(connector, clockOffset));
}

/** One connector. */
export async function getConnector(id: string, options: CallOptions = {}): Promise<Connector> {
  return connectorOf(await send("GET", path(id, options), options));
}

/** Every host that receives something in a flow of a connector. With an issuer, the server reads its metadata. */
export async function consent(id: string, options: CallOptions = {}): Promise<ConsentFacts> {
  const to = spacePath(`/internal/actions/connector/${encodeURIComponent(id)}/_consent`, options);
  return (await send<ConsentFacts>("GET", to, options)).data;
}

/** Creates a connector, under the given id or one the server picks. Editors only. */
export async function createConnector(
  body: ConnectorBody,
  options: CallOptions & { id?: string | undefined } = {},
): Promise<Connector> {
  const to =
    options.id === undefined ? spacePath("/api/actions/connector", options) : path(options.id, options);
  return connectorOf(await send("POST", to, options, body));
}

/** Updates a connector. `disconnected_users` is the number of users whose connections the edit ended. Editors only. */
export async function updateConnector(
  id: string,
  body: ConnectorBody,
  options: CallOptions = {},
): Promise<Connector> {
  return connectorOf(await send("PUT", path(id, options), options, body));
}

/** The numbers of users that the update would affect. Changes nothing. */
export async function previewUpdate(
  id: string,
  body: ConnectorBody,
  options: CallOptions = {},
): Promise<UpdatePreview> {
  return (await send<UpdatePreview>("PUT", `${path(id, options)}?dry_run=true`, options, body)).data;
}

/** What failed last at a connector, and what its provider sends in an unusual form. Editors only. */
export async function diagnostics(id: string, options: CallOptions = {}): Promise<Diagnostics> {
  return (await send<Diagnostics>("GET", `${path(id, options)}/diagnostics`, options)).data;
}

/**
 * Tests settings, endpoints and client of a connector. For the client, the exchange of a code that does not exist is sent to the
 * provider. Editors only.
 */
export async function testConnector(id: string, options: CallOptions = {}): Promise<ConnectorTest> {
  const to = spacePath(`/internal/actions/connector/${encodeURIComponent(id)}/_test`, options);
  return (await send<ConnectorTest>("POST", to, options)).data;
}

/** Deletes a connector and ends every connection made through it. Editors only. */
export async function deleteConnector(id: string, options: CallOptions = {}): Promise<void> {
  await send<void>("DELETE", path(id, options), options);
}

/** Options of {@link execute}. */
export interface ExecuteOptions extends CallOptions {
  /** Absent: the only connection, or with several the user's default one; else the call rejects with `connection_ambiguous`. */
  connection?: string | undefined;
}

/** Runs a connector once, as the signed-in user. Any status of the API is in `data.status`. */
export async function execute(
  id: string,
  params: ExecuteParams,
  options: ExecuteOptions = {},
): Promise<ExecuteResult> {
  const { connection } = options;
  const body: Schemas["ExecuteBody"] = connection === undefined ? { params } : { params, connection };
  return (await send<ExecuteResult>("POST", `${path(id, options)}/_execute`, options, body)).data;
}

/** The provider profiles that connectors can be made from. */
export async function connectorTypes(options: CallOptions = {}): Promise<ConnectorType[]> {
  return (await send<ConnectorType[]>("GET", rootPath("/api/actions/connector_types", options), options))
    .data;
}

function connectorOf({ data, clockOffset }: ApiResponse<Schemas["Connector"]>): Connector {
  return withDeadlines(data, clockOffset);
}
