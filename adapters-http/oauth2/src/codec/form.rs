//! `application/x-www-form-urlencoded`: request bodies, and the responses of providers that use it.

use std::collections::BTreeMap;

use grantry_domain::secret::Secret;
use percent_encoding::percent_decode_str;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use super::{BodyText, Coding, Object, Text, Value};

/// A form under construction. It collects references first, so that the body is allocated once and secrets in it are
/// never moved to a larger buffer.
#[derive(Default)]
pub(crate) struct Form<'a> {
    fields: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Form<'a> {
    pub(crate) fn add(&mut self, name: &'a str, value: &'a str) -> &mut Self {
        self.add_bytes(name, value.as_bytes())
    }

    pub(crate) fn add_all(&mut self, parameters: &'a BTreeMap<String, String>) -> &mut Self {
        for (name, value) in parameters {
            self.add(name, value);
        }
        self
    }

    pub(crate) fn add_secret(&mut self, name: &'a str, value: &'a Secret) -> &mut Self {
        self.add_bytes(name, value.expose())
    }

    fn add_bytes(&mut self, name: &'a str, value: &'a [u8]) -> &mut Self {
        self.fields.push((name, value));
        self
    }

    /// The fields as the members of a JSON object. `None` if a value is not UTF-8.
    pub(crate) fn to_json(&self) -> Option<Secret> {
        // An escape takes at most six bytes for a byte, so the buffer never grows.
        let max_size = self.fields.iter().map(|(name, value)| 6 * (name.len() + value.len()) + 6).sum::<usize>() + 2;
        let mut out = Zeroizing::new(Vec::with_capacity(max_size));
        out.push(b'{');
        for (name, value) in &self.fields {
            if out.len() > 1 {
                out.push(b',');
            }
            serde_json::to_writer(&mut *out, name).ok()?;
            out.push(b':');
            serde_json::to_writer(&mut *out, std::str::from_utf8(value).ok()?).ok()?;
        }
        out.push(b'}');
        Some(Secret::from_zeroizing(out))
    }

    pub(crate) fn finish(&self) -> Secret {
        let max_size = self.fields.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
        let mut out = Zeroizing::new(Vec::with_capacity(max_size));
        for (name, value) in &self.fields {
            if !out.is_empty() {
                out.push(b'&');
            }
            escape(name.as_bytes(), &mut out);
            out.push(b'=');
            escape(value, &mut out);
        }
        Secret::from_zeroizing(out)
    }
}

/// Appends a value in its escaped form: at most three bytes for each byte.
pub(crate) fn escape(value: &[u8], out: &mut Vec<u8>) {
    for piece in byte_serialize(value) {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Reads a form. Repeated names are kept, and an incomplete escape is the text as written.
pub(crate) fn parse<'a>(text: &'a BodyText<'_>) -> Object<'a> {
    let text = text.as_str().trim_end_matches(['\r', '\n']);
    let form = |raw| Text { raw, coding: Coding::Form };
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    Object(pairs.map(|(name, value)| (form(name).decode(), Value::Text(form(value)))).collect())
}

/// Adds parameters to the query of a URL. A blank is `%20`, which every reader decodes; only forms define `+` for it.
pub(crate) fn append_query<N: AsRef<str>, V: AsRef<str>>(url: &mut Url, pairs: impl IntoIterator<Item = (N, V)>) {
    let present = url.query().unwrap_or_default();
    // A `+` in a name or value is escaped, so every `+` in the output is a blank.
    let added = Serializer::new(String::new()).extend_pairs(pairs).finish().replace('+', "%20");
    let separator = if present.is_empty() || added.is_empty() { "" } else { "&" };
    let query = format!("{present}{separator}{added}");
    url.set_query((!query.is_empty()).then_some(query.as_str()));
}

/// Whether every `%` is followed by two hexadecimal digits.
pub(crate) fn has_complete_escapes(text: &str) -> bool {
    let starts_with_digits =
        |rest: &str| rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    text.split('%').skip(1).all(starts_with_digits)
}

/// Writes a text. The output is never longer than `raw`.
pub(super) fn unescape(raw: &str, out: &mut Vec<u8>) {
    for (index, word) in raw.split('+').enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend(percent_decode_str(word));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::form_urlencoded;

    use super::*;

    #[test]
    fn r28_forms_are_read() {
        let text =
            BodyText::of(b"access_token=a%2Fb+c&scope=repo%2Cgist&empty=&a=1&%61=2&bare&b=%&c=%zz&d=%ff&e=\xff&&\r\n");
        let object = parse(&text);
        let read = |name: &str| object.string(name).unwrap();
        assert_eq!(read("access_token").as_deref(), Some("a/b c"));
        assert_eq!(read("scope").as_deref(), Some("repo,gist"));
        assert_eq!((read("empty").as_deref(), read("bare").as_deref()), (Some(""), Some("")));
        assert!(object.repeats("a") && !object.repeats("b"));
        assert_eq!((read("b").as_deref(), read("c").as_deref()), (Some("%"), Some("%zz")));
        assert_eq!((read("d").as_deref(), read("e").as_deref()), (Some("\u{fffd}"), Some("\u{fffd}")));
        assert_eq!(object.0.len(), 10);
    }

    #[test]
    fn r12_a_query_is_extended_with_blanks_as_percent_20() {
        for (start, expected) in [
            ("https://a.example/x", "https://a.example/x?s=a%20b&t=c%2Bd%26e"),
            ("https://a.example/x?", "https://a.example/x?s=a%20b&t=c%2Bd%26e"),
            ("https://a.example/x?p=1+2", "https://a.example/x?p=1+2&s=a%20b&t=c%2Bd%26e"),
        ] {
            let mut url = Url::parse(start).unwrap();
            append_query(&mut url, [("s", "a b"), ("t", "c+d&e")]);
            assert_eq!(url.as_str(), expected);
        }
    }

    proptest! {
        #[test]
        fn writing_agrees_with_the_url_library(fields in proptest::collection::vec((".{1,8}", ".{0,20}"), 0..5)) {
            let mut form = Form::default();
            for (name, value) in &fields {
                form.add(name, value);
            }
            let body = form.finish();
            let read: Vec<_> = form_urlencoded::parse(body.expose()).into_owned().collect();
            prop_assert_eq!(read, fields);
        }

        #[test]
        fn reading_agrees_with_the_url_library(value in ".{0,30}") {
            let body = form_urlencoded::Serializer::new(String::new()).append_pair("v", &value).finish();
            let text = BodyText::of(body.as_bytes());
            prop_assert_eq!(parse(&text).string("v").unwrap(), Some(value));
        }

        #[test]
        fn any_bytes_end_without_panic(body in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(parse(&BodyText::of(&body)).0.len() <= body.len());
        }
    }
}
