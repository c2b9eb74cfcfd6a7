//! Handing a token to a back end: only where the operator switched it on for that agent (R44).

use axum::Json;
use axum::extract::State;
use grantry_domain::identity::UserId;
use grantry_domain::provider::Origin;
use grantry_domain::secret::Secret;
use grantry_domain::usecase::AccessTokenRequest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::{as_text, rfc3339};
use crate::auth::Principal;
use crate::extract::{AtConnector, Caller, JsonBody};
use crate::openapi::Problems;
use crate::problem::{Code, Problem};
use crate::refusals::of_token;
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(issue_access_token))
}

/// Whose token, and where it will be sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccessTokenBody {
    /// Id of the user.
    user: String,
    /// URL or origin of the API; it must be among those the user consented to.
    #[schema(example = "https://api.example.com")]
    destination: String,
}

/// A token that may be used now.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "names of the contract")]
pub(crate) struct AccessToken {
    /// The token.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    access_token: Secret,
    /// `Bearer`, in the provider's spelling.
    token_type: String,
    /// When it lapses; null if it does not.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// A valid access token of a user. For agents to whom the operator opened this.
#[utoipa::path(post, path = "/internal/actions/connector/{id}/_access_token", operation_id = "accessToken", tag = "agents", security(("agent" = [])),
    params(("id" = String, Path)), request_body = AccessTokenBody, responses((status = 200, body = AccessToken), Problems))]
async fn issue_access_token(
    State(app): State<App>,
    Caller(caller): Caller,
    AtConnector(connector): AtConnector,
    JsonBody(body): JsonBody<AccessTokenBody>,
) -> Result<Json<AccessToken>, Problem> {
    match &caller {
        Principal::Agent(agent) if !agent.spaces.contains(&connector.space) => return Err(Problem::new(Code::NotFound)),
        Principal::Agent(agent) if agent.access_tokens => {}
        Principal::Agent(_) | Principal::Person { .. } => return Err(Problem::new(Code::Forbidden)),
    }
    let user = UserId::new(body.user).map_err(|invalid| Problem::invalid("user", invalid.problem))?;
    let destination = origin_of(&body.destination)
        .ok_or_else(|| Problem::invalid("destination", "must be an absolute http or https URL"))?;
    let demand = AccessTokenRequest { actor: caller.actor(), connector, user, destination };
    let handed = app.api.connections.access_token(&demand).await;
    let handed = handed.map_err(|error| of_token(error, || app.api.connections.start_link(&demand.connector)))?;
    let expires_at = handed.expires_at.map(rfc3339);
    Ok(Json(AccessToken { access_token: handed.token, token_type: handed.token_type, expires_at }))
}

fn origin_of(url: &str) -> Option<Origin> {
    let url = url::Url::parse(url).ok().filter(|url| url.username().is_empty() && url.password().is_none())?;
    Origin::new(url.origin().ascii_serialization()).ok()
}
