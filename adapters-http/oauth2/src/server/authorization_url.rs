//! The authorization URL (RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2).

use grantry_domain::ports::{AuthorizationRequest, ProviderError};
use grantry_domain::provider::ProviderSnapshot;
use grantry_domain::secret::Secret;
use url::Url;

use crate::profile::has_reserved_query;
use crate::profile::rules::{Pkce, Wire};

/// Selects the pages of the provider (`OpenID` Connect Core §3.1.2.1). A server ignores a parameter that it does not recognise
/// (RFC 6749 §3.1).
const PROMPT: &str = "prompt";

/// The configured pages and the account chooser. `none` excludes every other value, so the chooser replaces it.
fn prompt(configured: Option<&str>) -> String {
    const SELECT_ACCOUNT: &str = "select_account";
    match configured {
        None | Some("" | "none" | SELECT_ACCOUNT) => SELECT_ACCOUNT.to_owned(),
        Some(other) if other.split(' ').any(|value| value == SELECT_ACCOUNT) => other.to_owned(),
        Some(other) => format!("{other} {SELECT_ACCOUNT}"),
    }
}

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
        return Err(ProviderError::NotAllowed);
    }
    let mut url = Url::parse(endpoint).map_err(|_| ProviderError::NotAllowed)?;
    let state = request.state.expose_text().ok_or(ProviderError::NotAllowed)?;
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
            if !(request.select_account && name == PROMPT) {
                query.append_pair(name, value);
            }
        }
        if request.select_account {
            let configured = rules.parameters.iter().find(|(name, _)| name.as_str() == PROMPT);
            query.append_pair(PROMPT, &prompt(configured.map(|(_, value)| value.as_str())));
        }
    }
    Ok(Secret::new(String::from(url).into_bytes()))
}
