/** Every code the server answers with. They are stable: programs may switch on them. */
export const ERROR_CODES = [
  "not_signed_in",
  "forbidden",
  "not_found",
  "conflict",
  "invalid_request",
  "payload_too_large",
  "unsupported_media_type",
  "wrong_host",
  "rate_limited",
  "public_base_url_missing",
  "host_not_allowed",
  "connector_incomplete",
  "return_url_refused",
  "destination_refused",
  "method_not_allowed",
  "internal",
  "api_unreachable",
  "response_too_large",
  "store_unavailable",
  "authorization_required",
  "provider_unavailable",
  "provider_misconfigured",
  "flow_not_found",
  "flow_expired",
  "flow_already_used",
  "user_mismatch",
  "browser_mismatch",
  "issuer_mismatch",
  "context_mismatch",
  "access_denied",
  "provider_error",
  "exchange_failed",
  "connector_changed",
  "connector_gone",
  "permission_lost",
  "account_mismatch",
] as const;

/** A code of the server. */
export type ServerErrorCode = (typeof ERROR_CODES)[number];

/** A code of the server, or one of the two this client adds. */
export type ErrorCode =
  | ServerErrorCode
  /** No answer came: offline, cut, or the server is down. */
  | "network_error"
  /** An answer came that is not of the contract. */
  | "unexpected_answer";

const KNOWN = new Set<string>(ERROR_CODES);

/** Is this one of the server's codes? Use it before showing a code that came by URL or message. */
export function isErrorCode(value: unknown): value is ServerErrorCode {
  return typeof value === "string" && KNOWN.has(value);
}

/** What an error knows beside its code. */
export interface ErrorFacts {
  /** HTTP status; 0 when no answer came. */
  status?: number;
  /** The server's own sentence, which names the field of an `invalid_request`. */
  detail?: string;
  /** Path of the field that is wrong. */
  field?: string;
  /** To be quoted to the operator. */
  correlationId?: string;
  /** Seconds to wait, from `Retry-After`. */
  retryAfter?: number;
  /** Members of the problem beyond the standard ones, such as `reason` and `startUrl`. */
  members?: Readonly<Record<string, unknown>>;
  /** The failure underneath. */
  cause?: unknown;
}

/** Every failure this client reports. Switch on `code`; show `message` to nobody but developers. */
export class GrantryError extends Error {
  override readonly name = "GrantryError";
  readonly code: ErrorCode;
  readonly status: number;
  readonly detail: string | undefined;
  readonly field: string | undefined;
  readonly correlationId: string | undefined;
  readonly retryAfter: number | undefined;
  readonly members: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, facts: ErrorFacts = {}) {
    super(facts.detail ? `${code}: ${facts.detail}` : code, { cause: facts.cause });
    this.code = code;
    this.status = facts.status ?? 0;
    this.detail = facts.detail;
    this.field = facts.field;
    this.correlationId = facts.correlationId;
    this.retryAfter = facts.retryAfter;
    this.members = facts.members ?? {};
  }
}

/** Builds the typed error of an answer that is not 2xx (RFC 9457). */
export async function errorOfResponse(response: Response): Promise<GrantryError> {
  const facts: ErrorFacts = { status: response.status };
  const retryAfter = Number(response.headers.get("retry-after"));
  if (Number.isFinite(retryAfter) && retryAfter > 0) {
    facts.retryAfter = retryAfter;
  }
  const body = await readProblem(response);
  if (!body) {
    return new GrantryError("unexpected_answer", facts);
  }
  const { code, detail, field, correlation_id, ...members } = body;
  if (typeof detail === "string") {
    facts.detail = detail;
  }
  if (typeof field === "string") {
    facts.field = field;
  }
  if (typeof correlation_id === "string") {
    facts.correlationId = correlation_id;
  }
  facts.members = members;
  return new GrantryError(isErrorCode(code) ? code : "unexpected_answer", facts);
}

async function readProblem(response: Response): Promise<Record<string, unknown> | undefined> {
  if (!(response.headers.get("content-type") ?? "").includes("json")) {
    return undefined;
  }
  try {
    const body: unknown = await response.json();
    return typeof body === "object" && body !== null ? (body as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
