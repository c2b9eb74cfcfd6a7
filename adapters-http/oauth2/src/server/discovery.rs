//! Issuer mode: reads endpoints from the issuer's metadata (RFC 8414, OIDC Discovery). Also freezes the endpoints
//! of a flow.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use grantry_domain::ports::{ProviderError, ProviderErrorKind};
use grantry_domain::provider::{BindingKind, Endpoints, ProviderSettings, ProviderSnapshot};
use http::StatusCode;
use moka::future::Cache;

use super::token_response::MAX_RESPONSE;
use super::{Oauth2Server, oauth_error};
use crate::codec::{BodyText, Object, Value, json};
use crate::egress::UrlRefused;
use crate::profile::has_reserved_query;
use crate::transport::HttpResponse;

/// The longest accepted form of an endpoint that is quoted, in bytes.
const MAX_QUOTED: usize = 255;
/// How long metadata is cached.
const TIME_TO_LIVE: Duration = Duration::from_mins(10);
/// Maximum number of cached issuers.
const MAX_CACHED: u64 = 1000;

/// Metadata by issuer. Concurrent callers share one request. Errors are not cached.
pub(super) struct Discovery(Cache<String, Arc<Endpoints>>);

impl Default for Discovery {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MAX_CACHED).time_to_live(TIME_TO_LIVE).build())
    }
}

impl Oauth2Server {
    /// Resolves the endpoints and freezes them together with the settings that later requests need.
    pub(super) async fn resolve_endpoints(
        &self,
        settings: &ProviderSettings,
        redirect_uri: &str,
        config: &str,
    ) -> Result<ProviderSnapshot, ProviderError> {
        let (endpoints, issuer_in_response) = match (&settings.endpoints, &settings.issuer) {
            (Some(endpoints), _) => (endpoints.clone(), false),
            // Connectors in issuer mode share one redirect URI. That is safe only if every authorization response contains
            // `iss` (RFC 9700 §4.4.2.1), so a response without it is refused.
            (None, Some(issuer)) => (Endpoints::clone(&*self.discovered(issuer).await?), true),
            (None, None) => {
                return Err(bad("the connector has neither an issuer nor endpoints"));
            }
        };
        debug_assert_eq!(settings.endpoints.is_none(), settings.kind == BindingKind::Issuer);
        for url in all_urls(&endpoints) {
            self.allowed(url)?;
        }
        for destination in &settings.destinations {
            self.allowed(destination.as_str())?;
        }
        Ok(ProviderSnapshot {
            profile: settings.profile.clone(),
            issuer: settings.issuer.clone(),
            issuer_in_response,
            endpoints,
            client_id: settings.client_id.clone(),
            authentication: settings.authentication,
            resources: settings.resources.clone(),
            destinations: settings.destinations.clone(),
            redirect_uri: redirect_uri.to_owned(),
            config: config.to_owned(),
            api: None,
        })
    }

    async fn discovered(&self, issuer: &str) -> Result<Arc<Endpoints>, ProviderError> {
        let fetch = async { self.fetch_metadata(issuer).await.map(Arc::new) };
        self.discovery.0.try_get_with_by_ref(issuer, fetch).await.map_err(|error| ProviderError::clone(&error))
    }

    /// Requests both well-known URLs in turn. A URL without a document does not end the search; an invalid document does.
    async fn fetch_metadata(&self, issuer: &str) -> Result<Endpoints, ProviderError> {
        self.allowed(issuer)?;
        let mut last = bad(NO_DOCUMENT);
        for url in well_known(issuer) {
            let response = self.get_json(&url, None, MAX_RESPONSE, None).await?;
            let text = BodyText::of(&response.body);
            match document(&response, &text) {
                Ok(body) => return self.read_metadata(&body, issuer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn read_metadata(&self, body: &Object<'_>, issuer: &str) -> Result<Endpoints, ProviderError> {
        let url = |name: &'static str| body.string(name).map_err(|_| bad(format!("{name} of the metadata is not a text")));
        let required = |name: &'static str| url(name)?.ok_or_else(|| bad(format!("{name} is missing in the metadata")));
        match url("issuer")? {
            None => return Err(bad("issuer is missing in the metadata; configure the endpoints instead")),
            Some(found) if found != issuer => return Err(bad(issuer_difference(&found, issuer))),
            Some(_) => {}
        }
        let flag = |name: &str| body.get(name).and_then(Value::as_bool) == Some(true);
        // Without `iss` in responses, two issuers cannot be distinguished (RFC 9207 §3). Pushed authorization requests
        // (RFC 9126) are not supported, so an issuer that requires them cannot be used.
        if !flag("authorization_response_iss_parameter_supported") {
            return Err(bad(
                "the metadata lacks authorization_response_iss_parameter_supported; configure the endpoints instead",
            ));
        }
        if flag("require_pushed_authorization_requests") {
            return Err(bad("the issuer requires pushed authorization requests, which are not supported"));
        }
        let endpoints = Endpoints {
            authorization: required("authorization_endpoint")?,
            token: required("token_endpoint")?,
            refresh: None,
            revocation: url("revocation_endpoint")?,
            userinfo: url("userinfo_endpoint")?,
            jwks: url("jwks_uri")?,
        };
        let named = [
            ("authorization_endpoint", Some(&endpoints.authorization)),
            ("token_endpoint", Some(&endpoints.token)),
            ("revocation_endpoint", endpoints.revocation.as_ref()),
            ("userinfo_endpoint", endpoints.userinfo.as_ref()),
            ("jwks_uri", endpoints.jwks.as_ref()),
        ];
        for (name, text) in named.into_iter().filter_map(|(name, text)| Some((name, text?))) {
            let problem = match self.profiles.policy().check(text) {
                Err(refused) => self.problem_of_url(refused, text),
                Ok(url) if url.as_str() != text => self.problem_of_url(UrlRefused::NotNormalised, text),
                Ok(_) if name == "authorization_endpoint" && has_reserved_query(text) => {
                    "sets a reserved parameter in its query; configure the endpoints instead".to_owned()
                }
                Ok(_) => continue,
            };
            return Err(bad(format!("{name} in the metadata {problem}")));
        }
        Ok(endpoints)
    }

    /// Why an endpoint in metadata is refused, and what to do.
    fn problem_of_url(&self, refused: UrlRefused, text: &str) -> String {
        let is_accepted = |form: &String| form.len() <= MAX_QUOTED && self.profiles.policy().check(form).is_ok();
        // A query could contain anything.
        let accepted = refused.accepted_form(text).filter(|form| !form.contains('?')).filter(is_accepted);
        match accepted {
            Some(form) => format!("{refused}; configure the endpoints instead, this one as {form}"),
            None if refused.operator_can_allow() => {
                format!("{refused}; allow its host and port, or configure the endpoints instead")
            }
            None => format!("{refused}; configure the endpoints instead"),
        }
    }
}

/// Every URL that a request or a browser goes to.
fn all_urls(endpoints: &Endpoints) -> impl Iterator<Item = &str> {
    let optional = [&endpoints.refresh, &endpoints.revocation, &endpoints.userinfo, &endpoints.jwks];
    let required = [&endpoints.authorization, &endpoints.token];
    required.into_iter().chain(optional.into_iter().flatten()).map(String::as_str)
}

/// RFC 8414 §3.1 puts the well-known part between host and path, OIDC Discovery §4 at the end.
fn well_known(issuer: &str) -> [String; 2] {
    let trimmed = issuer.strip_suffix('/').unwrap_or(issuer);
    let host_end = trimmed.find("://").map_or(0, |at| at + 3);
    let path_start = trimmed[host_end..].find('/').map_or(trimmed.len(), |at| host_end + at);
    let (origin, path) = trimmed.split_at(path_start);
    [format!("{origin}/.well-known/oauth-authorization-server{path}"), format!("{trimmed}/.well-known/openid-configuration")]
}

/// The members that are read.
const MEMBERS: [&str; 8] = [
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "revocation_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "authorization_response_iss_parameter_supported",
    "require_pushed_authorization_requests",
];

const NO_DOCUMENT: &str =
    "the issuer publishes no metadata at its well-known URLs; check its spelling, or configure the endpoints";

fn bad(problem: impl Into<Cow<'static, str>>) -> ProviderError {
    ProviderErrorKind::BadMetadata.because(problem)
}

/// How the issuer in the metadata differs from the configured one (RFC 8414 §3.3), and what to do. The issuer itself is text of
/// the provider and is not shown.
fn issuer_difference(found: &str, configured: &str) -> &'static str {
    let host = |text: &str| url::Url::parse(text).ok().map(|url| url.origin().ascii_serialization());
    if found.strip_suffix('/') == Some(configured) {
        "the issuer in the metadata ends with a slash and the configured one does not; add the slash to the issuer"
    } else if configured.strip_suffix('/') == Some(found) {
        "the configured issuer ends with a slash and the one in the metadata does not; remove the slash from the issuer"
    } else if found.eq_ignore_ascii_case(configured) {
        "the issuer in the metadata differs in upper and lower case; use its exact spelling, or configure the endpoints instead"
    } else if host(found) == host(configured) {
        "the issuer in the metadata has another path; use its exact spelling, or configure the endpoints instead"
    } else {
        "the issuer in the metadata is at another host; use the issuer that the provider documents, or configure the endpoints instead"
    }
}

/// The document in a response, or the error if there is none. A name that occurs twice is not determined.
fn document<'a>(response: &HttpResponse, text: &'a BodyText<'_>) -> Result<Object<'a>, ProviderError> {
    if response.status != StatusCode::OK {
        let error = oauth_error::from_status(response.status, &response.headers);
        let error = error.filter(|error| error.kind != ProviderErrorKind::Malformed);
        return Err(error.unwrap_or_else(|| bad(NO_DOCUMENT)).with_status(response.status.as_u16()));
    }
    let document = json::parse_tolerant(text).map_err(|_| bad("the metadata is not a JSON object").with_status(200))?;
    match MEMBERS.iter().find(|name| document.repeats(name)) {
        None => Ok(document),
        Some(name) => Err(bad(format!("{name} occurs more than once in the metadata")).with_status(200)),
    }
}

#[cfg(test)]
mod tests {
    use super::well_known;

    #[test]
    fn r11_the_well_known_urls_follow_both_standards() {
        for (issuer, rfc8414, oidc) in [
            (
                "https://example.com",
                "https://example.com/.well-known/oauth-authorization-server",
                "https://example.com/.well-known/openid-configuration",
            ),
            (
                "https://example.com/",
                "https://example.com/.well-known/oauth-authorization-server",
                "https://example.com/.well-known/openid-configuration",
            ),
            (
                "https://example.com/tenant/1",
                "https://example.com/.well-known/oauth-authorization-server/tenant/1",
                "https://example.com/tenant/1/.well-known/openid-configuration",
            ),
        ] {
            assert_eq!(well_known(issuer), [rfc8414, oidc], "{issuer}");
        }
    }
}
