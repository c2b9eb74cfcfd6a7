import { GrantryError } from "@grantry/client";
import type { Translate } from "../i18n/messages.ts";

/** What to tell a person about a failure: our own words, and the reference to quote where there is one. */
export function describeError(error: unknown, t: Translate): string {
  const known = error instanceof GrantryError ? error : new GrantryError("unexpected_answer");
  const text = t(`error.${known.code}`);
  // Only here do the server's own words help: they name the field and what is wrong with it.
  const detail = known.field !== undefined && known.detail ? ` ${known.detail}` : "";
  const isOurFault = known.status >= 500 || known.code === "unexpected_answer";
  const reference =
    isOurFault && known.correlationId ? ` ${t("error.reference", { id: known.correlationId })}.` : "";
  return text + detail + reference;
}

/** Does this failure mean that nobody is signed in any more? */
export function isSignedOut(error: unknown): boolean {
  return error instanceof GrantryError && error.code === "not_signed_in";
}
