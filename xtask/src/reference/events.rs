//! The page of the audit events.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::head;
use super::table::{Named, named, paragraph, table};
use crate::Result;

static SENTENCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"AuditKind::(\w+) => "([^"]+)""#).expect("a valid pattern"));
static ERROR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)(?<doc>(?:^    ///[^\n]*\n)+)    #\[error[^\n]*\n    (?<variant>[A-Z]\w*)").expect("a valid pattern")
});
static LIST: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^See `(\w+)`").expect("a valid pattern"));

/// The texts that the page is made from.
pub(super) struct Sources<'a> {
    /// Kinds and outcomes.
    pub(super) events: &'a str,
    /// The sentence of each kind.
    pub(super) sentences: &'a str,
    /// The causes, which most outcomes are.
    pub(super) causes: &'a str,
    /// The errors of providers.
    pub(super) provider_errors: &'a str,
    /// The error codes.
    pub(super) codes: &'a str,
}

const INTRODUCTION: &str = "\
An audit event is written in the transaction of the change that it describes, and delivered as one log line with target
`audit`. [Monitoring](../operations.md#monitoring) describes how events reach the log, which are written in batches, and which
to alert on. The metric `grantry_audit_events_total` counts them by kind and outcome. No event contains a secret or a text of
a provider.

## Fields

| field | meaning |
|---|---|
| `kind` | what happened: see below |
| `outcome` | how it ended: see below |
| `actor` | who did it: a user, an agent for a user, or the system |
| `space`, `connector`, `user`, `connection`, `authorization` | what it is about, each where it applies. `user` is the user whose authorization it is |
| `details` | facts about it as `name=word`, separated by spaces; most events have none |
| `at` | when it happened; `timestamp` is when the line was written |
| `sequence` | the position in the store; absent for events that were not stored |
| `message` | the kind as a sentence |

";

/// The page.
pub(super) fn page(sources: &Sources<'_>) -> Result<String> {
    let sentences: BTreeMap<&str, &str> = SENTENCE
        .captures_iter(sources.sentences)
        .map(|found| found.extract::<2>().1)
        .map(|[kind, text]| (kind, text))
        .collect();
    let mut kinds = Vec::new();
    for kind in named(sources.events, "    AuditKind {")? {
        let sentence = sentences.get(kind.variant.as_str()).ok_or_else(|| format!("{} has no sentence", kind.name))?;
        kinds.push(vec![format!("`{}`", kind.name), kind.doc, (*sentence).to_owned()]);
    }
    let meanings = Meanings::of(sources)?;
    let mut outcomes = Vec::new();
    for outcome in named(sources.events, "    AuditOutcome {")? {
        let meaning = meanings.of_outcome(&outcome)?;
        outcomes.push(vec![format!("`{}`", outcome.name), meaning]);
    }
    let page = head("Audit events", "`domain/src/ports/audit.rs`") + INTRODUCTION;
    let kinds = table(&["kind", "meaning", "message"], &kinds);
    let outcomes = table(&["outcome", "meaning"], &outcomes);
    Ok(format!("{page}## Kinds\n\n{kinds}\n## Outcomes\n\n{outcomes}"))
}

/// What outcomes mean that refer to another list: by list and variant, or by code.
struct Meanings(BTreeMap<(&'static str, String), String>);

impl Meanings {
    fn of(sources: &Sources<'_>) -> Result<Self> {
        let mut meanings = BTreeMap::new();
        let lists = ["ExpiredCause", "TerminationCause", "FailureCode", "RevocationOutcome"];
        for list in lists {
            for entry in named(sources.causes, &format!("    {list} {{"))? {
                meanings.insert((list, entry.name), entry.doc);
            }
        }
        for code in named(sources.codes, "\ncodes! {")? {
            meanings.insert(("code", code.name), code.doc);
        }
        for error in ERROR.captures_iter(sources.provider_errors) {
            // `OtherOauthError` is the outcome `OauthError`.
            let variant = error["variant"].trim_start_matches("Other").to_owned();
            meanings.insert(("ProviderErrorKind", variant), paragraph(&error["doc"]));
        }
        Ok(Self(meanings))
    }

    fn of_outcome(&self, outcome: &Named) -> Result<String> {
        let (list, key) =
            match LIST.captures(&outcome.doc).as_ref().map(|found| found.extract::<1>().1[0].to_owned()).as_deref() {
                Some("ProviderErrorKind") => ("ProviderErrorKind", &outcome.variant),
                Some("ExpiredCause") => ("ExpiredCause", &outcome.name),
                Some("TerminationCause") => ("TerminationCause", &outcome.name),
                Some("FailureCode") => ("FailureCode", &outcome.name),
                Some("RevocationOutcome") => ("RevocationOutcome", &outcome.name),
                Some(other) => return Err(format!("the outcome {} refers to `{other}`", outcome.name).into()),
                None if outcome.doc == "A use case error." => ("code", &outcome.name),
                None => return Ok(plain(&outcome.doc)),
            };
        let meaning = self.0.get(&(list, key.clone()));
        meaning.cloned().ok_or_else(|| format!("the outcome {} is not in {list}", outcome.name).into())
    }
}

/// Without references to items of the source.
fn plain(doc: &str) -> String {
    doc.split_once("; see also `").map_or_else(|| doc.to_owned(), |(text, _)| format!("{text}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAUSES: &str = "    ExpiredCause {\n        /// A deadline passed.\n        Late = \"late\",\n    }\n\
                          \n    TerminationCause {\n        /// Ended.\n        Ended = \"ended\",\n    }\n\
                          \n    FailureCode {\n        /// Broken.\n        Broken = \"broken\",\n    }\n\
                          \n    RevocationOutcome {\n        /// Done.\n        Done = \"done\",\n    }\n";
    const ERRORS: &str = "    /// Another\n    /// error.\n    #[error(\"x\")]\n    OtherOauthError,\n";
    const CODES: &str = "\ncodes! {\n    /// Taken.\n    Conflict = \"conflict\", 409, \"A sentence.\";\n}\n";

    fn page_of(outcomes: &str, sentences: &str) -> Result<String> {
        let events = format!(
            "    AuditKind {{\n        /// One thing.\n        One = \"one\",\n    }}\n    AuditOutcome {{\n{outcomes}\n    }}\n"
        );
        let sources = Sources { events: &events, sentences, causes: CAUSES, provider_errors: ERRORS, codes: CODES };
        page(&sources)
    }

    #[test]
    fn every_kind_and_outcome_has_its_meaning() {
        let outcomes = "        /// It succeeded.\n        Ok = \"ok\",\n        /// See `ExpiredCause` and `FailureCode`.\n        Late = \"late\",\n        \
                        /// See `ProviderErrorKind`.\n        OauthError = \"oauth_error\",\n        /// A use case error.\n        Conflict = \"conflict\",";
        let page = page_of(outcomes, "AuditKind::One => \"one thing happened\",").unwrap();
        for row in [
            "| `one` | One thing. | one thing happened |",
            "| `ok` | It succeeded. |",
            "| `late` | A deadline passed. |",
            "| `oauth_error` | Another error. |",
            "| `conflict` | Taken. |",
        ] {
            assert!(page.contains(row), "{row}\n{page}");
        }
    }

    #[test]
    fn a_kind_without_a_sentence_and_an_outcome_without_a_meaning_are_errors() {
        let outcome = "        /// It succeeded.\n        Ok = \"ok\",";
        assert!(page_of(outcome, "").is_err());
        let unknown = "        /// See `FailureCode`.\n        Gone = \"gone\",";
        assert!(page_of(unknown, "AuditKind::One => \"one thing happened\",").is_err());
    }
}
