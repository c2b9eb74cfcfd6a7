//! One span, one count and one correlation id a request; panics become answers; problems get their bodies.
//!
//! Only the matched path is ever recorded: the real one may hold a flow id, and its query a code (R79).

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Json;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use grantry_domain::ports::SecureRandom;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, header};
use metrics::{Label, SharedString};
use tracing::{Instrument, info_span};

use crate::guard::{admit, headers};
use crate::problem::{Code, Problem};
use crate::state::App;

const CORRELATION_HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

/// What a user quotes to the operator, who finds the log lines by it.
#[derive(Debug, Clone)]
pub(crate) struct CorrelationId(pub(crate) String);

/// Makes correlation ids: random per process, then counted. They need to be unique, not unguessable.
#[derive(Debug)]
pub(crate) struct CorrelationIds {
    process: u32,
    next: AtomicU32,
}

impl CorrelationIds {
    pub(crate) fn new(random: &dyn SecureRandom) -> Self {
        let mut process = [0; 4];
        // Without randomness nobody can be signed in or connected; the ids of those failures may repeat.
        let _ = random.fill(&mut process);
        Self { process: u32::from_be_bytes(process), next: AtomicU32::new(1) }
    }

    fn fresh(&self) -> CorrelationId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        CorrelationId(format!("{:08x}{count:08x}", self.process))
    }
}

impl<S: Sync> FromRequestParts<S> for CorrelationId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or(Self(String::new())))
    }
}

pub(super) async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = app.correlation.fresh();
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched".to_owned(), |path| path.as_str().to_owned());
    let clock = &app.api.connections.ports().clock;
    let started = clock.monotonic();
    let span = info_span!("http_request", method, route, correlation_id = id.0);
    request.extensions_mut().insert(id.clone());

    let response = match admit(&app, &request) {
        Ok(()) => handled(request, next).instrument(span.clone()).await,
        Err(problem) => problem.into_response(),
    };

    let took = clock.monotonic().saturating_sub(started);
    let status = response.status();
    let labels = [("method", method.into()), ("route", SharedString::from(route))];
    let labels = labels.map(|(name, value): (&'static str, SharedString)| Label::new(name, value));
    let with_status = labels.iter().cloned().chain([Label::new("status", status.as_u16().to_string())]);
    metrics::counter!("grantry_http_requests_total", with_status.collect::<Vec<_>>()).increment(1);
    metrics::histogram!("grantry_http_request_seconds", labels.to_vec()).record(took.as_secs_f64());
    let code = response.extensions().get::<Problem>().map_or("", |problem| problem.code().as_str());
    let (status, millis) = (status.as_u16(), u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    span.in_scope(|| {
        if status >= 500 {
            tracing::warn!(status, code, millis, "answered");
        } else {
            tracing::debug!(status, code, millis, "answered");
        }
    });

    finished(response, &id, &app)
}

async fn handled(request: Request, next: Next) -> Response {
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a handler panicked");
        Problem::new(Code::Internal).into_response()
    })
}

/// Writes the body of a problem, and completes the headers.
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
    headers::complete(response.headers_mut(), app.api.public.is_https());
    response
}

/// A bounded label: methods can be any word.
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
