//! Every text is present in each language with the same values, English is in sentence case, and the console shows no text that
//! is outside the catalogue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::Result;
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::tidy::repository::{File, Repository};

const CATALOGUES: &str = "app/console/web/src/i18n/";
const PAGES: &str = "adapters-http/axum/src/pages/texts/";
const CONSOLE: &str = "app/console/web/src/";

/// Words that have a capital letter at every position.
static NAMES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(ID|URI|URL|OAuth|Grantry|JavaScript)\W*$").expect("a valid pattern"));
static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{\w+\}").expect("a valid pattern"));
static SENTENCE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[.!?:;]\s").expect("a valid pattern"));
static PAGE_TEXT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?s)(\w+): "((?:[^"\\]|\\.)*)""#).expect("a valid pattern"));
/// A string that goes on in the next line.
static CONTINUATION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\\\n\s*").expect("a valid pattern"));
/// Text between an opening and a closing tag; attributes that are displayed or read aloud; a string that is the whole content of a
/// tag; and a string that begins like a sentence and has two words.
static LITERALS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = [
        r">([^<>{}=;()]*\p{L}{2}[^<>{}=;()]*)</",
        r#"\b(?:aria-label|title|placeholder|alt|label)=\{?["'`]([^"'`]*\p{L}[^"'`]*)["'`]"#,
        r#">\s*\{\s*["'`]([^"'`]*\p{L}{2}[^"'`]*)["'`]\s*\}"#,
        r#"["'`](\p{Lu}\p{Ll}[^"'`\n]* [^"'`\n]*\p{L}[^"'`\n]*)["'`]"#,
    ];
    patterns.iter().map(|pattern| Regex::new(pattern).expect("a valid pattern")).collect()
});
/// A value that a template fills in, possibly cut off at a quotation mark.
static VALUE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$\{[^}]*\}?").expect("a valid pattern"));
static COMMENT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?s)/\*.*?\*/").expect("a valid pattern"));

/// The texts of one language, by their keys.
type Texts = BTreeMap<String, String>;

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    let console = console(&context.files)?;
    compare(&console, |language| format!("{CATALOGUES}{language}.json"), &mut sheet);
    compare(&pages(&context.files), |language| format!("{PAGES}{language}.rs"), &mut sheet);
    for file in context.files.files.iter().filter(|file| file.path.starts_with(CONSOLE) && file.is_a("tsx")) {
        for (line, text) in literals(file) {
            let mend = format!("add a message to {CATALOGUES}*.json and use `t(…)`");
            sheet.red(format!("the text \"{text}\" is not in the catalogue"), format!("{}:{line}", file.path), mend);
        }
    }
    sheet.note("length limits at 360 px are checked by the browser tests (`cargo xtask test --only browser`)");
    Ok(sheet.outcome())
}

/// The catalogues of the console by language.
fn console(repository: &Repository) -> Result<BTreeMap<String, Texts>> {
    let mut languages = BTreeMap::new();
    for file in &repository.files {
        if let Some(language) = file.path.strip_prefix(CATALOGUES).and_then(|name| name.strip_suffix(".json")) {
            let value: Value = serde_json::from_str(&file.text).map_err(|error| format!("{}: {error}", file.path))?;
            let mut texts = Texts::new();
            flatten(&value, "", &mut texts);
            languages.insert(language.to_owned(), texts);
        }
    }
    Ok(languages)
}

fn flatten(value: &Value, prefix: &str, texts: &mut Texts) {
    for (name, value) in value.as_object().into_iter().flatten() {
        match value.as_str() {
            Some(text) => drop(texts.insert(format!("{prefix}{name}"), text.to_owned())),
            None => flatten(value, &format!("{prefix}{name}."), texts),
        }
    }
}

/// The texts of the server's pages by language. A name that occurs in several places is numbered.
fn pages(repository: &Repository) -> BTreeMap<String, Texts> {
    let mut languages = BTreeMap::new();
    for file in &repository.files {
        let Some(language) = file.path.strip_prefix(PAGES).and_then(|name| name.strip_suffix(".rs")) else {
            continue;
        };
        let mut texts = Texts::new();
        for found in PAGE_TEXT.captures_iter(&file.text) {
            let same = texts.keys().filter(|key| key.split('#').next() == Some(&found[1])).count();
            texts.insert(format!("{}#{same}", &found[1]), CONTINUATION.replace_all(&found[2], "").into_owned());
        }
        if !texts.is_empty() {
            languages.insert(language.to_owned(), texts);
        }
    }
    languages
}

fn compare(languages: &BTreeMap<String, Texts>, place: impl Fn(&str) -> String, sheet: &mut Sheet) {
    let Some(english) = languages.get("en") else {
        return sheet.red("there is no English catalogue", place("en"), "restore the file");
    };
    for (language, texts) in languages {
        for key in english.keys().filter(|key| !texts.contains_key(*key)) {
            sheet.red(format!("`{key}` is missing"), place(language), "translate the English text");
        }
        for key in texts.keys().filter(|key| !english.contains_key(*key)) {
            sheet.red(
                format!("`{key}` is not in the English catalogue"),
                place(language),
                "remove it, or add the English text",
            );
        }
        for (key, text) in texts {
            if text.trim().is_empty() {
                sheet.red(format!("`{key}` is empty"), place(language), "write the text");
            }
            if let Some(original) = english.get(key)
                && differ(key, original, text)
            {
                let what = format!("`{key}` does not have the values of the English text");
                sheet.red(what, place(language), "use the same `{names}`");
            }
        }
    }
    for (key, text) in english {
        let wrong = capitals(text);
        if !wrong.is_empty() {
            sheet.red(
                format!("`{key}` is not in sentence case: {}", wrong.join(", ")),
                place("en"),
                "write it in lower case",
            );
        }
    }
}

/// Whether two texts fill in different values. The singular may spell its number out ("one user").
fn differ(key: &str, original: &str, text: &str) -> bool {
    let values = |text: &str| -> BTreeSet<String> {
        let found = PLACEHOLDER.find_iter(text).map(|found| found.as_str().to_owned());
        found.filter(|name| !(key.rsplit('.').next() == Some("one") && name == "{count}")).collect()
    };
    values(original) != values(text)
}

/// Capitalised words that do not begin a sentence.
fn capitals(text: &str) -> Vec<&str> {
    let words = SENTENCE.split(text).flat_map(|sentence| sentence.split_whitespace().skip(1));
    words.filter(|word| word.starts_with(char::is_uppercase) && !NAMES.is_match(word)).collect()
}

/// Displayed texts in a source of the console, with their lines. Texts of errors that are thrown are for developers.
fn literals(file: &File) -> BTreeSet<(usize, String)> {
    // Comments keep their line breaks, so that lines keep their numbers.
    let code = COMMENT.replace_all(&file.text, |found: &regex::Captures<'_>| "\n".repeat(found[0].matches('\n').count()));
    let found = LITERALS.iter().flat_map(|pattern| pattern.captures_iter(&code)).filter_map(|found| found.get(1));
    let has_words = |text: &str| VALUE.replace_all(text, "").contains(char::is_alphabetic);
    let displayed = found.filter(|text| !code[..text.start() - 1].ends_with("Error(") && has_words(text.as_str()));
    displayed.map(|text| (code[..text.start()].matches('\n').count() + 1, text.as_str().trim().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentence_case_is_checked() {
        assert_eq!(capitals("Sign in. The URL of Grantry: Copy it"), Vec::<&str>::new());
        assert_eq!(capitals("Sign In to Providers"), ["In", "Providers"]);
    }

    #[test]
    fn displayed_texts_are_found_with_their_lines() {
        let text = "/* <p>a\nbc</p> */\n<p>Hello you</p>\n<p>{t(\"x\")}</p><input aria-label=\"Name\" type=\"text\" />";
        let file = File { path: "a.tsx".into(), text: text.into() };
        let found = |text: &str| {
            let file = File { path: "a.tsx".into(), text: text.into() };
            literals(&file).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(literals(&file).into_iter().collect::<Vec<_>>(), [(3, "Hello you".to_owned()), (4, "Name".to_owned())]);
        assert_eq!(found("<p>{x ? 'Not now' : t('x')}</p>"), [(1, "Not now".to_owned())]);
        assert_eq!(found("<p>{`Since ${day}`}</p>"), [(1, "Since ${day}".to_owned())]);
        assert_eq!(found("<b>{\"word\"}</b>\n<i title={'a b'} />"), [(1, "word".to_owned()), (2, "a b".to_owned())]);
        let none =
            "import { A } from 'B';\nthrow new Error(\"Text for developers\");\n<p className=\"a b\" key={\"Enter\"} />";
        assert_eq!(found(none), []);
    }

    #[test]
    fn every_language_has_the_same_texts_with_the_same_values() {
        let texts = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, text)| ((*key).into(), (*text).into())).collect();
        let english = texts(&[("a", "A {name}"), ("b", "B"), ("c.one", "{count} user")]);
        let german = texts(&[("a", "A"), ("c.one", "Ein Nutzer"), ("d", "D")]);
        let mut sheet = Sheet::default();
        compare(&BTreeMap::from([("en".to_owned(), english), ("de".to_owned(), german)]), str::to_owned, &mut sheet);
        let Outcome::Red { findings, .. } = sheet.outcome() else { panic!("not red") };
        let whats: Vec<_> = findings.iter().map(|finding| finding.what.as_str()).collect();
        let expected =
            ["`b` is missing", "`d` is not in the English catalogue", "`a` does not have the values of the English text"];
        assert_eq!(whats, expected);
    }
}
