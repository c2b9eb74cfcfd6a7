//! Userinfo and a small API that returns the user of the access token.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::core::Core;
use super::ledger::{Subject, bearer_token};
use super::state::Bearer;

/// A 401 response as in RFC 6750 §3.
pub(super) struct InvalidToken;

impl IntoResponse for InvalidToken {
    fn into_response(self) -> Response {
        let challenge = [(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")];
        (StatusCode::UNAUTHORIZED, challenge, Json(json!({ "error": "invalid_token" }))).into_response()
    }
}

/// `GET /userinfo` (OIDC Core §5.3).
pub(super) async fn userinfo(State(core): State<Arc<Core>>, headers: HeaderMap) -> Result<Response, InvalidToken> {
    let bearer = bearer(&core, &headers)?;
    let user = bearer.username.as_deref().and_then(|username| core.user(username)).ok_or(InvalidToken)?;
    let claims = json!({
        "sub": user.subject,
        "preferred_username": user.username,
        "email": user.email,
        "name": user.name,
    });
    Ok(with_subject(&bearer, claims))
}

/// `GET /api/me`: returns the user and client of the token.
pub(super) async fn me(State(core): State<Arc<Core>>, headers: HeaderMap) -> Result<Response, InvalidToken> {
    let bearer = bearer(&core, &headers)?;
    let user = bearer.username.as_deref().and_then(|username| core.user(username));
    let response = json!({
        "user": user.map(|user| &user.email),
        "name": user.map(|user| &user.name),
        "client_id": bearer.client_id,
        "scope": bearer.scope.join(" "),
        "token_id": token_id(&bearer),
    });
    Ok(with_subject(&bearer, response))
}

/// `/api/echo` and all paths below it, any method: returns the request as received, without the token.
pub(super) async fn echo(
    State(core): State<Arc<Core>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, InvalidToken> {
    let bearer = bearer(&core, &headers)?;
    let query: Vec<(String, String)> =
        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let mut fields = Map::new();
    for (name, value) in &headers {
        let text = if name == AUTHORIZATION { "Bearer …".into() } else { String::from_utf8_lossy(value.as_bytes()) };
        fields.insert(name.to_string(), Value::from(text));
    }
    let body = std::str::from_utf8(&body).map_or_else(
        |_binary| json!({ "base64": STANDARD.encode(&body) }),
        |text| serde_json::from_str(text).unwrap_or_else(|_text| json!(text)),
    );
    let response = json!({
        "user": bearer.username.as_deref().and_then(|username| core.user(username)).map(|user| &user.email),
        "method": method.as_str(),
        "path": uri.path(),
        "query": query,
        "headers": fields,
        "body": body,
    });
    Ok(with_subject(&bearer, response))
}

fn bearer(core: &Core, headers: &HeaderMap) -> Result<Bearer, InvalidToken> {
    let token = bearer_token(headers).ok_or(InvalidToken)?;
    core.read(|state, now| state.bearer(token, now)).ok_or(InvalidToken)
}

fn token_id(bearer: &Bearer) -> String {
    format!("t{}", bearer.token_number)
}

/// A JSON response that passes the user of the token to the ledger.
fn with_subject(bearer: &Bearer, body: Value) -> Response {
    let mut response = Json(body).into_response();
    response.extensions_mut().insert(Subject {
        username: bearer.username.clone(),
        client_id: bearer.client_id.clone(),
        token_id: token_id(bearer),
    });
    response
}
