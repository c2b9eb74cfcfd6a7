import type { AccessToken, ExecuteResult } from "../types.ts";

/** Whether a JSON value is a result. */
export type Shape<T> = (value: unknown) => value is T;

/** Checks the members that a caller depends on. */
export function isExecuteResult(value: unknown): value is ExecuteResult {
  return isObject(value) && isObject(value.data) && typeof value.data.status === "number";
}

/** Checks the members that a caller depends on. */
export function isAccessToken(value: unknown): value is AccessToken {
  return isObject(value) && typeof value.access_token === "string" && typeof value.token_type === "string";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
