//! Log in, who am I, log out.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use grantry_domain::identity::UserId;
use grantry_domain::ports::Operation;
use grantry_domain::secret::Secret;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Accounts, IdentityMode, LogInError};
use crate::extract::{ClientAddress, JsonBody, Person, SecretText};
use crate::openapi::Problems;
use crate::problem::{Code, Problem};
use crate::state::App;

/// Longest password, in bytes: hashing more is only work for us.
const LONGEST_PASSWORD: usize = 1024;
/// Longest user name, in bytes.
const LONGEST_NAME: usize = 255;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(who_am_i, log_in, log_out))
}

/// Who is signed in, and with which role in which space.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    /// The immutable id.
    user_id: String,
    /// Name used for log-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// Name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    /// How people are told apart: `accounts`, `proxy-header` or `jwt`.
    #[schema(value_type = IdentityModeName)]
    identity_mode: &'static str,
    /// Spaces open to this person.
    spaces: Vec<SessionSpace>,
}

/// A space open to the signed-in person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionSpace {
    /// Its id.
    id: String,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The person's role there.
    #[schema(value_type = RoleName)]
    role: &'static str,
}

/// How people are told apart.
#[derive(ToSchema)]
#[schema(as = IdentityMode, rename_all = "kebab-case")]
#[expect(dead_code, reason = "describes the values")]
pub(crate) enum IdentityModeName {
    /// Accounts of this deployment.
    Accounts,
    /// A proxy in front.
    ProxyHeader,
    /// A token of the host.
    Jwt,
}

/// What a person may do in a space. Each role includes the ones before it.
#[derive(ToSchema)]
#[schema(as = Role, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the values")]
pub(crate) enum RoleName {
    /// See connectors, connect and disconnect oneself, execute.
    Viewer,
    /// Also create, edit and delete connectors.
    Editor,
    /// Also list and revoke anybody's grants.
    Admin,
}

/// User name and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LogInBody {
    /// User name.
    username: String,
    /// Password.
    #[schema(value_type = String, format = Password, write_only)]
    password: SecretText,
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/session", operation_id = "getSession", tag = "session",
    responses((status = 200, body = Session), Problems))]
async fn who_am_i(State(app): State<App>, person: Person) -> Result<Json<Session>, Problem> {
    described(&app, &person.user).await.map(Json)
}

/// Logs in with a local account. Only in accounts mode.
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
    // Counted before the password is looked at, by address and by name (R59).
    let limiter = &app.api.connections.ports().limiter;
    for who in address.limit_key().into_iter().chain([format!("name:{username}")]) {
        limiter.take(&who, Operation::LogIn).await?;
    }
    let (user, session) = accounts.log_in(&username, &password).await.map_err(refused)?;
    let body = described(&app, &user).await?;
    // A session that was there before is over: whoever logs in starts afresh.
    accounts.forget(&headers).await?;
    Ok(with_session(&app, &session, body))
}

fn with_session(app: &App, session: &Secret, body: Session) -> Response {
    let mut response = Json(body).into_response();
    app.cookies.session_cookie(session).append_to(response.headers_mut());
    response
}

/// Logs out. Idempotent.
#[utoipa::path(delete, path = "/api/session", operation_id = "logOut", tag = "session", security(()), responses((status = 204), Problems))]
async fn log_out(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    accounts(&app)?.forget(&headers).await?;
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
        IdentityMode::ProxyHeader | IdentityMode::Jwt => {
            Err(Problem::new(Code::NotFound).because("People are signed in elsewhere."))
        }
    }
}

fn refused(error: LogInError) -> Problem {
    match error {
        LogInError::Wrong => Problem::new(Code::NotSignedIn).because("User name or password is wrong."),
        LogInError::Unavailable(unavailable) => unavailable.into(),
    }
}

async fn described(app: &App, user: &UserId) -> Result<Session, Problem> {
    let view = app.api.people.describe(user).await?.ok_or_else(|| Problem::new(Code::NotSignedIn))?;
    let spaces = view.spaces.into_iter().map(|space| SessionSpace {
        id: space.id.as_str().to_owned(),
        name: space.name,
        role: space.role.as_str(),
    });
    Ok(Session {
        user_id: user.as_str().to_owned(),
        username: view.username,
        display_name: view.display_name,
        identity_mode: app.api.identity.as_str(),
        spaces: spaces.collect(),
    })
}
