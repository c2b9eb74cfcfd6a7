//! The routes, each behind the interceptor of its endpoint.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get, post};

use super::core::Core;
use super::endpoint::Endpoint;
use super::intercept::intercept;
use super::{account, api, authorize, metadata, pages, token};

/// All routes of the provider.
pub(super) fn router(core: &Arc<Core>) -> Router {
    let at = |endpoint: Endpoint, handler: MethodRouter<Arc<Core>>| {
        handler.layer(from_fn_with_state((core.clone(), endpoint), intercept))
    };
    Router::new()
        .route("/authorize", at(Endpoint::Authorization, get(authorize::authorize)))
        .route("/log-in", at(Endpoint::Pages, get(authorize::log_in_page).post(authorize::log_in)))
        .route("/consent", at(Endpoint::Pages, get(authorize::consent_page)))
        .route("/consent", at(Endpoint::Consent, post(authorize::consent)))
        .route("/", at(Endpoint::Pages, get(account::home)))
        .route("/withdraw", at(Endpoint::Pages, post(account::withdraw)))
        .route("/log-out", at(Endpoint::Pages, post(account::log_out)))
        .route("/style.css", at(Endpoint::Pages, get(pages::style)))
        .route("/favicon.ico", at(Endpoint::Pages, get(async || StatusCode::NO_CONTENT)))
        .route("/token", at(Endpoint::Token, post(token::token)))
        .route("/revoke", at(Endpoint::Revocation, post(token::revoke)))
        .route("/par", at(Endpoint::PushedAuthorization, post(token::push)))
        .route("/userinfo", at(Endpoint::Userinfo, get(api::userinfo).post(api::userinfo)))
        .route("/.well-known/oauth-authorization-server", at(Endpoint::Metadata, get(metadata::metadata)))
        .route("/.well-known/openid-configuration", at(Endpoint::Metadata, get(metadata::metadata)))
        .route("/jwks", at(Endpoint::Jwks, get(metadata::jwks)))
        .route("/api/me", at(Endpoint::Api, get(api::me)))
        .route("/api/echo", at(Endpoint::Api, any(api::echo)))
        .route("/api/echo/{*rest}", at(Endpoint::Api, any(api::echo)))
        .route("/api/{*rest}", at(Endpoint::Api, any(async || StatusCode::NOT_FOUND)))
        .fallback_service(at(Endpoint::Unknown, any(async || StatusCode::NOT_FOUND)).with_state(core.clone()))
        .with_state(core.clone())
}
