import type { CallOptions } from "@grantry/client";

/** Cache key of the statuses of one space. */
export function authStatusKey({ basePath, space }: Pick<CallOptions, "basePath" | "space"> = {}) {
  return ["grantry", "auth_status", basePath ?? "", space ?? "default"] as const;
}

/** Cache key of the statuses of every space. */
export const ALL_AUTH_STATUS_KEY = ["grantry", "auth_status"] as const;
