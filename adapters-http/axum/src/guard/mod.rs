//! What every request passes before a handler sees it, and every response on its way out.

pub(crate) mod headers;
pub(crate) mod host;
mod limits;
mod observe;
mod origin;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};

pub(crate) use self::observe::CorrelationId;
pub(crate) use self::origin::is_json;
use crate::state::App;

/// Puts all guards around a router; the last one is the outermost.
pub(crate) fn guarded(router: Router, app: &App) -> Router {
    router
        .layer(from_fn(origin::same_origin_json))
        .layer(from_fn_with_state(app.clone(), host::allowed_host))
        .layer(from_fn_with_state(app.clone(), limits::within_limits))
        .layer(from_fn_with_state(app.clone(), observe::observe))
}
