//! An authorization server whose responses a test scripts.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::ports::{
    AuthorizationRequest, AuthorizationServer, ClientCredentials, CodeExchange, Identified, Lifetime, ProviderError,
    ProviderErrorKind, RevocationResponse, TokenKind, TokenResponse,
};
use grantry_domain::provider::{Account, Endpoints, ProviderSettings, ProviderSnapshot, Scopes};
use grantry_domain::secret::Secret;
use url::form_urlencoded::Serializer;

use super::locked;
use crate::provider::Gate;

/// A method of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Resolve the endpoints.
    Resolve,
    /// Build the authorization URL.
    AuthorizationUrl,
    /// Exchange a code.
    Exchange,
    /// Refresh.
    Refresh,
    /// Revoke a token.
    Revoke,
    /// Request a token for the client.
    ClientCredentials,
    /// Identify the account that consented.
    Identify,
}

/// One call, with its secrets in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the arguments of the port's methods")]
pub enum Call {
    /// See [`AuthorizationServer::resolve`].
    Resolve { redirect_uri: String },
    /// See [`AuthorizationServer::authorization_url`].
    AuthorizationUrl {
        endpoint: String,
        state: String,
        code_challenge: String,
        scopes: Scopes,
        nonce: Option<String>,
        login_hint: Option<String>,
        select_account: bool,
    },
    /// See [`AuthorizationServer::exchange`].
    Exchange { endpoint: String, redirect_uri: String, client_secret: Option<String>, code: String, verifier: String },
    /// See [`AuthorizationServer::refresh`].
    Refresh { endpoint: String, client_secret: Option<String>, refresh_token: String, granted: Scopes },
    /// See [`AuthorizationServer::revoke`].
    Revoke { endpoint: Option<String>, client_secret: Option<String>, token: String, kind: TokenKind },
    /// See [`AuthorizationServer::client_credentials`].
    ClientCredentials { endpoint: String, client_secret: Option<String>, scopes: Scopes },
    /// See [`AuthorizationServer::identify`].
    Identify { nonce: Option<String> },
}

impl Call {
    /// The method that was called.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Resolve { .. } => Operation::Resolve,
            Self::AuthorizationUrl { .. } => Operation::AuthorizationUrl,
            Self::Exchange { .. } => Operation::Exchange,
            Self::Refresh { .. } => Operation::Refresh,
            Self::Revoke { .. } => Operation::Revoke,
            Self::ClientCredentials { .. } => Operation::ClientCredentials,
            Self::Identify { .. } => Operation::Identify,
        }
    }
}

/// Takes each response from a queue of its operation. While the queue is empty, it responds like a provider that rotates
/// refresh tokens: `access-1` with `refresh-1`, then `access-2` with `refresh-2`. A gate can hold an operation; a call is
/// logged before it is held.
pub struct ScriptedAuthorizationServer(Mutex<Script>);

struct Script {
    resolutions: VecDeque<Result<ProviderSnapshot, ProviderErrorKind>>,
    urls: VecDeque<Result<Secret, ProviderErrorKind>>,
    tokens: HashMap<Operation, VecDeque<Result<TokenResponse, ProviderErrorKind>>>,
    revocations: VecDeque<Result<RevocationResponse, ProviderErrorKind>>,
    identities: VecDeque<Result<Identified, ProviderErrorKind>>,
    account: Option<Account>,
    order: Vec<TokenKind>,
    gates: HashMap<Operation, Gate>,
    calls: Vec<Call>,
    issued: u64,
}

impl Default for ScriptedAuthorizationServer {
    fn default() -> Self {
        Self(Mutex::new(Script {
            resolutions: VecDeque::new(),
            urls: VecDeque::new(),
            tokens: HashMap::new(),
            revocations: VecDeque::new(),
            identities: VecDeque::new(),
            account: None,
            order: vec![TokenKind::Refresh, TokenKind::Access],
            gates: HashMap::new(),
            calls: Vec::new(),
            issued: 0,
        }))
    }
}

/// A token response with these tokens, a lifetime of one hour, and the scopes as requested.
pub fn tokens(access_token: &str, refresh_token: Option<&str>) -> TokenResponse {
    TokenResponse {
        access_token: Secret::from_text(access_token),
        token_type: "Bearer".to_owned(),
        refresh_token: refresh_token.map(Secret::from_text),
        lifetime: Lifetime::For(Duration::from_hours(1)),
        refresh_lifetime: Lifetime::Unknown,
        scopes: None,
        id_token: None,
        account: None,
        api_base: None,
        anomalies: Vec::new(),
    }
}

impl ScriptedAuthorizationServer {
    /// Queues a response of [`AuthorizationServer::resolve`].
    pub fn respond_to_resolve(&self, response: Result<ProviderSnapshot, ProviderErrorKind>) {
        locked(&self.0).resolutions.push_back(response);
    }

    /// Queues a response of [`AuthorizationServer::authorization_url`].
    pub fn respond_to_authorization_url(&self, response: Result<Secret, ProviderErrorKind>) {
        locked(&self.0).urls.push_back(response);
    }

    /// Queues a response of [`AuthorizationServer::exchange`].
    pub fn respond_to_exchange(&self, response: Result<TokenResponse, ProviderErrorKind>) {
        self.queue_tokens(Operation::Exchange, response);
    }

    /// Queues a response of [`AuthorizationServer::refresh`].
    pub fn respond_to_refresh(&self, response: Result<TokenResponse, ProviderErrorKind>) {
        self.queue_tokens(Operation::Refresh, response);
    }

    /// Queues a response of [`AuthorizationServer::client_credentials`].
    pub fn respond_to_client_credentials(&self, response: Result<TokenResponse, ProviderErrorKind>) {
        self.queue_tokens(Operation::ClientCredentials, response);
    }

    /// Queues a response of [`AuthorizationServer::revoke`].
    pub fn respond_to_revoke(&self, response: Result<RevocationResponse, ProviderErrorKind>) {
        locked(&self.0).revocations.push_back(response);
    }

    /// Queues a response of [`AuthorizationServer::identify`].
    pub fn respond_to_identify(&self, response: Result<Identified, ProviderErrorKind>) {
        locked(&self.0).identities.push_back(response);
    }

    /// The account that [`AuthorizationServer::identify`] returns while no response is queued; initially none.
    pub fn set_account(&self, account: Option<Account>) {
        locked(&self.0).account = account;
    }

    /// The tokens to revoke, in order; initially the refresh token, then the access token.
    pub fn set_revocation_order(&self, order: Vec<TokenKind>) {
        locked(&self.0).order = order;
    }

    /// Holds every further call of an operation until the gate is opened.
    pub fn hold(&self, operation: Operation) -> Gate {
        let gate = Gate::closed();
        locked(&self.0).gates.insert(operation, gate.clone());
        gate
    }

    /// All calls so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        locked(&self.0).calls.clone()
    }

    /// The number of calls of an operation.
    pub fn count(&self, operation: Operation) -> usize {
        locked(&self.0).calls.iter().filter(|call| call.operation() == operation).count()
    }

    fn queue_tokens(&self, operation: Operation, response: Result<TokenResponse, ProviderErrorKind>) {
        locked(&self.0).tokens.entry(operation).or_default().push_back(response);
    }

    async fn called(&self, call: Call) {
        let gate = {
            let mut script = locked(&self.0);
            let gate = script.gates.get(&call.operation()).cloned();
            script.calls.push(call);
            gate
        };
        if let Some(gate) = gate {
            gate.pass().await;
        }
    }

    pub(super) fn next_tokens(&self, operation: Operation) -> Result<TokenResponse, ProviderError> {
        let mut script = locked(&self.0);
        if let Some(response) = script.tokens.get_mut(&operation).and_then(VecDeque::pop_front) {
            return response.map_err(ProviderError::from);
        }
        script.issued += 1;
        let refresh = format!("refresh-{}", script.issued);
        let refresh = (operation != Operation::ClientCredentials).then_some(refresh.as_str());
        Ok(tokens(&format!("access-{}", script.issued), refresh))
    }
}

fn text(secret: &Secret) -> String {
    String::from_utf8_lossy(secret.expose()).into_owned()
}

fn secret_of(client: &ClientCredentials) -> Option<String> {
    client.secret.as_ref().map(text)
}

/// The authorization URL (RFC 6749 §4.1.1, RFC 7636 §4.3).
fn url_of(provider: &ProviderSnapshot, request: &AuthorizationRequest) -> String {
    let (endpoint, state) = (&provider.endpoints.authorization, text(&request.state));
    let scope = request.scopes.to_record();
    let mut query = Serializer::new(String::new());
    query.extend_pairs([
        ("state", state.as_str()),
        ("response_type", "code"),
        ("client_id", &provider.client_id),
        ("redirect_uri", &provider.redirect_uri),
        ("code_challenge", &request.code_challenge),
        ("code_challenge_method", "S256"),
    ]);
    let optional = [
        ("scope", (!scope.is_empty()).then_some(scope.as_str())),
        ("nonce", request.nonce.as_deref()),
        ("login_hint", request.login_hint.as_deref()),
        ("prompt", request.select_account.then_some("select_account")),
    ];
    for (name, value) in optional {
        query.extend_pairs(value.map(|value| (name, value)));
    }
    format!("{endpoint}?{}", query.finish())
}

#[async_trait]
impl AuthorizationServer for ScriptedAuthorizationServer {
    async fn resolve(
        &self,
        settings: &ProviderSettings,
        redirect_uri: &str,
        config: &str,
    ) -> Result<ProviderSnapshot, ProviderError> {
        self.called(Call::Resolve { redirect_uri: redirect_uri.to_owned() }).await;
        if let Some(response) = locked(&self.0).resolutions.pop_front() {
            return response.map_err(ProviderError::from);
        }
        let discovered = settings.issuer.as_deref().map(|issuer| Endpoints {
            authorization: format!("{issuer}/authorize"),
            token: format!("{issuer}/token"),
            revocation: Some(format!("{issuer}/revoke")),
            ..Endpoints::default()
        });
        Ok(ProviderSnapshot {
            profile: settings.profile.clone(),
            issuer: settings.issuer.clone(),
            issuer_in_response: settings.issuer.is_some(),
            endpoints: settings.endpoints.clone().or(discovered).unwrap_or_default(),
            client_id: settings.client_id.clone(),
            authentication: settings.authentication,
            resources: settings.resources.clone(),
            destinations: settings.destinations.clone(),
            redirect_uri: redirect_uri.to_owned(),
            config: config.to_owned(),
            api: None,
        })
    }

    async fn authorization_url(
        &self,
        provider: &ProviderSnapshot,
        _client: &ClientCredentials,
        request: AuthorizationRequest,
    ) -> Result<Secret, ProviderError> {
        let url = url_of(provider, &request);
        self.called(Call::AuthorizationUrl {
            endpoint: provider.endpoints.authorization.clone(),
            state: text(&request.state),
            code_challenge: request.code_challenge,
            scopes: request.scopes,
            nonce: request.nonce,
            login_hint: request.login_hint,
            select_account: request.select_account,
        })
        .await;
        locked(&self.0).urls.pop_front().unwrap_or_else(|| Ok(Secret::from_text(&url))).map_err(ProviderError::from)
    }

    async fn exchange(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        exchange: &CodeExchange,
    ) -> Result<TokenResponse, ProviderError> {
        self.called(Call::Exchange {
            endpoint: provider.endpoints.token.clone(),
            redirect_uri: provider.redirect_uri.clone(),
            client_secret: secret_of(client),
            code: text(&exchange.code),
            verifier: text(&exchange.verifier),
        })
        .await;
        self.next_tokens(Operation::Exchange)
    }

    async fn refresh(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        refresh_token: &Secret,
        granted: &Scopes,
    ) -> Result<TokenResponse, ProviderError> {
        self.called(Call::Refresh {
            endpoint: provider.endpoints.token.clone(),
            client_secret: secret_of(client),
            refresh_token: text(refresh_token),
            granted: granted.clone(),
        })
        .await;
        self.next_tokens(Operation::Refresh)
    }

    async fn revoke(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        token: &Secret,
        kind: TokenKind,
    ) -> Result<RevocationResponse, ProviderError> {
        self.called(Call::Revoke {
            endpoint: provider.endpoints.revocation.clone(),
            client_secret: secret_of(client),
            token: text(token),
            kind,
        })
        .await;
        locked(&self.0).revocations.pop_front().unwrap_or(Ok(RevocationResponse::Done)).map_err(ProviderError::from)
    }

    fn revocation_order(&self, _provider: &ProviderSnapshot) -> Vec<TokenKind> {
        locked(&self.0).order.clone()
    }

    async fn client_credentials(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        scopes: &Scopes,
    ) -> Result<TokenResponse, ProviderError> {
        self.called(Call::ClientCredentials {
            endpoint: provider.endpoints.token.clone(),
            client_secret: secret_of(client),
            scopes: scopes.clone(),
        })
        .await;
        self.next_tokens(Operation::ClientCredentials)
    }

    async fn identify(
        &self,
        _provider: &ProviderSnapshot,
        _client: &ClientCredentials,
        _response: &TokenResponse,
        nonce: Option<String>,
    ) -> Result<Identified, ProviderError> {
        self.called(Call::Identify { nonce }).await;
        let mut script = locked(&self.0);
        let initial = Identified { account: script.account.clone(), ..Identified::default() };
        script.identities.pop_front().unwrap_or(Ok(initial)).map_err(ProviderError::from)
    }
}
