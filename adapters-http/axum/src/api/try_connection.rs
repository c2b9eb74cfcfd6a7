//! Trying a connection: one request of the profile to the API, for the signed-in user. No token, and nothing of the response but
//! its status.

use axum::Json;
use axum::extract::State;
use grantry_domain::usecase::TriedConnection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error_mapping::execute_problem;
use crate::extract::{ConnectorPath, JsonBody, User, connection_name};
use crate::problem::{Problem, ProblemDetails, Problems};
use crate::state::App;
use crate::user_limit::TOO_MANY_RUNS;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(try_connection))
}

/// Which connection to try.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TryBody {
    /// Name of the connection. Default: the only one, or the user's default.
    connection: Option<String>,
}

/// What the API responded to the request of the profile.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TryResult {
    /// HTTP status of the response of the API. A valid connection results in 200, or another status below 300.
    http_status: u16,
    /// Name of the connection that was used.
    connection: String,
    /// Label of its account at the provider, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
}

impl From<TriedConnection> for TryResult {
    fn from(tried: TriedConnection) -> Self {
        let connection = tried.connection.as_str().to_owned();
        Self { http_status: tried.http_status, connection, account: tried.account }
    }
}

/// Tries a connection of the signed-in user: sends a request to the API that succeeds with every valid token. Refused for a
/// connector without `can_be_tried`. Limited and recorded as `executeConnector` is.
#[utoipa::path(post, path = "/internal/actions/connector/{id}/_try", operation_id = "tryConnection", tag = "connections",
    params(("id" = String, Path)), request_body = TryBody,
    responses((status = 200, body = TryResult),
        (status = 409, description = "The user must connect first: see `reason` and `startUrl`", body = ProblemDetails),
        Problems))]
async fn try_connection(
    State(app): State<App>,
    user: User,
    ConnectorPath(key): ConnectorPath,
    JsonBody(body): JsonBody<TryBody>,
) -> Result<Json<TryResult>, Problem> {
    let connection = connection_name(body.connection)?;
    let actor = user.actor();
    let run = app.runs.admit(user.id.as_str(), TOO_MANY_RUNS).await?;
    let tried = app.api.connections.try_connection(&actor, key.clone(), connection).await;
    drop(run);
    let tried =
        tried.map_err(|error| execute_problem(error, |connection| app.api.connections.start_link(&key, connection)))?;
    Ok(Json(tried.into()))
}
