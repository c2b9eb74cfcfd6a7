//! The router of the whole inbound side.

use axum::Router;
use axum::response::{IntoResponse, Response};
use grantry_domain::ports::SecureRandom;

use crate::host::Api;
use crate::openapi::openapi;
use crate::problem::{Code, Problem};
use crate::state::App;
use crate::{guard, pages, routes};

/// All routes as one router. A host may mount it under the path of its public base URL. `random` makes correlation ids
/// unique across processes.
pub fn router(api: Api, random: &dyn SecureRandom) -> Router {
    let app = App::new(api, random, openapi);
    let in_space: Router<App> = routes::in_space().into();
    let global: Router<App> = routes::global().into();
    let router = global
        .nest("/s/{space}", in_space.clone())
        .merge(in_space)
        .fallback(pages::fallback)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app.clone());
    guard::guarded(router, &app)
}

async fn method_not_allowed() -> Response {
    Problem::new(Code::MethodNotAllowed).into_response()
}
