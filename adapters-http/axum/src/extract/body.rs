//! The body of a request: JSON, bounded in size and time.

use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use grantry_domain::identity::ConnectionName;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::extract::json;
use crate::extract::structure::Exceptions;
use crate::problem::{Code, Problem};
use crate::state::App;

/// A JSON object of the general limit. An empty body counts as an object without fields.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<App> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        parsed(request, app.api.limits.body, Exceptions::NONE, app).await.map(Self)
    }
}

/// The same for `_execute`: the limit is configurable, and parts of the body are passed on.
pub(crate) struct ExecuteJsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<App> for ExecuteJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        parsed(request, app.api.limits.execute_body, Exceptions::EXECUTE, app).await.map(Self)
    }
}

/// The `connection` member of a body.
pub(crate) fn connection_name(name: Option<String>) -> Result<Option<ConnectionName>, Problem> {
    let name = name.map(ConnectionName::new).transpose();
    name.map_err(|invalid| Problem::invalid("connection", invalid.problem))
}

/// The largest body that is parsed on a thread of the runtime, in bytes. Parsing takes time in proportion to the length.
const LARGE: usize = 64 * 1024;

async fn parsed<T: DeserializeOwned + Send + 'static>(
    request: Request,
    limit: usize,
    exceptions: Exceptions,
    app: &App,
) -> Result<T, Problem> {
    let bytes = tokio::time::timeout(app.api.limits.read_deadline, read(request, limit))
        .await
        .map_err(|_| Problem::invalid("body", "did not arrive in time"))??;
    if bytes.len() <= LARGE {
        return json::parse(if bytes.is_empty() { b"{}" } else { &bytes }, exceptions);
    }
    // One per core, because each takes a multiple of its length in memory.
    let _place = app.parsers.acquire().await.map_err(|_| Problem::new(Code::Internal))?;
    let parsed = tokio::task::spawn_blocking(move || json::parse(&bytes, exceptions)).await;
    parsed.unwrap_or_else(|_| Err(Problem::new(Code::Internal)))
}

async fn read(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::PayloadTooLarge).because(format!("The body may be at most {limit} bytes long."));
    let body = request.into_body();
    // A body whose announced length exceeds the limit is not read at all.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Problem::invalid("body", "did not arrive whole")),
    }
}
