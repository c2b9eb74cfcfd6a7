export { ERROR_CODES, type ErrorCode, messages, type ServerErrorCode } from "../messages.ts";
export type { AccessToken, ExecuteParams, ExecuteResult } from "../types.ts";
export { AgentClient, type AgentClientOptions, type AgentOptions } from "./agent-client.ts";
export {
  ApiFailedError,
  AuthorizationRequiredError,
  ConnectionAmbiguousError,
  ConnectionNotFoundError,
  ForbiddenError,
  GrantryError,
  InvalidRequestError,
  MisconfiguredError,
  NetworkError,
  NotFoundError,
  RateLimitedError,
  RefreshRefusedError,
  RequestTimeoutError,
  UnauthenticatedError,
  UnavailableError,
} from "./errors.ts";
