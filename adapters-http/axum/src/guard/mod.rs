//! The middleware around every route: checks on the way in; on the way out headers, metrics and the bodies of problems.
//!
//! Only the matched path is recorded: the real path may contain a flow id, and its query a code.

pub(crate) mod checks;

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::correlation::{CorrelationId, current_correlation_id};
use crate::mount;
use crate::pages::{self, PageContext};
use crate::problem::{Code, Problem};
use crate::relay_routes::Relayed;
use crate::state::App;

const CORRELATION_HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

/// Content security policy of every response that is not a page.
const STRICTEST_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");

/// Two years. Browsers ignore it over plain http (RFC 6797 §8.1).
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

const ALWAYS: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Puts the middleware around a router.
pub(crate) fn guarded(router: Router, app: &App) -> Router {
    router.layer(from_fn_with_state(app.clone(), guard))
}

async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = app.correlation.next();
    let method = method_name(request.method());
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map_or("unmatched", |path| mount::route_below(&app.api.public, path.as_str()));
    let started = Instant::now();
    request.extensions_mut().insert(id.clone());

    let response = match checks::check(&app, route, &request) {
        Ok(()) => id.scope(handled(request, next)).await,
        Err(problem) if is_for_users(&problem, &request) => {
            pages::problem_page(&app, &problem, &PageContext::of(request.headers(), id.clone()))
        }
        Err(problem) => problem.into_response(),
    };

    let elapsed = started.elapsed();
    // As for `_execute`, every response of an API is a success here. Its status is under the control of the API.
    let is_relayed = response.extensions().get::<Relayed>().is_some();
    let status = if is_relayed { 200 } else { response.status().as_u16() };
    app.metrics.record(method, route, status, elapsed);
    let code = reported_code(&response).map_or("", Code::as_str);
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    if status >= 500 {
        tracing::warn!(method, route, status, code, millis, correlation_id = id.0, "request finished");
    } else {
        tracing::debug!(method, route, status, code, millis, correlation_id = id.0, "request finished");
    }

    finished(response, &id, &app)
}

/// The code of a problem, as JSON or as a page.
fn reported_code(response: &Response) -> Option<Code> {
    let extensions = response.extensions();
    extensions.get::<Problem>().map(Problem::code).or_else(|| extensions.get::<Code>().copied())
}

/// Whether a refusal is shown as a page: a browser asked for a page, and was led there by a link or a redirect.
fn is_for_users(problem: &Problem, request: &Request) -> bool {
    let asks_for_page = || {
        let accepted = request.headers().get_all(header::ACCEPT).iter();
        accepted.filter_map(|value| value.to_str().ok()).any(|value| value.to_ascii_lowercase().contains("text/html"))
    };
    let is_too_large = matches!(problem.code(), Code::UrlTooLong | Code::HeadersTooLarge);
    is_too_large && matches!(*request.method(), Method::GET | Method::HEAD) && asks_for_page()
}

async fn handled(request: Request, next: Next) -> Response {
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(correlation_id = current_correlation_id(), "a handler panicked");
        Problem::new(Code::Internal).into_response()
    })
}

/// Writes the body of a problem and completes the headers.
fn finished(mut response: Response, id: &CorrelationId, app: &App) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let mut with_body = Json(problem.details(&id.0)).into_response();
        *with_body.status_mut() = response.status();
        for (name, value) in response.headers() {
            if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
                with_body.headers_mut().append(name, value.clone());
            }
        }
        with_body.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response = with_body;
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(CORRELATION_HEADER, value);
    }
    complete_headers(response.headers_mut(), app.api.public.is_https());
    response
}

/// Adds the headers of every response. Pages bring their own policy, hashed assets their own caching.
fn complete_headers(headers: &mut HeaderMap, https: bool) {
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(STRICTEST_POLICY);
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
}

/// A label of bounded cardinality: the method of a request can be any token.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_a_problem_is_reported_for_json_and_pages() {
        let mut page = Response::default();
        assert!(reported_code(&page).is_none());
        page.extensions_mut().insert(Code::NotFound);
        assert!(matches!(reported_code(&page), Some(Code::NotFound)));
        assert!(matches!(reported_code(&Problem::new(Code::Forbidden).into_response()), Some(Code::Forbidden)));
    }
}
