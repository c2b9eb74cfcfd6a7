//! The API, one resource a file. Public routes speak `snake_case`, internal ones `camelCase`.

mod access_token;
mod connector_types;
mod connectors;
mod execute;
mod flows;
mod grants;
mod operations;
mod session;
mod statuses;

use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use serde::Serializer;
use serde::ser::Error;
use utoipa_axum::router::OpenApiRouter;

use crate::state::App;

/// Routes that exist once in every space.
pub(crate) fn in_space() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(connectors::routes())
        .merge(statuses::routes())
        .merge(flows::routes())
        .merge(execute::routes())
        .merge(access_token::routes())
        .merge(grants::routes_in_space())
}

/// Routes without a space.
pub(crate) fn everywhere() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(connector_types::routes())
        .merge(session::routes())
        .merge(grants::routes_everywhere())
        .merge(operations::routes())
}

/// A point in time as the API writes it (RFC 3339, UTC).
pub(crate) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// Writes a secret into the one answer that is meant to hold it, without another copy on the way.
fn as_text<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    match secret.expose_text() {
        Some(text) => serializer.serialize_str(text),
        None => Err(S::Error::custom("not a text")),
    }
}

/// A day of last use, in days since the Unix epoch.
fn rfc3339_day(day: i64) -> String {
    rfc3339(Timestamp::from_millis(day.saturating_mul(86_400_000)))
}
