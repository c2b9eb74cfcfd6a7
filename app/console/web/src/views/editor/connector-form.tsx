import { type Connector, type ConnectorBody, GrantryError } from "@grantry/client";
import type { FormEvent } from "react";
import { useState } from "react";
import { describeError } from "../../lib/errors.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { Button } from "../../ui/button.tsx";
import { CopyText } from "../../ui/copy-text.tsx";
import { DialogActions, DialogBody } from "../../ui/dialog.tsx";
import { Field } from "../../ui/field.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Notice } from "../../ui/notice.tsx";
import { bodyOf, type FormType, MapSyntaxError } from "./config.ts";
import { ConfigField } from "./config-field.tsx";

/** Props of {@link ConnectorForm}. */
export interface ConnectorFormProps {
  type: FormType;
  /** The connector when editing. */
  existing?: Connector;
  submit: string;
  /** Sends the form. If it rejects, the form stays open and shows the error. */
  onSubmit: (body: ConnectorBody, id: string | undefined) => Promise<void>;
  onClose: () => void;
  onChangeType?: () => void;
}

/**
 * The form of a connector.
 *
 * Its controls are uncontrolled and are read once, on submit: React would mirror a controlled value into an attribute, and
 * a client secret must not be in the document.
 */
export function ConnectorForm({
  type,
  existing,
  submit,
  onSubmit,
  onClose,
  onChangeType,
}: ConnectorFormProps) {
  const { t } = usePreferences();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);

  const send = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setProblem(null);
    setBusy(true);
    const { currentTarget } = event;
    try {
      const form = new FormData(currentTarget);
      const id = String(form.get("id") ?? "").trim();
      await onSubmit(bodyOf(form, type, existing), id === "" ? undefined : id);
    } catch (error) {
      if (error instanceof MapSyntaxError) {
        setProblem(t("editor.mapInvalid", { field: error.field }));
      } else if (existing && error instanceof GrantryError && error.field === "secrets.clientSecret") {
        // A change of where the secret is sent requires the secret.
        setProblem(t("editor.secretAgain"));
        currentTarget.querySelector<HTMLElement>("[name=clientSecret]")?.focus();
      } else {
        setProblem(describeError(error, t));
      }
    } finally {
      setBusy(false);
    }
  };

  return (
    <form className="dialog__form" onSubmit={(event) => void send(event)}>
      <DialogBody>
        {onChangeType && (
          <Button kind="quiet" icon="back" onClick={onChangeType}>
            {t("editor.changeType")}
          </Button>
        )}
        <Basics type={type} existing={existing} />
        {type.fields.length > 0 && (
          <fieldset className="fieldset">
            <legend>{t("editor.settings", { type: type.name })}</legend>
            {type.fields.map((field) => (
              <ConfigField key={field.name} field={field} config={existing?.config} />
            ))}
          </fieldset>
        )}
        <Credentials type={type} existing={existing} />
      </DialogBody>
      {problem !== null && (
        <div className="dialog__problem">
          <Notice kind="error">{problem}</Notice>
        </div>
      )}
      <DialogActions>
        <Button onClick={onClose}>{t("common.cancel")}</Button>
        <Button type="submit" kind="primary" busy={busy}>
          {busy ? t("editor.saving") : submit}
        </Button>
      </DialogActions>
    </form>
  );
}

interface PartProps {
  type: FormType;
  existing: Connector | undefined;
}

function Basics({ type, existing }: PartProps) {
  const { t } = usePreferences();
  const modes = type.auth_modes;
  const [onlyMode] = modes;
  return (
    <fieldset className="fieldset">
      <legend>{t("editor.basics")}</legend>
      <Field label={t("editor.name")} required>
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
        <Field label={t("editor.id")} hint={t("editor.idHint")}>
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
        <Field label={t("editor.authMode")} required>
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

function Credentials({ type, existing }: PartProps) {
  const { t } = usePreferences();
  const redirectUri = existing?.redirect_uri ?? type.redirect_uri;
  const isKept = existing !== undefined && !existing.is_missing_secrets;
  return (
    <fieldset className="fieldset">
      <legend>{t("editor.credentials")}</legend>
      <div className="field">
        <span className="field__label">{t("editor.redirectUri")}</span>
        {redirectUri ? (
          <>
            <CopyText text={redirectUri} label={t("editor.redirectUri")} />
            <p className="field__hint">{t("editor.redirectUriHint")}</p>
          </>
        ) : (
          <p className="field__hint">{t("editor.redirectUriLater")}</p>
        )}
        <DocsLink url={type.docs_url} />
      </div>
      <Field label={t("editor.clientId")} hint={isKept && t("editor.keepHint")}>
        {(control) => <input {...control} name="clientId" autoComplete="off" spellCheck={false} />}
      </Field>
      <Field label={t("editor.clientSecret")} hint={isKept && t("editor.keepSecretHint")}>
        {(control) => <input {...control} name="clientSecret" type="password" autoComplete="new-password" />}
      </Field>
    </fieldset>
  );
}

function DocsLink({ url }: { url: string | null | undefined }) {
  const { t } = usePreferences();
  if (!url?.startsWith("https://")) {
    return null;
  }
  return (
    <a className="small" href={url} target="_blank" rel="noopener noreferrer">
      {t("editor.docs")} <Icon name="external" />
    </a>
  );
}
