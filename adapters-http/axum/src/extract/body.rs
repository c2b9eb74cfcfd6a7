//! The body of a request: JSON, bounded in size and time.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Request};
use grantry_domain::identity::ConnectionName;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use crate::extract::caller::{ClientAddress, KnownCaller};
use crate::extract::json;
use crate::extract::structure::Exceptions;
use crate::problem::{Code, Problem};
use crate::state::App;
use crate::unknown_bodies::TOO_MANY_BODIES;
use crate::user_limit::Place;

/// The largest body of a caller who is not known yet, in bytes: a log-in with every character escaped.
const UNKNOWN_CALLER: usize = 16 * 1024;

/// A JSON object of the general limit. An empty body counts as an object without fields.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<App> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let limit = app.api.limits.body;
        parsed(request, limit, Exceptions::NONE, app).await.map(|(value, _)| Self(value))
    }
}

/// The same for `_execute`: the limit is configurable, and parts of the body are passed on. It counts among the bodies of its
/// user until the second value is dropped.
pub(crate) struct ExecuteJsonBody<T>(pub(crate) T, pub(crate) Option<Place>);

impl<T: DeserializeOwned + Send + 'static> FromRequest<App> for ExecuteJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let limit = app.api.limits.execute_body;
        parsed(request, limit, Exceptions::EXECUTE, app).await.map(|(value, place)| Self(value, place))
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
) -> Result<(T, Option<Place>), Problem> {
    let (mut parts, body) = request.into_parts();
    let announced = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let at_most = |limit| announced.map_or(limit, |bytes| bytes.min(limit));
    let deadline = app.api.limits.read_deadline;
    let (bytes, place) = match parts.extensions.get::<KnownCaller>() {
        Some(KnownCaller::User(user)) => {
            let place = app.memory.admit_bytes(user.as_str(), at_most(limit), TOO_MANY_BODIES).await?;
            (read(body, limit, deadline).await?, Some(place))
        }
        Some(KnownCaller::Agent) => (read(body, limit, deadline).await?, None),
        None => {
            let limit = limit.min(UNKNOWN_CALLER);
            let Ok(address) = ClientAddress::from_request_parts(&mut parts, app).await;
            let network = address.to_limit().unwrap_or_default();
            (app.unknown_bodies.read(&network, at_most(limit), read(body, limit, deadline)).await?, None)
        }
    };
    if bytes.len() <= LARGE {
        return Ok((json::parse(if bytes.is_empty() { b"{}" } else { &bytes }, exceptions)?, place));
    }
    // One per core, because each takes a multiple of its length in memory. It ends with the work and not with the request,
    // which its client can cancel.
    let permit = app.parsers.clone().acquire_owned().await.map_err(|_| Problem::new(Code::Internal))?;
    let parse = move || {
        let parsed = json::parse(&bytes, exceptions);
        drop(permit);
        parsed
    };
    let parsed = tokio::task::spawn_blocking(parse).await;
    Ok((parsed.unwrap_or_else(|_| Err(Problem::new(Code::Internal)))?, place))
}

async fn read(body: Body, limit: usize, deadline: Duration) -> Result<Vec<u8>, Problem> {
    let read = tokio::time::timeout(deadline, read_whole(body, limit)).await;
    read.map_err(|_| Problem::invalid("body", "did not arrive in time"))?
}

/// Reads a body into one buffer, which grows with the bytes that have arrived.
async fn read_whole(mut body: Body, limit: usize) -> Result<Vec<u8>, Problem> {
    let too_large = || Problem::new(Code::PayloadTooLarge).because(format!("The body may be at most {limit} bytes long."));
    // A body whose announced length exceeds the limit is not read at all.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::invalid("body", "did not arrive whole"))?;
        let Some(data) = frame.data_ref() else { continue };
        if data.len() > limit - bytes.len() {
            return Err(too_large());
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}
