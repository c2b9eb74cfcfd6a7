//! The authorization URL (RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2).

use grantry_domain::ports::{AuthorizationRequest, ProviderError, ProviderErrorKind};
use grantry_domain::provider::ProviderSnapshot;
use grantry_domain::secret::Secret;
use url::Url;

use crate::profile::has_reserved_query;
use crate::profile::rules::{Pkce, Wire};

/// Builds the URL. Every reserved parameter occurs at most once and is set here. Additional parameters and
/// the query of the endpoint were checked when they were configured. The query is checked again, because the endpoint comes
/// from a stored snapshot.
pub(super) fn build(
    wire: &Wire,
    provider: &ProviderSnapshot,
    request: &AuthorizationRequest,
) -> Result<Secret, ProviderError> {
    let endpoint = &provider.endpoints.authorization;
    if has_reserved_query(endpoint) {
        return Err(ProviderErrorKind::NotAllowed.because("the authorization endpoint sets a reserved parameter"));
    }
    let mut url = Url::parse(endpoint).map_err(|_| ProviderErrorKind::NotAllowed)?;
    let state = request.state.expose_text().ok_or(ProviderErrorKind::NotAllowed)?;
    let rules = &wire.authorize;
    let scope = wire.scopes.join(&request.scopes);
    {
        let mut query = url.query_pairs_mut();
        if !rules.drop_response_type {
            query.append_pair("response_type", "code");
        }
        query.append_pair(rules.client_id_parameter.as_deref().unwrap_or("client_id"), &provider.client_id);
        query.append_pair("redirect_uri", &provider.redirect_uri);
        if !scope.is_empty() {
            query.append_pair(&wire.scopes.parameter, &scope);
        }
        query.append_pair("state", state);
        if rules.pkce == Pkce::Required {
            query.append_pair("code_challenge", &request.code_challenge);
            query.append_pair("code_challenge_method", "S256");
        }
        for resource in &provider.resources {
            query.append_pair("resource", resource);
        }
        if let Some(nonce) = &request.nonce {
            query.append_pair("nonce", nonce);
        }
        if let Some(hint) = &request.login_hint {
            query.append_pair("login_hint", hint);
        }
        for (name, value) in &rules.parameters {
            query.append_pair(name, value);
        }
    }
    Ok(Secret::new(String::from(url).into_bytes()))
}
