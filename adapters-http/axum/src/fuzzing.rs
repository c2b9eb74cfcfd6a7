//! Private parsers, open to the fuzz targets of this repository. Not part of the API: it may change in every release.

use std::net::IpAddr;

use grantry_domain::authorization::AuthorizationId;
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{AuthorizationResponse, ConnectorDraft};
use http::HeaderMap;

use crate::cookies::{self, CookieNames};
use crate::correlation::CorrelationId;
use crate::extract::{Exceptions, Query, client_of, parse};
use crate::pages::CallbackParams;
use crate::problem::Problem;
use crate::{Network, PublicBaseUrl};

/// The parameters of a callback.
pub struct Callback {
    /// `state`
    pub state: Option<Secret>,
    /// `iss`
    pub issuer: Option<String>,
    /// `code`, or `error`: whether the user denied access.
    pub response: AuthorizationResponse,
}

/// Reads the query of a callback.
pub fn callback(query: &str) -> Result<Callback, Problem> {
    let CallbackParams { state, issuer, response, .. } = CallbackParams::parse(query)?;
    Ok(Callback { state, issuer, response })
}

/// Reads the parameters of an API query; the value of `name`.
pub fn query(query: &str, name: &str) -> Result<Option<String>, Problem> {
    let mut parameters = Query::of(query);
    let value = parameters.take(name)?;
    parameters.finish().map(|()| value)
}

/// The body of a response to a refused request.
pub fn refusal(problem: Problem) -> String {
    serde_json::to_string(&problem.details("0123456789abcdef")).unwrap_or_default()
}

/// Reads a request body of one kind.
pub fn body(kind: u8, body: &[u8]) -> Result<Option<ConnectorDraft>, Problem> {
    crate::api::fuzzing::read_body(kind, body)
}

/// Reads any object by the rules for request bodies.
pub fn object(body: &[u8]) -> Result<serde_json::Map<String, serde_json::Value>, Problem> {
    parse(body, Exceptions::NONE)
}

/// The value of a cookie that occurs once.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    cookies::single(headers, name)
}

/// The flow cookies of a request, and the flows whose cookies are surplus.
pub fn flow_cookies(public: &PublicBaseUrl, headers: &HeaderMap) -> (Vec<(AuthorizationId, Secret)>, Vec<AuthorizationId>) {
    let names = CookieNames::of(public);
    (names.flow_cookies(headers), names.surplus_flows(headers))
}

/// The address of the client.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    client_of(peer, headers, trusted)
}

/// A return URL, reduced to a path.
pub fn return_path(url: &str, public: &PublicBaseUrl) -> Option<String> {
    crate::return_url::reduced(url, public)
}

/// The URL of a reduced path with the result of a flow.
pub fn with_result(path: &str, public: &PublicBaseUrl, result: &[(&str, &str)]) -> Option<String> {
    crate::return_url::with_result(path, public, result)
}

/// The tag of the language of a page.
pub fn language(headers: &HeaderMap) -> &'static str {
    crate::pages::language_of(headers).tag()
}

/// The token of a bearer credential.
pub fn bearer(value: &str) -> Option<&str> {
    crate::auth::bearer(value)
}

/// Whether a body is declared as JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    crate::guard::checks::is_json(headers)
}

/// Whether a text is a correlation id.
pub fn is_correlation_id(text: &str) -> bool {
    CorrelationId::parse(text).is_some()
}

/// A path below the path of the public base URL.
pub fn public_path(public: &PublicBaseUrl, path: &str) -> String {
    crate::mount::public_path(public, path)
}
