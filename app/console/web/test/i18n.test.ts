import { describe, expect, it } from "vitest";
import de from "../../../../adapters-http/axum/src/pages/texts/de.rs?raw";
import en from "../../../../adapters-http/axum/src/pages/texts/en.rs?raw";
import { preferredLanguage } from "../src/i18n/languages.ts";
import { CATALOGUES, translator } from "../src/i18n/messages.ts";

/** Every message as `section.name` or `section.name.form`, with its text. */
function texts(catalogue: object): [string, string][] {
  return Object.entries(catalogue).flatMap(([key, value]): [string, string][] =>
    typeof value === "string"
      ? [[key, value]]
      : texts(value).map(([inner, text]) => [`${key}.${inner}`, text]),
  );
}

const placeholders = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();

/** The source of the texts of the server's pages. */
const PAGES = { en, de };

/** Words that are not used, because the other texts and the documents have another one. */
const AVOIDED = {
  en: /\badmins?\b|\bextend|\brenew/,
  de: /verwalter|verlänger|\b(be)?nutz(t|en)\b|zugang\b|nochmals|fangen|keine \w+ token\b/i,
};

/** Words that have a capital letter at every position. */
const NAMES = /^(API|ID|URI|URL|OAuth|Grantry)$/;

describe.each(Object.entries(CATALOGUES))("the catalogue %s", (language, catalogue) => {
  const english = new Map(texts(CATALOGUES.en));
  const these = texts(catalogue);

  it("has exactly the English messages", () => {
    expect(these.map(([key]) => key)).toEqual([...english.keys()]);
  });

  it("fills in the same values", () => {
    for (const [key, text] of these) {
      const expected = placeholders(english.get(key) ?? "");
      // The singular may spell its number out ("one user").
      const optional = key.endsWith(".one") ? ["{count}"] : [];
      expect(
        placeholders(text).filter((name) => !optional.includes(name)),
        key,
      ).toEqual(expected.filter((name) => !optional.includes(name)));
    }
  });

  it("has a text for every message, starting with a capital letter or a value", () => {
    const fragments = /^(common\.optional|connectors\.timeLeft|connectDialog\.(unknownHost|receives_\w+))$/;
    for (const [key, text] of these) {
      expect(text.trim(), key).toBe(text);
      expect(text, key).not.toBe("");
      if (!fragments.test(key)) {
        expect(text, key).toMatch(/^(\p{Lu}|\{)/u);
      }
    }
  });

  it("has one word for one thing", () => {
    const avoided = AVOIDED[language as keyof typeof AVOIDED];
    for (const [key, text] of these) {
      expect(text, key).not.toMatch(avoided);
    }
  });

  it("shares its words with the pages of the server", () => {
    const pages = [...PAGES[language as keyof typeof PAGES].matchAll(/"((?:[^"\\]|\\.)*)"/gs)];
    expect(pages).not.toEqual([]);
    for (const [, text] of pages) {
      expect(text).not.toMatch(AVOIDED[language as keyof typeof AVOIDED]);
    }
  });

  it("is in sentence case", () => {
    // Every German noun has a capital letter.
    for (const [key, text] of language === "en" ? these : []) {
      for (const sentence of text.split(/[.!?:;]\s/)) {
        const wrong = sentence
          .split(/\s+/)
          .slice(1)
          .filter((word) => /^\p{Lu}/u.test(word) && !NAMES.test(word));
        expect(wrong, `${key}: ${text}`).toEqual([]);
      }
    }
  });
});

describe("messages", () => {
  it("pick the plural form and fill in values", () => {
    const t = translator("en");
    expect(t("editor.confirmTitle", { count: 1 })).toBe("This edit disconnects one user");
    expect(t("editor.confirmTitle", { count: 3 })).toBe("This edit disconnects 3 users");
    expect(translator("de")("toast.connected", { name: "A {name}" })).toBe("A {name} ist verbunden");
  });

  it("use the language of the user, else English", () => {
    expect(preferredLanguage(null, ["fr-FR", "de-AT", "en"])).toBe("de");
    expect(preferredLanguage("en", ["de"])).toBe("en");
    expect(preferredLanguage("constructor", ["toString"])).toBe("en");
  });
});
