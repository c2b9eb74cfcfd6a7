import de from "./de.json";
import en from "./en.json";
import type { Language } from "./languages.ts";

type Catalogue = typeof en;

/** Every message, as `section.name`. */
export type MessageKey = {
  [Section in keyof Catalogue & string]: `${Section}.${keyof Catalogue[Section] & string}`;
}[keyof Catalogue & string];

/** The values of placeholders such as `{name}`. `count` also selects the plural form. */
export type MessageParameters = Record<string, string | number>;

/** Returns a message. */
export type Translate = (key: MessageKey, parameters?: MessageParameters) => string;

/** All catalogues. The English one defines the messages; a test compares the others with it. */
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
