//! Breaking changes between two descriptions of the HTTP API.
//!
//! A request breaks if it has new required input or accepts less; a response breaks if a member is removed, becomes optional or
//! gets another type, and if a value of an enumeration, such as an error code, is removed. Strict clients also refuse new values,
//! variants and status codes of responses, so these are breaking changes too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// A breaking change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Break {
    /// An operation (`GET /x`), a schema (`Connector`) or a member of one (`Connector.name`).
    pub(crate) subject: String,
    pub(crate) what: String,
}

impl Break {
    /// What an entry can name: the subject, or what contains it. `GET /x.name` is contained in `GET /x` and in `/x`, and
    /// `Connector.name` in `Connector`.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        let subject = self.subject.as_str();
        let ends = subject.match_indices('.').map(|(at, _)| at).chain([subject.len()]);
        let containing = ends.map(|end| &subject[..end]);
        containing.flat_map(|name| [Some(name), name.split_once(' ').map(|(_, path)| path)]).flatten().collect()
    }
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
        if before["required"] != true && after["required"] == true {
            self.add(subject, "a body is required");
        }
        self.security(subject, old, new);
        self.contents(Direction::Request, subject, before, after);
        for (status, before) in members(&old["responses"]) {
            match new["responses"].get(status) {
                None => self.add(subject, &format!("the response {status} was removed")),
                Some(after) => self.contents(Direction::Response, subject, before, after),
            }
        }
        for (status, _) in members(&new["responses"]) {
            if old["responses"].get(status).is_none() {
                self.add(subject, &format!("the response {status} is new"));
            }
        }
    }

    /// Each way to authenticate that was accepted is still accepted, without further schemes or scopes.
    fn security(&mut self, subject: &str, old: &Value, new: &Value) {
        let (before, after) = (alternatives(self.old, old), alternatives(self.new, new));
        let is_met = |needed: &Alternative<'_>, offered: &Alternative<'_>| {
            needed.iter().all(|(scheme, scopes)| offered.get(scheme).is_some_and(|granted| scopes.is_subset(granted)))
        };
        let refused = before.iter().find(|offered| !after.iter().any(|needed| is_met(needed, offered)));
        if let Some(refused) = refused {
            let names: Vec<_> = refused.keys().copied().collect();
            let with = if names.is_empty() { "no credentials".to_owned() } else { names.join(" and ") };
            self.add(subject, &format!("a request with {with} is not accepted any more"));
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
        self.forms(direction, &subject, old, new);
        self.additional(direction, &subject, old, new);
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
        if direction == Direction::Response && !before.is_empty() {
            for value in after.difference(&before) {
                self.add(subject, &format!("the value {value} is new in the response"));
            }
            if after.is_empty() {
                self.add(subject, "the response has other values than the listed ones");
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
            ("exclusiveMaximum", true),
            ("exclusiveMinimum", false),
            ("maxProperties", true),
            ("minProperties", false),
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

    /// Constraints that cannot be compared by size: any other value is a change.
    fn forms(&mut self, direction: Direction, subject: &str, old: &Value, new: &Value) {
        let requests: &[&str] = &["format", "pattern", "const", "multipleOf", "uniqueItems"];
        let responses: &[&str] = &["format", "const"];
        let keywords = if direction == Direction::Request { requests } else { responses };
        for keyword in keywords {
            // Without a constraint a request is accepted as before.
            let is_wider = direction == Direction::Request && matches!(new[keyword], Value::Null | Value::Bool(false));
            if old[keyword] != new[keyword] && !is_wider {
                self.add(
                    subject,
                    &format!("{keyword} in the {} was {} and is {}", direction.name(), old[keyword], new[keyword]),
                );
            }
        }
    }

    /// Members that are not listed. Without the keyword they are accepted.
    fn additional(&mut self, direction: Direction, subject: &str, old: &'v Value, new: &'v Value) {
        let (before, after) = (&old["additionalProperties"], &new["additionalProperties"]);
        if before.is_object() && after.is_object() {
            return self.schema(direction, subject, before, after);
        }
        let is_any = |schema: &Value| schema.is_null() || *schema == true;
        if direction == Direction::Request && *before != false && !is_any(after) {
            self.add(subject, "the request accepts fewer members that are not listed");
        }
        if direction == Direction::Response && before.is_object() && !after.is_object() {
            self.add(subject, "members of the response that are not listed have another form");
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
            self.new_variants(direction, subject, keyword, before, after);
        }
    }

    /// A strict client refuses a variant of a response that it does not have; `allOf` narrows a request.
    fn new_variants(&mut self, direction: Direction, subject: &str, keyword: &str, before: &[Value], after: &[Value]) {
        let is_new = |variant: &&Value| match reference(variant) {
            Some(name) => !before.iter().any(|old| reference(old) == Some(name)),
            None => !before.contains(variant),
        };
        let breaks = match direction {
            Direction::Request => keyword == "allOf",
            Direction::Response => keyword != "allOf" && !before.is_empty(),
        };
        // Of the same number, those of another form were compared by their position.
        let of_position = before.len() == after.len();
        for variant in after.iter().filter(is_new).filter(|variant| breaks && (!of_position || reference(variant).is_some()))
        {
            let name = reference(variant).unwrap_or("without a name");
            self.add(subject, &format!("the variant {name} of the {} is new", direction.name()));
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

/// The schemes of one way to authenticate, with the scopes that each needs.
type Alternative<'v> = BTreeMap<&'v str, BTreeSet<&'v str>>;

/// The ways to authenticate at an operation, which default to those of the document.
fn alternatives<'v>(document: &'v Value, operation: &'v Value) -> Vec<Alternative<'v>> {
    let list = operation.get("security").unwrap_or(&document["security"]);
    let all =
        items(list).iter().map(|schemes| members(schemes).map(|(name, scopes)| (name.as_str(), texts(scopes))).collect());
    let all: Vec<_> = all.collect();
    if all.is_empty() { vec![Alternative::new()] } else { all }
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
        assert_eq!(found, ["Thing.code: the value y was removed", "Thing.code: the value z is new in the response"]);
        let found = after(|new| {
            new["components"]["schemas"]["Thing"]["properties"].as_object_mut().unwrap().remove("next");
        });
        assert_eq!(found, ["Thing.next: the member was removed from the response"]);
    }

    #[test]
    fn constraints_of_requests_break() {
        let name =
            |key: &str, value: Value| after(|new| new["components"]["schemas"]["Body"]["properties"]["name"][key] = value);
        assert_eq!(name("minLength", json!(1)), ["Body.name: the request is limited by minLength 1"]);
        assert_eq!(name("pattern", json!("^a")), ["Body.name: pattern in the request was null and is \"^a\""]);
        assert_eq!(name("format", json!("uuid")), ["Body.name: format in the request was null and is \"uuid\""]);
        let closed = after(|new| new["components"]["schemas"]["Body"]["additionalProperties"] = json!(false));
        assert_eq!(closed, ["Body: the request accepts fewer members that are not listed"]);
        let open = after(|new| new["components"]["schemas"]["Body"]["additionalProperties"] = json!(true));
        assert_eq!(open, Vec::<String>::new());
    }

    #[test]
    fn bodies_and_credentials_that_become_required_break() {
        let (mut old, new) = (document(), document());
        old["paths"]["/things"]["post"]["requestBody"]["required"] = json!(false);
        let found: Vec<_> = breaking(&old, &new).into_iter().map(|found| found.what).collect();
        assert_eq!(found, ["a body is required"]);
        let found = after(|new| new["security"] = json!([{ "session": [] }]));
        assert!(
            found.contains(&"POST /things: a request with no credentials is not accepted any more".to_owned()),
            "{found:?}"
        );
        let (mut old, mut new) = (document(), document());
        old["security"] = json!([{ "session": [] }]);
        for (security, number) in [
            (json!([{ "session": [] }]), 0),
            (json!([{ "key": [] }, { "session": [] }]), 0),
            (json!([{}]), 0),
            (json!([{ "key": [] }]), 1),
            (json!([{ "key": [], "session": [] }]), 1),
            (json!([{ "session": ["admin"] }]), 1),
        ] {
            new["paths"]["/things"]["post"]["security"] = security.clone();
            new["security"] = old["security"].clone();
            assert_eq!(breaking(&old, &new).len(), number, "{security}");
        }
    }

    #[test]
    fn larger_responses_break_strict_clients() {
        let found = after(|new| new["paths"]["/things"]["post"]["responses"]["202"] = json!({}));
        assert_eq!(found, ["POST /things: the response 202 is new"]);
        let found =
            after(|new| new["components"]["schemas"]["Thing"]["properties"]["code"]["enum"] = json!(["x", "y", "z"]));
        assert_eq!(found, ["Thing.code: the value z is new in the response"]);
        let found = after(|new| {
            let next = &mut new["components"]["schemas"]["Thing"]["properties"]["next"]["oneOf"];
            next.as_array_mut().unwrap().push(json!({ "$ref": "#/components/schemas/Body" }));
        });
        assert_eq!(found, ["Thing.next: the variant Body of the response is new"]);
        let found = after(|new| new["paths"]["/things"]["post"]["responses"]["200"]["content"] = json!({}));
        assert_eq!(found, ["POST /things: the response of type application/json was removed"]);
    }

    #[test]
    fn an_entry_names_the_subject_or_what_contains_it() {
        let names = |subject: &str| {
            let found = Break { subject: subject.to_owned(), what: String::new() };
            found.names().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(names("Thing.code"), ["Thing", "Thing.code"]);
        assert_eq!(names("GET /things"), ["/things", "GET /things"]);
        assert_eq!(names("GET /things.name"), ["/things", "/things.name", "GET /things", "GET /things.name"]);
    }

    #[test]
    fn additions_do_not_break() {
        let found = after(|new| {
            new["paths"]["/more"] = json!({ "get": {} });
            new["components"]["schemas"]["Thing"]["properties"]["more"] = json!({ "type": "string" });
            new["components"]["schemas"]["Body"]["properties"]["more"] = json!({ "type": "string" });
            new["components"]["schemas"]["Body"]["required"] = json!([]);
        });
        assert_eq!(found, Vec::<String>::new());
    }
}
