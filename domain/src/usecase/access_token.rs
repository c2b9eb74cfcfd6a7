//! Handing a user's token to a run: the hot path.
//!
//! One indexed read, then every check anew: privilege, status, epoch, digest, destination. Nothing is cached in clear (R45).

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::authorization::{
    Authorization, AuthorizationId, AuthorizationRecord, GrantSecrets, Reason, RequiredBinding, State, StatusView,
};
use crate::connector::{AuthMode, Connector, ConnectorKey};
use crate::identity::{Actor, Role, UserId};
use crate::ports::{AccessTokenView, AuditKind, StoreError};
use crate::provider::Origin;
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::usecase::audit::{about_connector, about_grant};
use crate::usecase::refresh::{RefreshGoal, RefreshOutcome};
use crate::usecase::{Connections, Denied};

/// Who wants whose token, for which connector, to send it where (R43). All of it comes from trusted host context.
#[derive(Debug, Clone)]
pub struct AccessTokenRequest {
    /// Who asks.
    pub actor: Actor,
    /// For which connector.
    pub connector: ConnectorKey,
    /// Whose token.
    pub user: UserId,
    /// Where it will be sent.
    pub destination: Origin,
}

/// A token that may be used now, once, for the destination it was asked for.
pub struct IssuedAccessToken {
    /// The access token.
    pub token: Secret,
    /// `Bearer`, in the provider's spelling.
    pub token_type: String,
    /// When it lapses; `None` if it does not.
    pub expires_at: Option<Timestamp>,
    /// What to report if the API answers 401.
    pub fingerprint: [u8; 32],
}

/// Why there is no token. The first kind is for the user, the second will pass, the third is for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// No such space or connector for this user.
    #[error("there is no such connector")]
    NotFound,
    /// Not allowed here.
    #[error("this is not allowed")]
    Forbidden,
    /// Tokens of this grant may not be sent there (R43).
    #[error("this destination is not among those consented to")]
    DestinationRefused,
    /// The user must connect.
    #[error("the user must connect ({reason})")]
    AuthorizationRequired {
        /// Why.
        reason: Reason,
    },
    /// The provider or the store does not answer at the moment.
    #[error("the provider does not answer at the moment")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// The operator must repair the connector; the user's status is untouched.
    #[error("the connector is not configured correctly")]
    Misconfigured,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TokenError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::DestinationRefused => "destination_refused",
            Self::AuthorizationRequired { .. } => "authorization_required",
            Self::Unavailable { .. } => "provider_unavailable",
            Self::Misconfigured => "provider_misconfigured",
            Self::Store(_) => "store_unavailable",
        }
    }
}

impl From<Denied> for TokenError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotFound => Self::NotFound,
            Denied::Forbidden | Denied::DirectoryUnavailable => Self::Forbidden,
        }
    }
}

/// What is good enough to be handed out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accept {
    /// Not within the margin before its end.
    Fresh,
    /// Anything that has not lapsed.
    Alive,
}

/// A grant that passed every check, with its opened tokens.
struct Usable {
    id: AuthorizationId,
    record: AuthorizationRecord,
    secrets: GrantSecrets,
    now: Timestamp,
}

impl Connections {
    /// Gives a valid token, renewing it first where needed.
    pub async fn access_token(self: &Arc<Self>, demand: &AccessTokenRequest) -> Result<IssuedAccessToken, TokenError> {
        self.handed_out(demand, None).await
    }

    /// Reports that the API refused a token with 401. Forces at most one renewal per token value (R47), and answers with the
    /// token to retry with, which is never the refused one.
    pub async fn report_unauthorized(
        self: &Arc<Self>,
        demand: &AccessTokenRequest,
        refused: [u8; 32],
    ) -> Result<IssuedAccessToken, TokenError> {
        self.handed_out(demand, Some(refused)).await
    }

    async fn handed_out(
        self: &Arc<Self>,
        demand: &AccessTokenRequest,
        refused: Option<[u8; 32]>,
    ) -> Result<IssuedAccessToken, TokenError> {
        let result = self.find_token(demand, refused).await;
        if let Err(error) = &result
            && let Ok(now) = self.ports.authorizations.now().await
        {
            let kind = AuditKind::AccessTokenRefused;
            let user = Some(&demand.user);
            self.note(about_connector(now, demand.actor.clone(), kind, &demand.connector, user, error.code()), None);
        }
        result
    }

    async fn find_token(
        self: &Arc<Self>,
        demand: &AccessTokenRequest,
        refused: Option<[u8; 32]>,
    ) -> Result<IssuedAccessToken, TokenError> {
        // Only a back end acts for others; what it may do is settled where its key is checked.
        if let Actor::Person(person) = &demand.actor
            && *person != demand.user
        {
            return Err(TokenError::Forbidden);
        }
        self.authorize(&demand.user, &demand.connector.space, Role::Viewer).await?;
        let view = self.view(demand).await?;
        if view.connector.auth_mode == AuthMode::Shared {
            return self.shared_token(&view.connector, demand, refused, view.now).await;
        }
        let usable = self.judge(demand, view).await?;
        let good = |usable: &Usable, accept| {
            refused.is_none_or(|refused| self.fingerprint_of(&usable.secrets.access_token) != refused)
                && acceptable(&usable.secrets, usable.id, usable.now, accept)
        };
        if good(&usable, Accept::Fresh) {
            return Ok(self.give(demand, usable));
        }
        let want = refused.map_or(RefreshGoal::Fresh, RefreshGoal::Replace);
        let renewed = self.renewed(usable.id, want).await;
        // Whatever became of the renewal, the row decides: somebody else may have renewed, or the user disconnected.
        let view = self.view(demand).await?;
        let usable = self.judge(demand, view).await?;
        if good(&usable, Accept::Alive) {
            return Ok(self.give(demand, usable));
        }
        Err(match renewed {
            // RefreshOutcome, and the API refused what came back as well: only the user can help.
            RefreshOutcome::Current if refused.is_some() => {
                TokenError::AuthorizationRequired { reason: Reason::TokenRejected }
            }
            // The grant stands, but what came back has lapsed already, or somebody else changed the row.
            RefreshOutcome::Current | RefreshOutcome::Ended => {
                TokenError::Unavailable { retry_after: Duration::from_secs(1) }
            }
            RefreshOutcome::Unavailable { retry_after } => TokenError::Unavailable { retry_after },
            RefreshOutcome::Misconfigured => TokenError::Misconfigured,
        })
    }

    async fn view(&self, demand: &AccessTokenRequest) -> Result<AccessTokenView, TokenError> {
        let view = self.ports.authorizations.access_token_view(&demand.connector, &demand.user).await?;
        view.filter(|view| view.connector.enabled).ok_or(TokenError::NotFound)
    }

    /// Every check between a row and its token, in the order of what is cheap.
    async fn judge(&self, demand: &AccessTokenRequest, view: AccessTokenView) -> Result<Usable, TokenError> {
        let AccessTokenView { connector, grant, now } = view;
        let required = |reason| TokenError::AuthorizationRequired { reason };
        let (settings, digest) = self.settings_of(&connector).map_err(|_| TokenError::Misconfigured)?;
        let Some(record) = grant else {
            let demands = RequiredBinding { digest, required_scopes: settings.required_scopes };
            return Err(required(self.reason_without_grant(&connector, &demand.user, &demands, now).await?));
        };
        let grant = restored(record.clone())?.at(now);
        let (id, owner) = (grant.id(), grant.owner().clone());
        let authorized = match grant.state() {
            State::Authorized(authorized) => authorized,
            State::Expired(ended) => {
                return Err(required(Reason::of_expiry(ended.cause()).unwrap_or(Reason::NotConnected)));
            }
            State::Initiated(_) | State::AwaitingCallback(_) | State::Revoked(_) => {
                return Err(required(Reason::NotConnected));
            }
        };
        if owner.digest != digest || owner.epoch != connector.epoch || owner.incarnation != connector.incarnation {
            return Err(required(Reason::ConnectorChanged));
        }
        let tokens = authorized.tokens();
        let secrets = match self.open_grant(&owner, id, &tokens.sealed, tokens.revision) {
            Ok(secrets) => secrets,
            Err(failure) => {
                self.note(about_grant(now, Actor::System, AuditKind::OpenFailed, &owner, id, failure.as_str()), None);
                return Err(required(Reason::Undecryptable));
            }
        };
        // Sealed scopes and destinations win over the row's (R76).
        if !secrets.granted_scopes.covers(&settings.required_scopes) {
            return Err(required(Reason::InsufficientScope));
        }
        if !secrets.provider.may_receive(&demand.destination) {
            return Err(TokenError::DestinationRefused);
        }
        Ok(Usable { id, record, secrets, now })
    }

    async fn reason_without_grant(
        &self,
        connector: &Connector,
        user: &UserId,
        demands: &RequiredBinding,
        now: Timestamp,
    ) -> Result<Reason, TokenError> {
        let rows = self.ports.authorizations.statuses(&connector.key.space, Some(connector.key.id.clone()), user).await?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(Reason::NotConnected);
        };
        let former = row.former.map(restored).transpose()?;
        let view = StatusView { connector: connector.clone(), grant: None, former, pending: None };
        Ok(crate::authorization::status(&view, Some(demands), |_| true, now).reason.unwrap_or(Reason::NotConnected))
    }

    fn give(&self, demand: &AccessTokenRequest, usable: Usable) -> IssuedAccessToken {
        let Usable { id, record, secrets, now } = usable;
        let event = about_grant(now, demand.actor.clone(), AuditKind::AccessTokenIssued, &record.owner, id, "ok");
        let used_today = record.last_used_day.is_some_and(|day| day >= now.day());
        self.note(event, (!used_today).then_some((id, now.day())));
        IssuedAccessToken {
            fingerprint: self.fingerprint_of(&secrets.access_token),
            token: secrets.access_token,
            token_type: secrets.token_type,
            expires_at: secrets.expires_at,
        }
    }
}

pub(super) fn restored(record: AuthorizationRecord) -> Result<Authorization, StoreError> {
    Authorization::restore(record)
        .map_err(|violation| StoreError::Inconsistent { table: "authorizations", rule: violation.0 })
}

/// Whether a token may be handed out at an instant. Sealed times, never the row's (R76).
fn acceptable(secrets: &GrantSecrets, id: AuthorizationId, now: Timestamp, accept: Accept) -> bool {
    match (secrets.expires_at, accept) {
        (None, _) => true,
        (Some(expires_at), Accept::Alive) => now < expires_at,
        (Some(expires_at), Accept::Fresh) => now < expires_at.minus(margin(secrets, id)),
    }
}

/// Whether a token needs no renewal yet.
pub(super) fn is_fresh(secrets: &GrantSecrets, id: AuthorizationId, now: Timestamp) -> bool {
    acceptable(secrets, id, now, Accept::Fresh)
}

/// How long before its end a token is renewed: max(30 s, a tenth of its life), at most 5 minutes and never more than half
/// its life, less a jitter of up to a fifth that is fixed per grant (R46). A token that cannot be renewed has no margin.
fn margin(secrets: &GrantSecrets, id: AuthorizationId) -> Duration {
    let Some(expires_at) = secrets.expires_at else {
        return Duration::ZERO;
    };
    if secrets.refresh_token.is_none() {
        return Duration::ZERO;
    }
    let life = expires_at.since(secrets.issued_at);
    let full = (life / 10).clamp(Duration::from_secs(30), Duration::from_mins(5)).min(life / 2);
    let jitter = u32::from(id.random_part()[0]);
    full.saturating_sub((full / 5 / 255) * jitter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::authorization::Revision;
    use crate::connector::{Epoch, ProfileId};
    use crate::provider::{ClientAuthentication, Endpoints, ProviderSnapshot, Scopes};

    fn secrets(issued_at: i64, life_ms: u64) -> GrantSecrets {
        let issued_at = Timestamp::from_millis(issued_at);
        GrantSecrets {
            access_token: Secret::from_text("a"),
            refresh_token: Some(Secret::from_text("r")),
            token_type: "Bearer".to_owned(),
            requested_scopes: Scopes::default(),
            granted_scopes: Scopes::default(),
            issued_at,
            expires_at: Some(issued_at.plus(Duration::from_millis(life_ms))),
            refresh_expires_at: None,
            revision: Revision::FIRST,
            epoch: Epoch::FIRST,
            provider: ProviderSnapshot {
                profile: ProfileId::new(".oauth2").unwrap(),
                issuer: None,
                issuer_in_response: false,
                endpoints: Endpoints::default(),
                client_id: String::new(),
                authentication: ClientAuthentication::None,
                resources: Vec::new(),
                destinations: Vec::new(),
                redirect_uri: String::new(),
                config: "{}".to_owned(),
            },
            account: None,
        }
    }

    proptest! {
        /// T08: for any life and any clock nothing overflows, and nothing is handed out at or after sent + life.
        #[test]
        fn r46_no_token_is_handed_out_after_its_life(issued in any::<i64>(), life in any::<u64>(), now in any::<i64>(), random: [u8; 16]) {
            let secrets = secrets(issued, life);
            let id = AuthorizationId::new(Timestamp::from_millis(0), random);
            let now = Timestamp::from_millis(now);
            let end = secrets.expires_at.unwrap();
            if now >= end {
                prop_assert!(!acceptable(&secrets, id, now, Accept::Alive));
            }
            if acceptable(&secrets, id, now, Accept::Fresh) {
                prop_assert!(acceptable(&secrets, id, now, Accept::Alive));
            }
            let life = end.since(secrets.issued_at);
            prop_assert!(margin(&secrets, id) <= life / 2);
            prop_assert!(margin(&secrets, id) <= Duration::from_mins(5));
        }
    }

    #[test]
    fn r46_the_margin_is_a_tenth_of_the_life_within_bounds() {
        let id = AuthorizationId::new(Timestamp::from_millis(0), [0; 16]);
        let seconds = |life: u64| margin(&secrets(0, life * 1000), id).as_secs();
        assert_eq!(
            (seconds(20), seconds(60), seconds(100), seconds(1_000), seconds(3_600), seconds(86_400)),
            (10, 30, 30, 100, 300, 300)
        );
    }
}
