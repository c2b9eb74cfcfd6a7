//! Testing a connector: what can be checked without a user who consents.

use futures_util::future::{Either, select};
use thiserror::Error;

use crate::connector::{AuthMode, Connector, ConnectorKey};
use crate::encoding::base64url;
use crate::identity::{Actor, Role, UserId};
use crate::named::named;
use crate::ports::{
    ApiError, ApiRequest, ClientCredentials, ClientSecretKey, CodeExchange, Diagnosis, InvalidConfig, Limited, Operation,
    Probe, ProviderError, ProviderErrorKind, RandomUnavailable, StoreError, TokenResponse,
};
use crate::provider::ProviderSnapshot;
use crate::secret::Secret;
use crate::usecase::access::AccessError;
use crate::usecase::flows::Flows;
use crate::usecase::requests::with_deadline;
use crate::usecase::sealer::NoCredentials;
use crate::usecase::settings::{AuthenticSettings, ConnectorTampered, UnusableConnector};

named!(
    /// What a test of a connector checks.
    TestedPart {
        /// The settings can be used, and none is missing.
        Settings = "settings",
        /// The endpoints are allowed, are known or can be discovered, and the token endpoint responds.
        Endpoints = "endpoints",
        /// The provider accepts client id and client secret.
        Client = "client",
        /// The API accepts the token of a shared connector. The test of a per-user connector has no token.
        Api = "api",
        /// The redirect URI. A test without a browser cannot show whether it is registered.
        RedirectUri = "redirect_uri",
    }
);

/// What a test found out about one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TestDetail {
    /// Nothing is missing.
    Complete,
    /// A setting, the client id or the client secret is missing.
    Missing,
    /// A setting cannot be used.
    Invalid,
    /// The operator does not allow the host of a setting.
    HostNotAllowed,
    /// The token endpoint responded.
    Reached,
    /// Endpoints are allowed and known. No request was sent to them.
    Resolved,
    /// The provider accepted the client.
    Accepted,
    /// The API accepted the token.
    TokenAccepted,
    /// The API refused the token (401 or 403). Its request may need the token of a user.
    ApiRefused,
    /// The API responded in a way that shows nothing about the token.
    ApiFailed,
    /// The API did not respond.
    ApiUnreachable,
    /// The provider issued tokens for a code that does not exist.
    UnexpectedTokens,
    /// An earlier check failed, or there is nothing to test it with.
    NotTested,
    /// This redirect URI has to be registered at the provider.
    ToRegister,
    /// The request failed.
    Failed(ProviderErrorKind),
}

impl TestDetail {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::HostNotAllowed => "host_not_allowed",
            Self::Reached => "reached",
            Self::Resolved => "resolved",
            Self::Accepted => "accepted",
            Self::TokenAccepted => "token_accepted",
            Self::ApiRefused => "api_refused",
            Self::ApiFailed => "api_failed",
            Self::ApiUnreachable => "api_unreachable",
            Self::UnexpectedTokens => "unexpected_tokens",
            Self::NotTested => "not_tested",
            Self::ToRegister => "to_register",
            Self::Failed(kind) => kind.as_str(),
        }
    }
}

/// The result of one check. Contains no secret and no text of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// What was checked.
    pub part: TestedPart,
    /// Whether it is in order. `None` if the test cannot show it.
    pub ok: Option<bool>,
    /// What was found out.
    pub detail: TestDetail,
    /// The field that is missing or cannot be used.
    pub field: Option<String>,
    /// What is known about a request that failed.
    pub diagnosis: Diagnosis,
}

/// The results of a test, one of each part, and the redirect URI to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorTest {
    /// In the order of [`TestedPart::ALL`].
    pub results: Vec<TestResult>,
    /// The redirect URI to register at the provider. `None` while the settings cannot be used.
    pub redirect_uri: Option<String>,
}

/// Why a connector was not tested.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectorTestError {
    /// The caller may not edit this connector, or there is none.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Too many requests to providers.
    #[error(transparent)]
    RateLimited(#[from] Limited),
    /// The row of the connector is not authentic.
    #[error(transparent)]
    Tampered(#[from] ConnectorTampered),
    /// The store is unavailable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no randomness.
    #[error("an internal error")]
    Internal,
}

impl ConnectorTestError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Access(error) => error.code(),
            Self::RateLimited(_) => "rate_limited",
            Self::Tampered(tampered) => tampered.code(),
            Self::Store(_) => "store_unavailable",
            Self::Internal => "internal",
        }
    }
}

impl From<RandomUnavailable> for ConnectorTestError {
    fn from(_: RandomUnavailable) -> Self {
        Self::Internal
    }
}

impl Flows {
    /// Checks settings, endpoints, client and API of a connector with at most three requests: for metadata, for a token, and to
    /// the API. Nothing is recorded: a test is no failure of a user, and does not change whether requests of users are sent.
    pub(super) async fn test(&self, actor: &Actor, key: &ConnectorKey) -> Result<ConnectorTest, ConnectorTestError> {
        let user = self.access.authorize_user(actor, &key.space, Role::Editor).await?;
        let connector = self.connectors.get(key).await?.ok_or(AccessError::NotFound)?;
        self.limit_user(user, Operation::Discovery).await?;
        let read = match self.settings.of(&connector) {
            Ok(read) => read,
            Err(UnusableConnector::Tampered(tampered)) => return Err(tampered.into()),
            Err(UnusableConnector::Config(invalid)) => return Ok(of_unusable(invalid)),
        };
        let redirect_uri = self.settings.redirect_uri(&connector, read.provider.callback);
        let client = match read.provider.missing.clone() {
            Some(field) => Err(field),
            None => self.client_for_test(&connector, &read, user).await?.ok_or_else(|| "secrets.clientSecret".to_owned()),
        };
        let settings = match &client {
            Ok(_) => TestedPart::Settings.passed(TestDetail::Complete),
            Err(field) => TestedPart::Settings.at(TestDetail::Missing, field.clone()),
        };
        let resolving = Box::pin(self.resolve_checked(&connector, &read.provider));
        let resolved = with_deadline(&*self.spawner, self.policy.request_deadline, resolving).await;
        let mut api = TestedPart::Api.not_tested();
        let (endpoints, client) = match (resolved, client) {
            (Err(error), _) => (TestedPart::Endpoints.failed(error), TestedPart::Client.not_tested()),
            (Ok(_), Err(_)) => (TestedPart::Endpoints.passed(TestDetail::Resolved), TestedPart::Client.not_tested()),
            (Ok(provider), Ok(client)) => {
                let response = self.request_for_test(&connector, &read, &provider, &client).await?;
                if let (AuthMode::Shared, Ok(tokens), Some(probe)) = (connector.auth_mode, &response, &read.probe) {
                    api = self.probe_for_test(probe, user, &tokens.access_token).await;
                }
                of_response(connector.auth_mode, response)
            }
        };
        let to_register = match connector.auth_mode {
            AuthMode::PerUser => TestedPart::RedirectUri.unknown(TestDetail::ToRegister),
            // The client credentials grant uses none.
            AuthMode::Shared => TestedPart::RedirectUri.not_tested(),
        };
        Ok(ConnectorTest { results: vec![settings, endpoints, client, api, to_register], redirect_uri: Some(redirect_uri) })
    }

    /// `None` if the client secret is missing, or must be entered again.
    async fn client_for_test(
        &self,
        connector: &Connector,
        read: &AuthenticSettings,
        user: &UserId,
    ) -> Result<Option<ClientCredentials>, StoreError> {
        let secret = ClientSecretKey { incarnation: connector.incarnation, epoch: connector.epoch };
        let needs_secret = read.provider.authentication.needs_secret();
        let client = self.sealer.client_credentials(&connector.key, secret, read.required.digest, needs_secret).await;
        match client {
            Ok(client) => Ok(Some(ClientCredentials { user: Some(user.clone()), ..client })),
            Err(NoCredentials::Missing | NoCredentials::Undecryptable) => Ok(None),
            Err(NoCredentials::Store(error)) => Err(error),
        }
    }

    /// A request that shows whether the client is accepted: the exchange of a code that does not exist, or for a shared
    /// connector the request for its token, which is dropped.
    async fn request_for_test(
        &self,
        connector: &Connector,
        read: &AuthenticSettings,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
    ) -> Result<Result<TokenResponse, ProviderError>, RandomUnavailable> {
        let text = |bytes: [u8; 32]| Secret::from_text(&base64url(&bytes));
        let exchange = CodeExchange { code: text(self.random()?), verifier: text(self.random()?), parameters: Vec::new() };
        let request = match connector.auth_mode {
            AuthMode::PerUser => self.provider.exchange(provider, client, &exchange),
            AuthMode::Shared => self.provider.client_credentials(provider, client, &read.provider.requested_scopes),
        };
        Ok(with_deadline(&*self.spawner, self.policy.request_deadline, request).await)
    }

    /// Sends the request of the profile that succeeds with every valid token. Its response is dropped, except for the status.
    async fn probe_for_test(&self, probe: &Probe, user: &UserId, token: &Secret) -> TestResult {
        let Probe { url, origin, headers } = probe.clone();
        let request = ApiRequest { method: "GET".to_owned(), url, headers, body: None, user: user.clone() };
        let sent = select(self.resource.send(&request, token), self.spawner.sleep(self.policy.request_deadline)).await;
        let sent = match sent {
            Either::Left((response, _)) => response.map(|response| response.status),
            Either::Right(_) => Err(ApiError::Unreachable),
        };
        let (ok, detail) = match sent {
            Ok(200..300) => (Some(true), TestDetail::TokenAccepted),
            Ok(401 | 403) => (None, TestDetail::ApiRefused),
            Ok(_) | Err(ApiError::TooLarge) => (None, TestDetail::ApiFailed),
            Err(ApiError::NotAllowed) => (Some(false), TestDetail::HostNotAllowed),
            Err(ApiError::Refused(_) | ApiError::Unreachable) => (Some(false), TestDetail::ApiUnreachable),
        };
        let mut result = TestedPart::Api.result(ok, detail);
        if ok != Some(true) {
            result.diagnosis.endpoint_host = origin.as_str().split_once("://").map(|(_, host)| host.to_owned());
            result.diagnosis.http_status = sent.ok();
        }
        result
    }
}

/// What the response shows about endpoints and client.
fn of_response(mode: AuthMode, response: Result<TokenResponse, ProviderError>) -> (TestResult, TestResult) {
    let reached = TestedPart::Endpoints.passed(TestDetail::Reached);
    let error = match (response, mode) {
        (Ok(_), AuthMode::Shared) => return (reached, TestedPart::Client.passed(TestDetail::Accepted)),
        (Ok(_), AuthMode::PerUser) => return (reached, TestedPart::Client.unknown(TestDetail::UnexpectedTokens)),
        (Err(error), _) => error,
    };
    match error.kind {
        // The client is authenticated before the code is looked up (RFC 6749 §4.1.3).
        ProviderErrorKind::InvalidGrant if mode == AuthMode::PerUser => {
            (reached, TestedPart::Client.passed(TestDetail::Accepted))
        }
        ProviderErrorKind::ClientRefused => (reached, TestedPart::Client.failed(error)),
        ProviderErrorKind::NotAllowed | ProviderErrorKind::NotSent | ProviderErrorKind::NoResponse => {
            (TestedPart::Endpoints.failed(error), TestedPart::Client.not_tested())
        }
        ProviderErrorKind::InvalidGrant
        | ProviderErrorKind::GrantTypeRefused
        | ProviderErrorKind::OtherOauthError
        | ProviderErrorKind::Refused
        | ProviderErrorKind::Throttled { .. }
        | ProviderErrorKind::Malformed
        | ProviderErrorKind::BadMetadata => (reached, TestResult { ok: None, ..TestedPart::Client.failed(error) }),
    }
}

fn of_unusable(invalid: InvalidConfig) -> ConnectorTest {
    let detail = if invalid.host_not_allowed { TestDetail::HostNotAllowed } else { TestDetail::Invalid };
    let mut settings = TestedPart::Settings.at(detail, invalid.field);
    settings.diagnosis.problem = Some(invalid.problem.into());
    let others = TestedPart::ALL.iter().filter(|part| **part != TestedPart::Settings);
    let results = std::iter::once(settings).chain(others.map(|part| part.not_tested())).collect();
    ConnectorTest { results, redirect_uri: None }
}

impl TestedPart {
    fn passed(self, detail: TestDetail) -> TestResult {
        self.result(Some(true), detail)
    }

    fn unknown(self, detail: TestDetail) -> TestResult {
        self.result(None, detail)
    }

    fn not_tested(self) -> TestResult {
        self.unknown(TestDetail::NotTested)
    }

    fn at(self, detail: TestDetail, field: String) -> TestResult {
        TestResult { field: Some(field), ..self.result(Some(false), detail) }
    }

    fn failed(self, error: ProviderError) -> TestResult {
        TestResult { diagnosis: error.diagnosis, ..self.result(Some(false), TestDetail::Failed(error.kind)) }
    }

    fn result(self, ok: Option<bool>, detail: TestDetail) -> TestResult {
        TestResult { part: self, ok, detail, field: None, diagnosis: Diagnosis::default() }
    }
}
