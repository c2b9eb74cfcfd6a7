//! The routes for browsers: authorization request, log-in, consent, and the redirect to the client.

use std::sync::Arc;

use axum::extract::{RawForm, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use url::{Url, form_urlencoded};

use super::client_auth::OAuthError;
use super::config::{Client, Pkce};
use super::core::Core;
use super::pages;
use super::params::{Params, Repeated};
use super::session::{session, session_user, set_cookie};
use super::state::AuthorizationRequest;

/// `GET /authorize` (RFC 6749 §3.1).
pub(super) async fn authorize(State(core): State<Arc<Core>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    match requested(&core, query.unwrap_or_default().as_bytes()) {
        Ok(request) => {
            let id = core.change(|state, now| state.begin_interaction(request, now));
            next_step(&core, &id, session(&core, &headers))
        }
        Err(Refusal::Here(why)) => stays_here(&core, why),
        Err(Refusal::AtClient { redirect_uri, state, error }) => refused(&core, &redirect_uri, state.as_deref(), error.code),
    }
}

/// Where the error of an authorization request is reported.
enum Refusal {
    /// On a page, because client and redirect URI cannot be trusted (RFC 6749 §4.1.2.1).
    Here(&'static str),
    /// At the client, by a redirect.
    AtClient { redirect_uri: String, state: Option<String>, error: OAuthError },
}

/// Reads the request from a query.
fn requested(core: &Core, query: &[u8]) -> Result<AuthorizationRequest, Refusal> {
    let params = Params::parse(query).map_err(|Repeated| Refusal::Here("A parameter of the request was repeated."))?;
    let client = params
        .get("client_id")
        .and_then(|id| core.client(id))
        .ok_or(Refusal::Here("The application that sent you here is not registered."))?;
    if let Some(uri) = params.get("request_uri") {
        return core
            .change(|state, now| state.take_pushed(uri, now))
            .filter(|request| request.client_id == client.id)
            .ok_or(Refusal::Here("The request is unknown, used or expired."));
    }
    let redirect_uri = params.get("redirect_uri").unwrap_or_default();
    if !client.allows_redirect_to(redirect_uri) {
        return Err(Refusal::Here("The application asked to return you to an address that is not registered for it."));
    }
    let checked = if core.settings.require_par {
        Err(OAuthError::invalid_request("only pushed requests are accepted"))
    } else {
        validated(core, &client, redirect_uri, &params)
    };
    checked.map_err(|error| Refusal::AtClient {
        redirect_uri: redirect_uri.to_owned(),
        state: params.get("state").map(str::to_owned),
        error,
    })
}

/// Checks the parameters of an authorization request whose client and redirect URI are known.
pub(super) fn validated(
    core: &Core,
    client: &Client,
    redirect_uri: &str,
    params: &Params,
) -> Result<AuthorizationRequest, OAuthError> {
    if params.get("response_type") != Some("code") {
        return Err(OAuthError::new("unsupported_response_type", "response_type must be code"));
    }
    let challenge = params.get("code_challenge");
    match (challenge, params.get("code_challenge_method")) {
        (Some(_), _) if core.settings.pkce == Pkce::Refused => {
            return Err(OAuthError::invalid_request("code_challenge is not supported"));
        }
        (Some(challenge), Some("S256")) if is_s256(challenge) => {}
        (Some(_), Some("S256")) => {
            return Err(OAuthError::invalid_request("code_challenge is malformed"));
        }
        (Some(_), _) => {
            return Err(OAuthError::invalid_request("code_challenge_method must be S256"));
        }
        (None, _) if core.settings.pkce == Pkce::Required => {
            return Err(OAuthError::invalid_request("code_challenge is missing"));
        }
        (None, _) => {}
    }
    Ok(AuthorizationRequest {
        client_id: client.id.clone(),
        redirect_uri: redirect_uri.to_owned(),
        scope: params.words("scope").unwrap_or_default(),
        state: params.get("state").map(str::to_owned),
        code_challenge: challenge.map(str::to_owned),
        nonce: params.get("nonce").map(str::to_owned),
        prompt: params.words("prompt").unwrap_or_default(),
    })
}

fn is_s256(challenge: &str) -> bool {
    challenge.len() == 43 && challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Redirects to the log-in page, to the consent page, or directly to the client.
fn next_step(core: &Core, id: &str, username: Option<String>) -> Response {
    let Some(request) = core.read(|state, now| state.interaction(id, now).cloned()) else {
        return stays_here(core, TOO_OLD);
    };
    let asks_for = |prompt: &str| request.prompt.iter().any(|asked| asked == prompt);
    let username = username.filter(|_| !asks_for("login") && !asks_for("select_account"));
    let Some(username) = username else {
        if asks_for("none") {
            return refused(core, &request.redirect_uri, request.state.as_deref(), "login_required");
        }
        return to_page(&format!("/log-in?request={id}"));
    };
    let remembered = core.settings.remember_consent
        && !asks_for("consent")
        && core.read(|state, _| state.has_consented(&username, &request.client_id, &request.scope));
    if remembered {
        let scope = request.scope.clone();
        return granted(core, id, &username, scope);
    }
    if asks_for("none") {
        return refused(core, &request.redirect_uri, request.state.as_deref(), "consent_required");
    }
    to_page(&format!("/consent?request={id}"))
}

/// `GET /log-in`.
pub(super) async fn log_in_page(State(core): State<Arc<Core>>, RawQuery(query): RawQuery) -> Response {
    let query = pairs(query.unwrap_or_default().as_bytes());
    pages::log_in(&core.settings, first(&query, "request"), None).into_response()
}

/// `POST /log-in`.
pub(super) async fn log_in(State(core): State<Arc<Core>>, RawForm(form): RawForm) -> Response {
    let form = pairs(&form);
    let request = first(&form, "request");
    let username = first(&form, "username").unwrap_or_default();
    let Some(user) = core.user(username).filter(|user| first(&form, "password") == Some(&user.password)) else {
        let page = pages::log_in(&core.settings, request, Some(username));
        return (StatusCode::UNAUTHORIZED, page).into_response();
    };
    let cookie = core.change(|state, _| {
        if let Some(id) = request {
            state.log_in_done(id);
        }
        state.log_in(&user.username)
    });
    let mut response = match request {
        Some(id) => next_step(&core, id, Some(user.username.clone())),
        None => to_page("/"),
    };
    set_cookie(&core, &mut response, &cookie, "");
    response
}

/// `GET /consent`.
pub(super) async fn consent_page(State(core): State<Arc<Core>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let query = pairs(query.unwrap_or_default().as_bytes());
    let id = first(&query, "request").unwrap_or_default();
    let Some(request) = core.read(|state, now| state.interaction(id, now).cloned()) else {
        return stays_here(&core, TOO_OLD);
    };
    let Some(user) = session_user(&core, &headers) else {
        return to_page(&format!("/log-in?request={id}"));
    };
    let client_name = core.client(&request.client_id).map_or(request.client_id, |client| client.name);
    pages::consent(&core.settings, user, &client_name, &request.scope, id).into_response()
}

/// `POST /consent`: redirects to the client with the user's decision.
pub(super) async fn consent(State(core): State<Arc<Core>>, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let form = pairs(&form);
    let id = first(&form, "request").unwrap_or_default();
    let Some(username) = session(&core, &headers) else {
        return to_page(&format!("/log-in?request={id}"));
    };
    if first(&form, "decision") == Some("allow") {
        let scope = form.iter().filter(|(name, _)| name == "scope").map(|(_, value)| value.clone()).collect();
        return granted(&core, id, &username, scope);
    }
    match core.change(|state, now| state.end_interaction(id, now)) {
        Some(request) => refused(&core, &request.redirect_uri, request.state.as_deref(), "access_denied"),
        None => stays_here(&core, TOO_OLD),
    }
}

const TOO_OLD: &str = "This page has expired. Go back to the application and start again.";

fn granted(core: &Core, id: &str, username: &str, scope: Vec<String>) -> Response {
    let issued = core.change(|state, now| {
        let request = state.end_interaction(id, now)?;
        let scope = scope.into_iter().filter(|scope| request.scope.contains(scope)).collect();
        let until = now.after(core.settings.code_ttl);
        Some((request.clone(), state.issue_code(request, username, scope, core.settings.code_length, until)))
    });
    match issued {
        Some((request, issued)) => back_to_client(core, &request.redirect_uri, request.state.as_deref(), ("code", &issued)),
        None => stays_here(core, TOO_OLD),
    }
}

fn refused(core: &Core, redirect_uri: &str, state: Option<&str>, error: &str) -> Response {
    back_to_client(core, redirect_uri, state, ("error", error))
}

/// The authorization response (RFC 6749 §4.1.2, with `iss` of RFC 9207).
fn back_to_client(core: &Core, redirect_uri: &str, state: Option<&str>, outcome: (&str, &str)) -> Response {
    let Ok(mut url) = Url::parse(redirect_uri) else {
        return stays_here(core, "The application's address is not a URL.");
    };
    let mut query = url.query_pairs_mut();
    query.append_pair(outcome.0, outcome.1);
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    if core.settings.announce_iss {
        query.append_pair("iss", &core.issuer);
    }
    drop(query);
    to_page(url.as_str())
}

/// A redirect after which the browser sends a GET.
pub(super) fn to_page(location: &str) -> Response {
    let mut response = (StatusCode::SEE_OTHER, pages::security_headers()).into_response();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn stays_here(core: &Core, why: &str) -> Response {
    (StatusCode::BAD_REQUEST, pages::problem(&core.settings, why)).into_response()
}

/// Decodes a form or a query that may contain a name several times.
pub(super) fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).into_owned().collect()
}

/// The first value of this name that is not empty.
pub(super) fn first<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
}
