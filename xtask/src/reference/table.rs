//! Tables, and the documentation of Rust items as text.

use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;

use crate::Result;

static LINKED_CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[(`[^`]+`)\](?:\([^)]*\))?").expect("a valid pattern"));
static VARIANT: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r#"(?m)(?<doc>(?:^ *///[^\n]*\n)+) *(?<variant>[A-Z]\w*) = "(?<name>[^"]+)"(?:, (?<status>\d+), "(?<sentence>[^"]*)")?"#;
    Regex::new(pattern).expect("a valid pattern")
});

/// A table in Markdown.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head.iter().map(|cell| (*cell).to_owned()).collect());
    let _ = writeln!(text, "|{}", "---|".repeat(head.len()));
    for row in rows {
        text.push_str(&line(row.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect()));
    }
    text
}

/// Lines of documentation (`///`) as one paragraph, without links to items.
pub(super) fn paragraph(docs: &str) -> String {
    let lines: Vec<_> = docs.lines().map(|line| line.trim().trim_start_matches('/').trim()).collect();
    LINKED_CODE.replace_all(&lines.join(" "), "$1").into_owned()
}

/// A name that is declared with its documentation: `/// Docs.`, `Variant = "name"`, and for error codes a status and a sentence.
pub(super) struct Named {
    pub(super) variant: String,
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) status: String,
    pub(super) sentence: String,
}

/// The names that follow `start` in a source, up to the end of the list.
pub(super) fn named(source: &str, start: &str) -> Result<Vec<Named>> {
    let Some(at) = source.find(start) else { return Err(format!("`{start}` is not declared").into()) };
    let list = &source[at + start.len()..];
    // The end of the list is the first line with a closing brace that begins the line or ends the enum.
    let end = list.find("\n}").into_iter().chain(list.find("\n    }")).min().unwrap_or(list.len());
    let text =
        |captures: &regex::Captures<'_>, name: &str| captures.name(name).map_or("", |found| found.as_str()).to_owned();
    let names = VARIANT.captures_iter(&list[..end]).map(|captures| Named {
        variant: text(&captures, "variant"),
        name: text(&captures, "name"),
        doc: paragraph(&captures["doc"]),
        status: text(&captures, "status"),
        sentence: text(&captures, "sentence"),
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() || names.len() != list[..end].matches(" = \"").count() {
        return Err(format!("the list after `{start}` is not declared as expected").into());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_keep_to_their_column() {
        let rows = [vec!["a|b".to_owned(), "c\nd".to_owned()]];
        assert_eq!(table(&["x", "y"], &rows), "| x | y |\n|---|---|\n| a\\|b | c d |\n");
    }

    #[test]
    fn names_are_read_with_their_documentation() {
        let source = "named!(\n    /// A list.\n    Kind {\n        /// See [`Other::X`],\n        /// twice.\n        One = \"one\",\n    }\n);\n\
                      named!(\n    Next {\n        /// No.\n        Two = \"two\",\n    }\n);";
        let names = named(source, "    Kind {").unwrap();
        assert_eq!(names.len(), 1);
        assert_eq!((names[0].variant.as_str(), names[0].name.as_str()), ("One", "one"));
        assert_eq!(names[0].doc, "See `Other::X`, twice.");
        let codes =
            named("codes! {\n    /// Taken.\n    Conflict = \"conflict\", 409, \"A sentence.\";\n}\n", "codes! {").unwrap();
        assert_eq!((codes[0].status.as_str(), codes[0].sentence.as_str()), ("409", "A sentence."));
    }

    #[test]
    fn a_list_that_is_missing_or_written_in_another_way_is_an_error() {
        assert!(named("", "Kind {").is_err());
        assert!(named("Kind {\n}", "Kind {").is_err());
        assert!(named("Kind {\n    /// One.\n    One = \"one\",\n    Two = \"two\",\n}", "Kind {").is_err());
    }
}
