//! The page of the HTTP API, from its description.

use std::fmt::Write as _;

use serde_json::Value;

use super::head;
use super::table::table;
use crate::Result;

const INTRODUCTION: &str = "\
The server returns the same description as [`openapi.json`](../../openapi.json) at `/openapi.json`. All paths are below
`public_base_url`.

- **Spaces.** The paths here are those of the space `default`. Where a route is marked *also in a space*, the prefix `/s/{space}`
  addresses another space.
- **Who calls.** A route requires the session of a user, unless it states something else. The session is a cookie, which
  `POST /api/session` sets in mode `accounts`; with a proxy in front, the headers of the proxy name the user; an application that contains the
  server uses its session. An agent sends `Authorization: Bearer gak_…` and the user in `act_as`.
- **Bodies** are JSON with `Content-Type: application/json`. Requests that change something are accepted from the same origin
  only; there is no CORS.
- **Errors** are [problems](error-codes.md). Every route can return one; the rows *any other* stand for them.

";

/// What parameters mean that the description does not explain: OAuth defines some, the path others.
const PARAMETERS: &[(&str, &str)] = &[
    ("callback_id", "the id in the redirect URI of the connector"),
    ("code", "the authorization code (RFC 6749 §4.1.2)"),
    ("connector", "only those of this connector"),
    ("connectorId", "the id of the connector"),
    ("error", "the error of the provider (RFC 6749 §4.1.2.1)"),
    ("flowId", "the id of the flow, from `_start_oauth_flow`"),
    ("grantId", "the id of the grant, from the list of grants"),
    ("id", "the id of the connector"),
    ("iss", "the issuer (RFC 9207)"),
    ("space", "the id of the space"),
    ("state", "the state of the flow (RFC 6749 §4.1.1)"),
    ("user", "the id of the user"),
];

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
const SPACE: &str = "/s/{space}";

struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    is_in_a_space: bool,
    value: &'a Value,
}

/// The page.
pub(super) fn page(api: &Value) -> Result<String> {
    let operations = operations(api)?;
    let mut page = head("HTTP API", "`openapi.json`") + INTRODUCTION;
    let mut written = 0;
    for tag in array(api, "tags") {
        let name = text(tag, "name");
        let title = name[..1].to_uppercase() + &name[1..];
        let _ = write!(page, "## {title}\n\n{}.\n\n", text(tag, "description"));
        for operation in operations.iter().filter(|operation| operation.value["tags"][0] == name) {
            page.push_str(&section(api, operation)?);
            written += 1;
        }
    }
    if written != operations.len() {
        return Err("openapi.json has an operation without a known tag".into());
    }
    page.push_str("## Schemas\n\n");
    let schemas = api.pointer("/components/schemas").and_then(Value::as_object).ok_or("openapi.json has no schemas")?;
    for (name, schema) in schemas {
        let _ = write!(page, "### Schema `{name}`\n\n{}\n\n{}", text(schema, "description"), members(schema)?);
    }
    Ok(page.trim_end().to_owned() + "\n")
}

/// The operations, without the variants in a space of those that exist without it.
fn operations(api: &Value) -> Result<Vec<Operation<'_>>> {
    let paths = api["paths"].as_object().ok_or("openapi.json has no paths")?;
    let mut operations = Vec::new();
    for (path, item) in paths {
        for (method, value) in item.as_object().into_iter().flatten() {
            if !METHODS.contains(&method.as_str()) {
                return Err(format!("{path} has `{method}`, which the page cannot show").into());
            }
            let has = |path: &str| paths.get(path).is_some_and(|item| item.get(method).is_some());
            if path.strip_prefix(SPACE).is_some_and(has) {
                continue;
            }
            operations.push(Operation { method, path, is_in_a_space: has(&format!("{SPACE}{path}")), value });
        }
    }
    Ok(operations)
}

fn section(api: &Value, operation: &Operation<'_>) -> Result<String> {
    let value = operation.value;
    let mut section = format!("### `{} {}`\n\n", operation.method.to_uppercase(), operation.path);
    let note = if operation.is_in_a_space { "Also *in a space*." } else { "" };
    let parts = [text(value, "summary"), text(value, "description"), note, callers(api, value)];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let _ = write!(section, "{}\n\n", parts.join(" "));
    let parameters: Vec<_> = array(value, "parameters").iter().map(parameter).collect::<Result<_>>()?;
    if !parameters.is_empty() {
        section += &table(&["parameter", "in", "type", "required", "meaning"], &parameters);
        section.push('\n');
    }
    if let Some(body) = value.get("requestBody") {
        let optional = if body["required"] == true { "" } else { ", which may be absent" };
        let _ = write!(section, "Body: {}{optional}.\n\n", contents(body)?);
    }
    let mut responses = Vec::new();
    for (status, response) in value["responses"].as_object().into_iter().flatten() {
        let status = if status == "default" { "any other" } else { status };
        responses.push(vec![status.to_owned(), contents(response)?, text(response, "description").to_owned()]);
    }
    Ok(section + &table(&["status", "body", "meaning"], &responses) + "\n")
}

/// Who may call an operation, where it is not a user with a session.
fn callers(api: &Value, operation: &Value) -> &'static str {
    let security = operation.get("security").unwrap_or(&api["security"]);
    let schemes: Vec<_> = security.as_array().into_iter().flatten().filter_map(Value::as_object).collect();
    if schemes.iter().any(|scheme| scheme.is_empty()) {
        return "Without a log-in.";
    }
    let names: Vec<&str> = schemes.iter().flat_map(|scheme| scheme.keys()).map(String::as_str).collect();
    match names[..] {
        ["session"] => "",
        ["agent"] => "For agents.",
        _ => "For users and agents.",
    }
}

fn parameter(parameter: &Value) -> Result<Vec<String>> {
    let required = if parameter["required"] == true { "yes" } else { "no" };
    let name = text(parameter, "name");
    let known = PARAMETERS.iter().find(|(known, _)| *known == name).map(|(_, meaning)| *meaning);
    let described = Some(text(parameter, "description")).filter(|text| !text.is_empty());
    let meaning = described.or(known).ok_or_else(|| format!("the parameter `{name}` has no description"))?;
    let place = text(parameter, "in").to_owned();
    Ok(vec![format!("`{name}`"), place, type_of(&parameter["schema"])?, required.to_owned(), meaning.to_owned()])
}

/// The types of a body.
fn contents(body: &Value) -> Result<String> {
    let mut types = Vec::new();
    for (media, content) in body["content"].as_object().into_iter().flatten() {
        let of = type_of(&content["schema"])?;
        types.push(if media.ends_with("json") { of } else { format!("`{media}`") });
    }
    types.dedup();
    Ok(if types.is_empty() { "none".to_owned() } else { types.join(" or ") })
}

/// The members of a schema, or its values.
fn members(schema: &Value) -> Result<String> {
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        let mut text = String::new();
        for part in parts {
            let part =
                if part.get("$ref").is_some() { format!("Every member of {}.\n\n", type_of(part)?) } else { members(part)? };
            text.push_str(&part);
        }
        return Ok(text);
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(format!("{}\n\n", type_of(schema)?));
    };
    let required: Vec<_> = array(schema, "required").iter().filter_map(Value::as_str).collect();
    let mut rows = Vec::new();
    for (name, member) in properties {
        let is_required = if required.contains(&name.as_str()) { "yes" } else { "no" };
        // A member that may be null has its description beside the reference.
        let inner = array(member, "oneOf").iter().find_map(|part| part["description"].as_str());
        let meaning = member["description"].as_str().or(inner).unwrap_or_default();
        rows.push(vec![format!("`{name}`"), type_of(member)?, is_required.to_owned(), meaning.to_owned()]);
    }
    let others = match schema.get("additionalProperties") {
        Some(Value::Object(of)) => format!("Further members: {}.\n\n", type_of(&Value::Object(of.clone()))?),
        Some(Value::Bool(true)) => "Further members are allowed.\n\n".to_owned(),
        _ => String::new(),
    };
    Ok(format!("{}\n{others}", table(&["member", "type", "required", "meaning"], &rows)))
}

/// A type in words.
fn type_of(schema: &Value) -> Result<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return Ok(format!("[{name}](#schema-{})", name.to_lowercase()));
    }
    if let Some(parts) = schema["oneOf"].as_array() {
        return Ok(parts.iter().map(type_of).collect::<Result<Vec<_>>>()?.join(" or "));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        Value::Null if schema.as_object().is_none_or(|schema| schema.keys().all(|key| key == "description")) => vec!["any"],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            return Err(format!("openapi.json has a type that the page cannot show: {schema}").into());
        }
    };
    let word = |name: &&str| -> Result<String> {
        Ok(match (*name, schema["format"].as_str(), schema["enum"].as_array()) {
            ("string", _, Some(values)) => {
                let values: Vec<_> = values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
                if values.len() > 12 { "string, one of a list".to_owned() } else { values.join(" or ") }
            }
            ("string", Some("date-time"), None) => "time (RFC 3339)".to_owned(),
            ("array", ..) => format!("list of {}", type_of(&schema["items"])?),
            ("object", ..) if schema["additionalProperties"].is_object() => {
                format!("object with values of {}", type_of(&schema["additionalProperties"])?)
            }
            (name, ..) => name.to_owned(),
        })
    };
    Ok(types.iter().map(word).collect::<Result<Vec<_>>>()?.join(" or "))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn array<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn api() -> Value {
        let parameter = json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}});
        let get = |id: &str| {
            json!({"tags": ["things"], "summary": "One thing.", "operationId": id, "parameters": [parameter],
                "responses": {"200": {"description": "Found", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                              "default": {"description": "A problem"}}})
        };
        json!({
            "paths": {"/things/{id}": {"get": get("a")}, "/s/{space}/things/{id}": {"get": get("b")},
                "/live": {"post": {"tags": ["things"], "summary": "Alive.", "security": [{}], "responses": {},
                    "requestBody": {"content": {"application/json": {"schema": {"type": "array", "items": {"type": "string"}}}}}}}},
            "components": {"schemas": {"Thing": {"description": "A thing.", "required": ["kind"], "properties": {
                "kind": {"type": "string", "enum": ["a", "b"], "description": "Its kind."},
                "of": {"oneOf": [{"$ref": "#/components/schemas/Thing", "description": "The parent."}, {"type": "null"}]}}}}},
            "security": [{"session": []}],
            "tags": [{"name": "things", "description": "Things"}],
        })
    }

    #[test]
    fn routes_are_shown_once_with_parameters_bodies_and_responses() {
        let page = page(&api()).unwrap();
        for part in [
            "## Things\n\nThings.\n",
            "### `GET /things/{id}`\n\nOne thing. Also *in a space*.",
            "| `id` | path | string | yes | the id of the connector |",
            "| 200 | [Thing](#schema-thing) | Found |\n| any other | none | A problem |",
            "### `POST /live`\n\nAlive. Without a log-in.\n\nBody: list of string, which may be absent.\n",
            "### Schema `Thing`\n\nA thing.\n",
            "| `kind` | `a` or `b` | yes | Its kind. |\n| `of` | [Thing](#schema-thing) or null | no | The parent. |",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        assert!(!page.contains("`GET /s/"));
    }

    #[test]
    fn what_the_page_cannot_show_is_an_error() {
        let mut api = api();
        api["components"]["schemas"]["Thing"]["properties"]["kind"] = json!({"not": {}});
        assert!(page(&api).is_err());
        let mut api = self::api();
        api["paths"]["/live"]["post"]["tags"] = json!(["other"]);
        assert!(page(&api).is_err());
        let mut api = self::api();
        api["paths"]["/things/{id}"]["get"]["parameters"][0]["name"] = json!("unexplained");
        assert!(page(&api).unwrap_err().to_string().contains("`unexplained`"));
    }
}
