//! The aggregate: one authorization from its start to its end, and its state machine.
//!
//! Synchronous, made of values only, free of outside reasons to fail. The current instant is an argument. The only ways in
//! are [`Authorization::start`] and [`Authorization::restore`]; the only way out to a store is [`Authorization::to_record`].

mod cause;
mod record;
mod sealed;
mod state;
mod status;
mod transition;
mod witness;

#[cfg(test)]
mod table;

use std::fmt;

pub(crate) use cause::cause_names;
pub use cause::{ExpiredCause, FailureCode, RevocationOutcome, RevokedCause, TerminationCause};
pub use record::{AuthorizationRecord, InvariantViolation, RevocationRecord};
pub use sealed::{ClientSecretPayload, FlowSecrets, GrantSecrets, PAYLOAD_VERSION, SealedAccount};
pub use state::{
    Authorized, AwaitingCallback, EndedKind, Envelope, Expired, FlowCookieHash, Initiated, PendingRevocation, RefreshState,
    Revision, Revocation, Revoked, SealedTokens, State, StateHash, StateKind, Termination,
};
pub use status::{
    AuthStatus, FlowFailure, FlowStatus, PendingFlow, ProviderNote, Reason, RequiredBinding, StatusKind, StatusView, status,
};
pub use transition::{INTERRUPTED_AFTER, Input, RedirectIssued, Refused};
pub use witness::VerifiedCallback;

use crate::connector::{ConnectorId, ConnectorKey, Epoch, Incarnation};
use crate::encoding::{base64url, from_base64url};
use crate::identity::{SpaceId, UserId};
use crate::provider::BindingDigest;
use crate::time::Timestamp;

/// Id of an authorization: 8 bytes of time, so that new rows cluster, then 16 random bytes. Called flow id while it is a
/// flow; unguessable in either role.
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

    /// An id from its bytes, as a store keeps them.
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

/// Whose authorization it is, for what, under which configuration. Fixed for its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationKey {
    /// The space.
    pub space: SpaceId,
    /// The connector in that space.
    pub connector: ConnectorId,
    /// Which connector of that id.
    pub incarnation: Incarnation,
    /// Its epoch when the user consented.
    pub epoch: Epoch,
    /// Its binding digest when the user consented.
    pub digest: BindingDigest,
    /// The user.
    pub user: UserId,
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

    /// Its id.
    pub fn id(&self) -> AuthorizationId {
        self.id
    }

    /// Whose it is, and for what.
    pub fn owner(&self) -> &AuthorizationKey {
        &self.owner
    }

    /// When it was started.
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// Its state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Applies an input; on refusal the authorization is gone, so clone or restore it first where that matters.
    pub fn on(self, input: Input, now: Timestamp) -> Result<Self, Refused> {
        Ok(Self { state: self.state.on(input, now)?, ..self })
    }

    /// The authorization as it is at an instant: a passed deadline is applied, so correctness never waits for the sweeper.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        match self.clone().on(Input::DeadlinePassed, now) {
            Ok(lapsed) => lapsed,
            Err(_) => self,
        }
    }
}

#[cfg(test)]
mod tests;
