//! Reads sources of the console (TSX) and finds the texts that they display and the keys of the texts on each element.
//!
//! It is a scanner and not a parser: it separates code, elements, attributes and the content of elements, skips comments and
//! regular expressions, and leaves types to the compiler of TypeScript.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

static ENTITY: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"&#?\w+;").expect("a valid pattern"));
static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\p{L}{2}").expect("a valid pattern"));
/// A sentence or a heading: a capitalised word and a further one.
static PROSE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?:^|\s)\p{Lu}\p{L}*[,:]? \p{L}").expect("a valid pattern"));

/// Words after which an expression begins.
const BEFORE_EXPRESSIONS: [&str; 10] = ["return", "default", "case", "else", "await", "throw", "typeof", "void", "in", "of"];
/// Operators of more than one character, the longest first.
const OPERATORS: [&str; 12] = ["===", "!==", "...", "=>", "==", "!=", "<=", ">=", "&&", "||", "??", "?."];
/// What stands before a value that an expression results in.
const BEFORE_RESULTS: [&str; 8] = ["", "?", ":", "&&", "||", "??", "+", "=>"];
const COMPARISONS: [&str; 4] = ["===", "!==", "==", "!="];

/// What a source displays.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Texts outside of the catalogue, with their lines.
    pub(super) texts: Vec<(usize, String)>,
    /// Keys of the catalogue, with the element whose content or the attribute whose value they are: `Button`, `Dialog@title`;
    /// empty outside of elements.
    pub(super) keys: Vec<(String, String)>,
}

/// What becomes of the value of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It is displayed.
    Shown,
    /// It is an argument or a part of a displayed value, such as the key of a text.
    Part,
    /// It is not displayed, unless a sentence in it is.
    Code,
    /// A list of classes, a selector: never displayed.
    Hidden,
}

/// Scans a source. Texts are searched in the content of elements and in the attributes of these names.
pub(super) fn scan(source: &str, attributes: &BTreeSet<String>) -> Found {
    let mut scanner = Scanner { source, at: 0, attributes, owners: Vec::new(), found: Found::default() };
    while scanner.at < source.len() {
        scanner.expression(Use::Code);
        // A closing bracket without its opening one.
        scanner.bump();
    }
    scanner.found
}

struct Scanner<'a> {
    source: &'a str,
    at: usize,
    attributes: &'a BTreeSet<String>,
    /// The elements and attributes around the position.
    owners: Vec<String>,
    found: Found,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) {
        self.at += self.next().map_or(0, char::len_utf8);
    }

    /// Moves behind a text, if it is next.
    fn skip(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        self.at += if is_next { text.len() } else { 0 };
        is_next
    }

    /// Moves to a text, or to the end.
    fn until(&mut self, text: &str) -> &'a str {
        let rest = self.rest();
        let length = rest.find(text).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn skip_blank(&mut self) {
        loop {
            self.take_while(char::is_whitespace);
            if self.skip("//") {
                self.until("\n");
            } else if self.skip("/*") {
                self.until("*/");
                self.skip("*/");
            } else {
                return;
            }
        }
    }

    /// Code up to the closing bracket that ends it, which is not consumed.
    fn expression(&mut self, of: Use) {
        let mut previous = Previous { text: "", is_value: false };
        loop {
            self.skip_blank();
            let Some(next) = self.next() else { return };
            let begin = self.at;
            match next {
                ')' | ']' | '}' => return,
                '(' => {
                    let inner = previous.inside_brackets(of);
                    self.brackets(inner);
                    previous = Previous { text: ")", is_value: true };
                }
                '[' | '{' => {
                    self.brackets(if of == Use::Shown { Use::Part } else { of });
                    previous = Previous { text: if next == '[' { "]" } else { "}" }, is_value: next == '[' };
                }
                '"' | '\'' => {
                    let text = self.quoted(next);
                    self.literal(begin, text, of, &previous);
                    previous = Previous { text: "\"", is_value: true };
                }
                '`' => {
                    self.template(of, &previous);
                    previous = Previous { text: "\"", is_value: true };
                }
                '<' if !previous.is_value && self.begins_element() => {
                    self.element();
                    previous = Previous { text: ">", is_value: true };
                }
                '/' if !previous.is_value => {
                    self.regular_expression();
                    previous = Previous { text: "/", is_value: true };
                }
                letter if is_word(letter) => {
                    let word = self.take_while(is_word);
                    previous = Previous { text: word, is_value: !BEFORE_EXPRESSIONS.contains(&word) };
                    if word == "t" && self.rest().starts_with('(') {
                        self.call_of_t(of);
                        previous = Previous { text: ")", is_value: true };
                    }
                }
                _ => {
                    if !OPERATORS.iter().any(|operator| self.skip(operator)) {
                        self.bump();
                    }
                    previous = Previous { text: &self.source[begin..self.at], is_value: false };
                }
            }
        }
    }

    /// An expression in brackets.
    fn brackets(&mut self, of: Use) {
        self.bump();
        self.expression(of);
        self.bump();
    }

    /// `t("key", …)`.
    fn call_of_t(&mut self, of: Use) {
        self.bump();
        self.skip_blank();
        if self.rest().starts_with('"') {
            let key = self.quoted('"');
            self.key(key);
        }
        self.expression(if of == Use::Shown { Use::Part } else { of });
        self.bump();
    }

    fn key(&mut self, key: &str) {
        let owner = self.owners.last().cloned().unwrap_or_default();
        self.found.keys.push((owner, key.to_owned()));
    }

    /// A string; the text between its quotes.
    fn quoted(&mut self, quote: char) -> &'a str {
        self.bump();
        let begin = self.at;
        while let Some(next) = self.next() {
            if next == quote || next == '\n' {
                break;
            }
            self.bump();
            if next == '\\' {
                self.bump();
            }
        }
        let text = &self.source[begin..self.at];
        self.bump();
        text
    }

    fn template(&mut self, of: Use, previous: &Previous<'_>) {
        let begin = self.at;
        self.bump();
        let mut text = String::new();
        let inner = if previous.is_result(of) { Use::Shown } else { Use::Part };
        while let Some(next) = self.next().filter(|next| *next != '`') {
            if self.skip("${") {
                self.expression(if of == Use::Shown || of == Use::Part { inner } else { of });
                text.push_str("${}");
            } else {
                text.push(next);
                if next == '\\' {
                    self.bump();
                }
            }
            self.bump();
        }
        self.bump();
        self.literal(begin, &text, of, previous);
    }

    /// A string or a template of an expression.
    fn literal(&mut self, begin: usize, text: &str, of: Use, previous: &Previous<'_>) {
        let mut after = self.rest().trim_start();
        after = after.strip_prefix('?').filter(|rest| !rest.starts_with(['?', '.'])).map_or(after, |_| "===");
        let is_compared = COMPARISONS.iter().any(|operator| after.starts_with(operator));
        let is_displayed = previous.is_result(of) && !is_compared && WORD.is_match(&text.replace("${}", ""));
        if is_displayed || (of != Use::Hidden && PROSE.is_match(text)) {
            self.text(begin, text);
        }
    }

    fn text(&mut self, begin: usize, text: &str) {
        let line = self.source[..begin].matches('\n').count() + 1;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.found.texts.push((line, text));
    }

    fn regular_expression(&mut self) {
        self.bump();
        let mut is_class = false;
        while let Some(next) = self.next().filter(|next| *next != '\n') {
            self.bump();
            match next {
                '\\' => self.bump(),
                '[' => is_class = true,
                ']' => is_class = false,
                '/' if !is_class => break,
                _ => {}
            }
        }
        self.take_while(is_word);
    }

    fn begins_element(&self) -> bool {
        self.rest()[1..].starts_with(|next: char| next.is_alphabetic() || next == '>')
    }

    /// An element, or a fragment.
    fn element(&mut self) {
        self.bump();
        let name = self.take_while(|letter| is_word(letter) || letter == '.');
        if self.skip("<") {
            // The arguments of a generic component.
            self.until(">");
            self.bump();
        }
        loop {
            self.skip_blank();
            let begin = self.at;
            if self.skip("/>") {
                return;
            } else if self.skip(">") {
                self.owners.push(name.to_owned());
                self.content();
                self.owners.pop();
                return;
            } else if self.rest().starts_with('{') {
                self.brackets(Use::Code);
            } else {
                let attribute = self.take_while(|letter| is_word(letter) || letter == '-' || letter == ':');
                self.attribute(name, attribute);
            }
            if self.at == begin {
                // Not understood, or the end of the file.
                self.bump();
                if self.at == self.source.len() {
                    return;
                }
            }
        }
    }

    /// The value of an attribute, if it has one.
    fn attribute(&mut self, element: &str, attribute: &str) {
        self.skip_blank();
        if !self.skip("=") {
            return;
        }
        self.skip_blank();
        let is_shown = self.attributes.contains(attribute);
        self.owners.push(format!("{element}@{attribute}"));
        let begin = self.at;
        match self.next() {
            Some(quote @ ('"' | '\'')) => {
                self.bump();
                let text = self.until(if quote == '"' { "\"" } else { "'" });
                self.bump();
                if is_shown && WORD.is_match(&ENTITY.replace_all(text, "")) {
                    self.text(begin, text);
                }
            }
            Some('{') => self.brackets(match attribute {
                "className" => Use::Hidden,
                _ if is_shown => Use::Shown,
                _ => Use::Code,
            }),
            Some(_) | None => {}
        }
        self.owners.pop();
    }

    /// What is between the tags of an element, with its closing tag.
    fn content(&mut self) {
        while let Some(next) = self.next() {
            if self.skip("</") {
                self.until(">");
                self.bump();
                return;
            } else if next == '<' {
                self.element();
            } else if next == '{' {
                self.brackets(Use::Shown);
            } else {
                let begin = self.at;
                let text = self.take_while(|letter| letter != '<' && letter != '{');
                let blank = text.len() - text.trim_start().len();
                if WORD.is_match(&ENTITY.replace_all(text, "")) {
                    self.text(begin + blank, text);
                }
            }
        }
    }
}

/// The token before the position.
struct Previous<'a> {
    text: &'a str,
    /// Whether it ends a value, so that an operator or a bracket of a call follows.
    is_value: bool,
}

impl Previous<'_> {
    /// Whether a value after the token is what an expression results in, and is displayed.
    fn is_result(&self, of: Use) -> bool {
        match of {
            Use::Shown => BEFORE_RESULTS.contains(&self.text) || self.text == "return",
            Use::Part => self.text == "=>" || self.text == "return",
            Use::Code | Use::Hidden => false,
        }
    }

    /// What brackets after the token contain: the arguments of a call, or a part of the expression.
    fn inside_brackets(&self, of: Use) -> Use {
        match of {
            // The message is for developers.
            Use::Code if self.text == "Error" => Use::Hidden,
            Use::Code | Use::Hidden => of,
            Use::Shown | Use::Part if self.is_result(of) => Use::Shown,
            Use::Shown | Use::Part => Use::Part,
        }
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Found {
        scan(source, &["aria-label", "title"].map(str::to_owned).into())
    }

    fn texts(source: &str) -> Vec<String> {
        found(source).texts.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn content_of_elements_is_found_with_its_line() {
        let source = "/* <p>a\nbc</p> */\nconst a = (\n  <p>\n    Hello\n    you <b>there</b>&nbsp;{x} · {y}\n  </p>\n);";
        assert_eq!(found(source).texts, [(5, "Hello you".to_owned()), (6, "there".to_owned())]);
        assert_eq!(texts("return <>Part</>;"), ["Part"]);
        assert_eq!(texts("const a = <p>{/* Only a comment */}</p>; // <p>No</p>"), Vec::<String>::new());
    }

    #[test]
    fn results_of_expressions_are_found() {
        for (source, expected) in [
            ("<p>{\"Text\"}</p>", vec!["Text"]),
            ("<p>{cond ? 'A b' : 'C d'}</p>", vec!["A b", "C d"]),
            ("<p>{x === \"open\" ? \"Open\" : t(\"a.closed\")}</p>", vec!["Open"]),
            ("<p>{is(x) && (y ? \"Yes\" : null)}</p>", vec!["Yes"]),
            ("<p>{name ?? `Hello ${name}`}</p>", vec!["Hello ${}"]),
            ("<p>{`${cond ? \"open\" : \"shut\"}`}</p>", vec!["open", "shut"]),
            ("<ul>{all.map((one) => \"Entry\")}{all.map((one) => { return \"Part\"; })}</ul>", vec!["Entry", "Part"]),
            ("<ul>{all.map((one) => (<li key=\"no\">Entry</li>))}</ul>", vec!["Entry"]),
            ("<ul>{[a, \"The second one\"].join(\" \")}</ul>", vec!["The second one"]),
            ("<p>{t(\"a.b\")}{t(`a.${x}`)}{find(\"one\")?.of[\"two\"]}{\"a.b\" === x && y}{5 / 2 / 1}</p>", vec![]),
            ("<p>{x.replace(/\"/g, \"\").match(/[/]<p>/)}</p>", vec![]),
        ] {
            assert_eq!(texts(source), expected, "{source}");
        }
    }

    #[test]
    fn displayed_attributes_are_found() {
        for (source, expected) in [
            ("<a title=\"Name\" href=\"x\" className={`panel Big one`} />", vec!["Name"]),
            ("<a title={\"Name\"} aria-label={x ? 'One' : `Two ${x}`} />", vec!["Name", "One", "Two ${}"]),
            ("<A<B> title={t(\"a\")} on={() => open(\"details\")} type='button' data-x=\"Word\" />", vec![]),
            ("<a title={<b>Bold</b>} {...rest} hidden>Text</a>", vec!["Bold", "Text"]),
        ] {
            assert_eq!(texts(source), expected, "{source}");
        }
    }

    #[test]
    fn sentences_in_code_are_found() {
        assert_eq!(
            texts("const TEXT = \"Nothing here\"; toast(\"error\", `It failed for ${x}`);"),
            ["Nothing here", "It failed for ${}"]
        );
        assert_eq!(
            texts("throw new Error(\"Provider is missing\"); find(\"form input\"); const a = 1 < b, c = useRef<B>(null);"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn keys_are_found_with_their_elements() {
        let keys =
            found("t(\"a.no\"); x = <Button title={t(\"a.b\")}>{busy ? t(\"a.c\") : <b>{t(\"a.d\", { e })}</b>}</Button>;")
                .keys;
        let keys: Vec<_> = keys.iter().map(|(owner, key)| (owner.as_str(), key.as_str())).collect();
        assert_eq!(keys, [("", "a.no"), ("Button@title", "a.b"), ("Button", "a.c"), ("b", "a.d")]);
    }
}
