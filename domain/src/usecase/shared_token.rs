//! The connector's own token, for `shared` connectors: client-credentials grant, kept in memory only, never in the store.
//!
//! A run without a subject never gets here by falling back: the connector's mode decides, and it is fixed at creation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::authorization::Reason;
use crate::connector::{Connector, Epoch, Incarnation};
use crate::ports::{AuditKind, ProviderError};
use crate::provider::BindingDigest;
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::usecase::Connections;
use crate::usecase::access_token::{AccessTokenRequest, IssuedAccessToken, TokenError};
use crate::usecase::audit::about_connector;
use crate::usecase::refresh::BREAK;
use crate::usecase::sealing::NoCredentials;
use crate::usecase::single_flight::SingleFlight;

/// Which token: an edit or a recreated connector has another one.
type Key = (Incarnation, Epoch, BindingDigest, u64);

/// A flight is named by the key and, where the API refused a token, by its fingerprint.
type Flights = SingleFlight<(Key, Option<[u8; 32]>), Result<(), TokenError>>;

/// Shared connectors' tokens of this process.
#[derive(Default)]
pub(super) struct SharedTokens {
    tokens: Mutex<BTreeMap<Key, Kept>>,
    flights: Flights,
}

struct Kept {
    token: Secret,
    token_type: String,
    expires_at: Option<Timestamp>,
    /// Before its end by a margin.
    fresh_until: Option<Timestamp>,
    fingerprint: [u8; 32],
    /// Fingerprint of the token this one was fetched to replace: the same refusal never fetches twice (R47).
    replaced: Option<[u8; 32]>,
}

/// How long before its end a shared token is replaced; never more than half its life.
const MARGIN: Duration = Duration::from_secs(30);

impl Connections {
    /// Gives the connector's own token, fetching it first where needed.
    pub(super) async fn shared_token(
        self: &Arc<Self>,
        connector: &Connector,
        demand: &AccessTokenRequest,
        refused: Option<[u8; 32]>,
        now: Timestamp,
    ) -> Result<IssuedAccessToken, TokenError> {
        let (settings, digest) = self.settings_of(connector).map_err(|_| TokenError::Misconfigured)?;
        if !settings.destinations.contains(&demand.destination) {
            return Err(TokenError::DestinationRefused);
        }
        let key = (connector.incarnation, connector.epoch, digest, connector.revision);
        if let Some(token) = self.kept(key, refused, now) {
            self.note_shared(demand, now);
            return Ok(token);
        }
        if self.breaker.is_open(connector, now) {
            return Err(TokenError::Misconfigured);
        }
        let (this, connector) = (Arc::clone(self), connector.clone());
        let work = async move { this.fetch_shared(&connector, key, refused).await };
        self.shared_tokens.flights.join(&*self.ports.spawner, (key, refused), work).await?;
        let now = self.ports.authorizations.now().await?;
        let token = self.kept(key, refused, now).ok_or(match refused {
            // A fresh token that is the refused one again helps nobody.
            Some(_) => TokenError::AuthorizationRequired { reason: Reason::TokenRejected },
            None => TokenError::Unavailable { retry_after: Duration::from_secs(5) },
        })?;
        self.note_shared(demand, now);
        Ok(token)
    }

    fn note_shared(&self, demand: &AccessTokenRequest, now: Timestamp) {
        let kind = AuditKind::AccessTokenIssued;
        self.note(about_connector(now, demand.actor.clone(), kind, &demand.connector, Some(&demand.user), "shared"), None);
    }

    fn kept(&self, key: Key, refused: Option<[u8; 32]>, now: Timestamp) -> Option<IssuedAccessToken> {
        let tokens = self.shared_tokens.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = tokens.get(&key)?;
        let fresh = kept.fresh_until.is_none_or(|end| now < end);
        let other = refused.is_none_or(|refused| kept.fingerprint != refused);
        (fresh && other).then(|| IssuedAccessToken {
            token: kept.token.clone_secret(),
            token_type: kept.token_type.clone(),
            expires_at: kept.expires_at,
            fingerprint: kept.fingerprint,
        })
    }

    async fn fetch_shared(
        self: &Arc<Self>,
        connector: &Connector,
        key: Key,
        refused: Option<[u8; 32]>,
    ) -> Result<(), TokenError> {
        let now = self.ports.authorizations.now().await?;
        if self.kept(key, refused, now).is_some() || self.was_replaced(key, refused) {
            return Ok(());
        }
        let (settings, _) = self.settings_of(connector).map_err(|_| TokenError::Misconfigured)?;
        let redirect_uri = self.redirect_uri(connector, settings.callback);
        let provider = self.ports.provider.resolve(&settings, &redirect_uri, &connector.config.settings).await;
        let provider = provider.map_err(unobtainable)?;
        let needs_secret = settings.authentication.needs_secret();
        let client = self.client_credentials_of(connector.incarnation, connector.epoch, needs_secret).await;
        let client = client.map_err(|problem| match problem {
            NoCredentials::Store(error) => TokenError::Store(error),
            NoCredentials::Missing | NoCredentials::Unreadable => TokenError::Misconfigured,
        })?;
        let call = self.ports.provider.client_credentials(&provider, &client, &settings.requested_scopes);
        let answer = self.within(self.policy.request_deadline, call).await;
        let answer = answer.map_err(|error| {
            if error.is_misconfiguration() {
                self.breaker.open(connector, now.plus(BREAK), now);
            }
            unobtainable(error)
        })?;
        let expires_at = self.expiry(answer.lifetime, now);
        let kept = Kept {
            fingerprint: self.fingerprint_of(&answer.access_token),
            fresh_until: expires_at.map(|end| end.minus(MARGIN.min(end.since(now) / 2))),
            expires_at,
            token: answer.access_token,
            token_type: answer.token_type,
            replaced: refused,
        };
        let mut tokens = self.shared_tokens.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        // Tokens of earlier epochs of this connector are of no use to anybody.
        tokens.retain(|(incarnation, ..), _| *incarnation != key.0);
        tokens.insert(key, kept);
        Ok(())
    }

    fn was_replaced(&self, key: Key, refused: Option<[u8; 32]>) -> bool {
        let tokens = self.shared_tokens.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        refused.is_some() && tokens.get(&key).is_some_and(|kept| kept.replaced == refused)
    }
}

fn unobtainable(error: ProviderError) -> TokenError {
    match error {
        ProviderError::ClientRefused
        | ProviderError::NotAllowed
        | ProviderError::BadMetadata
        | ProviderError::InvalidGrant
        | ProviderError::OtherOauthError => TokenError::Misconfigured,
        ProviderError::Throttled { retry_after, .. } => {
            TokenError::Unavailable { retry_after: retry_after.unwrap_or(Duration::from_secs(5)) }
        }
        ProviderError::NotSent | ProviderError::NoResponse | ProviderError::Malformed => {
            TokenError::Unavailable { retry_after: Duration::from_secs(5) }
        }
    }
}
