//! A strict JSON reader (RFC 8259): UTF-8, no duplicate names, bounded depth, whole body, nothing after it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{Coding, Malformed, Object, Text, Value};

/// How deep objects and lists may be nested.
const MAX_DEPTH: usize = 16;

/// Reads a body.
pub(crate) fn parse(body: &[u8]) -> Result<Value<'_>, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed)?;
    let mut reader = Reader { text, at: 0 };
    reader.skip_space();
    let value = reader.value(0)?;
    reader.skip_space();
    if reader.at == text.len() { Ok(value) } else { Err(Malformed) }
}

/// Reads a body that must be an object.
pub(crate) fn parse_object(body: &[u8]) -> Result<Object<'_>, Malformed> {
    match parse(body)? {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => Err(Malformed),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, Malformed> {
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) | None => Err(Malformed),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, Malformed> {
        let mut names = BTreeSet::new();
        let mut members = Vec::new();
        self.items(depth, b'}', |reader| {
            let name: Cow<'a, str> = reader.string()?.decode();
            if !names.insert(name.clone()) {
                return Err(Malformed);
            }
            reader.skip_space();
            reader.expect(b':')?;
            reader.skip_space();
            members.push((name, reader.value(depth + 1)?));
            Ok(())
        })?;
        Ok(Value::Object(Object(members)))
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, Malformed> {
        let mut items = Vec::new();
        self.items(depth, b']', |reader| {
            items.push(reader.value(depth + 1)?);
            Ok(())
        })?;
        Ok(Value::List(items))
    }

    /// What stands between brackets, separated by commas.
    fn items(
        &mut self,
        depth: usize,
        end: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if depth == MAX_DEPTH {
            return Err(Malformed);
        }
        self.at += 1;
        self.skip_space();
        if self.take(end) {
            return Ok(());
        }
        loop {
            self.skip_space();
            item(self)?;
            self.skip_space();
            if self.take(end) {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn string(&mut self) -> Result<Text<'a>, Malformed> {
        self.expect(b'"')?;
        let start = self.at;
        let mut coding = Coding::Plain;
        loop {
            match self.peek().ok_or(Malformed)? {
                b'"' => break,
                b'\\' => {
                    coding = Coding::Json;
                    let (_, length) = escape(&self.text[self.at..]).ok_or(Malformed)?;
                    self.at += length;
                }
                0..=0x1f => return Err(Malformed),
                _ => self.at += 1,
            }
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok(Text { raw, coding })
    }

    fn number(&mut self) -> Result<Value<'a>, Malformed> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(Value::Number(&self.text[start..self.at]))
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Malformed) }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Malformed> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(Malformed)
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.take(byte) { Ok(()) } else { Err(Malformed) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// The escape that `text` starts with: its character and its length.
fn escape(text: &str) -> Option<(char, usize)> {
    let simple = match text.as_bytes().get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(text),
        _ => return None,
    };
    Some((simple, 2))
}

/// `\uXXXX`, or the two of a surrogate pair. Lone surrogates are refused.
fn unicode_escape(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
    };
    let first = unit(0)?;
    if let Some(found) = char::from_u32(u32::from(first)) {
        return Some((found, 6));
    }
    let pair = [first, unit(6)?];
    let found = char::decode_utf16(pair).next()?.ok()?;
    Some((found, 12))
}

/// Writes a text whose escapes are known to be valid. What it writes is never longer than `raw`.
pub(super) fn unescape(raw: &str, out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        let Some((found, length)) = escape(rest) else { return };
        let mut bytes = [0; 4];
        out.extend_from_slice(found.encode_utf8(&mut bytes).as_bytes());
        rest = &rest[length..];
    }
    out.extend_from_slice(rest.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(body: &str) -> String {
        parse(body.as_bytes()).ok().unwrap().as_text().unwrap().decode().into_owned()
    }

    #[test]
    fn r28_values_are_read() {
        let body = br#" { "a" : "x" , "b":[1,-2.5e+3,true,false,null,{}], "c":"" } "#;
        let object = parse_object(body).ok().unwrap();
        assert_eq!(object.string("a").unwrap().as_deref(), Some("x"));
        assert_eq!(object.get("b").unwrap().as_list().unwrap().len(), 6);
        assert_eq!(object.string("c").unwrap().as_deref(), Some(""));
        assert!(object.get("d").is_none());
        assert_eq!(text(r#""\"\\\/\b\f\n\r\t\u0041\ud83d\ude00\u00e9""#), "\"\\/\u{8}\u{c}\n\r\tA\u{1f600}\u{e9}");
    }

    #[test]
    fn r28_what_is_not_strict_json_is_refused() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(deep(MAX_DEPTH).as_bytes()).is_ok());
        assert!(parse(deep(MAX_DEPTH + 1).as_bytes()).is_err());
        for bad in [
            "",
            " ",
            "{",
            "}",
            "[",
            "]",
            "[1,]",
            "[,1]",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":1}x",
            "1 2",
            "{\"a\":1,\"a\":2}",
            "{\"a\":1,\"\\u0061\":2}",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "0x1",
            "NaN",
            "Infinity",
            "tru",
            "nul",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\u+123\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"a\nb\"",
            "\"a\u{0}b\"",
            "// x\n1",
            "\u{feff}{}",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn a_null_counts_as_absent() {
        let object = parse_object(br#"{"a":null,"b":1}"#).ok().unwrap();
        assert!(object.string("a").unwrap().is_none());
        assert_eq!(object.string("b"), Err(Malformed));
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&body));
        }

        #[test]
        fn near_json_ends_without_panic(body in r#"[\[\]{}:,"\\ua0-9e.+\-tfn ]{0,60}"#) {
            drop(parse(body.as_bytes()));
        }

        #[test]
        fn a_text_written_with_escapes_reads_back(plain in ".{0,40}") {
            let units: Vec<String> = plain.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            prop_assert_eq!(text(&format!("\"{}\"", units.concat())), plain);
        }

        #[test]
        fn a_decoded_text_never_outgrows_its_buffer(units in proptest::collection::vec(r"\\u00[0-7][0-9a-f]|\\n|[a-z]|\\ud83d\\ude00", 0..20)) {
            let raw = units.concat();
            let body = format!("\"{raw}\"");
            let value = parse(body.as_bytes()).ok().unwrap();
            prop_assert!(value.as_text().unwrap().to_secret().len() <= raw.len());
        }
    }
}
