export {
  announceFlow,
  CONNECTIONS_CHANNEL,
  FLOW_CHANNEL,
  FLOW_STARTED_CHANNEL,
  type FlowMessage,
  onFlowHint,
} from "./channel.ts";
export {
  allConnections,
  authStatus,
  connectionOf,
  DEFAULT_CONNECTION,
  type DisconnectOptions,
  disconnect,
  isConnectionName,
  setDefaultConnection,
  type TryOptions,
  tryConnection,
} from "./connections.ts";
export {
  connectors,
  connectorTypes,
  consent,
  createConnector,
  deleteConnector,
  diagnostics,
  type ExecuteOptions,
  execute,
  getConnector,
  previewUpdate,
  testConnector,
  updateConnector,
} from "./connectors.ts";
export { GrantryError, isErrorCode } from "./errors.ts";
export {
  cancelFlow,
  flowStatus,
  launchHandover,
  launchUrl,
  type StartOptions,
  startFlow,
} from "./flow.ts";
export { deprovisionUser, type GrantFilter, listGrants, revokeGrant } from "./grants.ts";
export { type CallOptions, spacePath, spacePrefix } from "./http.ts";
export { ERROR_CODES, type ErrorCode, messages, type ServerErrorCode } from "./messages.ts";
export { logIn, logOut, session } from "./session.ts";
export type * from "./types.ts";
export { getUser, listUsers, reinstateUser } from "./users.ts";
export { type WatchOptions, watchFlow } from "./watch.ts";
