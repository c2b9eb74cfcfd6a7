/** The shipped languages, each by its own name. To add one: a catalogue file beside this, and a line here and in `messages.ts`. */
export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
/** A shipped language. */
export type Language = keyof typeof LANGUAGES;

/** The first of the person's languages that we have. */
export function preferredLanguage(stored: string | null, wished: readonly string[]): Language {
  const candidates = [stored, ...wished].map((tag) => tag?.toLowerCase().split("-")[0]);
  return (
    candidates.find((tag): tag is Language => tag !== undefined && Object.hasOwn(LANGUAGES, tag)) ?? "en"
  );
}
