import { ERROR_CODES, type ErrorCode, messages, type ServerErrorCode } from "./messages.ts";

const KNOWN = new Set<string>(ERROR_CODES);

/** Checks for a code of the server. Use it before showing a code that came by URL or message. */
export function isErrorCode(value: unknown): value is ServerErrorCode {
  return typeof value === "string" && KNOWN.has(value);
}

/** What an error contains beside its code. */
export interface ErrorDetails {
  /** HTTP status; 0 where no response arrived. */
  status?: number;
  /** The server's sentence, which names the field of an `invalid_request`. */
  detail?: string;
  /** Path of the field that is wrong. */
  field?: string;
  /** To quote to the operator. */
  correlationId?: string;
  /** Seconds to wait, from `Retry-After`. */
  retryAfter?: number;
  /** Members of the problem beyond the standard ones, such as `reason` and `startUrl`. */
  members?: Readonly<Record<string, unknown>>;
  /** The underlying failure. */
  cause?: unknown;
}

/**
 * Every failure this client reports. Switch on `code`. `message` is a sentence in English: the `detail` of the server, else
 * the one of `messages`.
 */
export class GrantryError extends Error {
  override readonly name: string = "GrantryError";
  readonly code: ErrorCode;
  readonly status: number;
  readonly detail: string | undefined;
  readonly field: string | undefined;
  readonly correlationId: string | undefined;
  readonly retryAfter: number | undefined;
  readonly members: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, details: ErrorDetails = {}) {
    super(details.detail || messages[code], { cause: details.cause });
    this.code = code;
    this.status = details.status ?? 0;
    this.detail = details.detail;
    this.field = details.field;
    this.correlationId = details.correlationId;
    this.retryAfter = details.retryAfter;
    this.members = details.members ?? {};
  }
}

/** Builds the typed error of a response that is not 2xx (RFC 9457). */
export async function errorOfResponse(response: Response): Promise<GrantryError> {
  const details: ErrorDetails = { status: response.status };
  const retryAfter = Number(response.headers.get("retry-after"));
  if (Number.isFinite(retryAfter) && retryAfter > 0) {
    details.retryAfter = retryAfter;
  }
  const body = await readProblem(response);
  if (!body) {
    return new GrantryError("unexpected_response", details);
  }
  const { code, detail, field, correlation_id, ...members } = body;
  if (typeof detail === "string") {
    details.detail = detail;
  }
  if (typeof field === "string") {
    details.field = field;
  }
  if (typeof correlation_id === "string") {
    details.correlationId = correlation_id;
  }
  details.members = members;
  return new GrantryError(isErrorCode(code) ? code : "unexpected_response", details);
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
