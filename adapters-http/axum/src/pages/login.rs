//! The log-in page of the accounts mode.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use grantry_domain::identity::SpaceId;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{Person, Query};
use crate::guard::CorrelationId;
use crate::openapi::Pages;
use crate::pages::{failure, page, root_path};
use crate::problem::{Code, Problem};
use crate::return_url;
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(log_in_page))
}

#[derive(Template)]
#[template(path = "login.html")]
struct LogInPage {
    style: String,
    script: String,
    session: String,
    next: String,
}

/// Where to log in, and then go on to `next`: a path on our origin.
pub(super) fn url(app: &App, next: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    format!("{}/login?{query}", app.api.public)
}

/// The log-in page.
#[utoipa::path(get, path = "/login", operation_id = "logInPage", tag = "pages",
    params(("next" = Option<String>, Query, description = "Where to go afterwards: a path on this origin")),
    responses(Pages))]
async fn log_in_page(
    State(app): State<App>,
    person: Result<Person, Problem>,
    mut query: Query,
    correlation: CorrelationId,
) -> Response {
    if !app.api.identity.has_log_in() {
        return failure(&app, &Problem::new(Code::NotFound), &correlation);
    }
    let next = allowed_next(&app, query.take("next").ok().flatten().as_deref());
    if person.is_ok() {
        return Redirect::to(&next).into_response();
    }
    let template = LogInPage {
        style: app.pages.style.url(),
        script: app.pages.page_script.url(),
        session: format!("{}/api/session", app.api.public),
        next,
    };
    page(StatusCode::OK, &template, &app.pages.page_policy)
}

/// The wish if it lies on our origin, else the start page. A callback is never where a log-in leads: its URL would have to
/// carry code and state (R22).
fn allowed_next(app: &App, wish: Option<&str>) -> String {
    let path = wish
        .and_then(|wish| return_url::reduced(wish, &app.api.public))
        .filter(|path| {
            !path.split('?').next().is_some_and(|path| path.contains("/_oauth_callback") && !path.contains("_result/"))
        })
        .unwrap_or_else(|| root_path(app, &SpaceId::default_space()));
    format!("{}{path}", app.api.public.origin())
}
