//! The authorization URL (RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2).

use grantry_domain::ports::{AuthorizationRequest, ProviderError, ProviderErrorKind};
use grantry_domain::provider::ProviderSnapshot;
use grantry_domain::secret::Secret;
use url::Url;

use crate::codec::form::append_query;
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
        return Err(ProviderErrorKind::NotAllowed.because("the authorization endpoint sets a reserved parameter"));
    }
    let mut url = Url::parse(endpoint).map_err(|_| ProviderErrorKind::NotAllowed)?;
    let state = request.state.expose_text().ok_or(ProviderErrorKind::NotAllowed)?;
    let rules = &wire.authorize;
    let scope = wire.scopes.join(&request.scopes);
    let prompt = request.select_account.then(|| {
        let configured = rules.parameters.iter().find(|(name, _)| name.as_str() == PROMPT);
        prompt(configured.map(|(_, value)| value.as_str()))
    });
    let mut query: Vec<(&str, &str)> = Vec::new();
    if !rules.drop_response_type {
        query.push(("response_type", "code"));
    }
    query.push((rules.client_id_parameter.as_deref().unwrap_or("client_id"), &provider.client_id));
    query.push(("redirect_uri", &provider.redirect_uri));
    if !scope.is_empty() {
        query.push((&wire.scopes.parameter, &scope));
    }
    query.push(("state", state));
    if rules.pkce == Pkce::Required {
        query.push(("code_challenge", &request.code_challenge));
        query.push(("code_challenge_method", "S256"));
    }
    query.extend(provider.resources.iter().map(|resource| ("resource", resource.as_str())));
    query.extend(request.nonce.as_deref().map(|nonce| ("nonce", nonce)));
    query.extend(request.login_hint.as_deref().map(|hint| ("login_hint", hint)));
    let parameters = rules.parameters.iter().filter(|(name, _)| prompt.is_none() || name.as_str() != PROMPT);
    query.extend(parameters.map(|(name, value)| (name.as_str(), value.as_str())));
    query.extend(prompt.as_deref().map(|prompt| (PROMPT, prompt)));
    append_query(&mut url, query);
    Ok(Secret::new(String::from(url).into_bytes()))
}
