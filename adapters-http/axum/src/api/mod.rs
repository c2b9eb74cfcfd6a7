//! The API, one resource per file. Public routes use `snake_case`, internal ones `camelCase`.

mod access_token;
mod connections;
mod connector_body;
mod connectors;
mod diagnostics;
mod execute;
mod flows;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod grants;
mod operations;
mod relay;
mod relay_fields;
mod session;
mod try_connection;
mod users;

use utoipa_axum::router::OpenApiRouter;

use crate::state::App;

/// Routes that exist once in every space.
pub(crate) fn in_space() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(connectors::routes_in_space())
        .merge(diagnostics::routes())
        .merge(connections::routes())
        .merge(flows::routes())
        .merge(execute::routes())
        .merge(relay::routes())
        .merge(try_connection::routes())
        .merge(access_token::routes())
        .merge(grants::routes_in_space())
}

/// Routes without a space.
pub(crate) fn global() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(session::routes()).merge(users::routes()).merge(operations::routes())
}
