//! The aggregate: one authorization from its start to its end, and its state machine.
//!
//! Synchronous values without I/O; the present instant is an argument. Only [`Authorization::start`] and
//! [`Authorization::restore`] make one; stores persist the result of [`Authorization::to_record`].

mod cause;
mod kind;
mod record;
mod sealed;
mod state;
mod status;
mod transition;
mod witness;

#[cfg(test)]
mod table;

use std::fmt;

pub use cause::{ExpiredCause, FailureCode, RevocationOutcome, RevokedCause, TerminalCause, TerminationCause};
pub use kind::StateKind;
pub use record::{AuthorizationRecord, InvariantViolation, RevocationRecord};
pub use sealed::{ClientSecretPayload, FlowSecrets, GrantSecrets, PAYLOAD_VERSION, SealedAccount};
pub use state::{
    Authorized, AwaitingCallback, EndedKind, Envelope, Expired, FlowCookieHash, Initiated, PendingRevocation, RefreshState,
    Revision, Revocation, Revoked, SealedTokens, State, StateHash, Termination,
};
pub use status::{
    ConnectionStatus, ConnectionView, ConnectorStatus, FlowFailure, FlowStatus, PendingFlow, ProviderNote, Reason,
    RequiredBinding, StatusKind, UserAuthStatus, connection_status, connector_status,
};
pub use transition::{INTERRUPTED_AFTER, Input, RedirectIssued, Refused};
pub use witness::VerifiedCallback;

use crate::connector::{ConnectorId, ConnectorKey, Epoch, Incarnation};
use crate::encoding::{base64url, from_base64url};
use crate::identity::{Actor, ConnectionName, SpaceId, UserId};
use crate::provider::BindingDigest;
use crate::time::Timestamp;

/// Id of an authorization: 8 bytes of time, so that new rows cluster, then 16 random bytes. It is the flow id of a flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorizationId([u8; 24]);

impl AuthorizationId {
    /// Makes an id from the current instant and fresh randomness.
    pub fn new(now: Timestamp, random: [u8; 16]) -> Self {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&now.as_millis().max(0).to_be_bytes());
        bytes[8..].copy_from_slice(&random);
        Self(bytes)
    }

    /// An id from its stored bytes.
    pub const fn from_bytes(bytes: [u8; 24]) -> Self {
        Self(bytes)
    }

    /// The bytes, in ascending order of time.
    pub const fn as_bytes(&self) -> &[u8; 24] {
        &self.0
    }

    /// The random part: the record id in the associated data of the grant's envelope.
    pub fn random_part(&self) -> [u8; 16] {
        let mut random = [0; 16];
        random.copy_from_slice(&self.0[8..]);
        random
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Option<Self> {
        from_base64url(text).map(Self)
    }
}

impl fmt::Display for AuthorizationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url(&self.0))
    }
}

impl fmt::Debug for AuthorizationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorizationId({self})")
    }
}

/// The key of an authorization: user, connector, connection name, and the configuration the user consented to. Never
/// changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationKey {
    /// The space.
    pub space: SpaceId,
    /// The connector in that space.
    pub connector: ConnectorId,
    /// Distinguishes the connector from an earlier one with the same id.
    pub incarnation: Incarnation,
    /// Its epoch when the user consented.
    pub epoch: Epoch,
    /// Its binding digest when the user consented.
    pub digest: BindingDigest,
    /// The user.
    pub user: UserId,
    /// The name of the user's connection at this connector.
    pub connection: ConnectionName,
}

impl AuthorizationKey {
    /// Space and id of the connector.
    pub fn connector_key(&self) -> ConnectorKey {
        ConnectorKey { space: self.space.clone(), id: self.connector.clone() }
    }
}

/// One authorization: identity and state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    id: AuthorizationId,
    owner: AuthorizationKey,
    created_at: Timestamp,
    state: State,
}

impl Authorization {
    /// Begins an authorization.
    pub fn start(id: AuthorizationId, owner: AuthorizationKey, now: Timestamp, deadline: Timestamp) -> Self {
        Self { id, owner, created_at: now, state: State::Initiated(Initiated { deadline }) }
    }

    /// The id.
    pub fn id(&self) -> AuthorizationId {
        self.id
    }

    /// The key.
    pub fn owner(&self) -> &AuthorizationKey {
        &self.owner
    }

    /// When it was started.
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// When the user's consent was committed; `None` for flows that never became a grant.
    pub fn authorized_at(&self) -> Option<Timestamp> {
        match &self.state {
            State::Authorized(grant) => Some(grant.authorized_at()),
            State::Expired(ended) => ended.termination().authorized_at(),
            State::Revoked(ended) => ended.termination().authorized_at(),
            State::Initiated(_) | State::AwaitingCallback(_) => None,
        }
    }

    /// The cause of a terminal state.
    pub fn terminal_cause(&self) -> Option<TerminalCause> {
        match &self.state {
            State::Expired(ended) => Some(TerminalCause::Expired(ended.cause())),
            State::Revoked(ended) => Some(TerminalCause::Revoked(ended.cause())),
            State::Initiated(_) | State::AwaitingCallback(_) | State::Authorized(_) => None,
        }
    }

    /// When and in which way it ended.
    pub fn termination(&self) -> Option<&Termination> {
        match &self.state {
            State::Expired(ended) => Some(ended.termination()),
            State::Revoked(ended) => Some(ended.termination()),
            State::Initiated(_) | State::AwaitingCallback(_) | State::Authorized(_) => None,
        }
    }

    /// Whether it is a flow that has ended and never was a grant.
    pub fn has_ended_without_grant(&self) -> bool {
        self.termination().is_some() && self.authorized_at().is_none()
    }

    /// The grant, in the state `Authorized`.
    pub fn as_grant(&self) -> Option<&Authorized> {
        match &self.state {
            State::Authorized(grant) => Some(grant),
            State::Initiated(_) | State::AwaitingCallback(_) | State::Expired(_) | State::Revoked(_) => None,
        }
    }

    /// Whether it is a flow that has not ended.
    pub fn is_flow(&self) -> bool {
        matches!(self.state, State::Initiated(_) | State::AwaitingCallback(_))
    }

    /// Applies an input. A refusal consumes the authorization; clone it first where it is needed afterwards.
    pub fn on(self, input: Input, now: Timestamp) -> Result<Self, Refused> {
        Ok(Self { state: self.state.on(input, now)?, ..self })
    }

    /// The authorization with the actor who ended it; unchanged if it has not ended.
    #[must_use]
    pub fn ended_by(mut self, actor: &Actor) -> Self {
        match &mut self.state {
            State::Expired(ended) => ended.end.by = actor.clone(),
            State::Revoked(ended) => ended.end.by = actor.clone(),
            State::Initiated(_) | State::AwaitingCallback(_) | State::Authorized(_) => {}
        }
        self
    }

    /// The flow with the account that was used at the provider; unchanged if it is no ended flow.
    #[must_use]
    pub fn with_used_account(mut self, label: String) -> Self {
        if let State::Revoked(ended) = &mut self.state
            && let EndedKind::Flow { account } = &mut ended.end.kind
        {
            *account = Some(label);
        }
        self
    }

    /// The authorization at an instant: a passed deadline is applied, whether or not it was swept.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        if !self.is_due(now) {
            return self;
        }
        match self.clone().on(Input::DeadlinePassed, now) {
            Ok(expired) => expired,
            Err(_) => self,
        }
    }

    /// Whether a deadline of it has passed, so that it has ended, whether or not it was swept.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.state.is_due(now)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::connector as test_connector;
