//! What every request passes before a handler sees it, and every response on its way out.

pub(crate) mod headers;
pub(crate) mod host;
mod limits;
mod observe;
mod origin;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;

pub(crate) use self::observe::{CorrelationId, CorrelationIds};
pub(crate) use self::origin::is_json;
use crate::problem::Problem;
use crate::state::App;

/// Puts the guards around a router.
pub(crate) fn guarded(router: Router, app: &App) -> Router {
    router.layer(from_fn_with_state(app.clone(), observe::observe))
}

/// Whether a request may go on to its handler; from the cheapest question to the dearest.
fn admit(app: &App, request: &Request) -> Result<(), Problem> {
    limits::within_limits(&app.api.limits, request)?;
    host::allowed_host(app, request)?;
    origin::same_origin_json(request, app.api.public.is_https())
}
