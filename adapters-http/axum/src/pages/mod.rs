//! Pages the server renders: the callback and its results, confirm, launch, log-in, and the plain list of connectors.
//!
//! Templates escape by construction (R31). No page has inline code; each policy names the exact URLs of its script and
//! sheet (R30, R63). No text of a provider is ever shown.

pub(crate) mod assets;
mod callback;
mod callback_params;
mod confirm;
mod console;
mod facts;
mod home;
mod launch;
mod login;
mod result;

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use grantry_domain::identity::SpaceId;
use http::{HeaderValue, StatusCode, header};
use utoipa_axum::router::OpenApiRouter;

pub(crate) use self::console::fallback;
use crate::extract::Person;
use crate::guard::CorrelationId;
use crate::problem::{Code, Problem};
use crate::state::App;

/// Pages that exist once in every space.
pub(crate) fn in_space() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(confirm::routes()).merge(launch::routes())
}

/// Pages without a space.
pub(crate) fn everywhere() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(callback::routes()).merge(result::routes()).merge(assets::routes()).merge(login::routes())
}

/// Pages at the root of a space.
pub(crate) fn roots() -> OpenApiRouter<App> {
    home::routes()
}

/// Path of the start page of a space. A router mounted below a path has its root there, without a slash behind it.
fn root_path(app: &App, space: &SpaceId) -> String {
    let prefix = app.api.public.path_prefix();
    match (space.is_default(), prefix.is_empty()) {
        (true, true) => "/".to_owned(),
        (true, false) => prefix.to_owned(),
        (false, _) => format!("{prefix}/s/{space}/"),
    }
}

/// A page with its policy.
fn page(status: StatusCode, template: &impl Template, policy: &HeaderValue) -> Response {
    match template.render() {
        Ok(html) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
                (header::CONTENT_SECURITY_POLICY, policy.clone()),
            ];
            (status, headers, html).into_response()
        }
        Err(_) => Problem::new(Code::Internal).into_response(),
    }
}

/// A problem as a page, for whoever looks at it in a browser.
fn failure(app: &App, problem: &Problem, correlation: &CorrelationId) -> Response {
    result::of_problem(app, problem, correlation)
}

/// Sends nobody-in-particular to the log-in, and then back to `next`, a path of ours without anything secret (R22).
fn sign_in_first(app: &App, next: &str, correlation: &CorrelationId) -> Response {
    if app.api.identity.has_log_in() {
        Redirect::to(&login::url(app, next)).into_response()
    } else {
        failure(app, &Problem::new(Code::NotSignedIn), correlation)
    }
}

/// The person looking at a page, or the page that says why there is none.
fn person_or(
    app: &App,
    person: Result<Person, Problem>,
    next: &str,
    correlation: &CorrelationId,
) -> Result<Person, Box<Response>> {
    person.map_err(|problem| {
        Box::new(if problem.code() == Code::NotSignedIn {
            sign_in_first(app, next, correlation)
        } else {
            failure(app, &problem, correlation)
        })
    })
}
