//! The provider profiles that connectors can be made from.

use axum::Json;
use axum::extract::State;
use grantry_domain::identity::Role;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::connector_types::ConnectorType;
use crate::extract::Person;
use crate::openapi::Problems;
use crate::problem::{Code, Problem};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Provider profiles that can be used, with their fields.
#[utoipa::path(get, path = "/api/actions/connector_types", operation_id = "listConnectorTypes", tag = "connectors",
    responses((status = 200, body = Vec<ConnectorType>), Problems))]
async fn list(State(app): State<App>, person: Person) -> Result<Json<Vec<ConnectorType>>, Problem> {
    // They are the same for everybody, but only for people who have a space to use them in.
    let known = app.api.people.describe(&person.user).await?;
    match known {
        Some(view) if view.spaces.iter().any(|space| space.role >= Role::Viewer) => {
            Ok(Json(app.api.connector_types.clone()))
        }
        Some(_) => Err(Problem::new(Code::Forbidden)),
        None => Err(Problem::new(Code::NotSignedIn)),
    }
}
