//! Ids in paths. What is not a well-formed id names nothing, so it is answered like a missing record (R60).

use axum::extract::{FromRequestParts, RawPathParams};
use grantry_domain::connector::{ConnectorId, ConnectorKey};
use grantry_domain::identity::SpaceId;
use http::request::Parts;

use crate::problem::{Code, Problem};
use crate::state::App;

/// The parameters of the matched path.
pub(crate) struct PathParams(Vec<(String, String)>);

impl PathParams {
    /// One of them.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// One of them, understood by `parse`; whatever is not understood is not there.
    pub(crate) fn read<T>(&self, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, Problem> {
        self.get(name).and_then(parse).ok_or_else(|| Problem::new(Code::NotFound))
    }

    /// The connector whose id stands under `name`.
    pub(crate) fn connector(&self, name: &str) -> Result<ConnectorKey, Problem> {
        Ok(ConnectorKey { space: self.space()?, id: self.read(name, |text| ConnectorId::new(text).ok())? })
    }

    fn space(&self) -> Result<SpaceId, Problem> {
        match self.get("space") {
            Some(space) => SpaceId::new(space).map_err(|_| Problem::new(Code::NotFound)),
            None => Ok(SpaceId::default_space()),
        }
    }
}

impl FromRequestParts<App> for PathParams {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| Problem::new(Code::NotFound))?;
        Ok(Self(params.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()))
    }
}

/// The space of the path: the prefix `/s/{space}`, or `default` without one.
pub(crate) struct InSpace(pub(crate) SpaceId);

impl FromRequestParts<App> for InSpace {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        PathParams::from_request_parts(parts, app).await?.space().map(Self)
    }
}

/// The connector of the path.
pub(crate) struct AtConnector(pub(crate) ConnectorKey);

impl FromRequestParts<App> for AtConnector {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        PathParams::from_request_parts(parts, app).await?.connector("id").map(Self)
    }
}
