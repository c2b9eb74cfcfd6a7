import type { ConnectorType } from "@grantry/client";
import { Fragment } from "react";
import { usePreferences } from "../../lib/preferences.tsx";
import { CopyText } from "../../ui/copy-text.tsx";
import { ExternalLink } from "../../ui/external-link.tsx";
import { Notice } from "../../ui/notice.tsx";
import type { FormType } from "./config.ts";

/** A connector type with what is known about the registration. Less is known of a type that the server does not list. */
export type GuidedType = FormType & Partial<Pick<ConnectorType, "setup" | "is_deprecated">>;

const PLACEHOLDER = "{redirect_uri}";

/** How a client is registered at the provider: the redirect URI, the steps of the profile, and the pages of the provider. */
export function SetupGuide({
  type: { name, setup, docs_url, is_deprecated },
  redirectUri,
}: {
  type: GuidedType;
  redirectUri: string;
}) {
  const { t } = usePreferences();
  return (
    <>
      <div className="field">
        <span className="field__label">{t("editor.redirectUri")}</span>
        <CopyText text={redirectUri} label={t("editor.redirectUri")} />
        <p className="field__hint">{t("editor.redirectUriHint")}</p>
      </div>
      {is_deprecated && <Notice kind="warning">{t("setup.sunset", { type: name })}</Notice>}
      {setup ? (
        // Profiles are written in English.
        <ol className="setup__steps" lang="en">
          {setup.steps.map((step) => (
            <li key={step}>
              <SetupStep text={step} redirectUri={redirectUri} />
            </li>
          ))}
        </ol>
      ) : (
        <p>{t("setup.byHand")}</p>
      )}
      <p className="setup__links">
        <ExternalLink url={setup?.register_url}>{t("setup.open", { type: name })}</ExternalLink>
        <ExternalLink url={setup?.scopes_url}>{t("setup.scopes")}</ExternalLink>
        <ExternalLink url={docs_url}>{t("editor.docs")}</ExternalLink>
      </p>
    </>
  );
}

/** What users and editors should be aware of. */
export function Notes({ notes }: { notes: readonly string[] | undefined }) {
  const { t } = usePreferences();
  if (!notes || notes.length === 0) {
    return null;
  }
  return (
    <section className="setup__notes" aria-label={t("setup.notes")}>
      <h2>{t("setup.notes")}</h2>
      <ul lang="en">
        {notes.map((note) => (
          <li key={note}>{note}</li>
        ))}
      </ul>
    </section>
  );
}

function SetupStep({ text, redirectUri }: { text: string; redirectUri: string }) {
  const [first, ...others] = text.split(PLACEHOLDER);
  return (
    <>
      {first}
      {others.map((part, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a sentence have no other key and never move.
        <Fragment key={at}>
          <code>{redirectUri}</code>
          {part}
        </Fragment>
      ))}
    </>
  );
}
