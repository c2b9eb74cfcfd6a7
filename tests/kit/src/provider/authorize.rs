//! The browser's side: authorization request, log-in, consent, and the way back to the client.

use std::sync::Arc;

use axum::extract::{RawForm, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use url::{Url, form_urlencoded};

use super::client_auth::OAuthError;
use super::config::{Client, Pkce, User};
use super::core::Core;
use super::pages;
use super::params::Params;
use super::secret::Digest;
use super::state::AuthorizationRequest;

/// `GET /authorize` (RFC 6749 §3.1). Without a known client and redirect URI the browser stays here.
pub(super) async fn authorize(
    State(core): State<Arc<Core>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Ok(params) = Params::parse(query.unwrap_or_default().as_bytes()) else {
        return stays_here(&core, "A parameter of the request came twice.");
    };
    let Some(client) = params.get("client_id").and_then(|id| core.client(id)) else {
        return stays_here(&core, "The application that sent you here is not known.");
    };
    let request = match params.get("request_uri") {
        Some(uri) => {
            let pushed = core.change(|state, now| state.take_pushed(uri, now));
            match pushed.filter(|request| request.client_id == client.id) {
                Some(request) => request,
                None => return stays_here(&core, "The request is unknown, used or too old."),
            }
        }
        None => {
            let redirect_uri = params.get("redirect_uri").unwrap_or_default();
            if !client.redirect_uris.iter().any(|known| known == redirect_uri) {
                return stays_here(&core, "The application wants you back at an address that it has not registered.");
            }
            let pushed_only = core.settings.require_par;
            let checked = if pushed_only {
                Err(OAuthError::invalid_request("only pushed requests are accepted"))
            } else {
                validated(&core, &client, redirect_uri, &params)
            };
            match checked {
                Ok(request) => request,
                Err(error) => return refused(&core, redirect_uri, params.get("state"), error.code),
            }
        }
    };
    let username = session(&core, &headers);
    let id = core.change(|state, now| state.begin_interaction(request, now));
    next_step(&core, &id, username)
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
        (Some(challenge), Some("S256")) if is_s256(challenge) => {}
        (Some(_), Some("S256")) => return Err(OAuthError::invalid_request("code_challenge is malformed")),
        (Some(_), _) => return Err(OAuthError::invalid_request("code_challenge_method must be S256")),
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

/// Log-in page, consent page, or straight back to the client.
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
        request.into_iter().for_each(|id| state.log_in_done(id));
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
pub(super) async fn consent_page(
    State(core): State<Arc<Core>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
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

/// `POST /consent`: the answer goes back to the client.
pub(super) async fn consent(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
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

/// `GET /`: who is logged in, and which applications have access.
pub(super) async fn home(State(core): State<Arc<Core>>, headers: HeaderMap) -> Response {
    let Some(user) = session_user(&core, &headers) else {
        return pages::welcome(&core.settings).into_response();
    };
    let mut applications: Vec<(String, String)> = core.read(|state, _| {
        let live = state.grants.values().filter(|grant| grant.ended.is_none());
        live.filter(|grant| grant.username.as_deref() == Some(&user.username))
            .map(|grant| (grant.client_id.clone(), grant.scope.join(" ")))
            .collect()
    });
    applications.sort();
    applications.dedup();
    let named = applications.into_iter().map(|(id, scope)| {
        let name = core.client(&id).map_or_else(|| id.clone(), |client| client.name);
        pages::Application { id, name, scope }
    });
    pages::account(&core.settings, user, &named.collect::<Vec<_>>()).into_response()
}

/// `POST /withdraw`: the user takes an application's access away.
pub(super) async fn withdraw(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    if let (Some(username), Some(client_id)) = (session(&core, &headers), first(&pairs(&form), "client_id")) {
        core.change(|state, _| state.withdraw(&username, Some(client_id)));
    }
    to_page("/")
}

/// `POST /log-out`.
pub(super) async fn log_out(State(core): State<Arc<Core>>, headers: HeaderMap) -> Response {
    if let Some(cookie) = session_cookie(&core, &headers) {
        core.change(|state, _| state.sessions.remove(&Digest::of(cookie)));
    }
    let mut response = to_page("/");
    set_cookie(&core, &mut response, "", "; Max-Age=0");
    response
}

const TOO_OLD: &str = "This page is too old. Go back to the application and start again.";

fn granted(core: &Core, id: &str, username: &str, scope: Vec<String>) -> Response {
    let code = core.change(|state, now| {
        let request = state.end_interaction(id, now)?;
        let scope = scope.into_iter().filter(|scope| request.scope.contains(scope)).collect();
        let until = now.after(core.settings.code_ttl);
        Some((request.clone(), state.issue_code(request, username, scope, until)))
    });
    match code {
        Some((request, code)) => {
            back_to_client(core, &request.redirect_uri, request.state.as_deref(), ("code", &code))
        }
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

fn to_page(location: &str) -> Response {
    let mut response = (StatusCode::SEE_OTHER, pages::security_headers()).into_response();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn stays_here(core: &Core, why: &str) -> Response {
    (StatusCode::BAD_REQUEST, pages::problem(&core.settings, why)).into_response()
}

/// Cookies ignore ports, so that the name carries it.
fn cookie_name(core: &Core) -> String {
    format!("mock_provider_session_{}", core.port)
}

fn set_cookie(core: &Core, response: &mut Response, value: &str, more: &str) {
    let cookie = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{more}", cookie_name(core));
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

fn session_cookie<'h>(core: &Core, headers: &'h HeaderMap) -> Option<&'h str> {
    let name = cookie_name(core);
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split("; ")).find_map(|cookie| cookie.strip_prefix(&name)?.strip_prefix('='))
}

fn session(core: &Core, headers: &HeaderMap) -> Option<String> {
    session_user(core, headers).map(|user| user.username.clone())
}

fn session_user<'c>(core: &'c Core, headers: &HeaderMap) -> Option<&'c User> {
    let cookie = session_cookie(core, headers)?;
    let username = core.read(|state, _| state.sessions.get(&Digest::of(cookie)).cloned())?;
    core.user(&username)
}

fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).into_owned().collect()
}

fn first<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
}
