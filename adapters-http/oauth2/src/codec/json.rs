//! JSON (RFC 8259) in two ways of reading. Strictly: the whole body is one value, every member name occurs once, and nesting
//! is bounded. Tolerantly, for responses of providers: repeated names are kept, deep values are skipped, and lone surrogates
//! are replaced. The syntax is the same in both.
//!
//! `serde_json` checks the syntax and splits objects and lists into [`RawValue`]s, which borrow from the body. String
//! values are decoded here and not by the library, because its scratch buffer would keep a copy of an escaped token.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{BodyText, Coding, Malformed, Object, Text, Value};

/// How deep objects and lists may be nested.
const MAX_DEPTH: usize = 16;

/// The way of reading.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Strict,
    Tolerant,
}

/// Reads a body strictly.
pub(crate) fn parse(body: &[u8]) -> Result<Value<'_>, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed)?;
    value(raw(text)?, 0, Reading::Strict)
}

/// Reads a body strictly that must be an object.
pub(crate) fn parse_object(body: &[u8]) -> Result<Object<'_>, Malformed> {
    object(parse(body)?)
}

/// Reads a body tolerantly that must be an object.
pub(crate) fn parse_tolerant<'a>(text: &'a BodyText<'_>) -> Result<Object<'a>, Malformed> {
    object(parse_any(text)?)
}

/// Reads a body tolerantly that may be any value.
pub(crate) fn parse_any<'a>(text: &'a BodyText<'_>) -> Result<Value<'a>, Malformed> {
    value(raw(text.as_str())?, 0, Reading::Tolerant)
}

fn object(value: Value<'_>) -> Result<Object<'_>, Malformed> {
    match value {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => Err(Malformed),
    }
}

/// Deserializes from JSON text. The library's error is dropped, because it may quote the text.
fn raw<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Malformed> {
    serde_json::from_str(text).map_err(|_| Malformed)
}

/// Reads a value whose syntax the library has checked.
fn value(json: &RawValue, depth: usize, reading: Reading) -> Result<Value<'_>, Malformed> {
    let text = json.get();
    match (text.as_bytes().first(), reading) {
        (Some(b'{' | b'['), Reading::Strict) if depth == MAX_DEPTH => Err(Malformed),
        // No member that is used is this deep.
        (Some(b'{'), Reading::Tolerant) if depth == MAX_DEPTH => Ok(Value::Object(Object::default())),
        (Some(b'['), Reading::Tolerant) if depth == MAX_DEPTH => Ok(Value::List(Vec::new())),
        (Some(b'{'), _) => {
            let Members(raw_members) = raw(text)?;
            let mut members = Vec::with_capacity(raw_members.len());
            for (name, member) in raw_members {
                members.push((string(name.get(), reading)?.decode(), value(member, depth + 1, reading)?));
            }
            let members = Object(members);
            if reading == Reading::Strict && !members.repeated_names().is_empty() {
                Err(Malformed)
            } else {
                Ok(Value::Object(members))
            }
        }
        (Some(b'['), _) => {
            let items: Vec<&RawValue> = raw(text)?;
            items.into_iter().map(|item| value(item, depth + 1, reading)).collect::<Result<_, _>>().map(Value::List)
        }
        (Some(b'"'), _) => string(text, reading).map(Value::Text),
        (Some(b't'), _) => Ok(Value::Bool(true)),
        (Some(b'f'), _) => Ok(Value::Bool(false)),
        (Some(b'n'), _) => Ok(Value::Null),
        (Some(_), _) => Ok(Value::Number(text)),
        (None, _) => Err(Malformed),
    }
}

/// The members of an object, with names as written.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A string with its quotes. The library has checked every escape except for the pairing of surrogates.
fn string(quoted: &str, reading: Reading) -> Result<Text<'_>, Malformed> {
    let raw = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(Malformed)?;
    if !raw.contains('\\') {
        return Ok(Text { raw, coding: Coding::Plain });
    }
    let mut rest = raw;
    while reading == Reading::Strict
        && let Some((_, escaped)) = rest.split_once('\\')
    {
        (_, rest) = escape(escaped).ok_or(Malformed)?;
    }
    Ok(Text { raw, coding: Coding::Json })
}

/// Decodes the escape after a backslash: its character and the text that follows.
fn escape(text: &str) -> Option<(char, &str)> {
    let (kind, rest) = text.split_at_checked(1)?;
    let plain = match kind {
        "\"" => '"',
        "\\" => '\\',
        "/" => '/',
        "b" => '\u{8}',
        "f" => '\u{c}',
        "n" => '\n',
        "r" => '\r',
        "t" => '\t',
        "u" => return unicode_escape(rest),
        _ => return None,
    };
    Some((plain, rest))
}

/// The four digits after `\u`, or both halves of a surrogate pair. A lone surrogate is refused.
fn unicode_escape(text: &str) -> Option<(char, &str)> {
    let unit = |text: &'_ str| u16::from_str_radix(text, 16).ok();
    let (digits, rest) = text.split_at_checked(4)?;
    let first = unit(digits)?;
    if let Some(found) = char::from_u32(u32::from(first)) {
        return Some((found, rest));
    }
    let (digits, rest) = rest.strip_prefix("\\u")?.split_at_checked(4)?;
    let found = char::decode_utf16([first, unit(digits)?]).next()?.ok()?;
    Some((found, rest))
}

/// Writes a string whose syntax has been checked. A lone surrogate is replaced. The output is never longer than `raw`.
pub(super) fn unescape(raw: &str, out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.extend_from_slice(plain.as_bytes());
        // `uXXXX`.
        let lone = || (char::REPLACEMENT_CHARACTER, escaped.get(5..).unwrap_or_default());
        let (found, after) = escape(escaped).unwrap_or_else(lone);
        out.extend_from_slice(found.encode_utf8(&mut [0; 4]).as_bytes());
        rest = after;
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
            "{\"a\":{\"b\":1,\"b\":2}}",
            "[[{\"a\":1,\"a\":2}]]",
            "{\"a\":[\"\\ud800\"]}",
            "{\"\\ud800\":1}",
            "{\"a\":1}{\"b\":1}",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn r28_a_tolerant_reading_accepts_what_does_not_concern_the_members_in_use() {
        let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
        let body = format!(
            "\u{feff}{{\"a\":\"x\",\"b\":1,\"b\":2,\"\\ud800\":3,\"c\":\"\\udc00z\",\"d\":{deep},\"\\u0061\":\"y\",\"n\":null}}"
        );
        let mut body = body.into_bytes();
        let end = body.len() - 1;
        body.splice(end..end, b",\"e\":\"\xff\xe4\"".iter().copied());
        let text = BodyText::of(&body);
        assert!(text.has_byte_order_mark && text.has_invalid_bytes);
        let object = parse_tolerant(&text).ok().unwrap();
        assert_eq!(object.string("a").unwrap().as_deref(), Some("x"), "the first one");
        assert_eq!(object.repeated_names().into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(object.repeats("a") && !object.repeats("c") && object.get("n").is_none());
        assert_eq!(object.string("c").unwrap().as_deref(), Some("\u{fffd}z"));
        assert_eq!(object.string("e").unwrap().as_deref(), Some("\u{fffd}\u{fffd}"));
        for bad in ["", "[]", "{\"a\":1,}", "{\"a\":01}", "{a:1}", "{}x", "{\"a\":\"\n\"}", "\u{feff}\u{feff}{}"] {
            assert!(parse_tolerant(&BodyText::of(bad.as_bytes())).is_err(), "{bad:?}");
        }
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
            let text = BodyText::of(&body);
            prop_assert!(parse_tolerant(&text).map_or(0, |object| object.0.len()) <= body.len());
        }

        #[test]
        fn near_json_ends_without_panic(body in r#"[\[\]{}:,"\\ua0-9e.+\-tfn ]{0,60}"#) {
            drop(parse(body.as_bytes()));
            let text = BodyText::of(body.as_bytes());
            prop_assert!(parse_tolerant(&text).map_or(0, |object| object.0.len()) <= body.len());
        }

        #[test]
        fn any_text_with_surrogates_is_decoded_within_its_buffer(units in proptest::collection::vec(r"\\ud[89a-f][0-9a-f]{2}|\\n|[a-z]", 0..20)) {
            let raw = units.concat();
            let body = format!("{{\"{raw}\":\"{raw}\"}}");
            let text = BodyText::of(body.as_bytes());
            let object = parse_tolerant(&text).ok().unwrap();
            prop_assert!(object.0[0].1.as_text().unwrap().to_secret().len() <= raw.len());
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
