//! Health, metrics, and the `OpenAPI` document.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::metrics_access::MetricsRefused;
use crate::operations::{CHALLENGE, metrics_text};
use crate::problem::{Code, Problem, Problems};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready)).routes(routes!(metrics)).routes(routes!(document))
}

/// Whether the process is alive.
#[utoipa::path(get, path = "/livez", operation_id = "livez", tag = "operations", security(()), responses((status = 200, body = String)))]
async fn live() -> &'static str {
    "ok\n"
}

/// Whether the process can serve.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "operations", security(()), responses((status = 200, body = String), Problems))]
async fn ready(State(app): State<App>) -> Result<&'static str, Problem> {
    match app.api.readiness.check().await {
        Ok(()) => Ok("ok\n"),
        Err(part) => Err(Problem::new(Code::StoreUnavailable).because(format!("Not ready: {part}."))),
    }
}

/// Metrics for Prometheus, with the bearer token of the metrics. Without one they are not served here.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "operations", security(()), responses((status = 200, body = String), Problems))]
async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    match app.api.metrics_access.check(&headers) {
        Ok(()) => metrics_text((app.api.metrics)()),
        Err(MetricsRefused::NotFound) => Problem::new(Code::NotFound).into_response(),
        Err(MetricsRefused::Unauthorized) => {
            let refused = Problem::new(Code::NotSignedIn).because("The bearer token of the metrics is required.");
            ([(header::WWW_AUTHENTICATE, CHALLENGE)], refused).into_response()
        }
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "operations", security(()), responses((status = 200, body = Object)))]
async fn document(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.openapi.clone()).into_response()
}
