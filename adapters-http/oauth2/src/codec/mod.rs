//! The wire formats: readers that borrow from the body, and writers that allocate once.
//!
//! A secret is copied once, from the body into a buffer of its final size that is wiped when dropped.

pub(crate) mod form;
pub(crate) mod json;
mod number;

use std::borrow::Cow;
use std::collections::BTreeSet;

use grantry_domain::secret::Secret;
use zeroize::{Zeroize as _, Zeroizing};

pub(crate) use self::number::Number;

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

/// The members of an object in their original order. Every name occurs once if the body was read strictly.
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
    /// With JSON escapes.
    Json,
    /// With percent escapes and `+`.
    Form,
}

/// The body is malformed. Contains no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A body as text, without a byte order mark. Bytes that are not UTF-8 are replaced, so that they are in no value that is
/// used.
pub(crate) struct BodyText<'a> {
    text: Cow<'a, str>,
    pub(crate) has_byte_order_mark: bool,
    pub(crate) has_invalid_bytes: bool,
}

impl<'a> BodyText<'a> {
    pub(crate) fn of(body: &'a [u8]) -> Self {
        let without_mark = body.strip_prefix("\u{feff}".as_bytes());
        let bytes = without_mark.unwrap_or(body);
        let has_byte_order_mark = without_mark.is_some();
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Self { text: Cow::Borrowed(text), has_byte_order_mark, has_invalid_bytes: false };
        }
        // At most one replacement of three bytes for each byte: the buffer never grows.
        let mut text = String::with_capacity(3 * bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Self { text: Cow::Owned(text), has_byte_order_mark, has_invalid_bytes: true }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl Drop for BodyText<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.text {
            text.zeroize();
        }
    }
}

impl<'a> Object<'a> {
    /// The first member of this name; a JSON `null` counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        let value = self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)?;
        if matches!(value, Value::Null) { None } else { Some(value) }
    }

    /// The value at a path, as [`Value::at`].
    pub(crate) fn at(&self, path: &str) -> Option<&Value<'a>> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let member = self.get(first).filter(|_| !self.repeats(first))?;
        rest.map_or(Some(member), |rest| member.at(rest))
    }

    /// Whether there is a member of this name, with any value.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// Whether this name occurs more than once.
    pub(crate) fn repeats(&self, name: &str) -> bool {
        self.0.iter().filter(|(key, _)| key == name).nth(1).is_some()
    }

    /// The names that occur more than once.
    pub(crate) fn repeated_names(&self) -> BTreeSet<&str> {
        repeated(self.0.iter().map(|(name, _)| name.as_ref()))
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
    /// The value at a path of member names and list indexes, such as `data.0.id`. `None` if a name on the way is repeated.
    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |value, part| match value {
            Self::Object(object) => object.get(part).filter(|_| !object.repeats(part)),
            Self::List(items) => items.get(part.parse::<usize>().ok()?),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => None,
        })
    }

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

/// The names that occur more than once. The work is proportional to their number and its logarithm.
fn repeated<N: Copy + Ord>(names: impl Iterator<Item = N>) -> BTreeSet<N> {
    let mut seen = BTreeSet::new();
    names.filter(|name| !seen.insert(*name)).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::{BodyText, json, repeated};

    thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    /// A name that counts how often it is compared.
    #[derive(Debug, Clone, Copy)]
    struct Counted<'a>(&'a str);

    impl Ord for Counted<'_> {
        fn cmp(&self, other: &Self) -> Ordering {
            STEPS.set(STEPS.get() + 1);
            self.0.cmp(other.0)
        }
    }

    impl PartialOrd for Counted<'_> {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl PartialEq for Counted<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other) == Ordering::Equal
        }
    }

    impl Eq for Counted<'_> {}

    /// Names in one of several orders, of which `distinct` differ.
    fn names(count: usize, distinct: usize, order: usize) -> Vec<String> {
        let number = |index: usize| match order {
            0 => index % distinct,
            1 => (count - index) % distinct,
            _ => index.wrapping_mul(0x9e37_79b1) % distinct,
        };
        (0..count).map(|index| format!("a name that all begin with {:06}", number(index))).collect()
    }

    /// Finds the repeated names, and checks the work.
    fn assert_bounded(names: &[String]) {
        STEPS.set(0);
        let found = repeated(names.iter().map(|name| Counted(name))).len();
        let levels = usize::try_from((names.len() + 2).ilog2()).unwrap() + 1;
        let (steps, count) = (STEPS.get(), names.len());
        // Two sets, whose nodes have up to eleven names that are searched one after the other.
        assert!(steps <= 8 * (count + 1) * levels, "{steps} comparisons of {count} names, {found} repeated");
        assert!(steps + 1 >= count, "the names were not compared");
    }

    #[test]
    fn r28_the_work_for_repeated_members_is_bounded_by_their_number() {
        for count in [1_000, 10_000, 100_000] {
            for (distinct, order) in [(count, 0), (count, 1), (count, 2), (count / 2, 0), (1, 0)] {
                assert_bounded(&names(count, distinct, order));
            }
        }
    }

    #[test]
    fn r28_repeated_members_are_found_among_many() {
        let members: Vec<String> = (0..100_000).map(|index| format!("\"n{index}\":{index}")).collect();
        let body = format!("{{{},\"\\u006e7\":0}}", members.join(","));
        assert!(json::parse(body.as_bytes()).is_err());
        let text = BodyText::of(body.as_bytes());
        let object = json::parse_tolerant(&text).ok().unwrap();
        assert_eq!(object.repeated_names().into_iter().collect::<Vec<_>>(), ["n7"]);
    }

    proptest! {
        #[test]
        fn r28_any_number_of_members_takes_bounded_work(count in 1_usize..400, distinct in 1_usize..400, order in 0_usize..3) {
            assert_bounded(&names(count, distinct, order));
        }
    }
}
