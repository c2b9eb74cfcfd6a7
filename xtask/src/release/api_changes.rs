//! Breaking changes between two descriptions of the HTTP API.
//!
//! A request breaks if it has new required input or accepts less; a response breaks if a member is removed, becomes optional or
//! gets another type, and if a value of an enumeration, such as an error code, is removed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// A breaking change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Break {
    /// An operation (`GET /x`), a schema (`Connector`) or a member of one (`Connector.name`).
    pub(crate) subject: String,
    pub(crate) what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Direction {
    Request,
    Response,
}

/// All breaking changes from `old` to `new`, each once.
pub(crate) fn breaking(old: &Value, new: &Value) -> BTreeSet<Break> {
    let mut comparison = Comparison { old, new, seen: BTreeSet::new(), breaks: BTreeSet::new() };
    comparison.operations();
    comparison.breaks
}

struct Comparison<'v> {
    old: &'v Value,
    new: &'v Value,
    /// Named schemas that were compared.
    seen: BTreeSet<(Direction, String, String)>,
    breaks: BTreeSet<Break>,
}

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "patch", "head", "options"];
/// The routes of other spaces repeat those of the default space.
const OTHER_SPACES: &str = "/s/{space}";

impl<'v> Comparison<'v> {
    fn operations(&mut self) {
        for (path, old) in members(&self.old["paths"]) {
            let repeats = path.strip_prefix(OTHER_SPACES).is_some_and(|path| self.old["paths"].get(path).is_some());
            for method in METHODS {
                let Some(old) = old.get(method) else {
                    continue;
                };
                let subject = format!("{} {path}", method.to_uppercase());
                match self.new["paths"].get(path).and_then(|new| new.get(method)) {
                    None => self.add(&subject, "the operation was removed"),
                    Some(new) if !repeats => self.operation(&subject, old, new),
                    Some(_) => {}
                }
            }
        }
    }

    fn operation(&mut self, subject: &str, old: &'v Value, new: &'v Value) {
        self.parameters(subject, old, new);
        let (before, after) = (&old["requestBody"], &new["requestBody"]);
        if before.is_null() && after["required"] == true {
            self.add(subject, "a body is required");
        }
        self.contents(Direction::Request, subject, before, after);
        for (status, before) in members(&old["responses"]) {
            match new["responses"].get(status) {
                None => self.add(subject, &format!("the response {status} was removed")),
                Some(after) => self.contents(Direction::Response, subject, before, after),
            }
        }
    }

    fn parameters(&mut self, subject: &str, old: &'v Value, new: &'v Value) {
        let (before, after) = (parameters(old), parameters(new));
        for (key, parameter) in &after {
            let was_required = before.get(key).is_some_and(|old| old["required"] == true);
            if parameter["required"] == true && !was_required {
                self.add(subject, &format!("the parameter {} is required", key.1));
            }
        }
        for (key, parameter) in &before {
            match after.get(key) {
                None => self.add(subject, &format!("the parameter {} was removed", key.1)),
                Some(new) => self.schema(Direction::Request, subject, &parameter["schema"], &new["schema"]),
            }
        }
    }

    fn contents(&mut self, direction: Direction, subject: &str, old: &'v Value, new: &'v Value) {
        for (kind, before) in members(&old["content"]) {
            match new["content"].get(kind) {
                None => self.add(subject, &format!("the {} of type {kind} was removed", direction.name())),
                Some(after) => self.schema(direction, subject, &before["schema"], &after["schema"]),
            }
        }
    }

    fn schema(&mut self, direction: Direction, subject: &str, old: &'v Value, new: &'v Value) {
        let (old_name, new_name) = (reference(old), reference(new));
        let (old, new) = (self.old_schema(old), self.new_schema(new));
        let mut subject = subject.to_owned();
        if let Some(name) = old_name {
            if !self.seen.insert((direction, name.to_owned(), new_name.unwrap_or_default().to_owned())) {
                return;
            }
            name.clone_into(&mut subject);
        }
        self.types(direction, &subject, old, new);
        self.values(direction, &subject, old, new);
        if direction == Direction::Request {
            self.limits(&subject, old, new);
        }
        self.members(direction, &subject, old, new);
        self.variants(direction, &subject, old, new);
        if old.get("items").is_some() {
            self.schema(direction, &subject, &old["items"], &new["items"]);
        }
    }

    fn types(&mut self, direction: Direction, subject: &str, old: &Value, new: &Value) {
        let (before, after) = (texts(&old["type"]), texts(&new["type"]));
        if before.is_empty() || after.is_empty() {
            return;
        }
        let fits = match direction {
            Direction::Request => before.is_subset(&after),
            Direction::Response => after.is_subset(&before),
        };
        if !fits {
            let join = |types: &BTreeSet<&str>| types.iter().copied().collect::<Vec<_>>().join(" or ");
            self.add(
                subject,
                &format!("the type in the {} was {} and is {}", direction.name(), join(&before), join(&after)),
            );
        }
    }

    fn values(&mut self, direction: Direction, subject: &str, old: &Value, new: &Value) {
        let (before, after) = (texts(&old["enum"]), texts(&new["enum"]));
        let narrowed = before.is_empty() && !after.is_empty() && direction == Direction::Request;
        if narrowed {
            self.add(subject, "the request accepts listed values only");
        }
        if !after.is_empty() {
            for value in before.difference(&after) {
                self.add(subject, &format!("the value {value} was removed"));
            }
        }
    }

    fn limits(&mut self, subject: &str, old: &Value, new: &Value) {
        for (limit, is_upper) in [
            ("maxLength", true),
            ("maximum", true),
            ("maxItems", true),
            ("minLength", false),
            ("minimum", false),
            ("minItems", false),
        ] {
            let (before, after) = (old[limit].as_f64(), new[limit].as_f64());
            let narrowed = match (before, after) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(before), Some(after)) => (is_upper && after < before) || (!is_upper && after > before),
            };
            if narrowed {
                self.add(subject, &format!("the request is limited by {limit} {}", new[limit]));
            }
        }
    }

    fn members(&mut self, direction: Direction, subject: &str, old: &'v Value, new: &'v Value) {
        let (old_required, new_required) = (texts(&old["required"]), texts(&new["required"]));
        for name in new_required.difference(&old_required).filter(|_| direction == Direction::Request) {
            self.add(&format!("{subject}.{name}"), "the member is required in the request");
        }
        for (name, before) in members(&old["properties"]) {
            let member = format!("{subject}.{name}");
            match new["properties"].get(name) {
                None => self.add(&member, &format!("the member was removed from the {}", direction.name())),
                Some(after) => {
                    let becomes_optional = old_required.contains(name.as_str()) && !new_required.contains(name.as_str());
                    if becomes_optional && direction == Direction::Response {
                        self.add(&member, "the member is optional in the response");
                    }
                    self.schema(direction, &member, before, after);
                }
            }
        }
    }

    /// Variants of the same name are compared; other ones by their position, if their number is the same.
    fn variants(&mut self, direction: Direction, subject: &str, old: &'v Value, new: &'v Value) {
        for keyword in ["oneOf", "anyOf", "allOf"] {
            let (before, after) = (items(&old[keyword]), items(&new[keyword]));
            for (at, variant) in before.iter().enumerate() {
                let name = reference(variant);
                let same = after.iter().find(|new| if name.is_some() { reference(new) == name } else { new == &variant });
                match same.or_else(|| after.get(at).filter(|_| before.len() == after.len())) {
                    Some(new) => self.schema(direction, subject, variant, new),
                    None if direction == Direction::Request => self.add(subject, "the request accepts fewer variants"),
                    None => {}
                }
            }
        }
    }

    fn old_schema(&self, schema: &'v Value) -> &'v Value {
        reference(schema).map_or(schema, |name| &self.old["components"]["schemas"][name])
    }

    fn new_schema(&self, schema: &'v Value) -> &'v Value {
        reference(schema).map_or(schema, |name| &self.new["components"]["schemas"][name])
    }

    fn add(&mut self, subject: &str, what: &str) {
        self.breaks.insert(Break { subject: subject.to_owned(), what: what.to_owned() });
    }
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text, or the texts of a list.
fn texts(value: &Value) -> BTreeSet<&str> {
    value.as_str().into_iter().chain(items(value).iter().filter_map(Value::as_str)).collect()
}

fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/components/schemas/")
}

fn parameters(operation: &Value) -> BTreeMap<(&str, &str), &Value> {
    let all = items(&operation["parameters"]).iter();
    all.filter_map(|parameter| Some(((parameter["in"].as_str()?, parameter["name"].as_str()?), parameter))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        let body = json!({ "required": true, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Body" } } } });
        let response = json!({ "content": { "application/json": { "schema": { "type": "array",
            "items": { "$ref": "#/components/schemas/Thing" } } } } });
        json!({
            "paths": {
                "/things": { "post": { "parameters": [{ "in": "query", "name": "page", "required": false, "schema": { "type": "integer" } }],
                    "requestBody": body, "responses": { "200": response } } },
                "/s/{space}/things": { "post": { "responses": { "200": {} } } }
            },
            "components": { "schemas": {
                "Body": { "type": "object", "required": ["name"], "properties": {
                    "name": { "type": "string", "maxLength": 10 }, "mode": { "type": "string", "enum": ["a", "b"] } } },
                "Thing": { "type": "object", "required": ["name", "code"], "properties": {
                    "name": { "type": "string" }, "code": { "type": "string", "enum": ["x", "y"] },
                    "next": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Thing" }] } } }
            } }
        })
    }

    fn after(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let (old, mut new) = (document(), document());
        change(&mut new);
        breaking(&old, &new).into_iter().map(|found| format!("{}: {}", found.subject, found.what)).collect()
    }

    #[test]
    fn removed_operations_parameters_and_responses_break() {
        let removed = after(|new| drop(new["paths"].as_object_mut().unwrap().remove("/things")));
        assert_eq!(removed, ["POST /things: the operation was removed"]);
        let removed = after(|new| new["paths"]["/things"]["post"]["parameters"] = json!([]));
        assert_eq!(removed, ["POST /things: the parameter page was removed"]);
        let removed = after(|new| new["paths"]["/things"]["post"]["responses"] = json!({}));
        assert_eq!(removed, ["POST /things: the response 200 was removed"]);
        let required = after(|new| new["paths"]["/things"]["post"]["parameters"][0]["required"] = json!(true));
        assert_eq!(required, ["POST /things: the parameter page is required"]);
    }

    #[test]
    fn narrowed_requests_break() {
        let schema = |new: &mut Value, key: &str, value: Value| new["components"]["schemas"]["Body"][key] = value;
        let found = after(|new| schema(new, "required", json!(["name", "mode"])));
        assert_eq!(found, ["Body.mode: the member is required in the request"]);
        let found = after(|new| new["components"]["schemas"]["Body"]["properties"]["mode"]["enum"] = json!(["a"]));
        assert_eq!(found, ["Body.mode: the value b was removed"]);
        let found = after(|new| new["components"]["schemas"]["Body"]["properties"]["name"]["maxLength"] = json!(9));
        assert_eq!(found, ["Body.name: the request is limited by maxLength 9"]);
    }

    #[test]
    fn smaller_responses_break() {
        let thing = |new: &mut Value, key: &str, value: Value| new["components"]["schemas"]["Thing"][key] = value;
        let found = after(|new| thing(new, "required", json!(["code"])));
        assert_eq!(found, ["Thing.name: the member is optional in the response"]);
        let found =
            after(|new| new["components"]["schemas"]["Thing"]["properties"]["name"]["type"] = json!(["string", "null"]));
        assert_eq!(found, ["Thing.name: the type in the response was string and is null or string"]);
        let found = after(|new| new["components"]["schemas"]["Thing"]["properties"]["code"]["enum"] = json!(["x", "z"]));
        assert_eq!(found, ["Thing.code: the value y was removed"]);
        let found = after(|new| {
            new["components"]["schemas"]["Thing"]["properties"].as_object_mut().unwrap().remove("next");
        });
        assert_eq!(found, ["Thing.next: the member was removed from the response"]);
    }

    #[test]
    fn additions_do_not_break() {
        let found = after(|new| {
            new["paths"]["/more"] = json!({ "get": {} });
            new["components"]["schemas"]["Thing"]["properties"]["more"] = json!({ "type": "string" });
            new["components"]["schemas"]["Thing"]["properties"]["code"]["enum"] = json!(["x", "y", "z"]);
            new["components"]["schemas"]["Body"]["properties"]["more"] = json!({ "type": "string" });
            new["components"]["schemas"]["Body"]["required"] = json!([]);
        });
        assert_eq!(found, Vec::<String>::new());
    }
}
