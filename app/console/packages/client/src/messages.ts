import type { components } from "./generated/api-types.ts";

/** A sentence for users, by the codes of the server. The codes are stable; the sentences may change. */
const SERVER_MESSAGES = {
  not_signed_in: "Sign in first.",
  forbidden: "You are not allowed to do this.",
  not_found: "This does not exist, or you have no access to it.",
  conflict: "This was changed in the meantime. Load it again.",
  invalid_request: "The request is not valid.",
  payload_too_large: "The request is too large.",
  unsupported_media_type: "The request has an unsupported format.",
  url_too_long: "The URL of the request is too long.",
  headers_too_large: "The headers of the request are too large. Delete cookies of this site and try again.",
  wrong_host: "The server is not reached under this address.",
  rate_limited: "There were too many requests. Try again later.",
  host_not_allowed: "The operator of the server does not allow this host.",
  connector_incomplete: "The connector is not completely configured.",
  return_url_refused: "The return URL must be a path of this site.",
  destination_refused: "Tokens of this connector may not be sent there.",
  method_not_allowed: "The request is not supported.",
  internal: "Something went wrong on the server.",
  api_unreachable: "The API of the connector could not be reached.",
  response_too_large: "The response of the API is too large.",
  store_unavailable: "The server is not available at the moment. Try again.",
  audit_unavailable: "The server cannot write its audit trail at the moment. Try again.",
  directory_unavailable: "The directory of users is not available at the moment. Try again.",
  authorization_required: "Connect your account first.",
  provider_unavailable: "The provider is not available at the moment. Try again.",
  provider_misconfigured: "The connector is not configured correctly.",
  flow_not_found: "This attempt does not exist.",
  flow_expired: "This attempt has expired. Connect again.",
  flow_already_used: "This attempt is already finished.",
  user_mismatch: "This attempt belongs to another user.",
  browser_mismatch: "This attempt was started in another browser.",
  issuer_mismatch: "The response came from another provider.",
  callback_mismatch: "The response arrived at the callback of another connector.",
  access_denied: "Access was denied at the provider.",
  provider_error: "The provider returned an error.",
  exchange_failed: "The provider did not grant access.",
  connector_changed: "The connector was changed during this attempt. Connect again.",
  connector_tampered: "The stored connector is not authentic and is not used.",
  connector_gone: "The connector no longer exists.",
  permission_lost: "You no longer have access to this connector.",
  account_mismatch: "Another account was used than last time.",
  account_already_connected: "This account is already connected under another name.",
  connection_ambiguous: "There are several connections. Choose one of them.",
  connection_not_found: "There is no connection with this name.",
  user_deprovisioned: "An administrator removed your access. Ask an administrator to reinstate you.",
  refresh_refused:
    "The provider refuses to refresh the access at the moment. Try again later, or connect again.",
  insufficient_scope: "The provider did not grant a permission that the connector requires. Connect again.",
} as const satisfies Record<ServerErrorCode, string>;

/** A code of the server. */
export type ServerErrorCode = components["schemas"]["Problem"]["code"];

/** A code of the server, or one of the two that this client adds. */
export type ErrorCode =
  | ServerErrorCode
  /** No response arrived: offline, connection lost, or server down. */
  | "network_error"
  /** The response does not match the API description. */
  | "unexpected_response";

/** Every error code of the server. The codes are stable: programs may switch on them. */
export const ERROR_CODES = Object.keys(SERVER_MESSAGES) as readonly ServerErrorCode[];

/** A sentence in English for each code, for front ends without texts for them. */
export const messages: Readonly<Record<ErrorCode, string>> = {
  ...SERVER_MESSAGES,
  network_error: "The server could not be reached. Check the connection and try again.",
  unexpected_response: "The server sent an unexpected response.",
};
