//! Ids of the path, and query parameters of the API.

use axum::extract::{FromRequestParts, RawPathParams};
use grantry_domain::connector::{ConnectorId, ConnectorKey};
use grantry_domain::identity::SpaceId;
use http::request::Parts;

use crate::problem::{Code, Problem};
use crate::state::App;

/// The parameters of the matched path. A malformed id is treated like the id of a missing record: `not_found`.
pub(crate) struct PathParams(Vec<(String, String)>);

impl PathParams {
    /// The parameter `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The parameter `name`, converted by `parse`.
    pub(crate) fn read<T>(&self, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, Problem> {
        self.get(name).and_then(parse).ok_or_else(|| Problem::new(Code::NotFound))
    }

    /// The connector whose id is the parameter `name`.
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
pub(crate) struct SpacePath(pub(crate) SpaceId);

impl FromRequestParts<App> for SpacePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        PathParams::from_request_parts(parts, app).await?.space().map(Self)
    }
}

/// The connector of the path.
pub(crate) struct ConnectorPath(pub(crate) ConnectorKey);

impl FromRequestParts<App> for ConnectorPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        PathParams::from_request_parts(parts, app).await?.connector("id").map(Self)
    }
}

/// The decoded parameters of a query: each at most once, none unknown.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes the parameters of a query.
    pub(crate) fn of(query: &str) -> Self {
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// Removes a parameter and returns it. An empty value counts as absent.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        Ok(self.take_stated(name)?.filter(|value| !value.is_empty()))
    }

    /// A flag, which is false without the parameter. An empty value is neither true nor false.
    pub(crate) fn take_flag(&mut self, name: &'static str) -> Result<bool, Problem> {
        match self.take_stated(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::invalid(name, "must be true or false")),
        }
    }

    fn take_stated(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut found = None;
        while let Some(position) = self.0.iter().position(|(key, _)| key == name) {
            if found.replace(self.0.remove(position).1).is_some() {
                return Err(Problem::invalid(name.to_owned(), "is given twice"));
            }
        }
        Ok(found)
    }

    /// Refuses parameters that were not taken.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::invalid("query", "contains an unknown parameter")) }
    }
}

impl FromRequestParts<App> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self::of(parts.uri.query().unwrap_or_default()))
    }
}
