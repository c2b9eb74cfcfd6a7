//! The router of the whole inbound side.

use axum::Router;
use axum::response::{IntoResponse, Response};
use grantry_domain::ports::SecureRandom;

use crate::host::Api;
use crate::openapi::openapi_of;
use crate::problem::{Code, Problem};
use crate::state::App;
use crate::{guard, mount, pages, routes};

/// All routes as one router. Paths of requests may contain the path of the public base URL or not, so a host may nest it there
/// or serve it at the root. `random` makes correlation ids unique across processes.
pub fn router(api: Api, random: &dyn SecureRandom) -> Router {
    let public = api.public.clone();
    let app = App::new(api, random, |cookies| openapi_of(cookies).into());
    let in_space: Router<App> = routes::in_space().into();
    let global: Router<App> = routes::global().into();
    let router = global
        .nest("/s/{space}", in_space.clone())
        .merge(in_space)
        .fallback(pages::fallback)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app.clone());
    mount::mounted(guard::guarded(router, &app), &public)
}

async fn method_not_allowed() -> Response {
    Problem::new(Code::MethodNotAllowed).into_response()
}
