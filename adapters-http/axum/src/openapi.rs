//! The description of the API, made from the same registrations as the router.

use std::collections::BTreeMap;

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi};

use crate::problem::ProblemDetails;
use crate::router;

/// The `OpenAPI` 3.1 document of all routes, as pretty JSON with a final newline. It depends on nothing but this crate.
pub fn openapi() -> String {
    let mut text = document().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Grantry",
        description = "Per-user OAuth on connectors. Public routes speak snake_case, internal ones camelCase. \
            A space other than `default` is addressed by the prefix `/s/{space}`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "connectors", description = "Named configurations of a provider"),
        (name = "flows", description = "Connecting one's own account"),
        (name = "connections", description = "One's own connections"),
        (name = "grants", description = "Everybody's connections, for administrators"),
        (name = "agents", description = "For back ends with an API key"),
        (name = "session", description = "Who is signed in"),
        (name = "pages", description = "What a browser shows"),
        (name = "operations", description = "Health, figures, this document")
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
        let session = ApiKey::Cookie(ApiKeyValue::with_description(
            "__Host-grantry_session",
            "Session of a person; `grantry_session_{port}` on http loopback. A host may use its own credentials instead.",
        ));
        components.add_security_scheme("session", SecurityScheme::ApiKey(session));
        let mut agent = Http::new(HttpAuthScheme::Bearer);
        agent.description = Some("API key of a back end: `gak_…`.".to_owned());
        components.add_security_scheme("agent", SecurityScheme::Http(agent));
    }
}

fn document() -> utoipa::openapi::OpenApi {
    let mut document = Description::openapi();
    document.merge(router::everywhere().into_openapi());
    let in_space = router::in_space().into_openapi();
    let prefixed: BTreeMap<String, PathItem> =
        in_space.paths.paths.iter().map(|(path, item)| (format!("/s/{{space}}{path}"), with_space(item.clone()))).collect();
    document.merge(in_space);
    document.paths.paths.extend(prefixed);
    document
}

/// The same operations under the prefix of a space.
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

/// Every error of every route: `application/problem+json` with a stable code.
pub(crate) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let content = Content::new(Some(Ref::from_schema_name("Problem")));
        let response = ResponseBuilder::new()
            .description("A problem; its `code` says which")
            .content("application/problem+json", content)
            .build();
        BTreeMap::from([("default".to_owned(), RefOr::T(response))])
    }
}

/// A page for people, whatever it says.
pub(crate) struct Pages;

impl IntoResponses for Pages {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        let response = ResponseBuilder::new()
            .description("A page, or a page that says what is wrong")
            .content("text/html", Content::new(Some(text)))
            .build();
        BTreeMap::from([("default".to_owned(), RefOr::T(response))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
