import {
  type Deprovisioned,
  deprovisionUser,
  GrantryError,
  type OpenConnection,
  type User,
  type UserDetails,
} from "@grantry/client";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useRef, useState } from "react";
import type { Translate } from "../../i18n/messages.ts";
import { describeError } from "../../lib/errors.ts";
import { focusFirstIn } from "../../lib/keep-focus.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { userQuery } from "../../lib/queries.ts";
import { useHere } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { DialogActions, DialogBody } from "../../ui/dialog.tsx";
import { Field } from "../../ui/field.tsx";
import { Notice } from "../../ui/notice.tsx";
import { SkeletonRows } from "../../ui/state.tsx";
import { connectionLabel } from "../connectors/shown-connector.ts";

/** Describes what the removal of a user ends, and removes the user after the name or the id was entered. */
export function DeprovisionForm({
  user,
  onDone,
  onBack,
}: {
  user: User;
  onDone: (text: string) => void;
  onBack: () => void;
}) {
  const { t } = usePreferences();
  const { call } = useHere();
  const queryClient = useQueryClient();
  const { data, error, isPending } = useQuery(userQuery(call, user.id));
  const [busy, setBusy] = useState(false);
  const [fieldError, setFieldError] = useState<string | undefined>(undefined);
  const [problem, setProblem] = useState<unknown>(null);
  const field = useRef<HTMLDivElement>(null);
  const name = user.name || user.id;

  // The button that picked the user is gone.
  useEffect(() => focusFirstIn(field.current), []);

  const fail = (text: string) => {
    setFieldError(text);
    focusFirstIn(field.current);
  };

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const entered = String(new FormData(event.currentTarget).get("confirmation")).trim();
    setProblem(null);
    if (entered !== user.id && entered !== user.name?.trim()) {
      fail(t("users.confirmMismatch"));
      return;
    }
    setFieldError(undefined);
    setBusy(true);
    try {
      const done = await deprovisionUser(user.id, call);
      await queryClient.invalidateQueries({ queryKey: ["grantry", "users"] });
      onDone(resultText(name, done, t));
    } catch (reason) {
      if (reason instanceof GrantryError && reason.status === 404) {
        fail(t("users.unknown"));
      } else {
        setProblem(reason);
      }
      setBusy(false);
    }
  };

  return (
    <form className="dialog__form" noValidate onSubmit={(event) => void submit(event)}>
      <DialogBody>
        <p>{t("users.removeText", { name })}</p>
        {isPending && <SkeletonRows label={t("common.loading")} />}
        {data && <Ends details={data} />}
        {error && !data && !isUnknown(error) && <Notice kind="error">{describeError(error, t)}</Notice>}
        {problem !== null && <Notice kind="error">{describeError(problem, t)}</Notice>}
        <div ref={field}>
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
        </div>
      </DialogBody>
      <DialogActions>
        <Button onClick={onBack}>{t("common.back")}</Button>
        <Button type="submit" kind="danger" busy={busy}>
          {t("users.removeSubmit")}
        </Button>
      </DialogActions>
    </form>
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
