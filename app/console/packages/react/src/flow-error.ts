import { type Flow, GrantryError, isErrorCode } from "@grantry/client";

/** The error of a flow that failed or expired. Its `members` contain the accounts, where the flow failed because of one. */
export function flowError({ status, code, connectedAccount, usedAccount, unusedName }: Flow): GrantryError {
  const fallback = status === "expired" ? "flow_expired" : "provider_error";
  return new GrantryError(isErrorCode(code) ? code : fallback, {
    members: {
      ...(connectedAccount && { connectedAccount }),
      ...(usedAccount && { usedAccount }),
      ...(unusedName && { unusedName }),
    },
  });
}
