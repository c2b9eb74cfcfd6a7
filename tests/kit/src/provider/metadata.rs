//! The metadata documents (RFC 8414, OIDC Discovery) and the key set.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::config::Pkce;
use super::core::Core;

/// Both documents have the same content.
pub(super) async fn metadata(State(core): State<Arc<Core>>) -> Json<Value> {
    let at = |path: &str| format!("{}{path}", core.issuer);
    let scopes: Vec<&str> = core.settings.scopes.iter().map(|(scope, _)| scope.as_str()).collect();
    let client_auth = ["client_secret_basic", "client_secret_post", "none"];
    let mut document = json!({
        "issuer": core.issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "revocation_endpoint": at("/revoke"),
        "pushed_authorization_request_endpoint": at("/par"),
        "require_pushed_authorization_requests": core.settings.require_par,
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_methods_supported": client_auth,
        "revocation_endpoint_auth_methods_supported": client_auth,
        "authorization_response_iss_parameter_supported": core.settings.announce_iss,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "email", "name"],
    });
    if core.settings.pkce != Pkce::Refused {
        // Without this member, the server does not support PKCE (RFC 8414 §2).
        document["code_challenge_methods_supported"] = json!(["S256"]);
    }
    Json(document)
}

/// The key that signs ID tokens.
pub(super) async fn jwks(State(core): State<Arc<Core>>) -> Json<Value> {
    Json(core.signing_key.jwks())
}
