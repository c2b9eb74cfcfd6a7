import {
  type Deprovisioned,
  deprovisionUser,
  GrantryError,
  type OpenConnection,
  type UserDetails,
} from "@grantry/client";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Translate } from "../../i18n/messages.ts";
import { describeError } from "../../lib/errors.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { userQuery } from "../../lib/queries.ts";
import { useHere } from "../../lib/session.tsx";
import { Field } from "../../ui/field.tsx";
import { Notice } from "../../ui/notice.tsx";
import { SkeletonRows } from "../../ui/state.tsx";
import { connectionLabel } from "../connectors/shown-connector.ts";
import { UserForm, type UserFormProps } from "./user-form.tsx";

/** Describes what the removal of a user ends, and removes the user after the name or the id was entered. */
export function DeprovisionForm({ user, ...form }: UserFormProps) {
  const { t } = usePreferences();
  const { call } = useHere();
  const { data, error, isPending } = useQuery(userQuery(call, user.id));
  const [fieldError, setFieldError] = useState<string | undefined>(undefined);
  const name = user.name || user.id;

  const check = (entries: FormData) => {
    const entered = String(entries.get("confirmation")).trim();
    const isConfirmed = entered === user.id || entered === user.name?.trim();
    setFieldError(isConfirmed ? undefined : t("users.confirmMismatch"));
    return isConfirmed;
  };
  const deprovision = async () => {
    try {
      return resultText(name, await deprovisionUser(user.id, call), t);
    } catch (reason) {
      if (!isUnknown(reason)) {
        throw reason;
      }
      setFieldError(t("users.unknown"));
      return undefined;
    }
  };

  return (
    <UserForm
      {...form}
      text={t("users.removeText", { name })}
      submit={t("users.removeSubmit")}
      kind="danger"
      check={check}
      onSubmit={deprovision}
    >
      {isPending && <SkeletonRows label={t("common.loading")} />}
      {data && <Ends details={data} />}
      {error && !data && !isUnknown(error) && <Notice kind="error">{describeError(error, t)}</Notice>}
      <Field
        label={
          user.name ? t("users.confirmBoth", { name, id: user.id }) : t("users.confirm", { id: user.id })
        }
        error={fieldError ?? (isUnknown(error) ? t("users.unknown") : undefined)}
        required
      >
        {(control) => (
          <input
            {...control}
            name="confirmation"
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            onChange={() => setFieldError(undefined)}
          />
        )}
      </Field>
    </UserForm>
  );
}

function isUnknown(error: unknown): boolean {
  return error instanceof GrantryError && error.status === 404;
}

/** How many connections ended, also where it was none. */
function resultText(name: string, { revoked, queued }: Deprovisioned, t: Translate): string {
  if (revoked === 0) {
    return t("toast.deprovisionedNone", { name });
  }
  return queued > 0
    ? t("toast.deprovisionedQueued", { name, count: revoked, queued })
    : t("toast.deprovisioned", { name, count: revoked });
}

/** Everything that ends. */
function Ends({ details }: { details: UserDetails }) {
  const { t } = usePreferences();
  const { connections } = details;
  if (connections.length === 0) {
    return <p>{t("users.endsNothing")}</p>;
  }
  return (
    <section className="ends" aria-label={t("users.ends", { count: connections.length })}>
      <h3>{t("users.ends", { count: connections.length })}</h3>
      <ul className="ends__list">
        {connections.map((one) => (
          <End key={`${one.space_id}/${one.connector_id}/${one.connection}/${one.state}`} end={one} />
        ))}
      </ul>
    </section>
  );
}

const STATE = {
  grant: "users.endsGrant",
  needs_consent: "users.endsNeedsConsent",
  flow: "users.endsFlow",
} as const;

function End({ end }: { end: OpenConnection }) {
  const { t } = usePreferences();
  const { session } = useHere();
  const space = session.spaces.find(({ id }) => id === end.space_id)?.name || end.space_id;
  return (
    <li>
      <span>{connectionLabel(end.connector_name ?? end.connector_id, end.connection)}</span>
      <span className="small muted">
        {[space, end.account, t(STATE[end.state])].filter(Boolean).join(" · ")}
      </span>
    </li>
  );
}
