import de from "./de.json";
import en from "./en.json";
import type { Language } from "./languages.ts";

type Catalogue = typeof en;

/** Every message, as `section.name`. */
export type MessageKey = {
  [Section in keyof Catalogue & string]: `${Section}.${keyof Catalogue[Section] & string}`;
}[keyof Catalogue & string];

/** What stands for `{name}` in a message. `count` also picks the plural form. */
export type MessageParameters = Record<string, string | number>;

/** Looks a message up. */
export type Translate = (key: MessageKey, parameters?: MessageParameters) => string;

/** All catalogues. The English one says which messages there are; a test holds the others to it. */
export const CATALOGUES: Record<Language, Catalogue> = { en, de };

/** The messages of one language. */
export function translator(language: Language): Translate {
  const catalogue: Record<string, Record<string, string | Record<string, string>>> = CATALOGUES[language];
  const plurals = new Intl.PluralRules(language);
  return (key, parameters = {}) => {
    const [section = "", name = ""] = key.split(".", 2);
    const entry = catalogue[section]?.[name] ?? key;
    const text =
      typeof entry === "string"
        ? entry
        : (entry[plurals.select(Number(parameters.count))] ?? entry.other ?? key);
    return text.replace(/\{(\w+)\}/g, (whole, parameter: string) => String(parameters[parameter] ?? whole));
  };
}
