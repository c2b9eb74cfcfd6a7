//! `application/x-www-form-urlencoded`: request bodies, and the responses of providers that use it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use grantry_domain::secret::Secret;
use percent_encoding::percent_decode_str;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::{Coding, Malformed, Object, Text, Value};

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

    pub(crate) fn add_secret(&mut self, name: &'a str, value: &'a Secret) -> &mut Self {
        self.add_bytes(name, value.expose())
    }

    fn add_bytes(&mut self, name: &'a str, value: &'a [u8]) -> &mut Self {
        self.fields.push((name, value));
        self
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

/// Reads a form that must hold every name once and only complete escapes of UTF-8.
pub(crate) fn parse_object(body: &[u8]) -> Result<Object<'_>, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed)?.trim_end_matches(['\r', '\n']);
    let mut names = BTreeSet::new();
    let mut members = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(Malformed)?;
        let name: Cow<'_, str> = checked(name)?.decode();
        if !names.insert(name.clone()) {
            return Err(Malformed);
        }
        members.push((name, Value::Text(checked(value)?)));
    }
    Ok(Object(members))
}

fn checked(raw: &str) -> Result<Text<'_>, Malformed> {
    if !has_complete_escapes(raw) {
        return Err(Malformed);
    }
    let text = Text { raw, coding: Coding::Form };
    std::str::from_utf8(&text.to_zeroizing()).map_err(|_| Malformed)?;
    Ok(text)
}

/// Whether every `%` is followed by two hexadecimal digits.
pub(crate) fn has_complete_escapes(text: &str) -> bool {
    let starts_with_digits =
        |rest: &str| rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    text.split('%').skip(1).all(starts_with_digits)
}

/// Writes a text whose escapes have been checked. The output is never longer than `raw`.
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
    fn r28_forms_are_read_strictly() {
        let object = parse_object(b"access_token=a%2Fb+c&scope=repo%2Cgist&empty=").ok().unwrap();
        assert_eq!(object.string("access_token").unwrap().as_deref(), Some("a/b c"));
        assert_eq!(object.string("scope").unwrap().as_deref(), Some("repo,gist"));
        assert_eq!(object.string("empty").unwrap().as_deref(), Some(""));
        for bad in [&b"a=1&a=2"[..], b"a=1&%61=2", b"a", b"a=%", b"a=%4", b"a=%zz", b"a=%ff", b"a=\xff"] {
            assert!(parse_object(bad).is_err(), "{bad:?}");
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
            let object = parse_object(body.as_bytes()).ok().unwrap();
            prop_assert_eq!(object.string("v").unwrap(), Some(value));
        }

        #[test]
        fn any_bytes_end_without_panic(body in proptest::collection::vec(any::<u8>(), 0..100)) {
            drop(parse_object(&body));
        }
    }
}
