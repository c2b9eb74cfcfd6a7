//! A second reading of JSON: with the library alone, in the simplest way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// What a walk through a JSON text found.
#[derive(Default)]
pub(crate) struct Structure {
    /// The paths of fields that are given twice in their object.
    pub(crate) repeated: BTreeSet<Vec<String>>,
    /// The names of all fields.
    pub(crate) names: BTreeSet<String>,
    /// The deepest nesting of objects and lists.
    pub(crate) depth: usize,
}

/// Walks through a valid text.
pub(crate) fn structure(text: &str) -> Option<Structure> {
    let mut found = Structure::default();
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    walk(raw, &mut Vec::new(), 0, &mut found);
    Some(found)
}

fn walk(raw: &RawValue, path: &mut Vec<String>, depth: usize, found: &mut Structure) {
    let text = raw.get();
    if !text.starts_with(['{', '[']) {
        return;
    }
    found.depth = found.depth.max(depth + 1);
    if text.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(text).expect("a list");
        for item in items {
            walk(item, path, depth + 1, found);
        }
        return;
    }
    let mut seen = BTreeSet::new();
    for (name, value) in members(text) {
        path.push(name.clone());
        if !seen.insert(name.clone()) {
            found.repeated.insert(path.clone());
        }
        found.names.insert(name);
        walk(value, path, depth + 1, found);
        path.pop();
    }
}

/// The members of an object, with decoded names. A name with a lone surrogate stays as it is written.
fn members(text: &str) -> Vec<(String, &RawValue)> {
    let Members(raw) = serde_json::from_str(text).expect("an object");
    let name = |written: &RawValue| serde_json::from_str(written.get()).unwrap_or_else(|_| written.get().to_owned());
    raw.into_iter().map(|(written, value)| (name(written), value)).collect()
}

/// All members of an object, with repeated names.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                std::iter::from_fn(|| map.next_entry().transpose()).collect::<Result<_, _>>().map(Members)
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// The members of a text that is an object for the library: the last one of each name.
pub(crate) fn object(text: &[u8]) -> Option<BTreeMap<String, Value>> {
    serde_json::from_slice(text).ok()
}

/// Every text and number in a value, at any depth.
pub(crate) fn scalars(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(found.insert(text.clone())),
        Value::Number(number) => drop(found.insert(number.to_string())),
        Value::Array(items) => items.iter().for_each(|item| scalars(item, found)),
        Value::Object(members) => members.values().for_each(|member| scalars(member, found)),
        Value::Null | Value::Bool(_) => {}
    }
}
