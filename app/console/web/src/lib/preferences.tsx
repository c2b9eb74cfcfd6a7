import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { type Language, preferredLanguage } from "../i18n/languages.ts";
import { type Translate, translator } from "../i18n/messages.ts";
import { BASE_PATH } from "./location.ts";
import { preferenceCookies, type Theme } from "./preference-cookies.ts";

export type { Theme };

/** Where the pages of a provider open; the values of `OAuthRedirectMode`. */
export type SignInMode = "new_tab" | "redirect";

interface Preferences {
  language: Language;
  theme: Theme;
  signInMode: SignInMode;
}

interface PreferencesAndMessages extends Preferences {
  t: Translate;
  change: (change: Partial<Preferences>) => void;
}

const PreferencesContext = createContext<PreferencesAndMessages | null>(null);

/** Provides the preferences of the user for this browser. */
export function PreferencesProvider({ children }: { children: ReactNode }) {
  const [preferences, setPreferences] = useState(readPreferences);

  useEffect(() => {
    document.documentElement.lang = preferences.language;
    document.documentElement.dataset.theme = preferences.theme;
    writePreferences(preferences);
  }, [preferences]);

  const value = useMemo(
    () => ({
      ...preferences,
      t: translator(preferences.language),
      change: (change: Partial<Preferences>) => setPreferences((now) => ({ ...now, ...change })),
    }),
    [preferences],
  );
  return <PreferencesContext value={value}>{children}</PreferencesContext>;
}

/** The preferences of the user, and the messages in the chosen language. */
export function usePreferences(): PreferencesAndMessages {
  const value = useContext(PreferencesContext);
  if (!value) {
    throw new Error("PreferencesProvider is missing");
  }
  return value;
}

const STORED = {
  language: "grantry.language",
  theme: "grantry.theme",
  signInMode: "grantry.sign-in",
} as const;

function readPreferences(): Preferences {
  const stored = (key: string) => {
    try {
      return localStorage.getItem(key);
    } catch {
      // Storage may be disabled; then a preference lasts as long as the page.
      return null;
    }
  };
  const theme = stored(STORED.theme);
  return {
    language: preferredLanguage(stored(STORED.language), navigator.languages),
    theme: theme === "light" || theme === "dark" ? theme : "system",
    signInMode: stored(STORED.signInMode) === "redirect" ? "redirect" : "new_tab",
  };
}

function writePreferences(preferences: Preferences): void {
  try {
    const isSecure = window.location.protocol === "https:";
    for (const cookie of preferenceCookies(preferences, { basePath: BASE_PATH, isSecure })) {
      // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API is missing where the site has no HTTPS.
      document.cookie = cookie;
    }
    localStorage.setItem(STORED.language, preferences.language);
    localStorage.setItem(STORED.theme, preferences.theme);
    localStorage.setItem(STORED.signInMode, preferences.signInMode);
  } catch {
    // Storage and cookies may be disabled.
  }
}
