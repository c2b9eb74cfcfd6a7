//! Health and metrics on a separate listener.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::host::Readiness;
use crate::metrics_access::{MetricsAccess, MetricsRefused};

/// Whether the process is alive.
pub(crate) const LIVE: &str = "/livez";
/// Whether the process can serve.
pub(crate) const READY: &str = "/readyz";
/// Metrics for Prometheus.
pub(crate) const METRICS: &str = "/metrics";

/// Whether a matched path is one of the three. They contain nothing that depends on the caller or on the host name.
pub(crate) fn is_operation(route: &str) -> bool {
    [LIVE, READY, METRICS].contains(&route)
}

/// The challenge of RFC 6750 §3.
pub(crate) const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer");

/// A router with `/livez`, `/readyz` and `/metrics` only, which responds under any host. For a listener that only the operator
/// can reach.
pub fn operations_router(
    readiness: Arc<dyn Readiness>,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
    access: MetricsAccess,
) -> Router {
    let ready = async move || match readiness.check().await {
        Ok(()) => text(StatusCode::OK, "ok\n".to_owned()),
        Err(part) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {part}\n")),
    };
    let metrics = async move |headers: HeaderMap| match access.check(&headers) {
        Ok(()) => metrics_text(metrics()),
        Err(MetricsRefused::NotFound) => text(StatusCode::NOT_FOUND, "not found\n".to_owned()),
        Err(MetricsRefused::Unauthorized) => {
            let refused = text(StatusCode::UNAUTHORIZED, "a bearer token is required\n".to_owned());
            ([(header::WWW_AUTHENTICATE, CHALLENGE)], refused).into_response()
        }
    };
    Router::new()
        .route(LIVE, get(async || text(StatusCode::OK, "ok\n".to_owned())))
        .route(READY, get(ready))
        .route(METRICS, get(metrics))
}

/// Metrics in the text format of Prometheus.
pub(crate) fn metrics_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

fn text(status: StatusCode, text: String) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, HEADERS, text).into_response()
}
