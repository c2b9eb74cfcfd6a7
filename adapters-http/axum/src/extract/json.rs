//! Reading JSON bodies so that every refusal names its field and none repeats a value (R58, R78).
//!
//! Bodies become a small tree of our own before anything typed is made of them. A derived deserialiser would be shorter, but
//! its errors quote what they read, and what they read may be a password. Texts of the tree are wiped when dropped.

use std::fmt;

use grantry_domain::secret::Secret;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use zeroize::Zeroizing;

use crate::problem::Problem;

/// How deep objects and lists may be nested (R58).
const MAX_DEPTH: usize = 16;

/// Longest field name that is repeated to the caller.
const NAMEABLE: usize = 64;

/// A JSON value.
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(Zeroizing<String>),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a body: well-formed, at most [`MAX_DEPTH`] deep, no field twice.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        if is_too_deep(bytes) {
            return Err(Problem::invalid("body", format!("must not be nested deeper than {MAX_DEPTH} levels")));
        }
        let json: Self = serde_json::from_slice(bytes).map_err(|error| {
            Problem::invalid("body", format!("is not JSON (line {}, column {})", error.line(), error.column()))
        })?;
        json.refuse_doubles("")?;
        Ok(json)
    }

    /// The value as text again, in the order it was sent.
    pub(crate) fn to_text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    fn refuse_doubles(&self, path: &str) -> Result<(), Problem> {
        match self {
            Self::Object(fields) => fields.iter().enumerate().try_for_each(|(position, (name, value))| {
                let path = joined(path, name);
                if fields[..position].iter().any(|(earlier, _)| earlier == name) {
                    return Err(Problem::invalid(path, "is given twice"));
                }
                value.refuse_doubles(&path)
            }),
            Self::List(items) => items.iter().try_for_each(|item| item.refuse_doubles(path)),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => Ok(()),
        }
    }
}

/// Counts open brackets outside of texts; cheaper than parsing, and done before it.
fn is_too_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            (true | false, _) => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// The path of a field. A name that is long or strange is not repeated.
fn joined(path: &str, name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let name = if name.len() <= NAMEABLE && !name.is_empty() && name.bytes().all(plain) { name } else { "(unnamed)" };
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// An object being read field by field. [`Fields::finish`] refuses whatever was not asked for.
pub(crate) struct Fields {
    path: String,
    entries: Vec<(String, Json)>,
}

impl Fields {
    /// The fields of a body.
    pub(crate) fn of_body(json: Json) -> Result<Self, Problem> {
        match json {
            Json::Object(entries) => Ok(Self { path: String::new(), entries }),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_) => {
                Err(Problem::invalid("body", "must be an object"))
            }
        }
    }

    /// No fields at all: an empty body.
    pub(crate) fn none() -> Self {
        Self { path: String::new(), entries: Vec::new() }
    }

    /// The path of one of the fields, for errors.
    pub(crate) fn name(&self, field: &str) -> String {
        joined(&self.path, field)
    }

    /// The field, if it is there and not null.
    pub(crate) fn value(&mut self, field: &str) -> Option<Json> {
        let position = self.entries.iter().position(|(name, _)| name == field)?;
        match self.entries.remove(position).1 {
            Json::Null => None,
            value @ (Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_) | Json::Object(_)) => Some(value),
        }
    }

    pub(crate) fn optional_text(&mut self, field: &str) -> Result<Option<Zeroizing<String>>, Problem> {
        match self.value(field) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::List(_) | Json::Object(_)) => {
                Err(Problem::invalid(self.name(field), "must be a text"))
            }
        }
    }

    pub(crate) fn text(&mut self, field: &str) -> Result<Zeroizing<String>, Problem> {
        self.optional_text(field)?.ok_or_else(|| self.missing(field))
    }

    /// A text that is a secret from here on.
    pub(crate) fn optional_secret(&mut self, field: &str) -> Result<Option<Secret>, Problem> {
        Ok(self.optional_text(field)?.map(|text| Secret::from_text(&text)))
    }

    pub(crate) fn optional_flag(&mut self, field: &str) -> Result<Option<bool>, Problem> {
        match self.value(field) {
            None => Ok(None),
            Some(Json::Bool(flag)) => Ok(Some(flag)),
            Some(Json::Null | Json::Text(_) | Json::Number(_) | Json::List(_) | Json::Object(_)) => {
                Err(Problem::invalid(self.name(field), "must be true or false"))
            }
        }
    }

    pub(crate) fn optional_count(&mut self, field: &str) -> Result<Option<u64>, Problem> {
        let count = match self.value(field) {
            None => return Ok(None),
            Some(Json::Number(number)) => number.as_u64(),
            Some(Json::Null | Json::Bool(_) | Json::Text(_) | Json::List(_) | Json::Object(_)) => None,
        };
        count.map(Some).ok_or_else(|| Problem::invalid(self.name(field), "must be a whole number"))
    }

    /// An object, to be read field by field.
    pub(crate) fn optional_object(&mut self, field: &str) -> Result<Option<Self>, Problem> {
        match self.value(field) {
            None => Ok(None),
            Some(Json::Object(entries)) => Ok(Some(Self { path: self.name(field), entries })),
            Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_)) => {
                Err(Problem::invalid(self.name(field), "must be an object"))
            }
        }
    }

    pub(crate) fn object(&mut self, field: &str) -> Result<Self, Problem> {
        self.optional_object(field)?.ok_or_else(|| self.missing(field))
    }

    /// A flat object of texts, numbers and flags, each as text: headers, or the parameters of a query.
    pub(crate) fn pairs(&mut self, field: &str) -> Result<Vec<(String, String)>, Problem> {
        let Some(object) = self.optional_object(field)? else { return Ok(Vec::new()) };
        let mut pairs = Vec::new();
        for (name, value) in object.entries {
            let path = joined(&object.path, &name);
            match value {
                Json::Text(text) => pairs.push((name, text.as_str().to_owned())),
                Json::Number(number) => pairs.push((name, number.to_string())),
                Json::Bool(flag) => pairs.push((name, flag.to_string())),
                Json::Null | Json::List(_) | Json::Object(_) => {
                    return Err(Problem::invalid(path, "must be a text, a number or a flag"));
                }
            }
        }
        Ok(pairs)
    }

    /// The rest as one object again: for settings that somebody else understands.
    pub(crate) fn into_json(self) -> Json {
        Json::Object(self.entries)
    }

    /// Nothing else may be there.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.entries.first() {
            None => Ok(()),
            Some((name, _)) => Err(Problem::invalid(joined(&self.path, name), "is not a known field")),
        }
    }

    pub(crate) fn missing(&self, field: &str) -> Problem {
        Problem::invalid(self.name(field), "is missing")
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(Zeroizing::new(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = entries.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    fn field_of(problem: Problem) -> serde_json::Value {
        serde_json::to_value(problem.details("c")).unwrap()["field"].clone()
    }

    #[test]
    fn r58_nesting_is_bounded_exactly() {
        assert!(Json::parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(Json::parse(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        // Brackets within texts are no nesting.
        let text = format!(r#"{{"a":"{}\"{}"}}"#, "[".repeat(40), "{".repeat(40));
        assert!(Json::parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn r58_unknown_doubled_and_ill_typed_fields_are_named() {
        let read = |text: &str| Fields::of_body(Json::parse(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(field_of(read(r#"{"clientSecert":"canary"}"#).finish().unwrap_err()), "clientSecert");
        assert_eq!(field_of(read(r#"{"a b\n":1}"#).finish().unwrap_err()), "(unnamed)");
        let mut fields = read(r#"{"params":{"method":7}}"#);
        assert_eq!(field_of(fields.object("params").unwrap().text("method").unwrap_err()), "params.method");
        assert_eq!(field_of(Json::parse(br#"{"a":{"b":1,"b":2}}"#).err().unwrap()), "a.b");
    }

    #[test]
    fn r78_no_refusal_repeats_a_value() {
        for body in [r#"{"password": CANARY}"#, r#"{"password": "CANARY"#, r#""CANARY""#, r#"{"password":"CANARY\u12"}"#] {
            let problem = Json::parse(body.as_bytes()).and_then(Fields::of_body).err().unwrap();
            let text = serde_json::to_string(&problem.details("c")).unwrap();
            assert!(!text.contains("CANARY"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn settings_survive_the_round_trip(text in r#"\{"a":(null|true|-?[1-9][0-9]{0,9}|"[a-zä€ ]{0,8}"|\[1,\{"b":"c"\}\])\}"#) {
            let json = Json::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(json.to_text().unwrap(), text);
        }

        #[test]
        fn r58_no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Json::parse(&bytes);
        }
    }
}
