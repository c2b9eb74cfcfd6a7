//! The log-in page of the accounts mode.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use grantry_domain::identity::SpaceId;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{Query, User};
use crate::pages::context::PageContext;
use crate::pages::message::{Frame, Pages, error_texts, page, problem_page};
use crate::pages::texts::Texts;
use crate::problem::{Code, Problem};
use crate::return_url;
use crate::state::App;
use crate::urls;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(log_in_page))
}

#[derive(Template)]
#[template(path = "login.html")]
struct LogInPage {
    frame: Frame,
    texts: &'static Texts,
    errors: String,
    session: String,
    next: String,
}

/// The log-in page.
#[utoipa::path(get, path = "/login", operation_id = "logInPage", tag = "pages",
    params(("next" = Option<String>, Query, description = "Page to continue to: a path on this origin")),
    responses(Pages))]
async fn log_in_page(
    State(app): State<App>,
    user: Result<User, Problem>,
    mut query: Query,
    context: PageContext,
) -> Response {
    if !app.api.identity.has_log_in() {
        return problem_page(&app, &Problem::new(Code::NotFound), &context);
    }
    let next = allowed_next(&app, query.take("next").ok().flatten().as_deref());
    if user.is_ok() {
        return Redirect::to(&next).into_response();
    }
    let template = LogInPage {
        frame: Frame::new(&app, &context, &app.pages.page_script),
        texts: context.texts(),
        errors: error_texts(context.texts()),
        session: format!("{}/api/session", app.api.public),
        next,
    };
    page(StatusCode::OK, &template, &app.pages.page_policy, &context)
}

/// `next` if it is on the public origin, else the start page. A callback is refused: its URL would have to contain code and
/// state.
fn allowed_next(app: &App, next: Option<&str>) -> String {
    let path = next
        .and_then(|next| return_url::reduced(next, &app.api.public))
        .filter(|path| !path.split('?').next().is_some_and(urls::is_callback))
        .unwrap_or_else(|| urls::root_path(&app.api.public, &SpaceId::default_space()));
    format!("{}{path}", app.api.public.origin())
}
