//! The token of a `shared` connector: client credentials grant (RFC 6749 §4.4), in memory only, never in the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::authorization::Reason;
use crate::connector::{Connector, ConnectorKey, Epoch, Incarnation};
use crate::encoding::sha256;
use crate::identity::{Actor, ConnectionName};
use crate::ports::{
    AuditEvent, AuthorizationServer, ClientSecretKey, ProviderError, ProviderErrorKind, ProviderOperation, Spawner,
    StoreClock, TokenResponse,
};
use crate::provider::{BindingDigest, Origin};
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::usecase::audit_buffer::AuditBuffer;
use crate::usecase::detached::SingleFlight;
use crate::usecase::failure_recorder::FailureRecorder;
use crate::usecase::policy::Policy;
use crate::usecase::refresh::{CircuitBreaker, Permit, RefusedRequest};
use crate::usecase::requests::with_deadline;
use crate::usecase::sealer::{NoCredentials, Sealer};
use crate::usecase::settings::ConnectorSettings;
use crate::usecase::token::{IssuedAccessToken, TokenError};
use crate::usecase::token_lifetime::expiry;

/// Key of a cached token: an edited or recreated connector has another one.
type Key = (Incarnation, Epoch, BindingDigest, u64);

/// A flight has the key and, where the API rejected a token, its SHA-256.
type Flights = SingleFlight<(Key, Option<[u8; 32]>), Result<(), TokenError>>;

/// How long before its expiry a token is replaced; at most half its lifetime.
const MARGIN: Duration = Duration::from_secs(30);

/// How long a caller waits after a failed request.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How many tokens are kept.
const TOKENS_AT_MOST: usize = 256;

struct CachedToken {
    connector: ConnectorKey,
    token: Secret,
    token_type: String,
    expires_at: Option<Timestamp>,
    /// Before its expiry by a margin.
    fresh_until: Option<Timestamp>,
    sha256: [u8; 32],
    /// SHA-256 of the rejected token that this one replaced: the same rejection requests one replacement only.
    replaced: Option<[u8; 32]>,
}

impl CachedToken {
    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    fn is_usable(&self, rejected: Option<[u8; 32]>, now: Timestamp) -> bool {
        self.fresh_until.is_none_or(|end| now < end) && rejected.is_none_or(|rejected| self.sha256 != rejected)
    }
}

/// What a [`ClientCredentialsCache`] needs.
pub struct ClientCredentialsPorts {
    /// The clock of the store.
    pub store_clock: Arc<dyn StoreClock>,
    /// The provider.
    pub provider: Arc<dyn AuthorizationServer>,
    /// Detached tasks.
    pub spawner: Arc<dyn Spawner>,
    /// Failures at providers.
    pub failures: FailureRecorder,
}

/// The tokens of shared connectors in this process.
pub struct ClientCredentialsCache {
    ports: ClientCredentialsPorts,
    policy: Policy,
    sealer: Sealer,
    settings: ConnectorSettings,
    breaker: Arc<CircuitBreaker>,
    audit: AuditBuffer,
    tokens: Mutex<BTreeMap<Key, CachedToken>>,
    flights: Flights,
}

impl ClientCredentialsCache {
    /// An empty cache.
    pub fn new(
        ports: ClientCredentialsPorts,
        policy: Policy,
        sealer: Sealer,
        settings: ConnectorSettings,
        breaker: Arc<CircuitBreaker>,
        audit: AuditBuffer,
    ) -> Arc<Self> {
        Arc::new(Self {
            ports,
            policy,
            sealer,
            settings,
            breaker,
            audit,
            tokens: Mutex::default(),
            flights: Flights::default(),
        })
    }

    /// The connector's token for a destination, requested first where needed. `rejected` is the SHA-256 of a token that the
    /// API rejected.
    pub async fn token(
        self: &Arc<Self>,
        connector: &Connector,
        destination: Option<&Origin>,
        rejected: Option<[u8; 32]>,
        now: Timestamp,
    ) -> Result<IssuedAccessToken, TokenError> {
        let read = self.settings.of(connector).map_err(|unusable| {
            self.ports.failures.record_unusable_settings(connector, &unusable);
            TokenError::from(unusable)
        })?;
        let (settings, digest) = (&read.provider, read.required.digest);
        if destination.is_some_and(|destination| !settings.destinations.contains(destination)) {
            return Err(TokenError::DestinationRefused);
        }
        let base_url = settings.base_url.as_deref().ok_or(TokenError::Misconfigured)?;
        let key = (connector.incarnation, connector.epoch, digest, connector.revision);
        if let Some(token) = self.cached(key, base_url, rejected, now) {
            return Ok(token);
        }
        if self.breaker.is_open(connector, now) {
            return Err(TokenError::Misconfigured);
        }
        let (this, connector) = (Arc::clone(self), connector.clone());
        let work = async move { this.request(&connector, key, rejected).await };
        let requested = self.flights.join(&*self.ports.spawner, (key, rejected), work).await;
        requested.unwrap_or(Err(TokenError::Unavailable { retry_after: RETRY_AFTER }))?;
        let now = self.ports.store_clock.now().await?;
        self.cached(key, base_url, rejected, now).ok_or_else(|| match rejected {
            // The provider issued the rejected token again.
            Some(rejected) if self.is_cached(key, rejected) => {
                TokenError::AuthorizationRequired { reason: Reason::TokenRejected, connection: ConnectionName::default() }
            }
            // The new token counts as expired, as after a step of the clock.
            Some(_) | None => TokenError::Unavailable { retry_after: RETRY_AFTER },
        })
    }

    fn cached(&self, key: Key, base_url: &str, rejected: Option<[u8; 32]>, now: Timestamp) -> Option<IssuedAccessToken> {
        let tokens = self.locked();
        let cached = tokens.get(&key).filter(|cached| cached.is_usable(rejected, now))?;
        Some(IssuedAccessToken {
            token: cached.token.clone_secret(),
            token_type: cached.token_type.clone(),
            expires_at: cached.expires_at,
            connection: None,
            account: None,
            base_url: base_url.to_owned(),
        })
    }

    async fn request(&self, connector: &Connector, key: Key, rejected: Option<[u8; 32]>) -> Result<(), TokenError> {
        let now = self.ports.store_clock.now().await?;
        let has_usable = self.locked().get(&key).is_some_and(|cached| cached.is_usable(rejected, now));
        if has_usable || self.was_replaced(key, rejected) {
            return Ok(());
        }
        let permit = self.breaker.admit(connector, now).ok_or(TokenError::Misconfigured)?;
        let read = self.settings.of(connector)?;
        let (settings, digest) = (&read.provider, read.required.digest);
        let redirect_uri = self.settings.redirect_uri(connector, settings.callback);
        let provider = self.ports.provider.resolve(settings, &redirect_uri, &connector.config.settings).await;
        let provider = provider.map_err(|error| {
            let issuer = settings.issuer.as_deref().unwrap_or_default();
            self.ports.failures.record(connector, ProviderOperation::Discovery, issuer, &error);
            unavailable(&error)
        })?;
        let needs_secret = settings.authentication.needs_secret();
        let secret = ClientSecretKey { incarnation: connector.incarnation, epoch: connector.epoch };
        let client = self.sealer.client_credentials(&connector.key, secret, digest, needs_secret).await;
        let client = client.map_err(|problem| match problem {
            NoCredentials::Store(error) => TokenError::Store(error),
            NoCredentials::Missing | NoCredentials::Undecryptable => {
                let failures = &self.ports.failures;
                failures.record_missing_secret(connector, ProviderOperation::ClientCredentials, &provider.endpoints.token);
                TokenError::Misconfigured
            }
        })?;
        let call = self.ports.provider.client_credentials(&provider, &client, &settings.requested_scopes);
        let response = with_deadline(&*self.ports.spawner, self.policy.request_deadline, call).await;
        if let Err(error) = &response {
            let endpoint = &provider.endpoints.token;
            self.ports.failures.record(connector, ProviderOperation::ClientCredentials, endpoint, error);
        }
        let response = self.reported(connector, permit, response, now).await?;
        self.ports.failures.record_anomalies(connector, &response.anomalies);
        if let Some(event) = AuditEvent::of_anomalies(&response.anomalies, Actor::System, now) {
            self.audit.record(event.at_connector(&connector.key));
        }
        let expires_at = expiry(response.lifetime, now, self.policy.assumed_lifetime);
        let cached = CachedToken {
            connector: connector.key.clone(),
            sha256: sha256(response.access_token.expose()),
            fresh_until: expires_at.map(|end| end.minus(MARGIN.min(end.since(now) / 2))),
            expires_at,
            token: response.access_token,
            token_type: response.token_type,
            replaced: rejected,
        };
        let mut tokens = self.locked();
        // Tokens of earlier configurations of this connector are not used any more.
        tokens.retain(|(incarnation, ..), cached| *incarnation != key.0 && !cached.has_expired(now));
        if tokens.len() >= TOKENS_AT_MOST {
            tokens.pop_first();
        }
        tokens.insert(key, cached);
        Ok(())
    }

    /// Drops the token of a connector that was deleted in this process. In other processes it remains until it expires.
    pub fn forget(&self, connector: &ConnectorKey) {
        self.locked().retain(|_, cached| cached.connector != *connector);
    }

    /// Drops the tokens that have expired.
    pub fn drop_expired(&self, now: Timestamp) {
        self.locked().retain(|_, cached| !cached.has_expired(now));
    }

    /// How many tokens are kept.
    pub fn len(&self) -> usize {
        self.locked().len()
    }

    /// Whether no token is kept.
    pub fn is_empty(&self) -> bool {
        self.locked().is_empty()
    }

    /// Reports the result of a request to the circuit breaker.
    async fn reported(
        &self,
        connector: &Connector,
        permit: Permit,
        response: Result<TokenResponse, ProviderError>,
        now: Timestamp,
    ) -> Result<TokenResponse, TokenError> {
        let failures = &self.ports.failures;
        match response {
            Ok(response) => {
                if permit.succeeded(now) {
                    failures.client_accepted(&connector.into()).await;
                }
                Ok(response)
            }
            Err(error) => {
                let is_of_client =
                    matches!(error.kind, ProviderErrorKind::ClientRefused | ProviderErrorKind::GrantTypeRefused);
                let refused = is_of_client.then(|| permit.refused(RefusedRequest::Client, now));
                if let Some(since) = refused.flatten() {
                    failures.client_refused(&connector.into(), connector.revision, since).await;
                }
                Err(unavailable(&error))
            }
        }
    }

    fn is_cached(&self, key: Key, sha256: [u8; 32]) -> bool {
        self.locked().get(&key).is_some_and(|cached| cached.sha256 == sha256)
    }

    fn was_replaced(&self, key: Key, rejected: Option<[u8; 32]>) -> bool {
        rejected.is_some() && self.locked().get(&key).is_some_and(|cached| cached.replaced == rejected)
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Key, CachedToken>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable(error: &ProviderError) -> TokenError {
    match error.kind {
        ProviderErrorKind::ClientRefused
        | ProviderErrorKind::GrantTypeRefused
        | ProviderErrorKind::NotAllowed
        | ProviderErrorKind::BadMetadata
        | ProviderErrorKind::InvalidGrant
        | ProviderErrorKind::OtherOauthError => TokenError::Misconfigured,
        ProviderErrorKind::Throttled { retry_after, .. } => {
            TokenError::Unavailable { retry_after: retry_after.unwrap_or(RETRY_AFTER) }
        }
        ProviderErrorKind::Refused
        | ProviderErrorKind::NotSent
        | ProviderErrorKind::NoResponse
        | ProviderErrorKind::Malformed => TokenError::Unavailable { retry_after: RETRY_AFTER },
    }
}
