//! An authorization server that keeps books of what it issued: the oracle for what is live at the provider.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::ports::{
    AuthorizationRequest, AuthorizationServer, ClientCredentials, ProviderError, RevocationResponse, TokenKind,
    TokenResponse,
};
use grantry_domain::provider::{Account, ProviderSettings, ProviderSnapshot, Scopes};
use grantry_domain::secret::Secret;
use grantry_testkit::doubles::{Operation, ScriptedAuthorizationServer};

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

/// Issues tokens in families, one per consent, whose subject is the text of the code; the account is what stands before `#`
/// in it. Refresh tokens rotate.
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
    counts: HashMap<Operation, usize>,
    codes: Vec<String>,
    reused: usize,
    /// The family that was issued tokens last.
    last: Option<usize>,
}

struct Family {
    subject: String,
    generation: u64,
    revoked: bool,
    /// The last answer with its tokens got lost: nobody can hold them.
    lost: bool,
}

#[derive(Clone, Copy)]
struct Token {
    family: usize,
    /// Of a refresh token; an access token has none.
    generation: Option<u64>,
}

impl Ledger {
    pub(crate) fn new(reuse: Reuse) -> Self {
        let books = Books {
            reuse,
            life: HOUR,
            families: Vec::new(),
            tokens: BTreeMap::new(),
            troubles: HashMap::new(),
            counts: HashMap::new(),
            codes: Vec::new(),
            reused: 0,
            last: None,
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

    pub(crate) fn count(&self, operation: Operation) -> usize {
        self.books().counts.get(&operation).copied().unwrap_or(0)
    }

    /// How often a spent refresh token was presented.
    pub(crate) fn reused(&self) -> usize {
        self.books().reused
    }

    /// Every code that was presented.
    pub(crate) fn codes(&self) -> Vec<String> {
        self.books().codes.clone()
    }

    /// The newest refresh token of each family that is live and whose last answer arrived.
    pub(crate) fn live_refresh_tokens(&self) -> Vec<Vec<String>> {
        let books = self.books();
        let live = books.families.iter().enumerate().filter(|(_, family)| !family.revoked && !family.lost);
        live.map(|(number, family)| {
            let newest = |token: &&Token| token.family == number && token.generation == Some(family.generation);
            let tokens = books.tokens.iter().filter(|(_, token)| newest(token));
            tokens.map(|(name, _)| name.clone()).collect()
        })
        .collect()
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
        *self.books().counts.entry(operation).or_default() += 1;
        tokio::task::yield_now().await;
        let mut books = self.books();
        match books.troubles.get_mut(&operation).and_then(VecDeque::pop_front) {
            None => process(&mut books),
            Some(Trouble::Error(error)) => Err(error),
            Some(Trouble::RequestLost) => Err(ProviderError::NoResponse),
            Some(Trouble::AnswerLost) => {
                let processed = process(&mut books).is_ok();
                if let (true, Some(family)) = (processed, books.last) {
                    books.families[family].lost = true;
                }
                Err(ProviderError::NoResponse)
            }
        }
    }
}

impl Books {
    fn issue(&mut self, family: usize) -> TokenResponse {
        self.last = Some(family);
        self.families[family].lost = false;
        let number = self.tokens.len();
        let (access, refresh) = (format!("at-{number}"), format!("rt-{number}"));
        let generation = Some(self.families[family].generation);
        self.tokens.insert(access.clone(), Token { family, generation: None });
        self.tokens.insert(refresh.clone(), Token { family, generation });
        tokens_for(&access, Some(&refresh), self.life)
    }

    fn refresh(&mut self, presented: &str) -> Result<TokenResponse, ProviderError> {
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

    /// Ends the family of a refresh token (RFC 7009 §2.1). An access token ends by itself.
    fn revoke(&mut self, token: &str) {
        if let Some(Token { family, generation: Some(_) }) = self.tokens.get(token).copied() {
            self.families[family].revoked = true;
        }
    }
}

#[async_trait]
impl AuthorizationServer for Ledger {
    async fn resolve(
        &self,
        settings: &ProviderSettings,
        redirect_uri: &str,
        config: &str,
    ) -> Result<ProviderSnapshot, ProviderError> {
        self.plain.resolve(settings, redirect_uri, config).await
    }

    async fn authorization_url(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        request: AuthorizationRequest,
    ) -> Result<Secret, ProviderError> {
        self.plain.authorization_url(provider, client, request).await
    }

    async fn exchange(
        &self,
        _provider: &ProviderSnapshot,
        _client: &ClientCredentials,
        code: &Secret,
        _verifier: &Secret,
    ) -> Result<TokenResponse, ProviderError> {
        let subject = text(code);
        self.request(Operation::Exchange, |books| {
            books.codes.push(subject.clone());
            books.families.push(Family { subject, generation: 0, revoked: false, lost: false });
            Ok(books.issue(books.families.len() - 1))
        })
        .await
    }

    async fn refresh(
        &self,
        _provider: &ProviderSnapshot,
        _client: &ClientCredentials,
        refresh_token: &Secret,
        _granted: &Scopes,
    ) -> Result<TokenResponse, ProviderError> {
        self.request(Operation::Refresh, |books| books.refresh(&text(refresh_token))).await
    }

    async fn revoke(
        &self,
        _provider: &ProviderSnapshot,
        _client: &ClientCredentials,
        token: &Secret,
        _kind: TokenKind,
    ) -> Result<RevocationResponse, ProviderError> {
        self.request(Operation::Revoke, |books| {
            books.revoke(&text(token));
            Ok(RevocationResponse::Done)
        })
        .await
    }

    fn revocation_order(&self, _provider: &ProviderSnapshot) -> Vec<TokenKind> {
        vec![TokenKind::Refresh, TokenKind::Access]
    }

    async fn client_credentials(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        scopes: &Scopes,
    ) -> Result<TokenResponse, ProviderError> {
        self.plain.client_credentials(provider, client, scopes).await
    }

    async fn identify(
        &self,
        _provider: &ProviderSnapshot,
        answer: &TokenResponse,
        _nonce: Option<String>,
    ) -> Result<Option<Account>, ProviderError> {
        let subject = self.subject_of(&text(&answer.access_token));
        Ok(subject.map(|subject| {
            let account = subject.split('#').next().unwrap_or_default().to_owned();
            Account { label: account.clone(), subject: account }
        }))
    }
}
