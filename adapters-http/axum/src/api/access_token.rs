//! Issuing an access token to a back end, if the operator permits it for that agent.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use grantry_domain::connector::ConnectorKey;
use grantry_domain::identity::{Actor, UserId};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::AccessTokenRequest;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Principal;
use crate::error_mapping::token_problem;
use crate::extract::{CallerAtConnector, JsonBody, connection_name};
use crate::format::{self, rfc3339};
use crate::origin::origin_of;
use crate::problem::{Code, Problem, Problems};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(issue_access_token))
}

/// The user, and where the token will be sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessTokenBody {
    /// Id of the user.
    user: String,
    /// URL or origin that the token will be sent to. It must be among those the user consented to. Default: the base URL of the
    /// API, which the response contains.
    #[schema(example = "https://api.example.com")]
    destination: Option<String>,
    /// Name of the connection. Default: the only one, or the user's default.
    connection: Option<String>,
}

/// A valid access token.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "names of the contract")]
pub(crate) struct AccessToken {
    /// The token.
    #[serde(serialize_with = "format::secret")]
    #[schema(value_type = String)]
    access_token: Secret,
    /// `Bearer`, as the provider spells it.
    token_type: String,
    /// When it expires; null if it does not.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// The base URL of the API: that of the user's account, if the provider names one, or else that of the connector.
    base_url: String,
}

/// An agent that may get access tokens at the connector in the path.
struct PermittedAgent {
    actor: Actor,
    connector: ConnectorKey,
}

impl FromRequestParts<App> for PermittedAgent {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let CallerAtConnector { caller, connector } = CallerAtConnector::from_request_parts(parts, app).await?;
        match &caller {
            Principal::Agent(agent) if agent.access_tokens => Ok(Self { actor: caller.actor(), connector }),
            Principal::Agent(_) | Principal::User { .. } => Err(Problem::new(Code::Forbidden)),
        }
    }
}

/// Issues a valid access token of a user. Only for agents that the operator permits to fetch tokens.
#[utoipa::path(post, path = "/internal/actions/connector/{id}/_access_token", operation_id = "accessToken", tag = "agents", security(("agent" = [])),
    params(("id" = String, Path)), request_body = AccessTokenBody, responses((status = 200, body = AccessToken), Problems))]
async fn issue_access_token(
    State(app): State<App>,
    PermittedAgent { actor, connector }: PermittedAgent,
    JsonBody(body): JsonBody<AccessTokenBody>,
) -> Result<Json<AccessToken>, Problem> {
    let user = UserId::new(body.user).map_err(|invalid| Problem::invalid("user", invalid.problem))?;
    let invalid = || Problem::invalid("destination", "must be an absolute http or https URL");
    let destination = body.destination.map(|url| origin_of(&url).ok_or_else(invalid)).transpose()?;
    let connection = connection_name(body.connection)?;
    let request = AccessTokenRequest { actor, connector, user, connection, destination };
    let issued = app.api.connections.access_token(&request).await;
    let issued = issued.map_err(|error| {
        token_problem(error, |connection| app.api.connections.start_link(&request.connector, connection))
    })?;
    let expires_at = issued.expires_at.map(rfc3339);
    Ok(Json(AccessToken {
        access_token: issued.token,
        token_type: issued.token_type,
        expires_at,
        base_url: issued.base_url,
    }))
}
