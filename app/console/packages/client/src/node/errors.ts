import { type ErrorDetails, GrantryError } from "../errors.ts";
import type { components } from "../generated/api-types.ts";
import type { ErrorCode } from "../messages.ts";

export { GrantryError };

/** Name of the connection where the start link has none. */
const DEFAULT_CONNECTION = "default";

/** The user must connect first (`authorization_required`). Show `startUrl` to the user. */
export class AuthorizationRequiredError extends GrantryError {
  override readonly name = "AuthorizationRequiredError";
  /** Name of the connection that the user must connect. */
  readonly connection: string;
  /** Why, such as `not_connected` or `refresh_rejected`. Further values may be added. */
  readonly reason: string;
  /** Absolute URL of the page on which the user connects. The user must sign in there. */
  readonly startUrl: string;

  constructor(code: ErrorCode, details: ErrorDetails) {
    super(code, details);
    this.reason = textOf(details, "reason") ?? "";
    this.startUrl = textOf(details, "startUrl") ?? "";
    this.connection = connectionIn(this.startUrl);
  }
}

/** The provider refuses to refresh for now (`refresh_refused`). Try again after `retryAfter`, or show `startUrl`. */
export class RefreshRefusedError extends GrantryError {
  override readonly name = "RefreshRefusedError";
  /** Name of the connection. */
  readonly connection: string;
  /** Where the user can connect again. */
  readonly startUrl: string;
  /** HTTP status of the provider's response. */
  readonly providerStatus: number | undefined;

  constructor(code: ErrorCode, details: ErrorDetails) {
    super(code, details);
    const status = details.members?.providerStatus;
    this.startUrl = textOf(details, "startUrl") ?? "";
    this.connection = connectionIn(this.startUrl);
    this.providerStatus = typeof status === "number" ? status : undefined;
  }
}

/** The user has several connections and no default one (`connection_ambiguous`). Name one of `connections`. */
export class ConnectionAmbiguousError extends GrantryError {
  override readonly name = "ConnectionAmbiguousError";
  /** The connections to choose from. */
  readonly connections: readonly components["schemas"]["ProblemConnection"][];

  constructor(code: ErrorCode, details: ErrorDetails) {
    super(code, details);
    const connections = details.members?.connections;
    this.connections = Array.isArray(connections) ? connections : [];
  }
}

/** The user has no connection of this name (`connection_not_found`). */
export class ConnectionNotFoundError extends GrantryError {
  override readonly name = "ConnectionNotFoundError";
}

/** The key is missing or not valid (`not_signed_in`). */
export class UnauthenticatedError extends GrantryError {
  override readonly name = "UnauthenticatedError";
}

/** The agent or the user lacks a permission, or tokens may not be sent to the destination. `code` has the reason. */
export class ForbiddenError extends GrantryError {
  override readonly name = "ForbiddenError";
}

/** The connector does not exist in the space, or the agent or the user has no access to it (`not_found`). */
export class NotFoundError extends GrantryError {
  override readonly name = "NotFoundError";
}

/** The request is wrong; `field` names the member where there is one. */
export class InvalidRequestError extends GrantryError {
  override readonly name = "InvalidRequestError";
}

/** Too many requests (`rate_limited`). The request may have reached the API. */
export class RateLimitedError extends GrantryError {
  override readonly name = "RateLimitedError";
}

/** Grantry, its store or the provider is not available at the moment. The request did not reach the API. */
export class UnavailableError extends GrantryError {
  override readonly name = "UnavailableError";
}

/** The operator must correct the connector, the server or a proxy in front of it; `code` has the reason. */
export class MisconfiguredError extends GrantryError {
  override readonly name = "MisconfiguredError";
}

/** The API did not respond, or its response is too large. The API may have processed the request. */
export class ApiFailedError extends GrantryError {
  override readonly name = "ApiFailedError";
}

/** No response arrived (`network_error`). The API may have processed the request. */
export class NetworkError extends GrantryError {
  override readonly name: string = "NetworkError";

  constructor(details: ErrorDetails = {}) {
    super("network_error", details);
  }
}

/** No response arrived within `timeout`. The API may have processed the request. */
export class RequestTimeoutError extends NetworkError {
  override readonly name = "RequestTimeoutError";
}

type ErrorClass = new (code: ErrorCode, details: ErrorDetails) => GrantryError;

/** A code that is absent here only occurs in flows, or is a defect; it stays a plain {@link GrantryError}. */
const CLASSES: Partial<Record<ErrorCode, ErrorClass>> = {
  authorization_required: AuthorizationRequiredError,
  refresh_refused: RefreshRefusedError,
  connection_ambiguous: ConnectionAmbiguousError,
  connection_not_found: ConnectionNotFoundError,
  not_signed_in: UnauthenticatedError,
  forbidden: ForbiddenError,
  destination_refused: ForbiddenError,
  permission_lost: ForbiddenError,
  user_deprovisioned: ForbiddenError,
  not_found: NotFoundError,
  invalid_request: InvalidRequestError,
  payload_too_large: InvalidRequestError,
  unsupported_media_type: InvalidRequestError,
  url_too_long: InvalidRequestError,
  headers_too_large: InvalidRequestError,
  method_not_allowed: InvalidRequestError,
  rate_limited: RateLimitedError,
  provider_unavailable: UnavailableError,
  store_unavailable: UnavailableError,
  audit_unavailable: UnavailableError,
  directory_unavailable: UnavailableError,
  provider_misconfigured: MisconfiguredError,
  connector_tampered: MisconfiguredError,
  connector_incomplete: MisconfiguredError,
  host_not_allowed: MisconfiguredError,
  wrong_host: MisconfiguredError,
  api_unreachable: ApiFailedError,
  response_too_large: ApiFailedError,
};

/** The error of the class for its code. */
export function typed(error: GrantryError): GrantryError {
  const Class = CLASSES[error.code];
  return Class ? new Class(error.code, detailsOf(error)) : error;
}

function detailsOf(error: GrantryError): ErrorDetails {
  const { status, members, detail, field, correlationId, retryAfter, cause } = error;
  return {
    status,
    members,
    ...(detail !== undefined && { detail }),
    ...(field !== undefined && { field }),
    ...(correlationId !== undefined && { correlationId }),
    ...(retryAfter !== undefined && { retryAfter }),
    ...(cause !== undefined && { cause }),
  };
}

function textOf(details: ErrorDetails, member: string): string | undefined {
  const value = details.members?.[member];
  return typeof value === "string" ? value : undefined;
}

/** The start link names the connection unless it is the one with the default name. */
function connectionIn(startUrl: string): string {
  const named = URL.canParse(startUrl) ? new URL(startUrl).searchParams.get("connection") : null;
  return named ?? DEFAULT_CONNECTION;
}
