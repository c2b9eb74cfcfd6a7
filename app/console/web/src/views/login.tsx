import { type CallOptions, GrantryError, logIn } from "@grantry/client";
import { type FormEvent, useState } from "react";
import { describeError } from "../lib/errors.ts";
import { usePreferences } from "../lib/preferences.tsx";
import { useTitle } from "../lib/title.ts";
import { Button } from "../ui/button.tsx";
import { Field } from "../ui/field.tsx";
import { Notice } from "../ui/notice.tsx";
import { Brand } from "./brand.tsx";

interface LoginProps {
  call: CallOptions;
  /** Whether users sign in elsewhere, as far as the server reports it. */
  isElsewhere: boolean;
  onSignedIn: () => Promise<void>;
}

/** Asks for user name and password. Where the host signs users in, it shows a hint instead. */
export function LoginView({ call, isElsewhere: wasElsewhere, onSignedIn }: LoginProps) {
  const { t } = usePreferences();
  useTitle(t("login.title"));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [isElsewhere, setElsewhere] = useState(wasElsewhere);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    // Read from the form and not stored: React would mirror a controlled value into the page.
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setError(null);
    try {
      await logIn(String(form.get("username")), String(form.get("password")), call);
      await onSignedIn();
    } catch (reason) {
      setElsewhere(reason instanceof GrantryError && (reason.status === 404 || reason.status === 405));
      setError(reason);
      setBusy(false);
    }
  };

  return (
    <main className="center login">
      <Brand />
      {isElsewhere ? (
        <div className="panel login__panel">
          <h1>{t("login.elsewhereTitle")}</h1>
          <p>{t("login.elsewhereText")}</p>
        </div>
      ) : (
        <form className="panel login__panel" onSubmit={(event) => void submit(event)}>
          <div>
            <h1>{t("login.title")}</h1>
            <p className="muted">{t("login.text")}</p>
          </div>
          {error !== null && (
            <Notice kind="error">
              {isWrongPassword(error) ? t("login.wrong") : describeError(error, t)}
            </Notice>
          )}
          <Field label={t("login.username")} required>
            {(control) => (
              <input
                {...control}
                name="username"
                autoComplete="username"
                autoCapitalize="none"
                spellCheck={false}
              />
            )}
          </Field>
          <Field label={t("login.password")} required>
            {(control) => (
              <input {...control} name="password" type="password" autoComplete="current-password" />
            )}
          </Field>
          <Button type="submit" kind="primary" busy={busy}>
            {busy ? t("login.submitting") : t("login.submit")}
          </Button>
        </form>
      )}
    </main>
  );
}

function isWrongPassword(error: unknown): boolean {
  return error instanceof GrantryError && (error.status === 401 || error.status === 403);
}
