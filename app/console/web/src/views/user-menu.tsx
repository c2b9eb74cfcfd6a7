import { logOut } from "@grantry/client";
import { useQueryClient } from "@tanstack/react-query";
import { LANGUAGES, type Language } from "../i18n/languages.ts";
import { describeError } from "../lib/errors.ts";
import { type SignInMode, type Theme, usePreferences } from "../lib/preferences.tsx";
import { useHere, userName } from "../lib/session.tsx";
import { Field } from "../ui/field.tsx";
import { Icon } from "../ui/icon.tsx";
import { closePopoverOf, Popover } from "../ui/popover.tsx";
import { useToast } from "../ui/toasts.tsx";

/** The signed-in user, and the preferences for this browser. */
export function UserMenu() {
  const { t, language, theme, signInMode, change } = usePreferences();
  const { session, space, call } = useHere();
  const queryClient = useQueryClient();
  const toast = useToast();
  const name = userName(session);

  const signOut = async () => {
    try {
      await logOut(call);
      await queryClient.resetQueries();
    } catch (error) {
      toast("error", describeError(error, t));
    }
  };

  return (
    <Popover
      label={t("shell.account")}
      button={(props) => (
        <button
          type="button"
          className="user-button"
          aria-label={`${t("shell.account")}: ${name}`}
          {...props}
        >
          <Icon name="user" />
          <span className="user-button__name">{name}</span>
          <Icon name="chevron" />
        </button>
      )}
    >
      <div className="user-menu">
        <p className="user-menu__user">
          {t("shell.signedInAs", { name })}
          <span className="muted">{t(ROLE[space.role])}</span>
        </p>
        <Field label={t("shell.language")} required>
          {({ id }) => (
            <select
              id={id}
              value={language}
              onChange={(event) => change({ language: event.target.value as Language })}
            >
              {Object.entries(LANGUAGES).map(([code, name]) => (
                <option key={code} value={code} lang={code}>
                  {name}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label={t("shell.theme")} required>
          {({ id }) => (
            <select
              id={id}
              value={theme}
              onChange={(event) => change({ theme: event.target.value as Theme })}
            >
              <option value="system">{t("shell.themeSystem")}</option>
              <option value="light">{t("shell.themeLight")}</option>
              <option value="dark">{t("shell.themeDark")}</option>
            </select>
          )}
        </Field>
        <Field label={t("shell.signInMode")} required>
          {({ id }) => (
            <select
              id={id}
              value={signInMode}
              onChange={(event) => change({ signInMode: event.target.value as SignInMode })}
            >
              <option value="new_tab">{t("shell.signInModeNewTab")}</option>
              <option value="redirect">{t("shell.signInModeRedirect")}</option>
            </select>
          )}
        </Field>
      </div>
      {session.identity_mode === "accounts" && (
        <div className="menu__section">
          <button
            type="button"
            className="menu__item"
            onClick={(event) => {
              closePopoverOf(event.currentTarget);
              void signOut();
            }}
          >
            {t("shell.signOut")}
          </button>
        </div>
      )}
    </Popover>
  );
}

const ROLE = { viewer: "shell.roleViewer", editor: "shell.roleEditor", admin: "shell.roleAdmin" } as const;
