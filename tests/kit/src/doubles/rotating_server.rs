//! An authorization server that rotates refresh tokens and records which of its tokens are valid.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::ports::{
    AuthorizationRequest, AuthorizationServer, ClientCredentials, CodeExchange, Identified, Lifetime, ProviderError,
    ProviderErrorKind, RevocationResponse, TokenKind, TokenResponse,
};
use grantry_domain::provider::{Account, ProviderSettings, ProviderSnapshot, Scopes};
use grantry_domain::secret::Secret;

use super::authorization_server::{Operation, ScriptedAuthorizationServer, tokens};
use super::locked;

/// What presenting a used refresh token does (RFC 9700 §4.14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// It ends the whole token family.
    Strict,
    /// The one used last is exchanged again; an older one ends the family.
    Grace,
    /// Every refresh token of a family that was not revoked is accepted.
    Undetected,
}

/// How one request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderFault {
    /// The request is not processed, and this error is returned.
    Error(ProviderErrorKind),
    /// The request does not arrive.
    RequestLost,
    /// The request is processed, and its response does not arrive.
    ResponseLost,
}

/// Issues tokens in families, one per consent, and records which of them are valid: the reference for what a provider
/// still accepts.
///
/// The subject of a family is the text of its code; the account is the part before `#`. Tokens are `at-N` and `rt-N`. What
/// belongs to no family (endpoints, client credentials) comes from a [`ScriptedAuthorizationServer`].
pub struct RotatingAuthorizationServer {
    scripted: ScriptedAuthorizationServer,
    records: Mutex<Records>,
}

struct Records {
    reuse: Reuse,
    families: Vec<Family>,
    tokens: BTreeMap<String, Token>,
    faults: HashMap<Operation, VecDeque<ProviderFault>>,
    counts: HashMap<Operation, usize>,
    codes: Vec<String>,
    reused: usize,
    /// The family that tokens were issued to last; `None` after a token of the client.
    last: Option<usize>,
}

struct Family {
    subject: String,
    generation: u64,
    revoked: bool,
    /// The last response with tokens was lost, so that no client has them.
    lost: bool,
}

#[derive(Clone, Copy)]
struct Token {
    family: usize,
    /// Of a refresh token; an access token has none.
    generation: Option<u64>,
}

impl RotatingAuthorizationServer {
    /// A server without tokens.
    pub fn new(reuse: Reuse) -> Self {
        let records = Records {
            reuse,
            families: Vec::new(),
            tokens: BTreeMap::new(),
            faults: HashMap::new(),
            counts: HashMap::new(),
            codes: Vec::new(),
            reused: 0,
            last: None,
        };
        Self { scripted: ScriptedAuthorizationServer::default(), records: Mutex::new(records) }
    }

    /// The next request of an operation fails, after the failures that are queued already. Applies to exchange, refresh,
    /// revocation and client credentials.
    pub fn fail_next(&self, operation: Operation, fault: ProviderFault) {
        locked(&self.records).faults.entry(operation).or_default().push_back(fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        locked(&self.records).faults.clear();
    }

    /// How many requests of an operation there were.
    pub fn count(&self, operation: Operation) -> usize {
        locked(&self.records).counts.get(&operation).copied().unwrap_or(0)
    }

    /// How often a used refresh token was presented.
    pub fn reused(&self) -> usize {
        locked(&self.records).reused
    }

    /// Every code that was exchanged, in order.
    pub fn codes(&self) -> Vec<String> {
        locked(&self.records).codes.clone()
    }

    /// The newest refresh tokens of each valid family whose last response arrived.
    pub fn live_refresh_tokens(&self) -> Vec<Vec<String>> {
        let records = locked(&self.records);
        let live = records.families.iter().enumerate().filter(|(_, family)| !family.revoked && !family.lost);
        live.map(|(number, family)| {
            let newest = |token: &&Token| token.family == number && token.generation == Some(family.generation);
            let tokens = records.tokens.iter().filter(|(_, token)| newest(token));
            tokens.map(|(name, _)| name.clone()).collect()
        })
        .collect()
    }

    /// The subject that a token was issued for, valid or not; `None` for a token of another server.
    pub fn subject_of(&self, token: &str) -> Option<String> {
        let records = locked(&self.records);
        Some(records.families[records.tokens.get(token)?.family].subject.clone())
    }

    /// The subjects of the families that were not revoked.
    pub fn live_families(&self) -> Vec<String> {
        let records = locked(&self.records);
        records.families.iter().filter(|family| !family.revoked).map(|family| family.subject.clone()).collect()
    }

    async fn request<T>(
        &self,
        operation: Operation,
        process: impl FnOnce(&mut Records) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        *locked(&self.records).counts.entry(operation).or_default() += 1;
        tokio::task::yield_now().await;
        let mut records = locked(&self.records);
        match records.faults.get_mut(&operation).and_then(VecDeque::pop_front) {
            None => process(&mut records),
            Some(ProviderFault::Error(error)) => Err(error.into()),
            Some(ProviderFault::RequestLost) => Err(ProviderErrorKind::NoResponse.into()),
            Some(ProviderFault::ResponseLost) => {
                let processed = process(&mut records).is_ok();
                if let (true, Some(family)) = (processed, records.last) {
                    records.families[family].lost = true;
                }
                Err(ProviderErrorKind::NoResponse.into())
            }
        }
    }
}

impl Records {
    fn issue(&mut self, family: usize) -> TokenResponse {
        self.last = Some(family);
        self.families[family].lost = false;
        let number = self.tokens.len();
        let (access, refresh) = (format!("at-{number}"), format!("rt-{number}"));
        let generation = Some(self.families[family].generation);
        self.tokens.insert(access.clone(), Token { family, generation: None });
        self.tokens.insert(refresh.clone(), Token { family, generation });
        TokenResponse { lifetime: Lifetime::For(Duration::from_hours(1)), ..tokens(&access, Some(&refresh)) }
    }

    fn exchange(&mut self, code: String) -> TokenResponse {
        self.codes.push(code.clone());
        self.families.push(Family { subject: code, generation: 0, revoked: false, lost: false });
        self.issue(self.families.len() - 1)
    }

    fn refresh(&mut self, presented: &str) -> Result<TokenResponse, ProviderError> {
        let known = self.tokens.get(presented).and_then(|token| Some((token.family, token.generation?)));
        let (family, presented) = known.ok_or(ProviderErrorKind::InvalidGrant)?;
        let Family { generation: current, revoked, .. } = self.families[family];
        if revoked {
            return Err(ProviderErrorKind::InvalidGrant.into());
        }
        if presented == current {
            self.families[family].generation += 1;
            return Ok(self.issue(family));
        }
        self.reused += 1;
        match self.reuse {
            Reuse::Undetected => Ok(self.issue(family)),
            Reuse::Grace if presented + 1 == current => Ok(self.issue(family)),
            Reuse::Grace | Reuse::Strict => {
                self.families[family].revoked = true;
                Err(ProviderErrorKind::InvalidGrant.into())
            }
        }
    }

    /// Ends the family of a refresh token (RFC 7009 §2.1). Revoking an access token does not affect its family.
    fn revoke(&mut self, token: &str) {
        if let Some(Token { family, generation: Some(_) }) = self.tokens.get(token).copied() {
            self.families[family].revoked = true;
        }
    }
}

fn text(secret: &Secret) -> String {
    String::from_utf8_lossy(secret.expose()).into_owned()
}

#[async_trait]
impl AuthorizationServer for RotatingAuthorizationServer {
    async fn resolve(
        &self,
        settings: &ProviderSettings,
        redirect_uri: &str,
        config: &str,
    ) -> Result<ProviderSnapshot, ProviderError> {
        self.scripted.resolve(settings, redirect_uri, config).await
    }

    async fn authorization_url(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        request: AuthorizationRequest,
    ) -> Result<Secret, ProviderError> {
        self.scripted.authorization_url(provider, client, request).await
    }

    async fn exchange(
        &self,
        _provider: &ProviderSnapshot,
        _client: &ClientCredentials,
        exchange: &CodeExchange,
    ) -> Result<TokenResponse, ProviderError> {
        self.request(Operation::Exchange, |records| Ok(records.exchange(text(&exchange.code)))).await
    }

    async fn refresh(
        &self,
        _provider: &ProviderSnapshot,
        _client: &ClientCredentials,
        refresh_token: &Secret,
        _granted: &Scopes,
    ) -> Result<TokenResponse, ProviderError> {
        self.request(Operation::Refresh, |records| records.refresh(&text(refresh_token))).await
    }

    async fn revoke(
        &self,
        _provider: &ProviderSnapshot,
        _client: &ClientCredentials,
        token: &Secret,
        _kind: TokenKind,
    ) -> Result<RevocationResponse, ProviderError> {
        self.request(Operation::Revoke, |records| {
            records.revoke(&text(token));
            Ok(RevocationResponse::Done)
        })
        .await
    }

    fn revocation_order(&self, _provider: &ProviderSnapshot) -> Vec<TokenKind> {
        vec![TokenKind::Refresh, TokenKind::Access]
    }

    async fn client_credentials(
        &self,
        _provider: &ProviderSnapshot,
        _client: &ClientCredentials,
        _scopes: &Scopes,
    ) -> Result<TokenResponse, ProviderError> {
        self.request(Operation::ClientCredentials, |records| {
            records.last = None;
            self.scripted.next_tokens(Operation::ClientCredentials)
        })
        .await
    }

    async fn identify(
        &self,
        _provider: &ProviderSnapshot,
        _client: &ClientCredentials,
        response: &TokenResponse,
        _nonce: Option<String>,
    ) -> Result<Identified, ProviderError> {
        let subject = self.subject_of(&text(&response.access_token));
        let account = subject.map(|subject| {
            let account = subject.split('#').next().unwrap_or_default().to_owned();
            Account { label: account.clone(), subject: account }
        });
        Ok(Identified { account, ..Identified::default() })
    }
}

#[cfg(test)]
mod tests {
    use grantry_domain::connector::ProfileId;
    use grantry_domain::provider::{ClientAuthentication, Endpoints};

    use super::*;

    struct Client(RotatingAuthorizationServer, ProviderSnapshot);

    impl Client {
        fn new(reuse: Reuse) -> Self {
            let provider = ProviderSnapshot {
                profile: ProfileId::new(".example").unwrap(),
                issuer: None,
                issuer_in_response: false,
                endpoints: Endpoints::default(),
                client_id: "client-1".to_owned(),
                authentication: ClientAuthentication::None,
                resources: Vec::new(),
                destinations: Vec::new(),
                redirect_uri: String::new(),
                config: "{}".to_owned(),
                api: None,
            };
            Self(RotatingAuthorizationServer::new(reuse), provider)
        }

        async fn connect(&self) -> String {
            let none = ClientCredentials { secret: None, user: None };
            let secret = Secret::from_text;
            let exchange = CodeExchange { code: secret("alice#0"), verifier: secret("verifier"), parameters: Vec::new() };
            let response = self.0.exchange(&self.1, &none, &exchange).await.unwrap();
            text(&response.refresh_token.unwrap())
        }

        async fn refresh(&self, token: &str) -> Result<String, ProviderError> {
            let (token, none) = (Secret::from_text(token), ClientCredentials { secret: None, user: None });
            let response = self.0.refresh(&self.1, &none, &token, &Scopes::default()).await?;
            Ok(text(&response.refresh_token.unwrap()))
        }
    }

    #[tokio::test]
    async fn a_used_refresh_token_has_the_effect_of_the_policy() {
        for (reuse, last, older) in
            [(Reuse::Strict, false, false), (Reuse::Grace, true, false), (Reuse::Undetected, true, true)]
        {
            let client = Client::new(reuse);
            let first = client.connect().await;
            let second = client.refresh(&first).await.unwrap();
            assert_eq!(client.refresh(&first).await.is_ok(), last, "{reuse:?}");
            if last {
                client.refresh(&second).await.unwrap();
                assert_eq!(client.refresh(&first).await.is_ok(), older, "{reuse:?}");
            }
            assert_eq!(client.0.live_families().is_empty(), !older, "{reuse:?}");
        }
    }

    #[tokio::test]
    async fn a_lost_response_leaves_a_rotated_token_that_no_client_has() {
        let client = Client::new(Reuse::Grace);
        let first = client.connect().await;
        assert_eq!(client.0.live_refresh_tokens(), [[first.clone()]]);
        client.0.fail_next(Operation::Refresh, ProviderFault::RequestLost);
        assert_eq!(client.refresh(&first).await, Err(ProviderErrorKind::NoResponse.into()));
        assert_eq!(client.0.live_refresh_tokens(), [[first.clone()]]);
        client.0.fail_next(Operation::Refresh, ProviderFault::ResponseLost);
        assert_eq!(client.refresh(&first).await, Err(ProviderErrorKind::NoResponse.into()));
        assert!(client.0.live_refresh_tokens().is_empty());
        let newest = client.refresh(&first).await.unwrap();
        assert!(client.0.live_refresh_tokens()[0].contains(&newest));
        assert_eq!((client.0.reused(), client.0.count(Operation::Refresh)), (1, 3));
    }
}
