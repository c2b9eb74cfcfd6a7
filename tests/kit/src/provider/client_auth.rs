//! Client authentication (RFC 6749 §2.3.1) and the errors of the back-channel endpoints (§5.2).

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::config::{Client, ClientAuth};
use super::core::Core;
use super::ledger::basic_credentials;
use super::params::Params;

/// An error response: code and description.
#[derive(Debug)]
pub(super) struct OAuthError {
    pub(super) code: &'static str,
    pub(super) description: &'static str,
}

impl OAuthError {
    pub(super) const fn new(code: &'static str, description: &'static str) -> Self {
        Self { code, description }
    }

    pub(super) const fn invalid_request(description: &'static str) -> Self {
        Self::new("invalid_request", description)
    }

    pub(super) const fn invalid_grant(description: &'static str) -> Self {
        Self::new("invalid_grant", description)
    }

    const fn invalid_client(description: &'static str) -> Self {
        Self::new("invalid_client", description)
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.code, "error_description": self.description }));
        let no_store = [(CACHE_CONTROL, "no-store")];
        if self.code == "invalid_client" {
            let challenge = [(WWW_AUTHENTICATE, "Basic realm=\"mock provider\"")];
            (StatusCode::UNAUTHORIZED, no_store, challenge, body).into_response()
        } else {
            (StatusCode::BAD_REQUEST, no_store, body).into_response()
        }
    }
}

/// Reads the form of a back-channel request and authenticates the client.
pub(super) fn authenticated(core: &Core, headers: &HeaderMap, body: &[u8]) -> Result<(Client, Params), OAuthError> {
    let is_form =
        headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if !is_form {
        return Err(OAuthError::invalid_request("the body must be application/x-www-form-urlencoded"));
    }
    let params = Params::parse(body).map_err(|_repeated| OAuthError::invalid_request("a parameter was repeated"))?;

    let basic = basic_credentials(headers);
    if headers.contains_key(AUTHORIZATION) && basic.is_none() {
        return Err(OAuthError::invalid_client("only Basic authentication is supported"));
    }
    if basic.is_some() && params.get("client_secret").is_some() {
        return Err(OAuthError::invalid_request("two methods of client authentication in one request"));
    }
    let (how, id, secret) = match (basic, params.get("client_id"), params.get("client_secret")) {
        (Some((id, secret)), _, _) => (ClientAuth::Basic, id, secret),
        (None, Some(id), Some(secret)) => (ClientAuth::Post, id.to_owned(), secret.to_owned()),
        (None, Some(id), None) => (ClientAuth::Public, id.to_owned(), String::new()),
        (None, None, _) => return Err(OAuthError::invalid_client("no client authentication")),
    };
    let client = core.client(&id).ok_or(OAuthError::invalid_client("unknown client"))?;
    let way_fits = match client.auth {
        ClientAuth::Either => how != ClientAuth::Public,
        ClientAuth::Basic | ClientAuth::Post | ClientAuth::Public => how == client.auth,
    };
    if !way_fits {
        return Err(OAuthError::invalid_client("the client is registered for another authentication method"));
    }
    if how != ClientAuth::Public && client.secret != secret {
        return Err(OAuthError::invalid_client("wrong client secret"));
    }
    Ok((client, params))
}
