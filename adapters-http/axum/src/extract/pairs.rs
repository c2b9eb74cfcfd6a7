//! Names and values for another server: headers, and a query. Numbers are kept as they are written.

use std::fmt::{self, Formatter};

use grantry_domain::ports::ApiQuery;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

pub(super) const SCALAR: &str = "a string, a number or a boolean";
pub(super) const SCALARS: &str = "a string, a number, a boolean or a list of them";
/// Longest query, in bytes of names and values. A name counts for each of its values.
const LONGEST_QUERY: usize = 64 * 1024;
pub(super) const SHORTER: &str = "at most 65536 bytes of names and values";
pub(super) const OBJECT_OR_STRING: &str = "an object or a string";

/// A flat object of strings, numbers and booleans, each as text and in the order of the request.
#[derive(Default)]
pub(crate) struct Pairs(pub(crate) Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Pairs;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, Scalar(value))) = entries.next_entry()? {
                    pairs.push((name, value));
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

/// A query: an object whose values may be lists, or a text that is already encoded.
#[derive(Default)]
pub(crate) struct QueryParams(pub(crate) ApiQuery);

impl<'de> Deserialize<'de> for QueryParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = QueryParams;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str(OBJECT_OR_STRING)
            }

            fn visit_str<E>(self, text: &str) -> Result<QueryParams, E> {
                Ok(QueryParams(ApiQuery::Encoded(text.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<QueryParams, A::Error> {
                let (mut pairs, mut length) = (Vec::new(), 0);
                while let Some((name, Scalars(values))) = entries.next_entry::<String, _>()? {
                    length += values.iter().map(|value| name.len() + value.len()).sum::<usize>();
                    if length > LONGEST_QUERY {
                        return Err(A::Error::invalid_length(length, &SHORTER));
                    }
                    pairs.extend(values.into_iter().map(|value| (name.clone(), value)));
                }
                Ok(QueryParams(ApiQuery::Pairs(pairs)))
            }
        }

        deserializer.deserialize_any(Entries)
    }
}

/// A string, number or boolean as text.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        scalar(&raw).map(Self).ok_or_else(|| D::Error::invalid_type(Unexpected::Other("value"), &SCALAR))
    }
}

/// The same, or a list of them.
struct Scalars(Vec<String>);

impl<'de> Deserialize<'de> for Scalars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let values = match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
            Ok(items) => items.into_iter().map(scalar).collect(),
            Err(_) => scalar(&raw).map(|value| vec![value]),
        };
        values.map(Self).ok_or_else(|| D::Error::invalid_type(Unexpected::Other("value"), &SCALARS))
    }
}

fn scalar(raw: &RawValue) -> Option<String> {
    match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str(raw.get()).ok(),
        b'-' | b'0'..=b'9' | b't' | b'f' => Some(raw.get().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Option<ApiQuery> {
        serde_json::from_str::<QueryParams>(text).ok().map(|query| query.0)
    }

    #[test]
    fn a_query_is_bounded_also_where_a_long_name_has_many_values() {
        let name = "n".repeat(1023);
        let values = |count: usize| format!(r#"{{"{name}": [{}]}}"#, vec!["1"; count].join(","));
        assert!(query(&values(64)).is_some());
        assert_eq!(query(&values(65)), None);
    }

    #[test]
    fn values_of_a_query_are_kept_as_they_are_written() {
        let pairs = |expected: &[(&str, &str)]| {
            Some(ApiQuery::Pairs(expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()))
        };
        for number in ["-9223372036854775809", "1432.0531571421431500", "1e2", "1e400", "-0", "1E+5", "0.10"] {
            assert_eq!(query(&format!(r#"{{"n": {number} }}"#)), pairs(&[("n", number)]));
        }
        let lists = r#"{"b": ["x", 1.0, true, "ä"], "a": false, "b": "\u0041", "c": [ ]}"#;
        let expected = pairs(&[("b", "x"), ("b", "1.0"), ("b", "true"), ("b", "ä"), ("a", "false"), ("b", "A")]);
        assert_eq!(query(lists), expected);
        assert_eq!(query(r#""a=1&b=%20""#), Some(ApiQuery::Encoded("a=1&b=%20".to_owned())));
        for bad in [
            "[]",
            "1",
            "true",
            r#"{"a": null}"#,
            r#"{"a": {}}"#,
            r#"{"a": [[1]]}"#,
            r#"{"a": [null]}"#,
            r#"{"a": "\ud800"}"#,
        ] {
            assert_eq!(query(bad), None, "{bad}");
        }
    }
}
