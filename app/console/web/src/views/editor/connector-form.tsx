import { type Connector, type ConnectorBody, GrantryError } from "@grantry/client";
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { describeError } from "../../lib/errors.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { Button } from "../../ui/button.tsx";
import { CopyText } from "../../ui/copy-text.tsx";
import { DialogActions, DialogBody } from "../../ui/dialog.tsx";
import { ExternalLink } from "../../ui/external-link.tsx";
import { Field } from "../../ui/field.tsx";
import { Notice } from "../../ui/notice.tsx";
import { bodyOf, controlName, type FormType, initialText, isAdvanced } from "./config.ts";
import { ConfigField } from "./config-field.tsx";
import {
  controlOfField,
  errorsOf,
  FormError,
  type FormErrors,
  type FormProblem,
  fieldText,
} from "./form-errors.ts";
import type { DiscardGuard } from "./use-discard-guard.tsx";

/** The parts of the form. */
export type FormPart = "basics" | "settings" | "credentials";

/** Props of {@link ConnectorForm}. */
export interface ConnectorFormProps {
  type: FormType;
  /** The connector when editing. */
  existing?: Connector;
  submit: string;
  /** Text of the button that leaves the form. Absent: cancel. */
  cancel?: string;
  /** What the form asks for. What it leaves out is kept. Absent: everything. */
  parts?: readonly FormPart[];
  /** Whether the form is a page instead of the content of a dialog. */
  isPage?: boolean;
  guard: DiscardGuard;
  /** Sends the form. If it rejects, the form stays open and shows the error. */
  onSubmit: (body: ConnectorBody, id: string | undefined) => Promise<void>;
  onClose: () => void;
}

const ALL_PARTS: readonly FormPart[] = ["basics", "settings", "credentials"];

const NO_PROBLEM: FormProblem = { fields: {} };

/**
 * The form of a connector.
 *
 * Its controls are uncontrolled and are read once, on submit: React would mirror a controlled value into an attribute, and
 * a client secret must not be in the document.
 */
export function ConnectorForm({
  type: wholeType,
  existing,
  submit,
  cancel,
  parts = ALL_PARTS,
  isPage = false,
  guard,
  onSubmit,
  onClose,
}: ConnectorFormProps) {
  const { t } = usePreferences();
  const form = useRef<HTMLFormElement>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(NO_PROBLEM);
  // Counts the failed attempts: each moves the focus to the first field with an error.
  const [attempt, setAttempt] = useState(0);
  const has = (part: FormPart) => parts.includes(part);
  // A setting without a control is kept.
  const type = has("settings") ? wholeType : { ...wholeType, fields: [] };

  useEffect(() => {
    if (attempt > 0) {
      form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
    }
  }, [attempt]);

  const show = (found: FormProblem) => {
    setProblem(found);
    setAttempt((now) => now + 1);
  };

  const problemOf = (error: unknown, { currentTarget }: { currentTarget: HTMLFormElement }): FormProblem => {
    if (error instanceof FormError) {
      return error.problem;
    }
    if (!(error instanceof GrantryError)) {
      return { fields: {}, text: describeError(error, t) };
    }
    if (error.code === "conflict" && !existing) {
      return { fields: { id: t("form.idTaken") } };
    }
    const control = controlOfField(currentTarget, error.field);
    if (control === undefined) {
      return { fields: {}, text: describeError(error, t) };
    }
    // A change of where the secret is sent requires the secret.
    const isSecret = existing && control === "clientSecret";
    return { fields: { [control]: isSecret ? t("editor.secretAgain") : fieldText(error, t) } };
  };

  const send = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const { currentTarget } = event;
    const fields = errorsOf(currentTarget, type, t);
    if (Object.keys(fields).length > 0) {
      show({ fields });
      return;
    }
    setProblem(NO_PROBLEM);
    setBusy(true);
    try {
      const data = new FormData(currentTarget);
      const id = String(data.get("id") ?? "").trim();
      await onSubmit(bodyOf(data, type, existing), id === "" ? undefined : id);
    } catch (error) {
      show(problemOf(error, { currentTarget }));
    } finally {
      setBusy(false);
    }
  };

  const changed = ({ target }: FormEvent<HTMLFormElement>) => {
    guard.changed();
    const { name } = target as HTMLInputElement;
    if (problem.fields[name] !== undefined) {
      const { [name]: _, ...fields } = problem.fields;
      setProblem({ ...problem, fields });
    }
  };

  return (
    <form
      ref={form}
      className={isPage ? "form-page" : "dialog__form"}
      noValidate
      onSubmit={(event) => void send(event)}
      onInput={changed}
      onChange={changed}
    >
      <Body isPage={isPage}>
        {has("basics") && <Basics type={type} existing={existing} errors={problem.fields} />}
        {has("settings") && <Settings type={type} existing={existing} errors={problem.fields} />}
        {has("credentials") && (
          <Credentials type={type} existing={existing} errors={problem.fields} isGuided={isPage} />
        )}
      </Body>
      <FormNotice problem={problem} isPage={isPage} />
      <Actions isPage={isPage}>
        <Button onClick={onClose}>{cancel ?? t("common.cancel")}</Button>
        <Button type="submit" kind="primary" busy={busy}>
          {busy ? t("editor.saving") : submit}
        </Button>
      </Actions>
    </form>
  );
}

function Body({ isPage, children }: { isPage: boolean; children: ReactNode }) {
  return isPage ? <div className="form-page__body">{children}</div> : <DialogBody>{children}</DialogBody>;
}

function Actions({ isPage, children }: { isPage: boolean; children: ReactNode }) {
  return isPage ? (
    <div className="form-page__actions">{children}</div>
  ) : (
    <DialogActions>{children}</DialogActions>
  );
}

/** What is wrong in general, and the number of fields with an error. */
function FormNotice({ problem: { text, fields }, isPage }: { problem: FormProblem; isPage: boolean }) {
  const { t } = usePreferences();
  const count = Object.keys(fields).length;
  if (text === undefined && count === 0) {
    return null;
  }
  return (
    <div className={isPage ? "form-page__problem" : "dialog__problem"}>
      <Notice kind="error">{text ?? t("form.count", { count })}</Notice>
    </div>
  );
}

interface PartProps {
  type: FormType;
  existing: Connector | undefined;
  errors: FormErrors;
}

function Basics({ type, existing, errors }: PartProps) {
  const { t } = usePreferences();
  const modes = type.auth_modes;
  const [onlyMode] = modes;
  return (
    <fieldset className="fieldset">
      <legend>{t("editor.basics")}</legend>
      <Field label={t("editor.name")} error={errors.name} required>
        {(control) => (
          <input
            {...control}
            name="name"
            defaultValue={existing?.name ?? type.name}
            maxLength={200}
            autoComplete="off"
          />
        )}
      </Field>
      {!existing && (
        <Field label={t("editor.id")} hint={t("editor.idHint")} error={errors.id}>
          {(control) => (
            <input
              {...control}
              name="id"
              pattern="[a-z0-9][a-z0-9_\-]*"
              autoComplete="off"
              spellCheck={false}
            />
          )}
        </Field>
      )}
      {!existing && modes.length > 1 && (
        <Field label={t("editor.authMode")} error={errors.auth_mode} required>
          {(control) => (
            <select {...control} name="auth_mode" defaultValue="per-user">
              <option value="per-user">{t("editor.authModePerUser")}</option>
              <option value="shared">{t("editor.authModeShared")}</option>
            </select>
          )}
        </Field>
      )}
      {!existing && modes.length === 1 && <input type="hidden" name="auth_mode" value={onlyMode} />}
    </fieldset>
  );
}

function Settings({ type, existing, errors }: PartProps) {
  const { t } = usePreferences();
  const control = (field: FormType["fields"][number]) => (
    <ConfigField
      key={field.name}
      field={field}
      config={existing?.config}
      error={errors[controlName(field)]}
    />
  );
  const usual = type.fields.filter((field) => !isAdvanced(field));
  const advanced = type.fields.filter(isAdvanced);
  const isSet = advanced.some((field) => initialText(field, existing?.config) !== "");
  const [isOpen, setOpen] = useState(isSet);
  const hasError = advanced.some((field) => errors[controlName(field)] !== undefined);
  return (
    <>
      {usual.length > 0 && (
        <fieldset className="fieldset">
          <legend>{t("editor.settings", { type: type.name })}</legend>
          {usual.map(control)}
        </fieldset>
      )}
      {advanced.length > 0 && (
        <details
          className="advanced"
          open={isOpen || hasError}
          onToggle={(event) => setOpen(event.currentTarget.open)}
        >
          <summary>{t("editor.advanced")}</summary>
          <div className="fieldset">{advanced.map(control)}</div>
        </details>
      )}
    </>
  );
}

function Credentials({ type, existing, errors, isGuided }: PartProps & { isGuided: boolean }) {
  const { t } = usePreferences();
  const redirectUri = existing?.redirect_uri ?? type.redirect_uri;
  const isKept = existing !== undefined && !existing.is_missing_secrets;
  return (
    <fieldset className="fieldset">
      <legend>{t("editor.credentials")}</legend>
      {!isGuided && (
        <div className="field">
          <span className="field__label">{t("editor.redirectUri")}</span>
          {redirectUri && (
            <>
              <CopyText text={redirectUri} label={t("editor.redirectUri")} />
              <p className="field__hint">{t("editor.redirectUriHint")}</p>
            </>
          )}
          <ExternalLink url={type.docs_url}>{t("editor.docs")}</ExternalLink>
        </div>
      )}
      <Field label={t("editor.clientId")} hint={isKept && t("editor.keepHint")} error={errors.clientId}>
        {(control) => <input {...control} name="clientId" autoComplete="off" spellCheck={false} />}
      </Field>
      <Field
        label={t("editor.clientSecret")}
        hint={isKept && t("editor.keepSecretHint")}
        error={errors.clientSecret}
      >
        {(control) => <input {...control} name="clientSecret" type="password" autoComplete="new-password" />}
      </Field>
    </fieldset>
  );
}
