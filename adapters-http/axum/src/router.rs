//! The routes, put together once for serving and once for describing.

use axum::Router;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;

use crate::guard;
use crate::problem::{Code, Problem};
use crate::state::{Api, App};
use crate::{api, pages};

/// The whole inbound side as one router. A host may mount it under the path of its public base URL.
pub fn router(api: Api) -> Router {
    let app = App::new(api);
    let in_space: Router<App> = in_space().into();
    let everywhere: Router<App> = everywhere().into();
    let router = everywhere
        .nest("/s/{space}", in_space.clone())
        .merge(in_space)
        .fallback(pages::fallback)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app.clone());
    guard::guarded(router, &app)
}

/// Routes that exist in every space.
pub(crate) fn in_space() -> OpenApiRouter<App> {
    api::in_space().merge(pages::in_space())
}

/// Routes without a space, or with one written out.
pub(crate) fn everywhere() -> OpenApiRouter<App> {
    api::everywhere().merge(pages::everywhere()).merge(pages::roots())
}

async fn method_not_allowed() -> Response {
    Problem::new(Code::MethodNotAllowed).into_response()
}
