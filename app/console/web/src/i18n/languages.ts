/** The available languages, each with its native name. To add one: a catalogue file beside this one, and a line here and in `messages.ts`. */
export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
/** An available language. */
export type Language = keyof typeof LANGUAGES;

/** The first available language among those that the user prefers. */
export function preferredLanguage(stored: string | null, preferred: readonly string[]): Language {
  const candidates = [stored, ...preferred].map((tag) => tag?.toLowerCase().split("-")[0]);
  return (
    candidates.find((tag): tag is Language => tag !== undefined && Object.hasOwn(LANGUAGES, tag)) ?? "en"
  );
}
