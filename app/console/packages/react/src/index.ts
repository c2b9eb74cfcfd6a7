export { ALL_AUTH_STATUS_KEY, authStatusKey } from "./auth-status.ts";
export { GrantryProvider, type GrantrySettings } from "./context.ts";
export {
  type ConnectorAuthStatuses,
  type ConnectorAuthStatusProps,
  useConnectorAuthStatus,
} from "./use-connector-auth-status.ts";
export {
  type ConnectorOAuthConnect,
  type ConnectorOAuthConnectProps,
  OAuthRedirectMode,
  useConnectorOAuthConnect,
} from "./use-connector-oauth-connect.ts";
export {
  type ConnectorOAuthDisconnect,
  type ConnectorOAuthDisconnectProps,
  useConnectorOAuthDisconnect,
} from "./use-connector-oauth-disconnect.ts";
export { type OAuthRedirectResultProps, useOAuthRedirectResult } from "./use-oauth-redirect-result.ts";
