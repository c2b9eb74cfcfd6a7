//! Health, metrics, and the `OpenAPI` document.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::operations::metrics_text;
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

/// Metrics for Prometheus.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "operations", security(()), responses((status = 200, body = String)))]
async fn metrics(State(app): State<App>) -> Response {
    metrics_text((app.api.metrics)())
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "operations", security(()), responses((status = 200, body = Object)))]
async fn document(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.openapi.clone()).into_response()
}
