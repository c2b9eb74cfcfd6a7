//! Source text without what only looks like code: comments, and on demand what stands in quotes.
//!
//! Not a parser: enough of Rust's and TypeScript's lexical rules to tell code, comment and quoted text apart. Every
//! character outside the code becomes a blank, so that lines and columns stay.

/// Whose rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Rust,
    TypeScript,
}

/// What becomes of quoted text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoted {
    /// It is blanked as well; the quotes themselves stay.
    Blanked,
    /// It stays.
    Kept,
}

/// The text with its comments blanked.
pub(crate) fn code(text: &str, language: Language, quoted: Quoted) -> String {
    let mut lexer = Lexer { rest: text, done: String::with_capacity(text.len()), language, quoted };
    while !lexer.rest.is_empty() {
        lexer.step();
    }
    lexer.done
}

struct Lexer<'a> {
    rest: &'a str,
    done: String,
    language: Language,
    quoted: Quoted,
}

impl Lexer<'_> {
    fn step(&mut self) {
        if self.rest.starts_with("//") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.blank(end);
        } else if self.rest.starts_with("/*") {
            self.blank(self.block_comment());
        } else if let Some(hashes) = self.raw_string() {
            let open = hashes + 2;
            let close = format!("\"{}", "#".repeat(hashes));
            let length = self.rest[open..].find(&close).unwrap_or(self.rest.len() - open);
            self.quote(open, length, close.len());
        } else if self.rest.starts_with('"') {
            self.quote(1, self.until('"', self.language == Language::TypeScript), 1);
        } else if self.rest.starts_with('\'') {
            self.apostrophe();
        } else if self.rest.starts_with('`') && self.language == Language::TypeScript {
            self.quote(1, self.until('`', false), 1);
        } else {
            self.keep(self.rest.chars().next().map_or(0, char::len_utf8));
        }
    }

    /// Rust: a character or a lifetime. TypeScript: a string, or an apostrophe in a page's text.
    fn apostrophe(&mut self) {
        match self.language {
            Language::TypeScript => self.quote(1, self.until('\'', true), 1),
            Language::Rust => {
                let mut after = self.rest[1..].chars();
                let first = after.next();
                if first == Some('\\') || (first.is_some() && after.next() == Some('\'')) {
                    self.quote(1, self.until('\'', true), 1);
                } else {
                    self.keep(1);
                }
            }
        }
    }

    /// How many hashes the raw string has that starts here, if one does.
    fn raw_string(&self) -> Option<usize> {
        let in_word = self.done.chars().next_back().is_some_and(|last| last.is_alphanumeric() && last != 'b' && last != 'c');
        if self.language != Language::Rust || in_word {
            return None;
        }
        let hashes = self.rest.strip_prefix('r')?.trim_start_matches('#');
        hashes.starts_with('"').then(|| self.rest.len() - hashes.len() - 1)
    }

    /// The length of the comment that starts here; Rust's nest.
    fn block_comment(&self) -> usize {
        let mut depth = 0;
        let mut at = 0;
        while at < self.rest.len() {
            let here = &self.rest[at..];
            if here.starts_with("/*") && (depth == 0 || self.language == Language::Rust) {
                depth += 1;
                at += 2;
            } else if here.starts_with("*/") {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    break;
                }
            } else {
                at += here.chars().next().map_or(1, char::len_utf8);
            }
        }
        at
    }

    /// How far it is from behind the quote here to the next that is not escaped, or to the end of the line.
    fn until(&self, quote: char, on_one_line: bool) -> usize {
        let mut escaped = false;
        for (at, character) in self.rest[1..].char_indices() {
            if (character == quote && !escaped) || (character == '\n' && on_one_line) {
                return at;
            }
            escaped = character == '\\' && !escaped;
        }
        self.rest.len() - 1
    }

    fn quote(&mut self, open: usize, length: usize, close: usize) {
        self.keep(open);
        match self.quoted {
            Quoted::Blanked => self.blank(length),
            Quoted::Kept => self.keep(length),
        }
        // At an unclosed quote the line goes on as code.
        let closed = !self.rest.is_empty() && !self.rest.starts_with('\n');
        self.keep(if closed { close } else { 0 });
    }

    fn keep(&mut self, length: usize) {
        let (kept, rest) = self.rest.split_at(length);
        self.done.push_str(kept);
        self.rest = rest;
    }

    fn blank(&mut self, length: usize) {
        let (blanked, rest) = self.rest.split_at(length);
        self.done.extend(blanked.chars().map(|character| if character == '\n' { '\n' } else { ' ' }));
        self.rest = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every run of blanks as one, after a look that each character kept its place.
    fn squeezed(text: &str, language: Language, quoted: Quoted) -> String {
        let code = code(text, language, quoted);
        assert_eq!(code.chars().count(), text.chars().count(), "{text}");
        let mut squeezed = code;
        while squeezed.contains("  ") {
            squeezed = squeezed.replace("  ", " ");
        }
        squeezed
    }

    fn rust(text: &str) -> String {
        squeezed(text, Language::Rust, Quoted::Blanked)
    }

    fn typescript(text: &str) -> String {
        squeezed(text, Language::TypeScript, Quoted::Kept)
    }

    #[test]
    fn comments_become_blanks_and_lines_stay() {
        assert_eq!(rust("a // b\nc"), "a \nc");
        assert_eq!(rust("a /* b /* c\n */ d */ e"), "a \n e");
        assert_eq!(typescript("a /* b /* c */ d"), "a d");
    }

    #[test]
    fn quoted_rust_becomes_blanks() {
        assert_eq!(rust(r#"f("fn x() // \" y", z)"#), r#"f(" ", z)"#);
        assert_eq!(rust("f(r#\"a \" b\"#) // c"), "f(r#\" \"#) ");
        assert_eq!(rust("br\"x\" \"y\n z\""), "br\" \" \" \n \"");
    }

    #[test]
    fn a_lifetime_is_no_character() {
        assert_eq!(rust("&'a str, '\"', '\\'' // x"), "&'a str, ' ', ' ' ");
        assert_eq!(rust("for_('x')"), "for_(' ')");
    }

    #[test]
    fn typescript_keeps_its_strings_and_survives_apostrophes() {
        let text = "test(\"a // b\", 'c')";
        assert_eq!(typescript(&format!("{text} // d")), format!("{text} "));
        let page = "<p>don't</p> // x\ntest('y')";
        assert_eq!(typescript(page), page);
        assert_eq!(typescript("`a\n// b` // c"), "`a\n// b` ");
    }

    #[test]
    fn an_end_in_the_middle_does_not_panic() {
        for text in ["\"a", "'", "/* a", "r#\"a", "`a", "// a", "é'", "\"\\"] {
            assert!(!rust(text).is_empty());
            assert!(!typescript(text).is_empty());
        }
    }
}
