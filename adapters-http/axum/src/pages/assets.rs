//! The routes of scripts and style sheet.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(callback_script)).routes(routes!(style)).routes(routes!(page_script))
}

/// Script of the result pages.
#[utoipa::path(get, path = "/api/actions/connector/_oauth_callback_script", operation_id = "callbackScript", tag = "pages", security(()),
    responses((status = 200, body = String, content_type = "text/javascript")))]
async fn callback_script(State(app): State<App>, RawQuery(version): RawQuery, headers: HeaderMap) -> Response {
    app.pages.callback_script.file(version.as_deref()).response(&headers)
}

/// Style sheet of all pages.
#[utoipa::path(get, path = "/api/actions/connector/_oauth_callback_style", operation_id = "callbackStyle", tag = "pages", security(()),
    responses((status = 200, body = String, content_type = "text/css")))]
async fn style(State(app): State<App>, RawQuery(version): RawQuery, headers: HeaderMap) -> Response {
    app.pages.style.file(version.as_deref()).response(&headers)
}

/// Script of the other pages.
#[utoipa::path(get, path = "/api/actions/connector/_page_script", operation_id = "pageScript", tag = "pages", security(()),
    responses((status = 200, body = String, content_type = "text/javascript")))]
async fn page_script(State(app): State<App>, RawQuery(version): RawQuery, headers: HeaderMap) -> Response {
    app.pages.page_script.file(version.as_deref()).response(&headers)
}
