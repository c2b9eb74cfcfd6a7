//! The five states: one struct with private fields per state, an enum around them.

use std::fmt;

use crate::authorization::cause::{ExpiredCause, RevocationOutcome, RevokedCause};
use crate::authorization::kind::StateKind;
use crate::identity::Actor;
use crate::provider::Scopes;
use crate::row_tag::RowTag;
use crate::time::Timestamp;

/// A sealed record: ciphertext in the `OTE1` envelope. Only a `TokenVault` seals or opens one.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope(pub Vec<u8>);

impl Envelope {
    /// The key id in the `OTE1` header (bytes 8 to 16), for counting envelopes per key.
    pub fn key_id(&self) -> Option<[u8; 8]> {
        self.0.get(8..16)?.try_into().ok()
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({} bytes)", self.0.len())
    }
}

/// SHA-256 of the `state` parameter (RFC 6749 §4.1.1): the only form stored in clear.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StateHash(pub [u8; 32]);

/// SHA-256 of the flow cookie.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlowCookieHash(pub [u8; 32]);

/// Counter of a grant's tokens, incremented by each refresh; part of the version that writes expect.
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

/// A flow whose authorization URL was not issued yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initiated {
    pub(super) deadline: Timestamp,
}

/// A flow whose user is at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwaitingCallback {
    pub(super) state_hash: StateHash,
    pub(super) flow_cookie_hash: FlowCookieHash,
    /// Removed when the flow is consumed.
    pub(super) sealed: Option<Envelope>,
    pub(super) deadline: Timestamp,
    pub(super) consumed_at: Option<Timestamp>,
}

/// A user's grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorized {
    pub(super) tokens: SealedTokens,
    pub(super) since: Timestamp,
    /// Before the day of `since` while the grant has not been used.
    pub(super) last_used_day: i64,
    pub(super) refresh: RefreshState,
}

/// Sealed tokens and the copies of their attributes that queries need. The sealed values take precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedTokens {
    /// The envelope with the tokens.
    pub sealed: Envelope,
    /// The revision sealed inside.
    pub revision: Revision,
    /// What the provider granted.
    pub scopes: Scopes,
    /// When the access token expires; `None` if it does not.
    pub expires_at: Option<Timestamp>,
    /// Whether there is a refresh token.
    pub refreshable: bool,
    /// When the refresh token expires, if that is known.
    pub refresh_expires_at: Option<Timestamp>,
    /// Label of the account at the provider, for display.
    pub account: Option<String>,
    /// Authenticates the label, also after the envelope was destroyed.
    pub account_tag: Option<RowTag>,
}

impl SealedTokens {
    /// The instant from which neither the access token nor a refresh token is valid; `None` if there is none.
    pub fn final_expiry(&self) -> Option<Timestamp> {
        let access = self.expires_at?;
        match (self.refreshable, self.refresh_expires_at) {
            (false, _) => Some(access),
            (true, None) => None,
            (true, Some(refresh)) => Some(access.max(refresh)),
        }
    }
}

/// The refresh of a grant as all nodes see it: the lease and the in-doubt mark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefreshState {
    /// No other attempt before this instant: the end of a lease, or of the pause after a failed attempt.
    pub held_until: Option<Timestamp>,
    /// The attempt that has the lease: random per attempt.
    pub holder: Option<[u8; 16]>,
    /// Since when it is unknown whether the provider has rotated the refresh token.
    pub in_doubt_since: Option<Timestamp>,
    /// Failed attempts since the last known outcome.
    pub failed_attempts: u32,
    /// Since when attempts have failed without ending the grant.
    pub failing_since: Option<Timestamp>,
    /// Refusals that count towards the end of the grant, since the last success.
    pub refusals: u32,
    /// The first of them.
    pub refused_since: Option<Timestamp>,
    /// HTTP status of the last failure if it was a refusal, counted or not; 0 where there was none.
    pub last_refusal: Option<u16>,
}

/// An authorization ended by time, by the provider or by an edit of the connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    pub(super) cause: ExpiredCause,
    /// What the provider granted, for [`ExpiredCause::InsufficientScope`]; else empty.
    pub(super) granted_scopes: Scopes,
    pub(super) end: Termination,
}

/// An authorization terminated by a user, the host or a policy, or a flow that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    pub(super) cause: RevokedCause,
    pub(super) end: Termination,
}

/// What both terminal states have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// When it ended.
    pub since: Timestamp,
    /// Who ended it; the system where time or the provider did.
    pub by: Actor,
    /// What ended.
    pub kind: EndedKind,
}

/// What an ended authorization had been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndedKind {
    /// A flow that never became a grant.
    Flow {
        /// Label of the account that was used at the provider, where the flow failed because of it.
        account: Option<String>,
    },
    /// A grant.
    Grant {
        /// When it had been authorized.
        authorized_at: Timestamp,
        /// As in the grant; `None` where it was not kept.
        last_used_day: Option<i64>,
        /// Account label.
        account: Option<String>,
        /// As in the grant.
        account_tag: Option<RowTag>,
        /// The revocation of its tokens.
        revocation: Revocation,
    },
}

/// The revocation of tokens at the provider (RFC 7009).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// Not completed: the grant's envelope is stored for the job.
    Pending(PendingRevocation),
    /// Completed; the tokens are not stored any more.
    Completed(RevocationOutcome),
}

/// The tokens that a revocation needs, and its attempts so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRevocation {
    /// The grant's envelope.
    pub sealed: Envelope,
    /// The revision sealed inside.
    pub revision: Revision,
    /// A refresh was in progress or its outcome is unknown: refresh once, then revoke the tokens received.
    pub in_doubt: bool,
    /// When to try next.
    pub due_at: Timestamp,
    /// Failed attempts so far.
    pub attempts: u32,
}

/// The states of an authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Written by start, authorization URL not yet issued.
    Initiated(Initiated),
    /// The authorization URL was issued.
    AwaitingCallback(AwaitingCallback),
    /// The tokens were committed: this is the user's grant.
    Authorized(Authorized),
    /// Ended by time, by the provider or by an edit.
    Expired(Expired),
    /// Terminated, or failed.
    Revoked(Revoked),
}

impl State {
    /// The kind of this state.
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

impl Termination {
    /// When the ended grant had been authorized; `None` for a flow.
    pub fn authorized_at(&self) -> Option<Timestamp> {
        match &self.kind {
            EndedKind::Flow { .. } => None,
            EndedKind::Grant { authorized_at, .. } => Some(*authorized_at),
        }
    }

    /// Day of last use of the ended grant, in days since the Unix epoch; `None` if it was not used.
    pub fn last_used_day(&self) -> Option<i64> {
        match &self.kind {
            EndedKind::Flow { .. } => None,
            EndedKind::Grant { authorized_at, last_used_day, .. } => day_of_use(*last_used_day, *authorized_at),
        }
    }

    /// Account label of the ended grant, or of the account because of which the flow failed.
    pub fn account(&self) -> Option<&str> {
        match &self.kind {
            EndedKind::Flow { account } | EndedKind::Grant { account, .. } => account.as_deref(),
        }
    }

    /// The tag of the account label of the ended grant; `None` for a flow.
    pub fn account_tag(&self) -> Option<RowTag> {
        match &self.kind {
            EndedKind::Flow { .. } => None,
            EndedKind::Grant { account_tag, .. } => *account_tag,
        }
    }

    /// The revocation of the ended grant's tokens; `None` for a flow.
    pub fn revocation(&self) -> Option<&Revocation> {
        match &self.kind {
            EndedKind::Flow { .. } => None,
            EndedKind::Grant { revocation, .. } => Some(revocation),
        }
    }

    /// The revocation that is not completed yet.
    pub fn pending_revocation(&self) -> Option<&PendingRevocation> {
        match self.revocation()? {
            Revocation::Pending(pending) => Some(pending),
            Revocation::Completed(_) => None,
        }
    }

    /// Revision of the tokens that are still stored.
    pub fn revision(&self) -> Revision {
        self.pending_revocation().map_or(Revision::NONE, |pending| pending.revision)
    }
}

/// A stored day of last use that is before the consent means that there was no use.
fn day_of_use(stored: Option<i64>, authorized_at: Timestamp) -> Option<i64> {
    stored.filter(|day| *day >= authorized_at.day())
}

impl Initiated {
    /// When the flow expires.
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }
}

impl AwaitingCallback {
    /// When the flow expires.
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// When the callback consumed the flow.
    pub fn consumed_at(&self) -> Option<Timestamp> {
        self.consumed_at
    }

    /// The flow secrets, until the flow is consumed.
    pub fn sealed(&self) -> Option<&Envelope> {
        self.sealed.as_ref()
    }

    /// Whether a callback consumed the flow.
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

    /// Day of last use, in days since the Unix epoch; `None` before the first use.
    pub fn last_used_day(&self) -> Option<i64> {
        day_of_use(Some(self.last_used_day), self.since)
    }

    /// The later of the day of the consent and the day of last use.
    pub fn idle_since_day(&self) -> i64 {
        self.last_used_day.max(self.since.day())
    }

    /// The stored day of last use of a grant that is committed now.
    pub(super) fn day_before_first_use(now: Timestamp) -> i64 {
        now.day() - 1
    }

    /// The lease and the in-doubt mark.
    pub fn refresh(&self) -> &RefreshState {
        &self.refresh
    }
}

impl Expired {
    /// The cause.
    pub fn cause(&self) -> ExpiredCause {
        self.cause
    }

    /// What the provider granted, where that was less than required.
    pub fn insufficient_scopes(&self) -> Option<&Scopes> {
        (self.cause == ExpiredCause::InsufficientScope).then_some(&self.granted_scopes)
    }

    /// When it ended, and what it had been.
    pub fn termination(&self) -> &Termination {
        &self.end
    }
}

impl Revoked {
    /// The cause.
    pub fn cause(&self) -> RevokedCause {
        self.cause
    }

    /// When it ended, and what it had been.
    pub fn termination(&self) -> &Termination {
        &self.end
    }
}
