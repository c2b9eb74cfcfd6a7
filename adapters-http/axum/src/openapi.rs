//! The `OpenAPI` document, made from the same routes as the router.

use std::collections::BTreeMap;

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{RefOr, Required};
use utoipa::{Modify, OpenApi};

use crate::cookies::{CookieNames, SESSION_OVER_HTTPS};
use crate::problem::ProblemDetails;
use crate::routes;

/// The `OpenAPI` 3.1 document of all routes, as pretty JSON with a final newline. It does not depend on a configuration: the
/// session cookie has its name over https.
pub fn openapi() -> String {
    text_of(&document())
}

/// The document that a deployment serves: with the name of its session cookie.
pub(crate) fn openapi_of(cookies: &CookieNames) -> String {
    let mut document = document();
    document.components.get_or_insert_default().add_security_scheme("session", session_cookie(cookies.session()));
    text_of(&document)
}

fn text_of(document: &utoipa::openapi::OpenApi) -> String {
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Grantry",
        description = "Per-user OAuth on connectors. Public routes use snake_case, internal ones camelCase. \
            A space other than `default` is addressed by the prefix `/s/{space}`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "connectors", description = "Named configurations of a provider"),
        (name = "flows", description = "Connecting an account of the signed-in user"),
        (name = "connections", description = "Connections of the signed-in user"),
        (name = "grants", description = "Connections of all users, for administrators"),
        (name = "users", description = "Users, for administrators of every space"),
        (name = "agents", description = "Back ends with an API key"),
        (name = "session", description = "Log-in and the signed-in user"),
        (name = "pages", description = "Pages for browsers"),
        (name = "operations", description = "Health, metrics, this document")
    ),
    components(schemas(ProblemDetails)),
    security(("session" = [])),
    modifiers(&Credentials)
)]
struct Description;

/// Session cookie and agent key.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("session", session_cookie(SESSION_OVER_HTTPS));
        let mut agent = Http::new(HttpAuthScheme::Bearer);
        agent.description = Some("API key of a back end: `gak_…`.".to_owned());
        components.add_security_scheme("agent", SecurityScheme::Http(agent));
    }
}

fn session_cookie(name: &str) -> SecurityScheme {
    let description = "Session of a user; `grantry_session_{port}` on http loopback. A host may use other credentials.";
    SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(name, description)))
}

fn document() -> utoipa::openapi::OpenApi {
    let mut document = Description::openapi();
    document.merge(routes::global().into_openapi());
    let mut in_space = routes::in_space().into_openapi();
    for item in in_space.paths.paths.values_mut() {
        may_be_empty(item, "disconnect");
    }
    let prefixed: BTreeMap<String, PathItem> =
        in_space.paths.paths.iter().map(|(path, item)| (format!("/s/{{space}}{path}"), with_space(item.clone()))).collect();
    document.merge(in_space);
    document.paths.paths.extend(prefixed);
    document
}

/// Describes the body of an operation as optional.
fn may_be_empty(item: &mut PathItem, operation_id: &str) {
    let operation = item.post.as_mut().filter(|operation| operation.operation_id.as_deref() == Some(operation_id));
    if let Some(RefOr::T(body)) = operation.and_then(|operation| operation.request_body.as_mut()) {
        body.required = Some(Required::False);
    }
}

/// The same operations with the prefix of a space.
fn with_space(mut item: PathItem) -> PathItem {
    let PathItem { get, put, post, delete, .. } = &mut item;
    for operation in [get, put, post, delete].into_iter().flatten() {
        in_a_space(operation);
    }
    item
}

fn in_a_space(operation: &mut Operation) {
    operation.operation_id = operation.operation_id.as_ref().map(|id| format!("{id}InSpace"));
    operation.parameters.get_or_insert_default().insert(0, RefOr::T(space_parameter()));
}

fn space_parameter() -> Parameter {
    ParameterBuilder::new()
        .name("space")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::public_url::PublicBaseUrl;

    #[test]
    fn the_session_cookie_is_described_by_the_name_that_the_deployment_uses() {
        let described = |text: &str| {
            let json: serde_json::Value = serde_json::from_str(text).unwrap();
            json["components"]["securitySchemes"]["session"]["name"].as_str().unwrap().to_owned()
        };
        for (base, expected) in [
            ("https://connect.example", "__Host-grantry_session"),
            ("http://127.0.0.1:8080", "grantry_session_8080"),
            ("http://localhost", "grantry_session_80"),
            ("http://[::1]:9/oauth", "grantry_session_9"),
        ] {
            let cookies = CookieNames::of(&PublicBaseUrl::new(base).unwrap());
            assert_eq!((described(&openapi_of(&cookies)).as_str(), cookies.session()), (expected, expected), "{base}");
        }
        assert_eq!(described(&openapi()), "__Host-grantry_session");
    }

    #[test]
    fn requests_are_described_as_they_are_accepted() {
        let document: serde_json::Value = serde_json::from_str(&openapi()).unwrap();
        let internal = |action: &str| {
            let path = format!("/internal/actions/connector/{{id}}/{action}");
            ["", "/s/{space}"]
                .map(|space| document["paths"][format!("{space}{path}")]["post"]["requestBody"]["required"].clone())
        };
        assert_eq!(internal("_oauth_disconnect"), [false, false]);
        assert_eq!(internal("_start_oauth_flow"), [true, true]);
        let params = &document["components"]["schemas"]["ExecuteParams"]["properties"];
        let scalars = serde_json::json!({"type": ["string", "number", "boolean"]});
        assert_eq!(params["headers"]["additionalProperties"], scalars);
        assert_eq!(params["query"]["oneOf"][0]["additionalProperties"]["oneOf"][0], scalars);
    }

    #[test]
    fn every_route_is_described_once_and_every_reference_resolves() {
        let text = openapi();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(text.ends_with("}\n") && json["openapi"].as_str().unwrap().starts_with("3.1"));
        let mut ids: Vec<&str> = json["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| item.as_object().unwrap().values())
            .filter_map(|operation| operation["operationId"].as_str())
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "operation ids are unique");
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(json["components"]["schemas"].get(name).is_some(), "{name}");
        }
    }
}
