//! Identifies the connected account from the ID token, else from userinfo: a label to show and a subject to compare.

use grantry_domain::display::acts_on_output;
use grantry_domain::ports::{
    Anomaly, AnomalyKind, ClientCredentials, Identified, ProviderError, ProviderErrorKind, TokenResponse,
};
use grantry_domain::provider::{Account, ProviderSnapshot};
use http::StatusCode;

use super::id_token::Refusal;
use super::token_response::MAX_TOKEN_RESPONSE;
use super::{Oauth2Server, client_auth, share_of};
use crate::codec::{BodyText, Object, Value, json};
use crate::profile::rules::IdentityRules;

/// Maximum length of subject and label in characters.
const MAX_TEXT: usize = 255;

/// The claims of one source.
struct AccountClaims {
    subject: Option<String>,
    label: Option<String>,
}

impl Oauth2Server {
    pub(super) async fn identify_account(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        tokens: &TokenResponse,
        nonce: Option<&str>,
    ) -> Result<Identified, ProviderError> {
        let Ok(rules) = self.rules(provider) else { return Ok(Identified::default()) };
        let rules = &rules.wire.identity;
        let (mut anomalies, mut failure) = (Vec::new(), None);
        let from_token = match (&tokens.id_token, &provider.issuer) {
            (Some(token), Some(issuer)) => match self.checked_claims(provider, issuer, token, nonce).await {
                Ok(claims) => json::parse_object(&claims).ok().map(|claims| account_claims(&claims, rules)),
                Err(Refusal::Unusable(kind)) => {
                    anomalies.push(Anomaly::new("id_token", kind));
                    None
                }
                Err(Refusal::NoKeys(error)) => {
                    anomalies.push(Anomaly::new("id_token", AnomalyKind::KeysUnavailable));
                    failure = Some(error);
                    None
                }
                Err(Refusal::Wrong(problem)) => return Err(ProviderErrorKind::Malformed.because(problem)),
            },
            // An ID token cannot be validated without a known issuer.
            (Some(_) | None, None) | (None, Some(_)) => None,
        };
        if let Some(AccountClaims { subject: Some(subject), label: Some(label) }) = from_token {
            return Ok(Identified { account: Some(Account { subject, label }), anomalies, failure });
        }
        let known_subject = from_token.and_then(|claimed| claimed.subject);
        let userinfo = match &provider.endpoints.userinfo {
            Some(url) => self.userinfo(url, client, tokens, rules).await,
            None => None,
        };
        let account = match (known_subject, userinfo) {
            // Userinfo about a different subject must not be used (OIDC Core §5.3.2).
            (Some(known), Some(userinfo)) if userinfo.subject.as_ref() != Some(&known) => {
                anomalies.push(Anomaly::new("userinfo", AnomalyKind::OtherSubject));
                Some(Account { label: known.clone(), subject: known })
            }
            (known, userinfo) => {
                let (subject, label) = userinfo.map_or((None, None), |claimed| (claimed.subject, claimed.label));
                known.or(subject).map(|subject| Account { label: label.unwrap_or_else(|| subject.clone()), subject })
            }
        };
        Ok(Identified { account, anomalies, failure })
    }

    /// The claims in userinfo. They only serve the label, so every error counts as absent claims. For example, providers
    /// reject a token without the scope `openid` (OIDC Core §5.3.3).
    async fn userinfo(
        &self,
        url: &str,
        client: &ClientCredentials,
        tokens: &TokenResponse,
        rules: &IdentityRules,
    ) -> Option<AccountClaims> {
        let authorization = Some(client_auth::bearer(&tokens.access_token));
        let response = self.get_json(url, authorization, MAX_TOKEN_RESPONSE, share_of(client)).await.ok()?;
        if response.status != StatusCode::OK {
            return None;
        }
        let text = BodyText::of(&response.body);
        json::parse_tolerant(&text).ok().map(|body| account_claims(&body, rules))
    }
}

fn account_claims(body: &Object<'_>, rules: &IdentityRules) -> AccountClaims {
    let first = |names: &[String]| {
        let mut single = names.iter().filter(|name| !body.repeats(name)).filter_map(|name| body.get(name));
        single.find_map(display_text)
    };
    AccountClaims { subject: first(&rules.subject), label: first(&rules.label) }
}

/// A non-empty text of limited length, without control and formatting characters that could falsify a page or a log line.
fn display_text(value: &Value<'_>) -> Option<String> {
    let text: String = value.as_scalar()?.chars().filter(|letter| !acts_on_output(*letter)).collect();
    let text: String = text.trim().chars().take(MAX_TEXT).collect();
    (!text.is_empty()).then_some(text)
}
