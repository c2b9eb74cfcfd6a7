//! Log-in, the current user, log-out.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use grantry_domain::identity::UserId;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Accounts, SESSION_ABSOLUTE};
use crate::extract::{ClientAddress, JsonBody, SecretText, User};
use crate::host::IdentityMode;
use crate::identity_mode::IdentityModeName;
use crate::problem::{Code, Problem, Problems};
use crate::state::App;

/// Longest password, in bytes. Bounds the cost of hashing.
const LONGEST_PASSWORD: usize = 1024;
/// Longest user name, in bytes.
const LONGEST_NAME: usize = 255;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(current, log_in, log_out))
}

/// The signed-in user, with the role in each space.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    /// The user.
    user: SessionUser,
    /// The immutable id.
    user_id: String,
    /// Name used for log-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    /// How users sign in: `accounts`, `proxy-header` or `host`.
    #[schema(value_type = IdentityModeName)]
    identity_mode: &'static str,
    /// Spaces open to the user.
    spaces: Vec<SessionSpace>,
}

/// The signed-in user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionUser {
    /// The immutable id.
    id: String,
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// A space open to the signed-in user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionSpace {
    /// Its id.
    id: String,
    /// Its display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The role of the user there.
    #[schema(value_type = RoleName)]
    role: &'static str,
}

/// What a user may do in a space. Each role includes the ones before it.
#[derive(ToSchema)]
#[schema(as = Role, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the values")]
pub(crate) enum RoleName {
    /// See connectors, connect and disconnect, execute.
    Viewer,
    /// Also create, edit and delete connectors.
    Editor,
    /// Also list and revoke the grants of all users.
    Admin,
}

/// User name and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogInBody {
    /// User name.
    username: String,
    /// Password.
    #[schema(value_type = String, format = Password, write_only)]
    password: SecretText,
}

/// The signed-in user.
#[utoipa::path(get, path = "/api/session", operation_id = "getSession", tag = "session",
    responses((status = 200, body = Session), Problems))]
async fn current(State(app): State<App>, user: Result<User, Problem>) -> Result<Json<Session>, Problem> {
    let session = async { described(&app, &user?.id).await };
    session.await.map(Json).map_err(|problem| {
        // A front end shows a form only if it can work.
        let is_signed_out = problem.code() == Code::NotSignedIn;
        if is_signed_out { problem.signed_in_by(app.api.identity.name()) } else { problem }
    })
}

/// Logs in with an account of this deployment. Only in accounts mode.
#[utoipa::path(post, path = "/api/session", operation_id = "logIn", tag = "session", security(()), request_body = LogInBody,
    responses((status = 200, body = Session), Problems))]
async fn log_in(
    State(app): State<App>,
    address: ClientAddress,
    headers: HeaderMap,
    JsonBody(LogInBody { username, password: SecretText(password) }): JsonBody<LogInBody>,
) -> Result<Response, Problem> {
    let accounts = accounts(&app)?;
    if username.len() > LONGEST_NAME {
        return Err(Problem::invalid("username", "is too long"));
    }
    if password.len() > LONGEST_PASSWORD {
        return Err(Problem::invalid("password", "is too long"));
    }
    let network = address.to_limit().unwrap_or_default();
    let logged_in = accounts.log_in(&username, &password, &network, &headers).await?;
    let body = described(&app, &logged_in.user).await?;
    // A log-in always starts a new session and ends the previous one.
    accounts.log_out(&headers).await?;
    let mut response = Json(body).into_response();
    app.cookies.session_cookie(&logged_in.session, SESSION_ABSOLUTE).append_to(response.headers_mut());
    app.cookies.device_cookie(&logged_in.device).append_to(response.headers_mut());
    Ok(response)
}

/// Logs out. Idempotent.
#[utoipa::path(delete, path = "/api/session", operation_id = "logOut", tag = "session", security(()), responses((status = 204), Problems))]
async fn log_out(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    accounts(&app)?.log_out(&headers).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    app.cookies.without_session().append_to(response.headers_mut());
    for flow in app.cookies.flow_ids(&headers) {
        app.cookies.without_flow(flow).append_to(response.headers_mut());
    }
    Ok(response)
}

fn accounts(app: &App) -> Result<&Arc<Accounts>, Problem> {
    match &app.api.identity {
        IdentityMode::Accounts(accounts) => Ok(accounts),
        IdentityMode::ProxyHeader | IdentityMode::Host => {
            Err(Problem::new(Code::NotFound).because("Users do not sign in on this server."))
        }
    }
}

async fn described(app: &App, user: &UserId) -> Result<Session, Problem> {
    let view = app.api.users.describe(user).await?.ok_or_else(|| Problem::new(Code::NotSignedIn))?;
    let spaces = view.spaces.into_iter().map(|space| SessionSpace {
        id: space.id.as_str().to_owned(),
        name: space.name,
        role: space.role.as_str(),
    });
    Ok(Session {
        user: SessionUser { id: user.as_str().to_owned(), name: view.display_name.clone() },
        user_id: user.as_str().to_owned(),
        username: view.username,
        display_name: view.display_name,
        identity_mode: app.api.identity.as_str(),
        spaces: spaces.collect(),
    })
}
