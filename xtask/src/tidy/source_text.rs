//! Separates the comments of a source file from its code.
//!
//! Each syntax is one regular expression that matches its comments and its quoted text, so that a comment sign inside a
//! string does not start a comment. This is not a parser. Known limits: a nested `/* /* */ */` ends at the first `*/`; a
//! template string inside a template string and a regular expression literal with a quote in it can shift what counts as
//! quoted in TypeScript, up to the next quote of that kind; comments inside SQL that is itself a Rust string are not found.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// The lexical rules of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Syntax {
    Rust,
    /// Also JavaScript and the JSX forms of both.
    TypeScript,
    Css,
    Sql,
    /// TOML, YAML and shell: a comment starts with `#`.
    Hash,
    /// Like `Hash`, with documentation strings.
    Python,
    Markdown,
    Html,
    /// Texts of the interface: the string values of a JSON file.
    Json,
}

/// The alternatives of each syntax. The group `prose` marks the matches that are read as prose.
///
/// In Markdown and HTML it is the other way round: a match is code or markup, and the text between matches is prose.
static PATTERNS: LazyLock<BTreeMap<Syntax, Regex>> = LazyLock::new(|| {
    let c_comment = r"(?<prose>//[^\n]*|/\*(?s:.*?)\*/)";
    let double = r#""(?s:\\.|[^"\\])*""#;
    let line_double = r#""(?:\\.|[^"\\\n])*""#;
    let line_single = r"'(?:\\.|[^'\\\n])*'";
    let hash_comment = r"(?<prose>(?m:^|[\t ])#[^\n]*)";
    let patterns = [
        (
            Syntax::Rust,
            [
                c_comment,
                r####"\b(?:b|c)?r(?:"[^"]*"|#"(?s:.*?)"#|##"(?s:.*?)"##|#{3,}"(?s:.*?)"###)"####,
                double,
                r"'(?:\\[^']+|\\'|[^'\\])'",
            ]
            .join("|"),
        ),
        (Syntax::TypeScript, [c_comment, line_double, line_single, r"`(?s:\\.|[^`\\])*`"].join("|")),
        (Syntax::Css, [r"(?<prose>/\*(?s:.*?)\*/)", line_double, line_single].join("|")),
        (Syntax::Sql, [r"(?<prose>--[^\n]*|/\*(?s:.*?)\*/)", "'[^']*'"].join("|")),
        (Syntax::Hash, [hash_comment, r#""""(?s:.*?)""""#, "'''(?s:.*?)'''", line_double, "'[^'\n]*'"].join("|")),
        (Syntax::Python, [r#"(?<prose>(?m:^|[\t ])#[^\n]*|"""(?s:.*?)""")"#, line_double, line_single].join("|")),
        (Syntax::Markdown, [r"(?ms)^[ \t]*```.*?^[ \t]*```", r"``[^\n]*?``", "`[^`\n]*`", r"\]\([^)\n]*\)"].join("|")),
        (
            Syntax::Html,
            [
                r"(?s)<(?:script|style)\b.*?</(?:script|style)>",
                r"</?[a-zA-Z][^>]*>|<![A-Za-z][^>]*>",
                r"\{\{.*?\}\}",
                r"\{%.*?%\}",
            ]
            .join("|"),
        ),
        (Syntax::Json, [r#":\s*(?<prose>"(?:\\.|[^"\\\n])*")"#, line_double].join("|")),
    ];
    let compile = |(syntax, pattern): (_, String)| (syntax, Regex::new(&pattern).expect("a pattern of this table is valid"));
    patterns.into_iter().map(compile).collect()
});

/// A literal that begins like a statement of SQL.
static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
    let words = "SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER|DROP|PRAGMA|FROM|WHERE|SET|LOCK|VALUES";
    Regex::new(&format!(r#"^"\s*(?:{words})\b"#)).expect("a valid pattern")
});
/// Escapes of a literal, apart from the one of a quote or a line break.
static ESCAPE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\\[nrt0]").expect("a valid pattern"));
/// Words that are no prose.
static NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\S*(?:[_/=@<>{}]|::)\S*").expect("a valid pattern"));

impl Syntax {
    /// The syntax that the name of a file implies.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let extension = Path::new(path).extension().and_then(|extension| extension.to_str());
        Some(match extension {
            Some("rs") => Self::Rust,
            Some("ts" | "tsx" | "mts" | "js" | "mjs") => Self::TypeScript,
            Some("css") => Self::Css,
            Some("sql") => Self::Sql,
            Some("toml" | "yaml" | "yml" | "sh") => Self::Hash,
            Some("py") => Self::Python,
            Some("md") => Self::Markdown,
            Some("html") => Self::Html,
            Some("json") if path.contains("/i18n/") => Self::Json,
            None if path.starts_with(".ci/") => Self::Hash,
            _ => return None,
        })
    }

    /// The comments (or the prose of a document), with everything else blanked. Lines keep their numbers.
    pub(crate) fn prose(self, text: &str) -> String {
        let pattern = &PATTERNS[&self];
        let prose: Vec<_> = match self {
            Self::Markdown | Self::Html => between(text, pattern.find_iter(text).map(|found| found.range())),
            Self::Rust | Self::TypeScript | Self::Css | Self::Sql | Self::Hash | Self::Python | Self::Json => {
                pattern.captures_iter(text).filter_map(|found| found.name("prose")).map(|found| found.range()).collect()
            }
        };
        only(text, &prose)
    }

    /// The string literals of Rust that can be prose, with everything else blanked. Lines keep their numbers. Left out are raw
    /// strings and byte strings, unit tests, statements of SQL, and literals of fewer than three words, such as wire names. In the
    /// literals that are left, so are identifiers, paths, URLs and values: words that contain one of `_/=@<>{}` or `::`.
    pub(crate) fn literals(self, text: &str) -> String {
        if self != Self::Rust {
            return only(text, &[]);
        }
        let end = line_start(text, start_of_tests(text));
        let is_literal = |range: &Range<usize>| {
            let literal = &text[range.clone()];
            range.end <= end
                && literal.starts_with('"')
                && !text[..range.start].ends_with('b')
                && literal.split_whitespace().nth(2).is_some()
                && !STATEMENT.is_match(literal)
        };
        let literals: Vec<_> = PATTERNS[&self].find_iter(text).map(|found| found.range()).filter(is_literal).collect();
        let kept = only(text, &literals);
        let kept = ESCAPE.replace_all(&kept, "  ");
        NAME.replace_all(&kept, " ").into_owned()
    }

    /// The code, with comments and quoted text blanked. Lines keep their numbers.
    pub(crate) fn code(self, text: &str) -> String {
        only(text, &between(text, PATTERNS[&self].find_iter(text).map(|found| found.range())))
    }
}

/// The line of the unit tests of a Rust source, which are its last module; the line after the last one if there are none.
pub(crate) fn start_of_tests(text: &str) -> usize {
    let lines: Vec<_> = text.lines().collect();
    let is_attribute = |line: &str| line == "#[cfg(test)]" || line.starts_with("#[cfg(all(test,");
    let is_start = |pair: &[&str]| is_attribute(pair[0]) && pair[1].starts_with("mod ") && pair[1].ends_with('{');
    lines.windows(2).position(is_start).unwrap_or(lines.len()) + 1
}

/// The offset at which a line begins, which is counted from 1.
fn line_start(text: &str, line: usize) -> usize {
    text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum()
}

/// The ranges that the given ones leave out.
fn between(text: &str, ranges: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut rest = Vec::new();
    let mut from = 0;
    for range in ranges {
        rest.push(from..range.start);
        from = range.end;
    }
    rest.push(from..text.len());
    rest
}

/// The text of these ranges; of the rest, the line breaks alone.
fn only(text: &str, ranges: &[Range<usize>]) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for range in ranges {
        kept.push(' ');
        kept.extend(text[from..range.start].chars().filter(|character| *character == '\n'));
        kept.push_str(&text[range.clone()]);
        from = range.end;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts that are left, without the blanks around them.
    fn parts(text: &str) -> Vec<&str> {
        text.split(['\n', ' ']).filter(|part| !part.is_empty()).collect()
    }

    #[test]
    fn comments_of_rust_are_prose_and_strings_are_not() {
        let text = "//!a\nlet b = \"// c \\\" d\"; // e\n/* f\n g */ h(r#\"i \" // j\"#, br\"\\\", 'k', '\\'', '\"') /// l";
        assert_eq!(parts(&Syntax::Rust.prose(text)), ["//!a", "//", "e", "/*", "f", "g", "*/", "///", "l"]);
    }

    #[test]
    fn literals_of_rust_that_are_prose_are_found() {
        let text = "// a comment here\nlet a = \"two words\"; b(\"three words here\\n\", r\"a raw string\", b\"bytes are no prose\");\n\
            let sql = \"SELECT word FROM table\";\nlet c = \"see {name} at https://a.example/renew with a_name\";\n\
            #[cfg(test)]\nmod tests {\n    let d = \"prose of a test\";\n}\n";
        let literals = Syntax::Rust.literals(text);
        assert_eq!(parts(&literals), ["\"three", "words", "here", "\"", "\"see", "at", "with"]);
        assert_eq!(literals.lines().position(|line| line.contains("see")), Some(3));
        assert_eq!(Syntax::TypeScript.literals("a('three words here')"), "");
    }

    #[test]
    fn unit_tests_are_the_last_module_of_a_source() {
        assert_eq!(start_of_tests("a\n#[cfg(test)]\nuse b;\n\n#[cfg(test)]\nmod tests {\n}\n"), 5);
        assert_eq!(start_of_tests("a\n#[cfg(all(test, feature = \"b\"))]\nmod c {\n}\n"), 2);
        assert_eq!(start_of_tests("a\nb\n"), 3);
        assert_eq!(start_of_tests("#[cfg(test)]\nmod tests;\n"), 3);
    }

    #[test]
    fn code_of_rust_is_neither_comment_nor_string() {
        assert_eq!(parts(&Syntax::Rust.code("a // b\nc \"d\" 'e' &'f g")), ["a", "c", "&'f", "g"]);
        assert_eq!(parts(&Syntax::Rust.code("\"a\nb\" c")), ["c"]);
    }

    #[test]
    fn lines_keep_their_numbers() {
        let prose = Syntax::Rust.prose("a\nb\n// c\n\"d\ne\"\n/* f\n*/ // g");
        let with_g = prose.lines().position(|line| line.contains('g'));
        assert_eq!((prose.lines().position(|line| line.contains('c')), with_g), (Some(2), Some(6)));
    }

    #[test]
    fn comments_of_typescript_are_prose() {
        let text = "a('// b', \"// c\", `// d\n// e`) // f\n<p>don't</p> {/* g */}";
        assert_eq!(parts(&Syntax::TypeScript.prose(text)), ["//", "f", "/*", "g", "*/"]);
        assert_eq!(parts(&Syntax::TypeScript.code("a('b') // c")), ["a(", ")"]);
    }

    #[test]
    fn comments_of_the_other_syntaxes_are_prose() {
        assert_eq!(parts(&Syntax::Css.prose("a { content: '/* b */' } /* c */")), ["/*", "c", "*/"]);
        assert_eq!(parts(&Syntax::Sql.prose("select '-- a' -- b")), ["--", "b"]);
        assert_eq!(parts(&Syntax::Hash.prose("a = \"# b\" # c\n$# ${d#e}\n#f")), ["#", "c", "#f"]);
        assert_eq!(parts(&Syntax::Python.prose("\"\"\"a\nb\"\"\"\nc = '# d' # e")), ["\"\"\"a", "b\"\"\"", "#", "e"]);
        assert_eq!(parts(&Syntax::Json.prose("{ \"a\": \"b\" }")), ["\"b\""]);
    }

    #[test]
    fn code_in_documents_is_no_prose() {
        assert_eq!(parts(&Syntax::Markdown.prose("a `b` [c](d)\n```sh\ne\n```\nf")), ["a", "[c", "f"]);
        let page = "<p class=\"a\">b {{ c }}{% if d %}</p><style>e</style><!-- f --><script>g</script>";
        assert_eq!(parts(&Syntax::Html.prose(page)), ["b", "<!--", "f", "-->"]);
    }

    #[test]
    fn an_unclosed_quote_or_comment_does_not_panic() {
        for text in ["\"a", "'", "/* a", "r#\"a", "`a", "// a", "é'", "\"\\", "```"] {
            for syntax in PATTERNS.keys() {
                let _ = (syntax.prose(text), syntax.code(text));
            }
        }
    }

    #[test]
    fn the_syntax_follows_from_the_name() {
        assert_eq!(Syntax::of("a/b.tsx"), Some(Syntax::TypeScript));
        assert_eq!(Syntax::of(".ci/run"), Some(Syntax::Hash));
        assert_eq!(Syntax::of("web/i18n/en.json"), Some(Syntax::Json));
        assert_eq!(Syntax::of("package.json"), None);
        assert_eq!(Syntax::of("a.png"), None);
    }
}
