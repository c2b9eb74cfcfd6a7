//! Escapes characters that act on a terminal, on the direction of text, or on lines.
//!
//! Names and other texts of requests, configurations and providers are logged and printed. Such a character in one of them
//! could start a line, hide a part of it or change its order.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io;

use grantry_domain::display::acts_on_output;
use tracing_subscriber::fmt::MakeWriter;

/// Writes text with such characters as `\u{202e}`, line ends included.
pub(crate) struct Escaped<W>(pub(crate) W);

impl<W: fmt::Write> fmt::Write for Escaped<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| match character {
            '\n' | '\r' | '\t' => write!(self.0, "{}", character.escape_default()),
            _ if acts_on_output(character) => write!(self.0, "{}", character.escape_unicode()),
            _ => self.0.write_char(character),
        })
    }
}

/// Text of several lines with such characters escaped, except for line ends.
#[cfg(feature = "cli")]
pub(crate) fn escaped_lines(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            escaped.push('\n');
        }
        // Writing to a string does not fail.
        let _ = Escaped(&mut escaped).write_str(line);
    }
    escaped
}

/// JSON with such characters in the escaped form of JSON, so that it reads as the same value. Line ends between its tokens are
/// kept; within its texts they are escaped already.
pub(crate) fn escaped_json(json: &str) -> Cow<'_, str> {
    if json.bytes().all(|byte| byte == b'\n' || byte == b' ' || byte.is_ascii_graphic()) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && acts_on_output(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Makes writers that escape JSON. Each line arrives in one piece.
pub(crate) struct EscapedJson<W>(pub(crate) W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for EscapedJson<W> {
    type Writer = EscapedJson<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        EscapedJson(self.0.make_writer())
    }
}

impl<W: io::Write> io::Write for EscapedJson<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(escaped_json(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acting() -> impl Iterator<Item = char> {
        (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|character| acts_on_output(*character))
    }

    #[test]
    fn r79_every_character_that_acts_on_output_is_escaped() {
        for character in acting() {
            let mut text = String::new();
            write!(Escaped(&mut text), "a{character}b").unwrap();
            assert!(!text.chars().any(acts_on_output), "{character:?}");
            let json = serde_json::to_string(&format!("a{character}b")).unwrap();
            let escaped = escaped_json(&json);
            assert!(!escaped.chars().any(acts_on_output), "{character:?}");
            assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), format!("a{character}b"), "the same value");
        }
    }

    #[test]
    fn other_text_is_unchanged() {
        let text = "Grüße, e\u{301}, 日本語, עברית, العربية, हिन्दी, a\\b \"c\" \u{1f600}";
        let mut written = String::new();
        write!(Escaped(&mut written), "{text}").unwrap();
        assert_eq!((written.as_str(), &*escaped_json(text)), (text, text));
    }

    #[cfg(feature = "cli")]
    #[test]
    fn lines_are_kept() {
        assert_eq!(escaped_lines("a\u{1b}[31m\n\u{202e}b\r\n"), "a\\u{1b}[31m\n\\u{202e}b\\r\n");
    }
}
