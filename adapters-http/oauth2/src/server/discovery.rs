//! Issuer mode: reads endpoints from the issuer's metadata (RFC 8414, OIDC Discovery). Also freezes the endpoints
//! of a flow.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::ports::ProviderError;
use grantry_domain::provider::{BindingKind, Endpoints, ProviderSettings, ProviderSnapshot};
use http::StatusCode;
use moka::future::Cache;

use super::token_response::MAX_RESPONSE;
use super::{Oauth2Server, oauth_error};
use crate::codec::{Object, Value, json};
use crate::profile::has_reserved_query;
use crate::transport::HttpResponse;

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
            (None, None) => return Err(ProviderError::BadMetadata),
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
        })
    }

    async fn discovered(&self, issuer: &str) -> Result<Arc<Endpoints>, ProviderError> {
        let fetch = async { self.fetch_metadata(issuer).await.map(Arc::new) };
        self.discovery.0.try_get_with_by_ref(issuer, fetch).await.map_err(|error| *error)
    }

    /// Requests both well-known URLs in turn. A URL without a document does not end the search; an invalid document does.
    async fn fetch_metadata(&self, issuer: &str) -> Result<Endpoints, ProviderError> {
        self.allowed(issuer)?;
        let mut last = ProviderError::BadMetadata;
        for url in well_known(issuer) {
            let response = self.get_json(&url, None, MAX_RESPONSE).await?;
            match document(&response) {
                Ok(body) => return self.read_metadata(&body, issuer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn read_metadata(&self, body: &Object<'_>, issuer: &str) -> Result<Endpoints, ProviderError> {
        const BAD: ProviderError = ProviderError::BadMetadata;
        let url = |name: &str| body.string(name).map_err(|_| BAD);
        if url("issuer")?.as_deref() != Some(issuer) {
            return Err(BAD);
        }
        let flag = |name: &str| body.get(name).and_then(Value::as_bool) == Some(true);
        // Without `iss` in responses, two issuers cannot be distinguished (RFC 9207 §3). Pushed authorization requests
        // (RFC 9126) are not supported, so an issuer that requires them cannot be used.
        if !flag("authorization_response_iss_parameter_supported") || flag("require_pushed_authorization_requests") {
            return Err(BAD);
        }
        let endpoints = Endpoints {
            authorization: url("authorization_endpoint")?.ok_or(BAD)?,
            token: url("token_endpoint")?.ok_or(BAD)?,
            revocation: url("revocation_endpoint")?,
            userinfo: url("userinfo_endpoint")?,
            jwks: url("jwks_uri")?,
        };
        let usable = |text: &str| self.profiles.policy().check(text).is_ok_and(|url| url.as_str() == text);
        if all_urls(&endpoints).all(usable) && !has_reserved_query(&endpoints.authorization) {
            Ok(endpoints)
        } else {
            Err(BAD)
        }
    }
}

/// Every URL that a request or a browser goes to.
fn all_urls(endpoints: &Endpoints) -> impl Iterator<Item = &str> {
    let optional = [&endpoints.revocation, &endpoints.userinfo, &endpoints.jwks];
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

/// The document in a response, or the error if there is none.
fn document(response: &HttpResponse) -> Result<Object<'_>, ProviderError> {
    if response.status != StatusCode::OK {
        let error = oauth_error::from_status(response.status, &response.headers);
        return Err(error.filter(|error| *error != ProviderError::Malformed).unwrap_or(ProviderError::BadMetadata));
    }
    json::parse_object(&response.body).map_err(|_| ProviderError::BadMetadata)
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
