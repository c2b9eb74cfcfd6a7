//! File and environment as one tree that deserializes into the settings.
//!
//! Each node carries the key or the variable that it comes from, so that an error names it. Errors never contain a value,
//! because values may be secrets; this is why the deserializers of other crates, which quote values, are not used here.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{DeserializeSeed, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};
use toml::de::{DeTable, DeValue};

use crate::config::error::{Mistake, MistakeKind};

/// A value with its name.
#[derive(Clone)]
pub(super) struct Node {
    name: String,
    /// Where the file has it: a position in its text.
    position: Option<usize>,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Text(String),
    Integer(i64),
    Boolean(bool),
    /// A float or a date, which no setting has.
    Other,
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
    /// The text of an environment variable. Its type is the one that the setting requires.
    Variable(String),
}

impl Node {
    /// The root of a file.
    pub(super) fn root(table: &DeTable<'_>) -> Self {
        Self { name: String::new(), position: None, content: Self::table(table, "") }
    }

    fn table(table: &DeTable<'_>, name: &str) -> Content {
        let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<_>)| {
            let text: &std::borrow::Cow<'_, str> = key.get_ref();
            (text.to_string(), Self::parsed(join(name, text), key.span().start, value.get_ref()))
        };
        Content::Table(table.iter().map(entry).collect())
    }

    fn parsed(name: String, position: usize, value: &DeValue<'_>) -> Self {
        let content = match value {
            DeValue::String(text) => Content::Text(text.to_string()),
            // A number that does not fit is none that a setting accepts.
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).map_or(Content::Other, Content::Integer)
            }
            DeValue::Boolean(flag) => Content::Boolean(*flag),
            DeValue::Float(_) | DeValue::Datetime(_) => Content::Other,
            DeValue::Array(items) => {
                let item = |(index, item): (usize, &toml::Spanned<DeValue<'_>>)| {
                    Self::parsed(format!("{name}[{index}]"), item.span().start, item.get_ref())
                };
                Content::List(items.iter().enumerate().map(item).collect())
            }
            DeValue::Table(table) => Self::table(table, &name),
        };
        Self { name, position: Some(position), content }
    }

    /// From the JSON of a variable.
    fn new(name: String, value: toml::Value) -> Self {
        let content = match value {
            toml::Value::String(text) => Content::Text(text),
            toml::Value::Integer(number) => Content::Integer(number),
            toml::Value::Boolean(flag) => Content::Boolean(flag),
            toml::Value::Float(_) | toml::Value::Datetime(_) => Content::Other,
            toml::Value::Array(items) => {
                let item = |(index, value)| Self::new(format!("{name}[{index}]"), value);
                Content::List(items.into_iter().enumerate().map(item).collect())
            }
            toml::Value::Table(table) => {
                let entry = |(key, value): (String, _)| (key.clone(), Self::new(join(&name, &key), value));
                Content::Table(table.into_iter().map(entry).collect())
            }
        };
        Self { name, position: None, content }
    }

    /// The position of a key, or else of the nearest one around it.
    pub(super) fn position_of(&self, key: &str) -> Option<usize> {
        let is_around = key == self.name || self.name.is_empty() || key.strip_prefix(&self.name).is_some_and(is_below);
        if !is_around {
            return None;
        }
        self.children().find_map(|child| child.position_of(key)).or(self.position)
    }

    /// The name of the node at a path of keys: the path itself, or a variable.
    pub(super) fn name_at(&self, path: &str) -> Option<&str> {
        let Content::Table(entries) = &self.content else { return None };
        match path.split_once('.') {
            None => entries.get(path).map(|entry| entry.name.as_str()),
            Some((section, rest)) => entries.get(section)?.name_at(rest),
        }
    }

    /// The names of the items of the list at a key, such as `spaces[2]`.
    pub(super) fn item_names(&self, key: &str) -> Vec<String> {
        if self.name == key
            && let Content::List(items) = &self.content
        {
            return items.iter().map(|item| item.name.clone()).collect();
        }
        self.children().map(|child| child.item_names(key)).find(|names| !names.is_empty()).unwrap_or_default()
    }

    /// Removes a node and everything below it; from a variable that contains it, the whole variable. Returns whether it was
    /// there.
    pub(super) fn remove(&mut self, key: &str) -> bool {
        let is_it = |node: &Self| {
            node.name == key
                || matches!(node.content, Content::Variable(_)) && key.strip_prefix(&node.name).is_some_and(is_below)
        };
        match &mut self.content {
            Content::List(items) => {
                let before = items.len();
                items.retain(|item| !is_it(item));
                items.len() < before || items.iter_mut().any(|item| item.remove(key))
            }
            Content::Table(entries) => {
                let before = entries.len();
                entries.retain(|_, entry| !is_it(entry));
                entries.len() < before || entries.values_mut().any(|entry| entry.remove(key))
            }
            Content::Text(_) | Content::Integer(_) | Content::Boolean(_) | Content::Other | Content::Variable(_) => false,
        }
    }

    fn children(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match &self.content {
            Content::List(items) => Box::new(items.iter()),
            Content::Table(entries) => Box::new(entries.values()),
            Content::Text(_) | Content::Integer(_) | Content::Boolean(_) | Content::Other | Content::Variable(_) => {
                Box::new(std::iter::empty())
            }
        }
    }

    /// Replaces the value of the key at `path` by an environment variable.
    pub(super) fn replace(&mut self, path: &str, variable: &str, text: String) {
        // Where the file has no table, its error is reported instead.
        let Content::Table(table) = &mut self.content else { return };
        match path.split_once('.') {
            None => {
                let node = Self { name: variable.to_owned(), position: None, content: Content::Variable(text) };
                table.insert(path.to_owned(), node);
            }
            Some((section, rest)) => {
                let name = join(&self.name, section);
                let empty = || Self { name, position: None, content: Content::Table(BTreeMap::new()) };
                table.entry(section.to_owned()).or_insert_with(empty).replace(rest, variable, text);
            }
        }
    }

    fn refuse<T>(&self, problem: &str) -> Result<T, Refusal> {
        Err(Refusal::custom(problem).at(&self.name))
    }

    /// The value of a variable that is written as JSON.
    fn json(&self, text: &str, expected: &str) -> Result<toml::Value, Refusal> {
        serde_json::from_str(text).or_else(|_| self.refuse(&format!("must be {expected}")))
    }
}

/// Whether the rest of a name, after that of a node, leads to something in the node.
fn is_below(rest: &str) -> bool {
    rest.starts_with(['.', '['])
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

impl<'de> Deserializer<'de> for Node {
    type Error = Refusal;

    /// Settings ask for one of the types below.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
        self.refuse("has a type that no setting has")
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.content {
            Content::Text(text) | Content::Variable(text) => visitor.visit_string(text),
            Content::Integer(_) | Content::Boolean(_) | Content::Other | Content::List(_) | Content::Table(_) => {
                self.refuse("must be text in quotes")
            }
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let number = match &self.content {
            Content::Integer(number) => Some(*number),
            Content::Variable(text) => text.trim().parse().ok(),
            Content::Text(_) | Content::Boolean(_) | Content::Other | Content::List(_) | Content::Table(_) => None,
        };
        number.map_or_else(|| self.refuse("must be a whole number"), |number| visitor.visit_i64(number))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let flag = match &self.content {
            Content::Boolean(flag) => Some(*flag),
            Content::Variable(text) => text.trim().parse().ok(),
            Content::Text(_) | Content::Integer(_) | Content::Other | Content::List(_) | Content::Table(_) => None,
        };
        flag.map_or_else(|| self.refuse("must be true or false"), |flag| visitor.visit_bool(flag))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let items = match self.content {
            Content::List(items) => items,
            Content::Variable(ref text) if text.trim_start().starts_with('[') => {
                let list = self.json(text, "a list separated by commas, or a JSON array")?;
                return Self::new(self.name, list).deserialize_seq(visitor);
            }
            Content::Variable(text) => {
                let item = |(index, item): (usize, &str)| Self {
                    name: format!("{}[{index}]", self.name),
                    position: None,
                    content: Content::Variable(item.to_owned()),
                };
                text.split(',').map(str::trim).filter(|item| !item.is_empty()).enumerate().map(item).collect()
            }
            Content::Text(_) | Content::Integer(_) | Content::Boolean(_) | Content::Other | Content::Table(_) => {
                return self.refuse("must be a list");
            }
        };
        visitor.visit_seq(Items(items.into_iter()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let entries = match self.content {
            Content::Table(entries) => entries,
            Content::Variable(ref text) => {
                let table = self.json(text, "a JSON object")?;
                if !table.is_table() {
                    return self.refuse("must be a JSON object");
                }
                return Self::new(self.name, table).deserialize_map(visitor);
            }
            Content::Text(_) | Content::Integer(_) | Content::Boolean(_) | Content::Other | Content::List(_) => {
                return self.refuse("must be a table");
            }
        };
        let visited = visitor.visit_map(Entries { entries: entries.into_iter(), value: None });
        visited.map_err(|refusal| refusal.at(&self.name))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 f64 char str bytes byte_buf option unit unit_struct newtype_struct tuple
        tuple_struct enum identifier ignored_any
    }
}

struct Items(std::vec::IntoIter<Node>);

impl<'de> SeqAccess<'de> for Items {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refusal> {
        self.0.next().map(|node| node.seeded(seed)).transpose()
    }
}

struct Entries {
    entries: std::collections::btree_map::IntoIter<String, Node>,
    value: Option<Node>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        let key: StringDeserializer<Refusal> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        let node = self.value.take().ok_or_else(|| Refusal::custom("has a key without a value"))?;
        node.seeded(seed)
    }
}

impl Node {
    /// Deserializes one node. Errors of its value get its name.
    fn seeded<'de, S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Refusal> {
        let name = self.name.clone();
        seed.deserialize(self).map_err(|refusal| refusal.at(&name))
    }
}

/// Why a tree does not deserialize.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The key, once the problem is placed.
    at: Option<String>,
    /// A key below the node.
    below: Option<String>,
    /// The node without which the tree may deserialize.
    remove: String,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    /// The key does not exist; the existing ones.
    Unknown(&'static [&'static str]),
    /// A required key does not exist.
    Missing,
    /// What is wrong, as a predicate.
    Invalid(String),
}

impl Refusal {
    /// Places the problem at a node, unless it is placed already.
    fn at(mut self, node: &str) -> Self {
        if self.at.is_none() {
            let name = self.below.as_ref().map_or_else(|| node.to_owned(), |key| join(node, key));
            self.remove = if matches!(self.problem, Problem::Missing) { node.to_owned() } else { name.clone() };
            self.at = Some(name);
        }
        self
    }

    fn below(key: &str, problem: Problem) -> Self {
        Self { at: None, below: Some(key.to_owned()), remove: String::new(), problem }
    }

    /// The key that is wrong.
    pub(super) fn key(&self) -> &str {
        self.at.as_deref().unwrap_or_default()
    }

    /// The node without which the tree may deserialize.
    pub(super) fn removable(&self) -> &str {
        &self.remove
    }

    /// The mistake that is reported. `suggest` returns a key that is similar to an unknown one, given the keys that exist
    /// beside it.
    pub(super) fn mistake(&self, suggest: impl FnOnce(&str, &[&str]) -> Option<String>) -> Mistake {
        let problem = match &self.problem {
            Problem::Unknown(known) => {
                MistakeKind::UnknownKey { suggestion: suggest(self.key(), known), known: known.join(", ") }
            }
            Problem::Missing => MistakeKind::Invalid("is missing".to_owned()),
            Problem::Invalid(problem) => MistakeKind::Invalid(problem.clone()),
        };
        Mistake { key: self.key().to_owned(), line: None, problem }
    }
}

impl serde::de::Error for Refusal {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self { at: None, below: None, remove: String::new(), problem: Problem::Invalid(problem.to_string()) }
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("must be {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("must be {expected}"))
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self::custom("is not one of the possible values")
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self::below(key, Problem::Unknown(known))
    }

    fn missing_field(key: &'static str) -> Self {
        Self::below(key, Problem::Missing)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is not valid")
    }
}

impl std::error::Error for Refusal {}
