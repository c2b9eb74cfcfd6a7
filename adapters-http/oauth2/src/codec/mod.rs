//! The wire formats: strict readers that borrow from the body, and writers that allocate once.
//!
//! A secret is copied once, from the body into a buffer of its final size that is wiped when dropped.

pub(crate) mod form;
pub(crate) mod json;

use std::borrow::Cow;

use grantry_domain::secret::Secret;
use zeroize::Zeroizing;

/// A value read from JSON or from a form, borrowed from the body. It does not implement `Debug`, because it may be a token.
#[derive(Clone)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    /// A JSON number as written.
    Number(&'a str),
    Text(Text<'a>),
    List(Vec<Value<'a>>),
    Object(Object<'a>),
}

/// The members of an object in their original order. Every name occurs once.
#[derive(Clone, Default)]
pub(crate) struct Object<'a>(pub(crate) Vec<(Cow<'a, str>, Value<'a>)>);

/// A text as it is written in the body.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    raw: &'a str,
    coding: Coding,
}

/// How a text is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Plain,
    /// With JSON escapes, which have been checked.
    Json,
    /// With percent escapes and `+`, which have been checked.
    Form,
}

/// The body is malformed. Contains no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl<'a> Object<'a> {
    /// A member; a JSON `null` counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        let value = self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)?;
        if matches!(value, Value::Null) { None } else { Some(value) }
    }

    /// A member that must be a text, if it is present.
    pub(crate) fn text(&self, name: &str) -> Result<Option<Text<'a>>, Malformed> {
        self.get(name).map(|value| value.as_text().ok_or(Malformed)).transpose()
    }

    /// A decoded member that must be a text, if it is present. Not for secrets.
    pub(crate) fn string(&self, name: &str) -> Result<Option<String>, Malformed> {
        Ok(self.text(name)?.map(|text| text.decode().into_owned()))
    }
}

impl<'a> Value<'a> {
    pub(crate) fn as_text(&self) -> Option<Text<'a>> {
        match self {
            Self::Text(text) => Some(*text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    pub(crate) fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Value<'a>]> {
        match self {
            Self::List(items) => Some(items),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Object(_) => None,
        }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Null | Self::Number(_) | Self::Text(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// Texts, and numbers as written: account ids are either.
    pub(crate) fn as_scalar(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text.decode()),
            Self::Number(digits) => Some(Cow::Borrowed(digits)),
            Self::Null | Self::Bool(_) | Self::List(_) | Self::Object(_) => None,
        }
    }
}

impl<'a> Text<'a> {
    /// The text. Not for secrets: the copy of an escaped text is not wiped.
    pub(crate) fn decode(self) -> Cow<'a, str> {
        match self.coding {
            Coding::Plain => Cow::Borrowed(self.raw),
            Coding::Json | Coding::Form => {
                let bytes = self.to_zeroizing();
                Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
            }
        }
    }

    /// The text as a secret: copied once, into a buffer that never grows.
    pub(crate) fn to_secret(self) -> Secret {
        Secret::from_zeroizing(self.to_zeroizing())
    }

    fn to_zeroizing(self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(self.raw.len()));
        match self.coding {
            Coding::Plain => out.extend_from_slice(self.raw.as_bytes()),
            Coding::Json => json::unescape(self.raw, &mut out),
            Coding::Form => form::unescape(self.raw, &mut out),
        }
        out
    }
}
