import type { Language } from "../i18n/languages.ts";

/** `system` follows the device. */
export type Theme = "system" | "light" | "dark";

const ONE_YEAR = 365 * 24 * 60 * 60;

/** The cookies from which the server takes the language and the colours of its pages. They are not secret. */
export function preferenceCookies(
  { language, theme }: { language: Language; theme: Theme },
  { basePath, isSecure }: { basePath: string; isSecure: boolean },
): string[] {
  const attributes = `; Path=${basePath || "/"}; Max-Age=${ONE_YEAR}; SameSite=Lax${isSecure ? "; Secure" : ""}`;
  return [`grantry_language=${language}${attributes}`, `grantry_theme=${theme}${attributes}`];
}
