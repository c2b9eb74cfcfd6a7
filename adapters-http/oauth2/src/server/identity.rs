//! Identifies the connected account from the ID token, else from userinfo: a label to show and a subject to compare.

use std::borrow::Cow;

use grantry_domain::ports::{
    Anomaly, AnomalyKind, ClientCredentials, Identified, ProviderError, ProviderErrorKind, TokenResponse,
};
use grantry_domain::provider::{Account, ApiBase, ProviderSnapshot};
use grantry_domain::secret::Secret;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};

use super::account::{AccountClaims, account_claims};
use super::id_token::Refusal;
use super::token_response::MAX_TOKEN_RESPONSE;
use super::{AGENT, JSON, Oauth2Server, client_auth, share_of, with_headers};
use crate::codec::{BodyText, json};
use crate::profile::ParsedConnector;
use crate::profile::grant_values::{ApiTemplate, GrantValue};
use crate::profile::rules::UserinfoMethod;
use crate::transport::HttpRequest;

/// What userinfo contains.
struct Userinfo {
    claims: AccountClaims,
    api_base: Option<ApiBase>,
}

impl Oauth2Server {
    pub(super) async fn identify_account(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        tokens: &TokenResponse,
        nonce: Option<&str>,
    ) -> Result<Identified, ProviderError> {
        let Ok(parsed) = self.rules(provider) else { return Ok(Identified::default()) };
        let rules = &parsed.wire.identity;
        let needs_userinfo = parsed.api.as_ref().is_some_and(ApiTemplate::is_of_userinfo);
        let (mut anomalies, mut failure) = (Vec::new(), None);
        let from_token = match (&tokens.id_token, &provider.issuer) {
            (Some(token), Some(issuer)) => match self.checked_claims(provider, issuer, token, nonce).await {
                Ok(claims) => json::parse_object(&claims).ok().map(|claims| account_claims(|path| claims.at(path), rules)),
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
        let is_complete = |claims: &AccountClaims| claims.subject.is_some() && claims.label.is_some();
        let is_known = from_token.as_ref().is_some_and(is_complete) || tokens.account.is_some();
        let userinfo = match &provider.endpoints.userinfo {
            Some(url) if !is_known || needs_userinfo => self.userinfo(url, client, tokens, &parsed).await,
            Some(_) | None => None,
        };
        let (userinfo, api_base) = userinfo.map_or((None, None), |found| (Some(found.claims), found.api_base));
        if let Some(AccountClaims { subject: Some(subject), label: Some(label) }) = from_token {
            return Ok(Identified { account: Some(Account { subject, label }), api_base, anomalies, failure });
        }
        if let Some(account) = &tokens.account {
            return Ok(Identified { account: Some(account.clone()), api_base, anomalies, failure });
        }
        let known_subject = from_token.and_then(|claimed| claimed.subject);
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
        Ok(Identified { account, api_base, anomalies, failure })
    }

    /// The claims in userinfo. They only serve the label, so every error counts as absent claims. For example, providers
    /// reject a token without the scope `openid` (OIDC Core §5.3.3).
    async fn userinfo(
        &self,
        url: &str,
        client: &ClientCredentials,
        tokens: &TokenResponse,
        parsed: &ParsedConnector,
    ) -> Option<Userinfo> {
        let rules = &parsed.wire.identity;
        let mut headers = HeaderMap::from_iter([(ACCEPT, JSON), (USER_AGENT, AGENT)]);
        let method = match rules.method {
            UserinfoMethod::Get => Method::GET,
            UserinfoMethod::Post => {
                headers.insert(CONTENT_TYPE, JSON);
                Method::POST
            }
        };
        let request = HttpRequest {
            method,
            url: url.to_owned(),
            headers,
            authorization: Some(client_auth::bearer(&tokens.access_token)),
            body: rules.body.as_deref().map(Secret::from_text),
            max_body: MAX_TOKEN_RESPONSE,
            share: share_of(client),
        };
        let response = self.send(with_headers(request, &parsed.wire)).await.ok()?;
        if response.status != StatusCode::OK {
            return None;
        }
        let text = BodyText::of(&response.body);
        let body = json::parse_any(&text).ok()?;
        let value = |value: &GrantValue| body.at(&value.member)?.as_scalar().map(Cow::into_owned);
        let template = parsed.api.as_ref().filter(|template| template.is_of_userinfo());
        let api_base = template.and_then(|template| template.fill(self.profiles.policy(), value));
        Some(Userinfo { claims: account_claims(|path| body.at(path), rules), api_base })
    }
}
