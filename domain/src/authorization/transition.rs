//! The transition function: total, without I/O and without a wildcard arm, so that every pair of state and input is decided
//! explicitly.

use std::time::Duration;

use thiserror::Error;

use crate::authorization::cause::{ExpiredCause, FailureCode, RevocationOutcome, RevokedCause, TerminationCause};
use crate::authorization::kind::StateKind;
use crate::authorization::state::{
    Authorized, AwaitingCallback, EndedKind, Envelope, Expired, FlowCookieHash, Initiated, PendingRevocation, RefreshState,
    Revision, Revocation, Revoked, SealedTokens, State, StateHash, Termination,
};
use crate::authorization::witness::VerifiedCallback;
use crate::identity::Actor;
use crate::provider::Scopes;
use crate::time::Timestamp;

/// A consumed flow that is older than this counts as interrupted: its process has ended.
pub const INTERRUPTED_AFTER: Duration = Duration::from_mins(2);

/// What can happen to an authorization.
#[derive(Debug)]
pub enum Input {
    /// The authorization URL was issued.
    RedirectIssued(RedirectIssued),
    /// The callback arrived from this user and browser: the secrets are removed from the record.
    CallbackConsumed,
    /// The code was exchanged (RFC 6749 §4.1.3). Requires the proof that the callback was verified.
    TokensGranted(VerifiedCallback, SealedTokens),
    /// The code was exchanged, and the provider did not grant a required scope. The tokens are only kept to be revoked.
    ScopesRefused(VerifiedCallback, SealedTokens),
    /// A refresh brought new tokens, of the next revision.
    TokensRefreshed(SealedTokens),
    /// The provider rejected the refresh token (RFC 6749 §5.2).
    RefreshRejected,
    /// The provider refused to refresh for so long that the grant counts as ended. Its tokens may still be valid.
    RefreshRefused,
    /// Applies a deadline that has passed.
    DeadlinePassed,
    /// The access token was rejected or expired and there is no refresh token.
    AccessTokenExpired,
    /// A security-relevant edit of the connector.
    ConnectorChanged,
    /// The flow failed after it was consumed, or before it was issued.
    Failed(FailureCode),
    /// Terminated. `revoke` is false only where revoking would end the account's newer grant as well.
    Terminated {
        /// Why.
        cause: TerminationCause,
        /// Whether the tokens are to be revoked at the provider.
        revoke: bool,
    },
    /// The revocation completed.
    RevocationCompleted(RevocationOutcome),
}

/// What issuing an authorization URL adds to a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectIssued {
    /// SHA-256 of `state`.
    pub state_hash: StateHash,
    /// SHA-256 of the flow cookie.
    pub flow_cookie_hash: FlowCookieHash,
    /// Verifier, provider snapshot and return path, sealed.
    pub sealed: Envelope,
}

/// Why an input does not apply. The state is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// The state has no such transition.
    #[error("not possible in this state")]
    NotPossible(StateKind),
    /// The flow was consumed already.
    #[error("the flow was already used")]
    AlreadyConsumed,
    /// The flow was not consumed yet.
    #[error("the callback has not arrived yet")]
    NotConsumed,
    /// Its deadline has passed.
    #[error("the deadline has passed")]
    TooLate,
    /// No deadline has passed yet.
    #[error("no deadline has passed")]
    NotDue,
    /// The proof or the tokens belong to something else.
    #[error("the proof or the tokens do not belong to this authorization")]
    Foreign,
    /// It has ended; terminal states are final.
    #[error("it has already ended")]
    AlreadyEnded,
    /// No revocation is pending.
    #[error("no revocation is pending")]
    NoRevocationPending,
    /// There is a refresh token, so the expiry of the access token does not end the grant.
    #[error("the grant can be refreshed")]
    Refreshable,
}

impl State {
    /// Applies an input. Total: every pair either leads to a state or is refused with a reason.
    ///
    /// Terminating what is already `Revoked` changes nothing and is no error, so that termination is idempotent.
    pub fn on(self, input: Input, now: Timestamp) -> Result<Self, Refused> {
        match self {
            Self::Initiated(flow) => flow.on(input, now),
            Self::AwaitingCallback(flow) => flow.on(input, now),
            Self::Authorized(grant) => grant.on(input, now),
            Self::Expired(ended) => ended.on(&input, now),
            Self::Revoked(ended) => ended.on(&input),
        }
    }
}

fn ended_flow(cause: RevokedCause, now: Timestamp) -> State {
    State::Revoked(Revoked { cause, end: Termination::new(now, EndedKind::Flow { account: None }) })
}

fn timed_out_flow(now: Timestamp) -> State {
    let end = Termination::new(now, EndedKind::Flow { account: None });
    State::Expired(Expired { cause: ExpiredCause::FlowTimedOut, granted_scopes: Scopes::default(), end })
}

/// Drops tokens that are not valid any more, or that another grant of the same account needs.
fn not_needed(_: PendingRevocation) -> Revocation {
    Revocation::Completed(RevocationOutcome::NotNeeded)
}

impl State {
    /// Whether a deadline has passed that [`Input::DeadlinePassed`] applies.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        match self {
            Self::Initiated(flow) => flow.is_due(now),
            Self::AwaitingCallback(flow) => flow.is_due(now),
            Self::Authorized(grant) => grant.is_due(now),
            Self::Expired(_) | Self::Revoked(_) => false,
        }
    }
}

impl Initiated {
    fn is_due(&self, now: Timestamp) -> bool {
        now >= self.deadline
    }

    fn on(self, input: Input, now: Timestamp) -> Result<State, Refused> {
        let refused = Refused::NotPossible(StateKind::Initiated);
        match input {
            Input::RedirectIssued(issued) => {
                if now >= self.deadline {
                    return Err(Refused::TooLate);
                }
                Ok(State::AwaitingCallback(AwaitingCallback {
                    state_hash: issued.state_hash,
                    flow_cookie_hash: issued.flow_cookie_hash,
                    sealed: Some(issued.sealed),
                    deadline: self.deadline,
                    consumed_at: None,
                }))
            }
            Input::DeadlinePassed if self.is_due(now) => Ok(timed_out_flow(now)),
            Input::DeadlinePassed => Err(Refused::NotDue),
            Input::ConnectorChanged => Ok(ended_flow(RevokedCause::Failed(FailureCode::ConnectorChanged), now)),
            Input::Failed(code) => Ok(ended_flow(RevokedCause::Failed(code), now)),
            Input::Terminated { cause, .. } => Ok(ended_flow(RevokedCause::Terminated(cause), now)),
            Input::CallbackConsumed
            | Input::TokensGranted(..)
            | Input::ScopesRefused(..)
            | Input::TokensRefreshed(_)
            | Input::RefreshRejected
            | Input::RefreshRefused
            | Input::AccessTokenExpired => Err(refused),
            Input::RevocationCompleted(_) => Err(Refused::NoRevocationPending),
        }
    }
}

impl AwaitingCallback {
    fn is_due(&self, now: Timestamp) -> bool {
        now >= self.consumed_at.map_or(self.deadline, |consumed| consumed.plus(INTERRUPTED_AFTER))
    }

    fn on(self, input: Input, now: Timestamp) -> Result<State, Refused> {
        let refused = Refused::NotPossible(StateKind::AwaitingCallback);
        match input {
            Input::CallbackConsumed => match self.consumed_at {
                Some(_) => Err(Refused::AlreadyConsumed),
                None if now >= self.deadline => Err(Refused::TooLate),
                None => Ok(State::AwaitingCallback(Self { sealed: None, consumed_at: Some(now), ..self })),
            },
            Input::TokensGranted(verified, tokens) => Ok(State::Authorized(self.granted(&verified, tokens, now)?)),
            Input::ScopesRefused(verified, tokens) => {
                Ok(self.granted(&verified, tokens, now)?.expire(ExpiredCause::InsufficientScope, Revocation::Pending, now))
            }
            Input::DeadlinePassed if !self.is_due(now) => Err(Refused::NotDue),
            Input::DeadlinePassed => match self.consumed_at {
                None => Ok(timed_out_flow(now)),
                Some(_) => Ok(ended_flow(RevokedCause::Failed(FailureCode::Interrupted), now)),
            },
            Input::ConnectorChanged => Ok(ended_flow(RevokedCause::Failed(FailureCode::ConnectorChanged), now)),
            Input::Failed(code) => Ok(ended_flow(RevokedCause::Failed(code), now)),
            Input::Terminated { cause, .. } => Ok(ended_flow(RevokedCause::Terminated(cause), now)),
            Input::RedirectIssued(_)
            | Input::TokensRefreshed(_)
            | Input::RefreshRejected
            | Input::RefreshRefused
            | Input::AccessTokenExpired => Err(refused),
            Input::RevocationCompleted(_) => Err(Refused::NoRevocationPending),
        }
    }

    /// The grant of an exchanged code, if the proof belongs to this flow.
    fn granted(self, verified: &VerifiedCallback, tokens: SealedTokens, now: Timestamp) -> Result<Authorized, Refused> {
        if self.consumed_at.is_none() {
            return Err(Refused::NotConsumed);
        }
        if !verified.is_for(self.state_hash) || tokens.revision != Revision::FIRST {
            return Err(Refused::Foreign);
        }
        let last_used_day = Authorized::day_before_first_use(now);
        Ok(Authorized { tokens, since: now, last_used_day, refresh: RefreshState::default() })
    }
}

impl Authorized {
    fn is_due(&self, now: Timestamp) -> bool {
        self.tokens.final_expiry().is_some_and(|expiry| now >= expiry)
    }

    fn on(self, input: Input, now: Timestamp) -> Result<State, Refused> {
        let refused = Refused::NotPossible(StateKind::Authorized);
        match input {
            Input::TokensRefreshed(tokens) => {
                if tokens.revision != self.tokens.revision.next() {
                    return Err(Refused::Foreign);
                }
                Ok(State::Authorized(Self { tokens, refresh: RefreshState::default(), ..self }))
            }
            Input::RefreshRejected => Ok(self.expire(ExpiredCause::RefreshRejected, not_needed, now)),
            Input::RefreshRefused => Ok(self.expire(ExpiredCause::RefreshRejected, Revocation::Pending, now)),
            Input::AccessTokenExpired if self.tokens.refreshable => Err(Refused::Refreshable),
            Input::DeadlinePassed if !self.is_due(now) => Err(Refused::NotDue),
            Input::DeadlinePassed if self.tokens.refreshable => {
                Ok(self.expire(ExpiredCause::RefreshTokenExpired, not_needed, now))
            }
            Input::AccessTokenExpired | Input::DeadlinePassed => {
                Ok(self.expire(ExpiredCause::AccessTokenExpired, not_needed, now))
            }
            Input::ConnectorChanged => Ok(self.expire(ExpiredCause::ConnectorChanged, Revocation::Pending, now)),
            Input::Terminated { cause, revoke } => {
                let end = self.end(if revoke { Revocation::Pending } else { not_needed }, now);
                Ok(State::Revoked(Revoked { cause: RevokedCause::Terminated(cause), end }))
            }
            Input::RedirectIssued(_)
            | Input::CallbackConsumed
            | Input::TokensGranted(..)
            | Input::ScopesRefused(..)
            | Input::Failed(_) => Err(refused),
            Input::RevocationCompleted(_) => Err(Refused::NoRevocationPending),
        }
    }

    /// Expires the grant. An edit of the connector, unclear refusals and a refused scope can leave valid tokens, which are then
    /// revoked at the endpoint consented to.
    fn expire(self, cause: ExpiredCause, revocation: fn(PendingRevocation) -> Revocation, now: Timestamp) -> State {
        let is_insufficient = cause == ExpiredCause::InsufficientScope;
        let granted_scopes = if is_insufficient { self.tokens.scopes.clone() } else { Scopes::default() };
        State::Expired(Expired { cause, granted_scopes, end: self.end(revocation, now) })
    }

    fn end(self, revocation: fn(PendingRevocation) -> Revocation, now: Timestamp) -> Termination {
        let pending = PendingRevocation {
            sealed: self.tokens.sealed,
            revision: self.tokens.revision,
            in_doubt: self.refresh.in_doubt_since.is_some(),
            due_at: now,
            attempts: 0,
        };
        let kind = EndedKind::Grant {
            authorized_at: self.since,
            last_used_day: Some(self.last_used_day),
            account: self.tokens.account,
            account_tag: self.tokens.account_tag,
            revocation: revocation(pending),
        };
        Termination::new(now, kind)
    }
}

impl Expired {
    fn on(self, input: &Input, now: Timestamp) -> Result<State, Refused> {
        match input {
            // A user can disconnect a former grant that needs a new consent. A pending revocation continues.
            Input::Terminated { cause, .. } => match self.end.kind {
                EndedKind::Flow { .. } => Err(Refused::AlreadyEnded),
                EndedKind::Grant { .. } => {
                    let end = Termination::new(now, self.end.kind);
                    Ok(State::Revoked(Revoked { cause: RevokedCause::Terminated(*cause), end }))
                }
            },
            Input::RevocationCompleted(outcome) => {
                let end = self.end.complete_revocation(*outcome)?;
                Ok(State::Expired(Self { cause: self.cause, granted_scopes: self.granted_scopes, end }))
            }
            Input::DeadlinePassed => Err(Refused::NotDue),
            Input::RedirectIssued(_)
            | Input::CallbackConsumed
            | Input::TokensGranted(..)
            | Input::ScopesRefused(..)
            | Input::TokensRefreshed(_)
            | Input::RefreshRejected
            | Input::RefreshRefused
            | Input::AccessTokenExpired
            | Input::ConnectorChanged
            | Input::Failed(_) => Err(Refused::AlreadyEnded),
        }
    }
}

impl Revoked {
    fn on(self, input: &Input) -> Result<State, Refused> {
        match input {
            Input::Terminated { .. } => Ok(State::Revoked(self)),
            Input::RevocationCompleted(outcome) => {
                Ok(State::Revoked(Self { cause: self.cause, end: self.end.complete_revocation(*outcome)? }))
            }
            Input::DeadlinePassed => Err(Refused::NotDue),
            Input::RedirectIssued(_)
            | Input::CallbackConsumed
            | Input::TokensGranted(..)
            | Input::ScopesRefused(..)
            | Input::TokensRefreshed(_)
            | Input::RefreshRejected
            | Input::RefreshRefused
            | Input::AccessTokenExpired
            | Input::ConnectorChanged
            | Input::Failed(_) => Err(Refused::AlreadyEnded),
        }
    }
}

impl Termination {
    /// An end by the system, until [`Authorization::ended_by`](super::Authorization::ended_by) names another actor.
    fn new(since: Timestamp, kind: EndedKind) -> Self {
        Self { since, by: Actor::System, kind }
    }

    fn complete_revocation(self, outcome: RevocationOutcome) -> Result<Self, Refused> {
        match self.kind {
            EndedKind::Grant { authorized_at, last_used_day, account, account_tag, revocation: Revocation::Pending(_) } => {
                let revocation = Revocation::Completed(outcome);
                let kind = EndedKind::Grant { authorized_at, last_used_day, account, account_tag, revocation };
                Ok(Self { since: self.since, by: self.by, kind })
            }
            EndedKind::Grant { revocation: Revocation::Completed(_), .. } | EndedKind::Flow { .. } => {
                Err(Refused::NoRevocationPending)
            }
        }
    }
}
