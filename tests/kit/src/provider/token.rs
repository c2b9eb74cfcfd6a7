//! The back-channel endpoints: `POST /token`, `POST /revoke` and `POST /par`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::authorize::validated;
use super::client_auth::{OAuthError, authenticated};
use super::config::{Client, ClientAuth};
use super::core::Core;
use super::params::Params;
use super::state::{Issued, Presented};

/// The token endpoint (RFC 6749 §3.2).
pub(super) async fn token(State(core): State<Arc<Core>>, headers: HeaderMap, body: Bytes) -> Result<Response, OAuthError> {
    let (client, params) = authenticated(&core, &headers, &body)?;
    let issued = match params.get("grant_type") {
        Some("authorization_code") => exchange(&core, &client, &params)?,
        Some("refresh_token") => refresh(&core, &client, &params)?,
        Some("client_credentials") => client_credentials(&core, &client, &params)?,
        Some(_) => {
            return Err(OAuthError::new("unsupported_grant_type", "this grant type is not supported"));
        }
        None => return Err(OAuthError::invalid_request("grant_type is missing")),
    };
    Ok(no_store(Json(token_response(&core, &client, issued)).into_response()))
}

fn exchange(core: &Core, client: &Client, params: &Params) -> Result<Issued, OAuthError> {
    let presented = Presented {
        code: params.get("code").ok_or(OAuthError::invalid_request("code is missing"))?,
        client_id: &client.id,
        redirect_uri: params.get("redirect_uri"),
        code_verifier: params.get("code_verifier"),
    };
    core.change(|state, now| state.redeem(&presented, &core.settings, now)).map_err(OAuthError::invalid_grant)
}

fn refresh(core: &Core, client: &Client, params: &Params) -> Result<Issued, OAuthError> {
    let token = params.get("refresh_token").ok_or(OAuthError::invalid_request("refresh_token is missing"))?;
    let narrower = params.words("scope");
    core.change(|state, now| state.refresh(token, &client.id, narrower, &core.settings, now))
        .map_err(OAuthError::invalid_grant)
}

fn client_credentials(core: &Core, client: &Client, params: &Params) -> Result<Issued, OAuthError> {
    if client.auth == ClientAuth::Public {
        return Err(OAuthError::new("unauthorized_client", "only confidential clients may use client_credentials"));
    }
    let scope = params.words("scope").unwrap_or_default();
    Ok(core.change(|state, now| state.client_token(&client.id, scope, core.settings.access_ttl, now)))
}

fn token_response(core: &Core, client: &Client, issued: Issued) -> Value {
    let mut response = json!({
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": core.settings.access_ttl.as_secs(),
        "scope": issued.scope.join(" "),
    });
    if let Some(refresh_token) = issued.refresh_token {
        response["refresh_token"] = json!(refresh_token);
    }
    let user = issued.username.and_then(|username| core.user(&username));
    if let Some(user) = user.filter(|_| issued.scope.iter().any(|scope| scope == "openid")) {
        let now = core.read(|_, now| now);
        let token = core.signing_key.id_token(&core.issuer, user, &client.id, issued.nonce.as_deref(), now);
        response["id_token"] = json!(token);
    }
    response
}

/// The revocation endpoint (RFC 7009).
pub(super) async fn revoke(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, OAuthError> {
    let (client, params) = authenticated(&core, &headers, &body)?;
    let token = params.get("token").ok_or(OAuthError::invalid_request("token is missing"))?;
    core.change(|state, _| state.revoke(token, &client.id)).map_err(|why| OAuthError::new("unauthorized_client", why))?;
    Ok(StatusCode::OK)
}

/// The pushed authorization request endpoint (RFC 9126 §2).
pub(super) async fn push(State(core): State<Arc<Core>>, headers: HeaderMap, body: Bytes) -> Result<Response, OAuthError> {
    let (client, params) = authenticated(&core, &headers, &body)?;
    if params.get("request_uri").is_some() {
        return Err(OAuthError::invalid_request("request_uri must not be pushed"));
    }
    let redirect_uri = params.get("redirect_uri").unwrap_or_default();
    if !client.allows_redirect_to(redirect_uri) {
        return Err(OAuthError::invalid_request("redirect_uri is not registered"));
    }
    let request = validated(&core, &client, redirect_uri, &params)?;
    let (request_uri, life) = core.change(|state, now| state.push(request, now));
    let response = json!({ "request_uri": request_uri, "expires_in": life.as_secs() });
    Ok(no_store((StatusCode::CREATED, Json(response)).into_response()))
}

fn no_store(response: Response) -> Response {
    ([(CACHE_CONTROL, "no-store")], response).into_response()
}
