//! Query parameters of the API: each at most once, none unknown.

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::problem::Problem;
use crate::state::App;

/// The decoded parameters of a query.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Takes a parameter out; twice is once too often.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut found = None;
        while let Some(position) = self.0.iter().position(|(key, _)| key == name) {
            if found.replace(self.0.remove(position).1).is_some() {
                return Err(Problem::invalid(name.to_owned(), "is given twice"));
            }
        }
        Ok(found.filter(|value| !value.is_empty()))
    }

    /// Nothing else may be there.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::invalid("query", "holds an unknown parameter")) }
    }
}

impl FromRequestParts<App> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }
}
