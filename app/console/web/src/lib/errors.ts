import { GrantryError } from "@grantry/client";
import type { Translate } from "../i18n/messages.ts";

/** The text of a failure: a message of the catalogue, and the reference to quote where there is one. */
export function describeError(error: unknown, t: Translate): string {
  const known = error instanceof GrantryError ? error : new GrantryError("unexpected_response");
  const text = t(`error.${known.code}`);
  // The only text of the server that is shown: it names the field and the problem.
  const detail = known.field !== undefined && known.detail ? ` ${known.detail}` : "";
  const isServerFault = known.status >= 500 || known.code === "unexpected_response";
  const reference =
    isServerFault && known.correlationId ? ` ${t("error.reference", { id: known.correlationId })}.` : "";
  return text + detail + reference;
}

/** Whether the failure means that the session has ended. */
export function isSignedOut(error: unknown): boolean {
  return error instanceof GrantryError && error.code === "not_signed_in";
}

/** Whether the server reports that users sign in elsewhere. */
export function signsInElsewhere(error: unknown): boolean {
  const mode = error instanceof GrantryError ? error.members.identity_mode : undefined;
  return mode !== undefined && mode !== "accounts";
}
