//! The body of a request: bounded in size and time (R58).

use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::extract::{Fields, Json};
use crate::problem::{Code, Problem};
use crate::state::App;

/// A JSON object, to be read field by field; at most 64 KiB. An empty body is an object without fields.
pub(crate) struct Body(pub(crate) Fields);

impl FromRequest<App> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        object(request, app.api.limits.body, app).await.map(Self)
    }
}

/// The same for `_execute`, whose limit is configurable.
pub(crate) struct ExecutionBody(pub(crate) Fields);

impl FromRequest<App> for ExecutionBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        object(request, app.api.limits.execute_body, app).await.map(Self)
    }
}

async fn object(request: Request, limit: usize, app: &App) -> Result<Fields, Problem> {
    let bytes = tokio::time::timeout(app.api.limits.read_deadline, read(request, limit))
        .await
        .map_err(|_| Problem::invalid("body", "did not arrive in time"))??;
    if bytes.is_empty() {
        return Ok(Fields::none());
    }
    Fields::of_body(Json::parse(&bytes)?)
}

async fn read(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::PayloadTooLarge).because(format!("The body may hold at most {limit} bytes."));
    let body = request.into_body();
    // What announces itself as too large is not read at all.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Problem::invalid("body", "did not arrive whole")),
    }
}
