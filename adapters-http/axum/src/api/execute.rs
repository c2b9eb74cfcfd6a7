//! Running a connector once: as oneself, or by an agent as a named user.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use grantry_domain::connector::ConnectorKey;
use grantry_domain::identity::UserId;
use grantry_domain::ports::ApiResponse;
use grantry_domain::usecase::Execution;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use crate::auth::Principal;
use crate::extract::{AtConnector, Caller, ExecutionBody, Fields, Json as Value};
use crate::openapi::Problems;
use crate::problem::{Code, Problem};
use crate::refusals::of_execution;
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(execute))
}

/// What to run, and as whom.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body; the fields are read one by one, so that errors can name them")]
struct ExecuteBody {
    /// The request to the API.
    params: ExecuteParams,
    /// The user an agent acts for. A person may only name themselves.
    act_as: Option<String>,
}

/// One request to a connector's API.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body; the fields are read one by one, so that errors can name them")]
struct ExecuteParams {
    /// HTTP method.
    #[schema(example = "GET")]
    method: String,
    /// Path below the connector's base URL.
    path: String,
    /// Query parameters.
    query: Option<BTreeMap<String, String>>,
    /// Headers. Those that carry credentials or describe the connection are refused.
    headers: Option<BTreeMap<String, String>>,
    /// Body: a text is sent as it is, anything else as JSON.
    #[schema(value_type = Option<serde_json::Value>)]
    body: Option<serde_json::Value>,
}

/// What the API answered.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExecuteResult {
    /// Always `ok`: the API answered, whatever it said.
    #[schema(example = "ok")]
    status: &'static str,
    /// The connector.
    connector_id: String,
    /// The answer.
    data: ExecuteData,
}

/// An answer of the API.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExecuteData {
    /// Its HTTP status.
    status: u16,
    /// Its headers, without cookies and those of the connection. Values of one name are joined by `, `.
    headers: BTreeMap<String, String>,
    /// Its body: JSON as JSON, text as text, anything else in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    body: Option<AnswerBody>,
    /// `base64` if the body is encoded so.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_encoding: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum AnswerBody {
    Json(Box<RawValue>),
    Text(String),
}

/// Runs a connector once. Any status of the API is a 200 here, with that status in `data`.
#[utoipa::path(post, path = "/api/actions/connector/{id}/_execute", operation_id = "executeConnector", tag = "connectors",
    security(("session" = []), ("agent" = [])),
    params(("id" = String, Path)), request_body = ExecuteBody,
    responses((status = 200, body = ExecuteResult),
        (status = 409, description = "The user must connect first: see `reason` and `startUrl`", body = crate::problem::ProblemDetails),
        Problems))]
async fn execute(
    State(app): State<App>,
    Caller(caller): Caller,
    AtConnector(connector): AtConnector,
    ExecutionBody(mut fields): ExecutionBody,
) -> Result<Json<ExecuteResult>, Problem> {
    let act_as = fields.optional_text("act_as")?;
    let user = subject(&caller, &connector, act_as)?;
    let request = read_params(fields.object("params")?)?;
    fields.finish()?;
    let execution = Execution {
        actor: caller.actor(),
        connector: connector.clone(),
        user,
        method: request.method,
        path: request.path,
        query: request.query,
        headers: request.headers,
        body: request.body,
    };
    let answer = app.api.connections.execute(execution).await;
    let answer = answer.map_err(|error| of_execution(error, || app.api.connections.start_link(&connector)))?;
    Ok(Json(ExecuteResult { status: "ok", connector_id: connector.id.as_str().to_owned(), data: shown(answer) }))
}

/// As whom a caller runs: a person as themselves, an agent as whom it names, in its spaces.
fn subject(caller: &Principal, connector: &ConnectorKey, act_as: Option<Zeroizing<String>>) -> Result<UserId, Problem> {
    let named = act_as.map(|text| UserId::new(text.as_str()).map_err(|invalid| Problem::invalid("act_as", invalid.problem)));
    match (caller, named.transpose()?) {
        (Principal::Person { user, .. }, None) => Ok(user.clone()),
        (Principal::Person { user, .. }, Some(named)) if *user == named => Ok(named),
        (Principal::Person { .. }, Some(_)) => {
            Err(Problem::new(Code::Forbidden).because("A person may only act as themselves."))
        }
        (Principal::Agent(agent), named) => {
            if !agent.spaces.contains(&connector.space) {
                return Err(Problem::new(Code::NotFound));
            }
            named.ok_or_else(|| Problem::invalid("act_as", "is missing"))
        }
    }
}

struct Params {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

fn read_params(mut fields: Fields) -> Result<Params, Problem> {
    let method = fields.text("method")?.to_ascii_uppercase();
    let path = fields.text("path")?.as_str().to_owned();
    let query = fields.pairs("query")?;
    let mut headers = fields.pairs("headers")?;
    let (body, kind) = match fields.value("body") {
        None => (None, None),
        Some(Value::Text(text)) => (Some(text.as_bytes().to_vec()), Some("text/plain; charset=utf-8")),
        Some(json) => {
            let text = json.to_text().ok_or_else(|| Problem::new(Code::Internal))?;
            (Some(text.into_bytes()), Some("application/json"))
        }
    };
    fields.finish()?;
    if let Some(kind) = kind
        && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        headers.push(("content-type".to_owned(), kind.to_owned()));
    }
    Ok(Params { method, path, query, headers, body })
}

fn shown(answer: ApiResponse) -> ExecuteData {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in answer.headers {
        headers
            .entry(name.to_ascii_lowercase())
            .and_modify(|joined| {
                joined.push_str(", ");
                joined.push_str(&value);
            })
            .or_insert(value);
    }
    let is_json = headers.get("content-type").is_some_and(|kind| {
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        essence == "application/json" || essence.ends_with("+json")
    });
    let (body, body_encoding) = encoded(answer.body, is_json);
    ExecuteData { status: answer.status, headers, body, body_encoding }
}

/// A body that claims to be JSON and is not, is text if it can be.
fn encoded(body: Vec<u8>, is_json: bool) -> (Option<AnswerBody>, Option<&'static str>) {
    if body.is_empty() {
        return (None, None);
    }
    match String::from_utf8(body) {
        Ok(text) => match is_json.then(|| RawValue::from_string(text.trim().to_owned()).ok()).flatten() {
            Some(json) => (Some(AnswerBody::Json(json)), None),
            None => (Some(AnswerBody::Text(text)), None),
        },
        Err(binary) => (Some(AnswerBody::Text(STANDARD.encode(binary.into_bytes()))), Some("base64")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(content_type: &str, body: &[u8]) -> serde_json::Value {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        let answer = shown(ApiResponse { status: 200, headers, body: body.to_vec() });
        serde_json::to_value(answer).unwrap()
    }

    #[test]
    fn json_stays_json_text_stays_text_and_the_rest_is_base64() {
        let json = serde_json::to_string(&shown(ApiResponse {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/vnd.x+json".to_owned())],
            body: b"{\"id\":123456789012345678901234567890}".to_vec(),
        }));
        assert!(json.unwrap().contains("123456789012345678901234567890"), "numbers are not rounded");
        assert_eq!(data("application/json", b"not json")["body"], "not json");
        assert_eq!(data("text/plain", b"{}")["body"], "{}");
        assert_eq!(data("image/png", b"\x89PNG\xff")["body_encoding"], "base64");
        assert_eq!(data("image/png", b"\x89PNG\xff")["body"], "iVBOR/8=");
        assert!(data("application/json", b"").get("body").is_none());
    }
}
