//! Bounds on what precedes the body (R58).

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;
use crate::state::App;

pub(super) async fn within_limits(State(app): State<App>, request: Request, next: Next) -> Response {
    let limits = &app.limits;
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.url {
        return Problem::invalid("url", format!("is longer than {} bytes", limits.url)).into_response();
    }
    let fields = request.headers();
    if fields.len() > limits.header_fields {
        return Problem::invalid("headers", format!("are more than {} fields", limits.header_fields)).into_response();
    }
    let bytes: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > limits.headers {
        return Problem::invalid("headers", format!("are longer than {} bytes", limits.headers)).into_response();
    }
    next.run(request).await
}
