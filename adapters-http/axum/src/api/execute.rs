//! Sending one request to the API of a connector: for the user, or by an agent for a named user.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use grantry_domain::identity::UserId;
use grantry_domain::ports::ApiResponse;
use grantry_domain::usecase::Execution;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Principal;
use crate::error_mapping::execute_problem;
use crate::extract::{CallerAtConnector, ExecuteJsonBody, Pairs, QueryParams, connection_name, object};
use crate::problem::{Code, Problem, ProblemDetails, Problems};
use crate::state::App;
use crate::user_limit::TOO_MANY_RUNS;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(execute))
}

/// The request to send, and for which user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecuteBody {
    /// The request to the API.
    #[serde(deserialize_with = "object")]
    params: ExecuteParams,
    /// The user an agent acts for. A user may only name themselves.
    act_as: Option<String>,
    /// Name of the connection. Default: the only one, or the user's default.
    connection: Option<String>,
}

/// The description of `query`.
const QUERY: &str = "Query, after that of the path: an object of strings, numbers, booleans and lists of them, whose names may \
    be repeated; or a string that is already encoded.";
/// The description of `headers`.
const HEADERS: &str =
    "Headers: an object of strings, numbers and booleans. Credentials and headers of the connection are refused.";

/// One request to a connector's API.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ExecuteParams {
    /// HTTP method.
    #[schema(example = "GET")]
    method: String,
    /// Path below the connector's base URL, sent as it is written, with or without a query.
    path: String,
    #[serde(default)]
    #[schema(schema_with = query_schema)]
    query: Option<QueryParams>,
    #[serde(default)]
    #[schema(schema_with = headers_schema)]
    headers: Option<Pairs>,
    /// Body: a string is sent as text, any other value unchanged as JSON, at most 128 levels deep.
    #[schema(value_type = Option<serde_json::Value>)]
    body: Option<Box<RawValue>>,
}

/// The response of the API.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExecuteResult {
    /// Always `ok`: the API responded, with any status.
    #[schema(example = "ok")]
    status: &'static str,
    /// The connector.
    connector_id: String,
    /// The response.
    data: ExecuteData,
}

/// A response of the API.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExecuteData {
    /// Its HTTP status.
    status: u16,
    /// Its headers, without cookies and headers of the connection. Values of one name are joined by `, `. A value that is not
    /// UTF-8 is read as ISO 8859-1.
    headers: BTreeMap<String, String>,
    /// The bytes of the values that are not UTF-8, in base64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    headers_base64: BTreeMap<String, String>,
    /// Its body: JSON as JSON, text as text, other content in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    body: Option<ResponseBody>,
    /// `base64` if the body is encoded in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_encoding: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ResponseBody {
    Json(Box<RawValue>),
    Text(String),
}

/// Sends one request to the API of a connector. Every response of the API is a 200 here, with its status in `data`.
#[utoipa::path(post, path = "/api/actions/connector/{id}/_execute", operation_id = "executeConnector", tag = "connectors",
    security(("session" = []), ("agent" = [])),
    params(("id" = String, Path)), request_body = ExecuteBody,
    responses((status = 200, body = ExecuteResult),
        (status = 409, description = "The user must connect first: see `reason` and `startUrl`", body = ProblemDetails),
        Problems))]
async fn execute(
    State(app): State<App>,
    CallerAtConnector { caller, connector }: CallerAtConnector,
    ExecuteJsonBody(body, place): ExecuteJsonBody<ExecuteBody>,
) -> Result<Response, Problem> {
    let user = user_of(&caller, body.act_as, "act_as")?;
    let connection = connection_name(body.connection)?;
    let ExecuteParams { method, path, query, headers, body } = body.params;
    let mut headers = headers.unwrap_or_default().0;
    let body = body.map(|body| body_of(&body, &mut headers)).transpose()?;
    // Requests that wait for a run keep the place of their body, so that few of them wait.
    let run = app.runs.admit(user.as_str(), TOO_MANY_RUNS).await?;
    let execution = Execution {
        actor: caller.actor(),
        connector: connector.clone(),
        user: user.clone(),
        connection,
        method: method.to_ascii_uppercase(),
        path,
        query: query.unwrap_or_default().0,
        headers,
        body,
    };
    let response = app.api.connections.execute(execution).await;
    let response = response
        .map_err(|error| execute_problem(error, |connection| app.api.connections.start_link(&connector, connection)))?;
    drop(place);
    let memory =
        app.memory.admit_bytes(user.as_str(), length_in_json(&response.body), "The user reads too few responses.").await?;
    let result = ExecuteResult { status: "ok", connector_id: connector.id.as_str().to_owned(), data: response.into() };
    Ok(memory.until_sent(run.until_sent(Json(result).into_response())))
}

/// At most how long the bytes are as a JSON string: escaped, or in base64.
fn length_in_json(bytes: &[u8]) -> usize {
    let escaped = bytes.iter().filter(|byte| **byte < b' ' || matches!(byte, b'"' | b'\\')).count();
    bytes.len() + bytes.len() / 2 + 5 * escaped
}

/// The user of a run: the calling user, or the user that an agent names in one of its spaces. `field` is where the name is.
pub(super) fn user_of(caller: &Principal, named: Option<String>, field: &'static str) -> Result<UserId, Problem> {
    let named = named.map(|text| UserId::new(text).map_err(|invalid| Problem::invalid(field, invalid.problem)));
    match (caller, named.transpose()?) {
        (Principal::User { user, .. }, None) => Ok(user.clone()),
        (Principal::User { user, .. }, Some(named)) if *user == named => Ok(named),
        (Principal::User { .. }, Some(_)) => {
            Err(Problem::new(Code::Forbidden).because("A user may only act for themselves."))
        }
        (Principal::Agent(_), named) => named.ok_or_else(|| Problem::invalid(field, "is missing")),
    }
}

/// The bytes of a body. Its type is added to the headers unless the request names one.
fn body_of(body: &RawValue, headers: &mut Vec<(String, String)>) -> Result<Vec<u8>, Problem> {
    let (bytes, content_type) = if body.get().starts_with('"') {
        let text: String = serde_json::from_str(body.get())
            .map_err(|_| Problem::invalid("params.body", "contains a character that is no Unicode character"))?;
        (text.into_bytes(), "text/plain; charset=utf-8")
    } else {
        (body.get().as_bytes().to_vec(), "application/json")
    };
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("content-type".to_owned(), content_type.to_owned()));
    }
    Ok(bytes)
}

/// An object or a string.
fn query_schema() -> Schema {
    let list = ArrayBuilder::new().items(scalar_schema()).build();
    let value = OneOfBuilder::new().item(scalar_schema()).item(list).build();
    let text = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null])).build();
    let one_of = OneOfBuilder::new().item(object_of(Schema::OneOf(value)).build()).item(text);
    Schema::OneOf(one_of.description(Some(QUERY)).build())
}

fn headers_schema() -> Schema {
    let object = object_of(Schema::Object(scalar_schema())).schema_type(SchemaType::from_iter([Type::Object, Type::Null]));
    Schema::Object(object.description(Some(HEADERS)).build())
}

fn object_of(value: Schema) -> ObjectBuilder {
    let values = AdditionalProperties::RefOr(RefOr::T(value));
    ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(values))
}

/// A string, a number or a boolean.
fn scalar_schema() -> Object {
    let types = [Type::String, Type::Number, Type::Boolean];
    ObjectBuilder::new().schema_type(SchemaType::from_iter(types)).build()
}

impl From<ApiResponse> for ExecuteData {
    fn from(response: ApiResponse) -> Self {
        let (headers, headers_base64) = joined(response.headers);
        let is_json = headers.get("content-type").is_some_and(|value| {
            let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            essence == "application/json" || essence.ends_with("+json")
        });
        let (body, body_encoding) = encoded(response.body, is_json);
        Self { status: response.status, headers, headers_base64, body, body_encoding }
    }
}

/// The values of each name as text, and in base64 where they are no UTF-8.
fn joined(fields: Vec<(String, Vec<u8>)>) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let mut values: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for (name, value) in fields {
        values.entry(name.to_ascii_lowercase()).or_default().push(value);
    }
    let encoded = values
        .iter()
        .filter(|(_, values)| values.iter().any(|value| std::str::from_utf8(value).is_err()))
        .map(|(name, values)| (name.clone(), STANDARD.encode(values.join(b", ".as_slice()))))
        .collect();
    let text = |values: Vec<Vec<u8>>| values.into_iter().map(text_of).collect::<Vec<_>>().join(", ");
    (values.into_iter().map(|(name, values)| (name, text(values))).collect(), encoded)
}

/// Every byte of ISO 8859-1 is the Unicode character of the same number.
fn text_of(value: Vec<u8>) -> String {
    String::from_utf8(value).unwrap_or_else(|latin| latin.as_bytes().iter().map(|byte| char::from(*byte)).collect())
}

/// A body that is declared as JSON and is not JSON becomes text or base64.
fn encoded(body: Vec<u8>, is_json: bool) -> (Option<ResponseBody>, Option<&'static str>) {
    if body.is_empty() {
        return (None, None);
    }
    match String::from_utf8(body) {
        Ok(text) => match is_json.then(|| RawValue::from_string(text.trim().to_owned()).ok()).flatten() {
            Some(json) => (Some(ResponseBody::Json(json)), None),
            None => (Some(ResponseBody::Text(text)), None),
        },
        Err(binary) => (Some(ResponseBody::Text(STANDARD.encode(binary.into_bytes()))), Some("base64")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(content_type: &str, body: &[u8]) -> serde_json::Value {
        let headers = vec![("Content-Type".to_owned(), content_type.as_bytes().to_vec())];
        let response = ApiResponse { status: 200, headers, body: body.to_vec() };
        serde_json::to_value(ExecuteData::from(response)).unwrap()
    }

    #[test]
    fn json_stays_json_text_stays_text_and_the_rest_is_base64() {
        let json = serde_json::to_string(&ExecuteData::from(ApiResponse {
            status: 200,
            headers: vec![("content-type".to_owned(), b"application/vnd.x+json".to_vec())],
            body: b"{\"id\":123456789012345678901234567890}".to_vec(),
        }));
        assert!(json.unwrap().contains("123456789012345678901234567890"), "numbers are not rounded");
        assert_eq!(data("application/json", b"not json")["body"], "not json");
        assert_eq!(data("text/plain", b"{}")["body"], "{}");
        assert_eq!(data("image/png", b"\x89PNG\xff")["body_encoding"], "base64");
        assert_eq!(data("image/png", b"\x89PNG\xff")["body"], "iVBOR/8=");
        assert!(data("application/json", b"").get("body").is_none());
    }

    #[test]
    fn header_values_that_are_not_utf_8_are_text_and_base64() {
        let field = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
        let headers = vec![
            field("X-Owner", b"Zo\xeb"),
            field("x-both", "Zoë".as_bytes()),
            field("x-both", b"\xfc"),
            field("x-plain", "ü".as_bytes()),
        ];
        let data = ExecuteData::from(ApiResponse { status: 200, headers, body: Vec::new() });
        let data = serde_json::to_value(data).unwrap();
        assert_eq!(data["headers"], serde_json::json!({"x-owner": "Zoë", "x-both": "Zoë, ü", "x-plain": "ü"}));
        let both = STANDARD.encode(b"Zo\xc3\xab, \xfc");
        assert_eq!(data["headers_base64"], serde_json::json!({"x-owner": STANDARD.encode(b"Zo\xeb"), "x-both": both}));
    }
}
