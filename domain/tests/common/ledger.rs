//! An authorization server that keeps books of what it issued: the oracle for what is live at the provider.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::ports::{
    AuthorizationRequest, AuthorizationServer, ClientCredentials, ProviderError, RevokeAnswer, TokenAnswer, TokenKind,
};
use grantry_domain::provider::{Account, Provider, ProviderSettings, Scopes};
use grantry_domain::secret::Secret;
use grantry_testkit::doubles::{Operation, ScriptedAuthorizationServer};

use super::gate::Gate;
use super::{HOUR, text, tokens_for};

/// What a spent refresh token does (RFC 9700 §4.14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// It ends the whole family.
    Strict,
    /// The last spent one is good for new tokens; older ones end the family.
    Grace,
    /// Nobody looks: every refresh token of a live family is good.
    Undetected,
}

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is answered with an error and not processed.
    Error(ProviderError),
    /// It gets lost on its way.
    RequestLost,
    /// It is processed, and the answer gets lost.
    AnswerLost,
}

/// Issues tokens in families, one per consent, whose subject is the text of the code. Refresh tokens rotate.
pub(crate) struct Ledger {
    plain: ScriptedAuthorizationServer,
    books: Mutex<Books>,
}

struct Books {
    reuse: Reuse,
    life: Duration,
    families: Vec<Family>,
    tokens: BTreeMap<String, Token>,
    troubles: HashMap<Operation, VecDeque<Trouble>>,
    gates: HashMap<Operation, Gate>,
    counts: HashMap<Operation, usize>,
    reused: usize,
}

struct Family {
    subject: String,
    generation: u64,
    revoked: bool,
}

#[derive(Clone, Copy)]
struct Token {
    family: usize,
    /// Of a refresh token; an access token has none.
    generation: Option<u64>,
    revoked: bool,
}

impl Ledger {
    pub(crate) fn new(reuse: Reuse) -> Self {
        let books = Books {
            reuse,
            life: HOUR,
            families: Vec::new(),
            tokens: BTreeMap::new(),
            troubles: HashMap::new(),
            gates: HashMap::new(),
            counts: HashMap::new(),
            reused: 0,
        };
        Self { plain: ScriptedAuthorizationServer::default(), books: Mutex::new(books) }
    }

    /// The next request of this kind goes wrong.
    pub(crate) fn trouble(&self, operation: Operation, trouble: Trouble) {
        self.books().troubles.entry(operation).or_default().push_back(trouble);
    }

    /// Nothing goes wrong any more.
    pub(crate) fn calm(&self) {
        self.books().troubles.clear();
    }

    /// Holds requests of this kind before they are processed.
    pub(crate) fn hold(&self, operation: Operation) -> Gate {
        let gate = Gate::closed();
        self.books().gates.insert(operation, gate.clone());
        gate
    }

    pub(crate) fn count(&self, operation: Operation) -> usize {
        self.books().counts.get(&operation).copied().unwrap_or(0)
    }

    /// How often a spent refresh token was presented.
    pub(crate) fn reused(&self) -> usize {
        self.books().reused
    }

    /// Whose access token this is, if it is live.
    pub(crate) fn live_subject(&self, access_token: &str) -> Option<String> {
        let books = self.books();
        let token = books.tokens.get(access_token)?;
        let family = &books.families[token.family];
        (!token.revoked && !family.revoked).then(|| family.subject.clone())
    }

    /// Whose access token this was when it was issued.
    pub(crate) fn subject_of(&self, access_token: &str) -> Option<String> {
        let books = self.books();
        Some(books.families[books.tokens.get(access_token)?.family].subject.clone())
    }

    /// Subjects of the families that were not revoked.
    pub(crate) fn live_families(&self) -> Vec<String> {
        let books = self.books();
        books.families.iter().filter(|family| !family.revoked).map(|family| family.subject.clone()).collect()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn request<T>(
        &self,
        operation: Operation,
        process: impl FnOnce(&mut Books) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        let gate = {
            let mut books = self.books();
            *books.counts.entry(operation).or_default() += 1;
            books.gates.get(&operation).cloned()
        };
        tokio::task::yield_now().await;
        if let Some(gate) = gate {
            gate.pass().await;
        }
        let mut books = self.books();
        match books.troubles.get_mut(&operation).and_then(VecDeque::pop_front) {
            None => process(&mut books),
            Some(Trouble::Error(error)) => Err(error),
            Some(Trouble::RequestLost) => Err(ProviderError::NoAnswer),
            Some(Trouble::AnswerLost) => process(&mut books).and(Err(ProviderError::NoAnswer)),
        }
    }
}

impl Books {
    fn issue(&mut self, family: usize) -> TokenAnswer {
        let number = self.tokens.len();
        let (access, refresh) = (format!("access-{number}"), format!("refresh-{number}"));
        let generation = Some(self.families[family].generation);
        self.tokens.insert(access.clone(), Token { family, generation: None, revoked: false });
        self.tokens.insert(refresh.clone(), Token { family, generation, revoked: false });
        tokens_for(&access, Some(&refresh), self.life)
    }

    fn refresh(&mut self, presented: &str) -> Result<TokenAnswer, ProviderError> {
        let known = self.tokens.get(presented).and_then(|token| Some((token.family, token.generation?)));
        let (family, presented) = known.ok_or(ProviderError::InvalidGrant)?;
        let Family { generation: current, revoked, .. } = self.families[family];
        if revoked {
            return Err(ProviderError::InvalidGrant);
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
                Err(ProviderError::InvalidGrant)
            }
        }
    }

    fn revoke(&mut self, token: &str) {
        let Some(token) = self.tokens.get_mut(token) else { return };
        token.revoked = true;
        if token.generation.is_some() {
            let family = token.family;
            self.families[family].revoked = true;
        }
    }
}

#[async_trait]
impl AuthorizationServer for Ledger {
    async fn resolve(&self, settings: &ProviderSettings, redirect_uri: &str, config: &str) -> Result<Provider, ProviderError> {
        self.plain.resolve(settings, redirect_uri, config).await
    }

    async fn authorization_url(
        &self,
        provider: &Provider,
        client: &ClientCredentials,
        request: AuthorizationRequest,
    ) -> Result<Secret, ProviderError> {
        self.plain.authorization_url(provider, client, request).await
    }

    async fn exchange(
        &self,
        _provider: &Provider,
        _client: &ClientCredentials,
        code: &Secret,
        _verifier: &Secret,
    ) -> Result<TokenAnswer, ProviderError> {
        let subject = text(code);
        self.request(Operation::Exchange, |books| {
            books.families.push(Family { subject, generation: 0, revoked: false });
            Ok(books.issue(books.families.len() - 1))
        })
        .await
    }

    async fn refresh(
        &self,
        _provider: &Provider,
        _client: &ClientCredentials,
        refresh_token: &Secret,
        _granted: &Scopes,
    ) -> Result<TokenAnswer, ProviderError> {
        self.request(Operation::Refresh, |books| books.refresh(&text(refresh_token))).await
    }

    async fn revoke(
        &self,
        _provider: &Provider,
        _client: &ClientCredentials,
        token: &Secret,
        _kind: TokenKind,
    ) -> Result<RevokeAnswer, ProviderError> {
        self.request(Operation::Revoke, |books| {
            books.revoke(&text(token));
            Ok(RevokeAnswer::Done)
        })
        .await
    }

    fn revocation_order(&self, _provider: &Provider) -> Vec<TokenKind> {
        vec![TokenKind::Refresh, TokenKind::Access]
    }

    async fn client_credentials(
        &self,
        provider: &Provider,
        client: &ClientCredentials,
        scopes: &Scopes,
    ) -> Result<TokenAnswer, ProviderError> {
        self.plain.client_credentials(provider, client, scopes).await
    }

    async fn identify(
        &self,
        _provider: &Provider,
        answer: &TokenAnswer,
        _nonce: Option<String>,
    ) -> Result<Option<Account>, ProviderError> {
        let subject = self.subject_of(&text(&answer.access_token));
        Ok(subject.map(|subject| Account { label: subject.clone(), subject }))
    }
}
