//! The callback: where providers send the browser back to, one URL for all spaces (R20–R34).
//!
//! Whatever happens, the browser ends on a URL without code and state (R29). Only what could be repeated with success, such as
//! a callback without a session, stays where it is.

use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use grantry_domain::connector::CallbackId;
use grantry_domain::ports::Operation;
use grantry_domain::usecase::{CallbackRefused, CallbackRequest, Completed, Outcome};
use http::{HeaderMap, Method};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{ClientAddress, PathParams, Person};
use crate::guard::CorrelationId;
use crate::openapi::Pages;
use crate::pages::callback_params::CallbackParams;
use crate::pages::{failure, result};
use crate::problem::{Code, Problem};
use crate::return_url;
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(shared)).routes(routes!(own))
}

/// The shared callback.
#[utoipa::path(get, path = "/api/actions/connector/_oauth_callback", operation_id = "callback", tag = "pages",
    params(("state" = String, Query), ("code" = Option<String>, Query), ("error" = Option<String>, Query), ("iss" = Option<String>, Query)),
    responses((status = 303, description = "To the return URL or the result page"), Pages))]
async fn shared(State(app): State<App>, request: Request) -> Response {
    answer(&app, request, None).await
}

/// The callback of one connector, whose endpoints were written by hand (R08).
#[utoipa::path(get, path = "/api/actions/connector/_oauth_callback/{callback_id}", operation_id = "callbackOfContext", tag = "pages",
    params(("callback_id" = String, Path), ("state" = String, Query), ("code" = Option<String>, Query), ("error" = Option<String>, Query), ("iss" = Option<String>, Query)),
    responses((status = 303, description = "To the return URL or the result page"), Pages))]
async fn own(State(app): State<App>, params: PathParams, correlation: CorrelationId, request: Request) -> Response {
    match params.read("callback_id", CallbackId::parse) {
        Ok(callback_id) => answer(&app, request, Some(callback_id)).await,
        Err(problem) => failure(&app, &problem, &correlation),
    }
}

/// Rate limit → parameters → session → everything else, in the domain. The request is taken apart step by step, so that
/// nothing is looked up for what an earlier step refuses.
async fn answer(app: &App, request: Request, callback_id: Option<CallbackId>) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(correlation) = CorrelationId::from_request_parts(&mut parts, app).await;
    if parts.method != Method::GET {
        return Problem::new(Code::MethodNotAllowed).into_response();
    }
    if !is_navigation(&parts.headers) {
        return failure(app, &Problem::new(Code::Forbidden), &correlation);
    }
    let Ok(address) = ClientAddress::from_request_parts(&mut parts, app).await;
    if let Some(who) = address.limit_key()
        && let Err(limited) = app.api.connections.ports().limiter.take(&who, Operation::Callback).await
    {
        return failure(app, &limited.into(), &correlation);
    }
    let params = match CallbackParams::parse(parts.uri.query().unwrap_or_default()) {
        Ok(params) => params,
        Err(problem) => return result::redirect_to_code(app, problem.code()),
    };
    let person = match Person::from_request_parts(&mut parts, app).await {
        Ok(person) => person,
        // Nothing is consumed, and the URL is not handed to the log-in: it can be loaded again afterwards (R22).
        Err(problem) => return failure(app, &problem, &correlation),
    };
    let callback = CallbackRequest {
        user: person.user,
        // Counted above, before the session was looked up.
        address: None,
        flow_cookies: app.cookies.flow_secrets(&parts.headers),
        callback_id,
        state: params.state,
        issuer: params.issuer,
        answer: params.answer,
    };
    match app.api.connections.complete(callback).await {
        Ok(completed) => finished(app, &completed),
        Err(refused) => of_refusal(app, &refused, &correlation),
    }
}

/// Frames, images, scripts, prefetch and prerender are no people (R21, threat 13).
fn is_navigation(headers: &HeaderMap) -> bool {
    let says = |name: &str, word: &str| {
        headers.get_all(name).iter().any(|value| value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains(word)))
    };
    let is_speculative = ["sec-purpose", "purpose", "x-purpose", "x-moz"]
        .iter()
        .any(|name| says(name, "prefetch") || says(name, "prerender") || says(name, "preview"));
    let is_document = headers.get_all("sec-fetch-dest").iter().all(|value| value == "document");
    !is_speculative && is_document
}

/// To the sealed return path with the outcome, or to the flow's own page; the flow's cookie goes (R29, R33, R34).
fn finished(app: &App, completed: &Completed) -> Response {
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
                &[("oauth_authorization", "success"), ("connector_id", connector)],
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
        None => result::redirect_to_flow(app, completed.flow_id),
    };
    app.cookies.without_flow(completed.flow_id).append_to(response.headers_mut());
    response
}

/// Nothing was consumed. What cannot succeed any more leaves the URL; what may, stays to be loaded again.
fn of_refusal(app: &App, refused: &CallbackRefused, correlation: &CorrelationId) -> Response {
    let code = Code::of(refused.code());
    if let CallbackRefused::RateLimited { retry_after } = refused {
        return failure(app, &Problem::new(code).after(*retry_after), correlation);
    }
    if let CallbackRefused::Store(_) = refused {
        return failure(app, &Problem::new(code), correlation);
    }
    let mut response = result::redirect_to_code(app, code);
    if let CallbackRefused::Expired { flow_id } | CallbackRefused::AlreadyUsed { flow_id } = refused {
        app.cookies.without_flow(*flow_id).append_to(response.headers_mut());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r21_only_navigations_count() {
        let judged = |fields: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, value.parse().unwrap());
            }
            is_navigation(&headers)
        };
        assert!(judged(&[]));
        assert!(judged(&[("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate"), ("sec-fetch-site", "cross-site")]));
        for dest in ["iframe", "frame", "image", "script", "empty", "embed", "object", "Document "] {
            assert!(!judged(&[("sec-fetch-dest", dest)]), "{dest}");
        }
        for (name, value) in
            [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch"), ("x-moz", "prefetch"), ("x-purpose", "preview")]
        {
            assert!(!judged(&[(name, value), ("sec-fetch-dest", "document")]), "{name}");
        }
    }
}
