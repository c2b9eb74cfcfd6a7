//! The five states: one struct with private fields per state, an enum around them.

use std::fmt;

use crate::authorization::cause::{ExpiredCause, RevocationOutcome, RevokedCause};
use crate::provider::Scopes;
use crate::time::Timestamp;

/// A sealed record: ciphertext in the `OTE1` envelope. Opaque here; only a `TokenVault` makes or opens one.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope(pub Vec<u8>);

impl Envelope {
    /// The key id an `OTE1` header names (bytes 8 to 16), for the column that counts envelopes per key.
    pub fn key_id(&self) -> Option<[u8; 8]> {
        self.0.get(8..16)?.try_into().ok()
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({} bytes)", self.0.len())
    }
}

/// SHA-256 of the `state` parameter: the only form in which it is kept (R01).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StateHash(pub [u8; 32]);

/// SHA-256 of the flow cookie's secret (R03).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlowCookieHash(pub [u8; 32]);

/// Counter of a grant's tokens, raised by each refresh: the fence (R38).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision before any token exists.
    pub const NONE: Self = Self(0);
    /// The revision of freshly exchanged tokens.
    pub const FIRST: Self = Self(1);

    /// The next revision.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A flow that is written but whose authorization URL was not yet issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initiated {
    pub(super) deadline: Timestamp,
}

/// A flow whose user is at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwaitingCallback {
    pub(super) state_hash: StateHash,
    pub(super) flow_cookie_hash: FlowCookieHash,
    /// Gone from the record once the flow is consumed (R20).
    pub(super) sealed: Option<Envelope>,
    pub(super) deadline: Timestamp,
    pub(super) consumed_at: Option<Timestamp>,
}

/// A user's grant: tokens that may be handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorized {
    pub(super) tokens: SealedTokens,
    pub(super) since: Timestamp,
    pub(super) last_used_day: i64,
    pub(super) refresh: RefreshState,
}

/// Sealed tokens and the hints about them that queries need. What is sealed inside wins over every hint (R76).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedTokens {
    /// The envelope with the tokens.
    pub sealed: Envelope,
    /// The revision sealed inside.
    pub revision: Revision,
    /// What the provider granted.
    pub scopes: Scopes,
    /// When the access token lapses; `None` if it never does.
    pub expires_at: Option<Timestamp>,
    /// Whether there is a refresh token.
    pub refreshable: bool,
    /// When the refresh token lapses, if that is known.
    pub refresh_expires_at: Option<Timestamp>,
    /// Label of the account at the provider, for people.
    pub account: Option<String>,
}

impl SealedTokens {
    /// The instant from which nothing can bring the access token back: `None` if never.
    pub fn final_expiry(&self) -> Option<Timestamp> {
        let access = self.expires_at?;
        match (self.refreshable, self.refresh_expires_at) {
            (false, _) => Some(access),
            (true, None) => None,
            (true, Some(refresh)) => Some(access.max(refresh)),
        }
    }
}

/// Where the renewal of a grant stands on all nodes: the lease, and the in-doubt mark (R36, R37).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefreshState {
    /// Until when nobody else may ask the provider. After a failed attempt: until when it is not worth asking.
    pub held_until: Option<Timestamp>,
    /// Who holds it: random per attempt.
    pub owner: Option<[u8; 16]>,
    /// Since when it is unknown whether the provider has already rotated the refresh token.
    pub in_doubt_since: Option<Timestamp>,
    /// Failed attempts since the last known outcome.
    pub failed_attempts: u32,
    /// Since when attempts have failed without a dead grant: "connected, provider unreachable since …".
    pub failing_since: Option<Timestamp>,
}

/// An authorization that time, the provider or an edit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    pub(super) cause: ExpiredCause,
    pub(super) end: Termination,
}

/// An authorization that a person, the host or a policy ended, or that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    pub(super) cause: RevokedCause,
    pub(super) end: Termination,
}

/// What both terminal states keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// When it ended.
    pub since: Timestamp,
    /// What it was before.
    pub kind: EndedKind,
}

/// What an ended authorization was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndedKind {
    /// A flow that never became a grant.
    Flow,
    /// A grant.
    Grant {
        /// When it had been authorized.
        authorized_at: Timestamp,
        /// Account label.
        account: Option<String>,
        /// Its tokens at the provider.
        revocation: Revocation,
    },
}

/// Whether tokens are still to be revoked at the provider (R49, R50).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// Owed: the grant's own envelope is kept for the job.
    Pending(PendingRevocation),
    /// Done with; the tokens are gone from the record.
    Completed(RevocationOutcome),
}

/// The tokens a revocation job needs, and how it has fared so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRevocation {
    /// The grant's own envelope.
    pub sealed: Envelope,
    /// The revision sealed inside.
    pub revision: Revision,
    /// A renewal was under way or its outcome unknown: refresh once, then revoke what was received (R49).
    pub in_doubt: bool,
    /// When to try next.
    pub due_at: Timestamp,
    /// Failed tries so far.
    pub attempts: u32,
}

/// The life of one authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Written by start, authorization URL not yet issued.
    Initiated(Initiated),
    /// The authorization URL was issued.
    AwaitingCallback(AwaitingCallback),
    /// The exchange was committed: this is the user's grant.
    Authorized(Authorized),
    /// Over, for a reason in time or at the provider.
    Expired(Expired),
    /// Over, because somebody ended it or it failed.
    Revoked(Revoked),
}

crate::authorization::cause::named!(
    /// The name of a state.
    StateKind {
        /// See [`State::Initiated`].
        Initiated = "initiated",
        /// See [`State::AwaitingCallback`].
        AwaitingCallback = "awaiting_callback",
        /// See [`State::Authorized`].
        Authorized = "authorized",
        /// See [`State::Expired`].
        Expired = "expired",
        /// See [`State::Revoked`].
        Revoked = "revoked",
    }
);

impl State {
    /// The name of this state.
    pub fn kind(&self) -> StateKind {
        match self {
            Self::Initiated(_) => StateKind::Initiated,
            Self::AwaitingCallback(_) => StateKind::AwaitingCallback,
            Self::Authorized(_) => StateKind::Authorized,
            Self::Expired(_) => StateKind::Expired,
            Self::Revoked(_) => StateKind::Revoked,
        }
    }
}

impl AwaitingCallback {
    /// Whether the callback has arrived and the secrets have been taken out.
    pub fn is_consumed(&self) -> bool {
        self.consumed_at.is_some()
    }

    /// The hash of the `state` parameter.
    pub fn state_hash(&self) -> StateHash {
        self.state_hash
    }

    /// The hash of the flow cookie.
    pub fn flow_cookie_hash(&self) -> FlowCookieHash {
        self.flow_cookie_hash
    }
}

impl Authorized {
    /// The sealed tokens.
    pub fn tokens(&self) -> &SealedTokens {
        &self.tokens
    }

    /// When the user consented.
    pub fn authorized_at(&self) -> Timestamp {
        self.since
    }

    /// Day of last use, in days since the Unix epoch.
    pub fn last_used_day(&self) -> i64 {
        self.last_used_day
    }

    /// Where its renewal stands.
    pub fn refresh(&self) -> &RefreshState {
        &self.refresh
    }
}

impl Expired {
    /// Why it ended.
    pub fn cause(&self) -> ExpiredCause {
        self.cause
    }

    /// When, and what it was.
    pub fn termination(&self) -> &Termination {
        &self.end
    }
}

impl Revoked {
    /// Why it ended.
    pub fn cause(&self) -> RevokedCause {
        self.cause
    }

    /// When, and what it was.
    pub fn termination(&self) -> &Termination {
        &self.end
    }
}
