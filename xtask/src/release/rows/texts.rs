//! Every text is present in each language with the same values, English is in sentence case, buttons and badges are short, and
//! the console shows no text that is outside the catalogue.
//!
//! Whether a text fits at 360 px depends on its font, so the browser tests measure it (`app/console/e2e/specs`). The limits here
//! are a number of letters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::Result;
use crate::release::context::Context;
use crate::release::row::{Outcome, Sheet};
use crate::release::tsx;
use crate::tidy::repository::{File, Repository};

const CATALOGUES: &str = "app/console/web/src/i18n/";
const PAGES: &str = "adapters-http/axum/src/pages/texts/";
const CONSOLE: &str = "app/console/web/src/";
const GENERATED: &str = "app/console/web/src/generated/";

/// Words that have a capital letter at every position.
static NAMES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(API|ID|URI|URL|OAuth|Grantry|JavaScript)\W*$").expect("a valid pattern"));
static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{\w+\}").expect("a valid pattern"));
static SENTENCE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[.!?:;]\s").expect("a valid pattern"));
static PAGE_TEXT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?s)(\w+): "((?:[^"\\]|\\.)*)""#).expect("a valid pattern"));
/// A string that goes on in the next line.
static CONTINUATION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\\\n\s*").expect("a valid pattern"));
/// A text of the catalogue.
static KEY: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"\bt\(\s*""#).expect("a valid pattern"));
/// An attribute whose value is a text of the catalogue.
static TRANSLATED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\s([\w-]+)=\{t\(").expect("a valid pattern"));

/// Attributes that are displayed or read aloud. To these are added the ones that have a text of the catalogue anywhere.
const DISPLAYED: [&str; 10] = [
    "alt",
    "aria-description",
    "aria-label",
    "aria-placeholder",
    "aria-roledescription",
    "aria-valuetext",
    "children",
    "label",
    "placeholder",
    "title",
];
/// The content of these elements, and the values of these attributes, are texts of buttons.
const BUTTONS: [&str; 5] = ["Button", "button", "MenuItem", "@submit", "@cancel"];
/// The buttons of the server's pages.
const PAGE_BUTTONS: [&str; 12] = [
    "add_account",
    "close_tab",
    "connect",
    "continue_to",
    "disconnect",
    "reconnect",
    "replace_account",
    "show_connectors",
    "sign_in",
    "sign_out",
    "try_again",
    "use_account",
];
/// The section of the catalogue whose texts are badges.
const BADGES: &str = "status.";
/// Most letters of a button without its values. The limit is just above the longest text when it was set (39, in German); it is
/// not derived from a width.
const BUTTON_LENGTH: usize = 40;
/// Most letters of a badge, set in the same way (25, in German).
const BADGE_LENGTH: usize = 26;

/// The texts of one language, by their keys.
type Texts = BTreeMap<String, String>;

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let mut sheet = Sheet::default();
    let (console, pages) = (console(&context.files)?, pages(&context.files));
    compare(&console, |language| format!("{CATALOGUES}{language}.json"), &mut sheet);
    compare(&pages, |language| format!("{PAGES}{language}.rs"), &mut sheet);
    let buttons = sources(&context.files, &mut sheet);
    lengths(&console, &buttons, |language| format!("{CATALOGUES}{language}.json"), &mut sheet);
    let buttons = PAGE_BUTTONS.map(str::to_owned).into();
    lengths(&pages, &buttons, |language| format!("{PAGES}{language}.rs"), &mut sheet);
    sheet.note("that nothing is cut off at 360 px is checked by the browser tests (`cargo xtask test --only browser`)");
    Ok(sheet.outcome())
}

/// Texts in the sources of the console that are not in the catalogue are red. Returns the keys of the buttons.
fn sources(repository: &Repository, sheet: &mut Sheet) -> BTreeSet<String> {
    let is_source = |file: &&File| {
        file.path.starts_with(CONSOLE) && !file.path.starts_with(GENERATED) && (file.is_a("tsx") || file.is_a("ts"))
    };
    let files: Vec<_> = repository.files.iter().filter(is_source).collect();
    let translated = files.iter().flat_map(|file| TRANSLATED.captures_iter(&file.text)).map(|found| found[1].to_owned());
    let attributes: BTreeSet<_> = DISPLAYED.map(str::to_owned).into_iter().chain(translated).collect();
    let mut buttons = BTreeSet::new();
    for file in files {
        let found = tsx::scan(&file.text, &attributes);
        // A scanner that loses its place would find nothing.
        if found.keys.len() != KEY.find_iter(&file.text).count() {
            sheet.red("the source could not be read completely", &file.path, "adapt xtask/src/release/tsx.rs");
        }
        for (line, text) in found.texts {
            let mend = format!("add a message to {CATALOGUES}*.json and use `t(…)`");
            sheet.red(format!("the text \"{text}\" is not in the catalogue"), format!("{}:{line}", file.path), mend);
        }
        let is_button = |owner: &str| {
            BUTTONS.iter().any(|button| owner == *button || (button.starts_with('@') && owner.ends_with(button)))
        };
        buttons.extend(found.keys.into_iter().filter(|(owner, _)| is_button(owner)).map(|(_, key)| key));
    }
    buttons
}

/// Buttons and badges are short in every language.
fn lengths(
    languages: &BTreeMap<String, Texts>,
    buttons: &BTreeSet<String>,
    place: impl Fn(&str) -> String,
    sheet: &mut Sheet,
) {
    for (language, texts) in languages {
        for (key, text) in texts {
            let limit = if buttons.contains(base(key)) {
                BUTTON_LENGTH
            } else if key.starts_with(BADGES) {
                BADGE_LENGTH
            } else {
                continue;
            };
            let length = PLACEHOLDER.replace_all(text, "").chars().count();
            if length > limit {
                let what = format!("`{}` has {length} letters; a button or a badge has at most {limit}", base(key));
                sheet.red(what, place(language), format!("write at most {limit} letters for it"));
            }
        }
        let known: BTreeSet<_> = texts.keys().map(|key| base(key)).collect();
        for button in buttons.iter().filter(|button| !known.contains(button.as_str())) {
            sheet.red(format!("the button `{button}` has no text"), place(language), "add it, or correct the key");
        }
    }
}

/// The key without the form for a number, and without the number of a name that occurs in several places.
fn base(key: &str) -> &str {
    let key = key.split('#').next().unwrap_or(key);
    key.strip_suffix(".one").or_else(|| key.strip_suffix(".other")).unwrap_or(key)
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
        let path = place("en");
        let folder = path.rsplit_once('/').map_or(".", |(folder, _)| folder);
        return sheet.red(format!("{path} has no texts"), folder, format!("restore it from the history of git: {path}"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentence_case_is_checked() {
        assert_eq!(capitals("Sign in. The URL of Grantry: Copy it"), Vec::<&str>::new());
        assert_eq!(capitals("Sign In to Providers"), ["In", "Providers"]);
    }

    fn whats(sheet: Sheet) -> Vec<String> {
        let Outcome::Red { findings, .. } = sheet.outcome() else { panic!("not red") };
        findings.into_iter().map(|finding| format!("{} {}", finding.place, finding.what)).collect()
    }

    #[test]
    fn attributes_with_texts_of_the_catalogue_anywhere_are_displayed() {
        let files = [
            ("app/console/web/src/a.tsx", "<A hint={t(\"a.b\")} submit={t(\"a.c\")} />"),
            ("app/console/web/src/b.tsx", "\n<A hint=\"Hint\" name=\"Name\"><Button>{t(\"a.d\")}</Button></A>"),
            ("app/console/web/test/c.tsx", "<p>Test</p>"),
        ];
        let mut sheet = Sheet::default();
        let buttons = sources(&Repository::of(&files), &mut sheet);
        assert!(buttons.iter().eq(["a.c", "a.d"]));
        assert_eq!(whats(sheet), ["app/console/web/src/b.tsx:2 the text \"Hint\" is not in the catalogue"]);
    }

    #[test]
    fn a_source_that_is_not_read_completely_is_found() {
        let mut sheet = Sheet::default();
        sources(&Repository::of(&[("app/console/web/src/a.tsx", "x = \"t(\"; <p title=\"t(\"no\")>")]), &mut sheet);
        assert_eq!(whats(sheet), ["app/console/web/src/a.tsx the source could not be read completely"]);
    }

    #[test]
    fn buttons_and_badges_are_short() {
        let long = "Eine sehr lange Beschriftung eines Knopfes {name}";
        let texts: Texts = ["a.b.one", "a.c", "status.x"].map(|key| (key.to_owned(), long.to_owned())).into();
        let mut sheet = Sheet::default();
        let buttons = ["a.b", "a.gone"].map(str::to_owned).into();
        lengths(&BTreeMap::from([("de".to_owned(), texts)]), &buttons, str::to_owned, &mut sheet);
        let limit = "has 43 letters; a button or a badge has at most";
        let expected = [
            format!("de `a.b` {limit} 40"),
            format!("de `status.x` {limit} 26"),
            "de the button `a.gone` has no text".to_owned(),
        ];
        assert_eq!(whats(sheet), expected);
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
