//! The callback: the redirect URI of authorization requests, one for all spaces (RFC 6749 §4.1.2).
//!
//! The response redirects to a URL without code and state. Only a callback that may succeed when it is repeated, such as one
//! without a session, stays at its URL.
//!
//! A host can have session cookies with `SameSite=Strict`, which a browser does not send with the redirect of a provider. A callback
//! from another site without a session gets a page that opens the same URL again. That is a navigation of this site.
//!
//! Both callbacks exist below the prefix of a space as well, for front ends that add it to every path. The space is sealed in
//! the state; the one in the path is ignored.

use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use grantry_domain::connector::CallbackId;
use grantry_domain::provider::Callback;
use grantry_domain::usecase::{AuthorizationResponse, CallbackRefused, CallbackRequest, Completed, Outcome, StatelessError};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{ClientAddress, PathParams, User};
use crate::pages::callback_params::CallbackParams;
use crate::pages::context::PageContext;
use crate::pages::message::{CLOCK, Link, Message, Pages, message_page, problem_page};
use crate::pages::result;
use crate::problem::{Code, Problem};
use crate::return_url;
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(issuer_callback))
        .routes(routes!(profile_callback))
        .routes(routes!(connector_callback))
}

/// The callback of connectors in issuer mode.
#[utoipa::path(get, path = "/api/actions/connector/_oauth_callback", operation_id = "callback", tag = "pages",
    params(("state" = Option<String>, Query), ("code" = Option<String>, Query), ("error" = Option<String>, Query), ("iss" = Option<String>, Query)),
    responses((status = 303, description = "To the return URL or the result page"), Pages))]
async fn issuer_callback(State(app): State<App>, request: Request) -> Response {
    callback(&app, request, Callback::Issuers).await
}

/// The callback of connectors with a built-in type.
#[utoipa::path(get, path = "/api/actions/connector/_oauth_profile_callback", operation_id = "profileCallback", tag = "pages",
    params(("state" = Option<String>, Query), ("code" = Option<String>, Query), ("error" = Option<String>, Query), ("iss" = Option<String>, Query)),
    responses((status = 303, description = "To the return URL or the result page"), Pages))]
async fn profile_callback(State(app): State<App>, request: Request) -> Response {
    callback(&app, request, Callback::Profiles).await
}

/// The callback of one connector, for endpoints that an editor entered.
#[utoipa::path(get, path = "/api/actions/connector/_oauth_context/{callback_id}", operation_id = "connectorCallback", tag = "pages",
    params(("callback_id" = String, Path), ("state" = Option<String>, Query), ("code" = Option<String>, Query), ("error" = Option<String>, Query), ("iss" = Option<String>, Query)),
    responses((status = 303, description = "To the return URL or the result page"), Pages))]
async fn connector_callback(State(app): State<App>, params: PathParams, context: PageContext, request: Request) -> Response {
    match params.read("callback_id", CallbackId::parse) {
        Ok(callback_id) => callback(&app, request, Callback::Connector(callback_id)).await,
        Err(problem) => problem_page(&app, &problem, &context),
    }
}

/// Session, parameters, use case, in this order. Requests without a session are limited by address, so that they cannot use
/// up what signed-in users behind the same address need.
async fn callback(app: &App, request: Request, callback: Callback) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(context) = PageContext::from_request_parts(&mut parts, app).await;
    if parts.method != Method::GET {
        return Problem::new(Code::MethodNotAllowed).into_response();
    }
    if !is_navigation(&parts.headers) {
        return problem_page(app, &Problem::new(Code::Forbidden), &context);
    }
    let user = User::from_request_parts(&mut parts, app).await;
    if may_lack_session(app, &user, &parts.headers) {
        return opened_again(app, &context);
    }
    let Ok(address) = ClientAddress::from_request_parts(&mut parts, app).await;
    if user.is_err()
        && let Some(address) = address.to_limit()
        && let Err(refused) = app.api.connections.count_anonymous_callback(&address).await
    {
        return refusal(app, &refused, &context);
    }
    let params = match CallbackParams::parse(parts.uri.query().unwrap_or_default()) {
        Ok(params) => params,
        Err(problem) => return result::redirect_to_code(app, problem.code(), &context),
    };
    let user = match user {
        Ok(user) => user,
        // The flow is not consumed and the URL is not passed to the log-in: the page can be reloaded afterwards.
        Err(problem) => return problem_page(app, &problem, &context),
    };
    let Some(state) = params.state else {
        let denied = matches!(params.response, AuthorizationResponse::Error { denied: true });
        let Callback::Connector(callback_id) = callback else {
            return result::redirect_to_code(app, Code::InvalidRequest, &context);
        };
        let flow_cookies = app.cookies.flow_cookies(&parts.headers);
        let error = StatelessError { user: user.id, flow_cookies, callback_id, issuer: params.issuer, denied };
        return match app.api.connections.end_without_state(error).await {
            Ok(Some(completed)) => finished(app, &completed, &context),
            // Cookie, user and path name no single flow. The page is the same for all users.
            Ok(None) => {
                result::redirect_to_code(app, if denied { Code::AccessDenied } else { Code::ProviderError }, &context)
            }
            Err(refused) => refusal(app, &refused, &context),
        };
    };
    let request = CallbackRequest {
        user: user.id,
        flow_cookies: app.cookies.flow_secrets(&parts.headers),
        callback,
        state,
        issuer: params.issuer,
        response: params.response,
        parameters: params.others,
    };
    match app.api.connections.complete(request).await {
        Ok(completed) => finished(app, &completed, &context),
        Err(refused) => refusal(app, &refused, &context),
    }
}

/// Rejects requests that are not top-level navigations (`Sec-Fetch-*`), and prefetches.
fn is_navigation(headers: &HeaderMap) -> bool {
    let contains = |name: &str, word: &str| {
        headers.get_all(name).iter().any(|value| value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains(word)))
    };
    let is_speculative = ["sec-purpose", "purpose", "x-purpose", "x-moz"]
        .iter()
        .any(|name| contains(name, "prefetch") || contains(name, "prerender") || contains(name, "preview"));
    let is_document = headers.get_all("sec-fetch-dest").iter().all(|value| value == "document");
    !is_speculative && is_document
}

/// Whether the session cookie of the host may be missing because the request comes from another site.
fn may_lack_session(app: &App, user: &Result<User, Problem>, headers: &HeaderMap) -> bool {
    let is_unknown = user.as_ref().is_err_and(|problem| problem.code() == Code::NotSignedIn);
    let sites: Vec<_> = headers.get_all("sec-fetch-site").iter().map(HeaderValue::as_bytes).collect();
    // The session cookie of this server is sent with navigations from other sites.
    is_unknown && !app.api.identity.has_log_in() && sites == [b"cross-site"]
}

/// A page that opens its URL again: by its script, or by its link, whose reference is empty so that it contains no code.
fn opened_again(app: &App, context: &PageContext) -> Response {
    let texts = context.texts();
    let link = Link { href: String::new(), label: texts.go_on.into(), quiet: false, new_tab: false };
    let message = Message { status: "continue", links: vec![link], ..Message::plain(texts.one_moment, CLOCK) };
    message_page(app, StatusCode::OK, message, context)
}

/// Redirects to the return path with the outcome, or to the page of the flow, and removes the cookie of the flow.
fn finished(app: &App, completed: &Completed, context: &PageContext) -> Response {
    let code = match completed.outcome {
        Outcome::Connected => None,
        Outcome::Failed(failure) => Some(Code::of(failure.code())),
    };
    let returned = completed.return_path.as_deref().and_then(|path| {
        let connector = completed.connector.as_str();
        match code {
            None => return_url::with_result(
                path,
                &app.api.public,
                &[("oauth_authorization", "success"), ("connector_id", connector), ("status_code", "200")],
            ),
            Some(code) => {
                let status = code.status().to_string();
                let result = [
                    ("oauth_authorization", "error"),
                    ("connector_id", connector),
                    ("error", code.as_str()),
                    ("status_code", status.as_str()),
                ];
                return_url::with_result(path, &app.api.public, &result)
            }
        }
    });
    let mut response = match returned {
        Some(url) => Redirect::to(&url).into_response(),
        None => result::redirect_to_flow(app, completed.flow_id, code.and(context.correlation.as_ref())),
    };
    app.cookies.without_flow(completed.flow_id).append_to(response.headers_mut());
    response
}

/// The response to a callback that consumed nothing. The URL stays only if a reload may succeed. A flow that has ended
/// without a grant has a page with its result and the way back.
fn refusal(app: &App, refused: &CallbackRefused, context: &PageContext) -> Response {
    if matches!(refused, CallbackRefused::RateLimited { .. } | CallbackRefused::Store(_)) {
        return problem_page(app, &refused.into(), context);
    }
    if let CallbackRefused::Expired { flow_id } = refused {
        return result::redirect_to_flow(app, *flow_id, context.correlation.as_ref());
    }
    if let CallbackRefused::Ended { flow_id } = refused {
        // Another request ended the flow; the id of this one does not belong to its failure.
        return result::redirect_to_flow(app, *flow_id, None);
    }
    // The cookie of a flow that is being completed is kept, so that opening its callback again has the same result.
    result::redirect_to_code(app, Code::of(refused.code()), context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r21_only_navigations_count() {
        let is_navigation = |fields: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, value.parse().unwrap());
            }
            is_navigation(&headers)
        };
        assert!(is_navigation(&[]));
        assert!(is_navigation(&[
            ("sec-fetch-dest", "document"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-site", "cross-site")
        ]));
        for dest in ["iframe", "frame", "image", "script", "empty", "embed", "object", "Document "] {
            assert!(!is_navigation(&[("sec-fetch-dest", dest)]), "{dest}");
        }
        for (name, value) in
            [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch"), ("x-moz", "prefetch"), ("x-purpose", "preview")]
        {
            assert!(!is_navigation(&[(name, value), ("sec-fetch-dest", "document")]), "{name}");
        }
    }
}
