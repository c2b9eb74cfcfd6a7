//! Persistence: the flat record of an authorization, for stores and their contract tests, and the checked way back.

use thiserror::Error;

use crate::authorization::cause::{ExpiredCause, RevocationOutcome, RevokedCause, TerminalCause};
use crate::authorization::kind::StateKind;
use crate::authorization::state::{
    Authorized, AwaitingCallback, EndedKind, Envelope, Expired, FlowCookieHash, Initiated, PendingRevocation, RefreshState,
    Revision, Revocation, Revoked, SealedTokens, State, StateHash, Termination,
};
use crate::authorization::{Authorization, AuthorizationId, AuthorizationKey};
use crate::identity::Actor;
use crate::provider::Scopes;
use crate::row_tag::RowTag;
use crate::time::Timestamp;

/// One authorization as stores persist it: a column for each field. Which fields are set depends on `state`;
/// [`Authorization::restore`] checks that. Use cases work with [`Authorization`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationRecord {
    /// Id.
    pub id: AuthorizationId,
    /// User, connector, connection and the configuration consented to.
    pub owner: AuthorizationKey,
    /// When it was started.
    pub created_at: Timestamp,
    /// The kind of its state.
    pub state: StateKind,
    /// Cause of a terminal state.
    pub cause: Option<TerminalCause>,
    /// When a terminal state was entered.
    pub since: Option<Timestamp>,
    /// Who caused a terminal state.
    pub ended_by: Option<Actor>,
    /// Deadline of a flow.
    pub deadline: Option<Timestamp>,
    /// Hash of `state`, awaiting callback only.
    pub state_hash: Option<StateHash>,
    /// Hash of the flow cookie, awaiting callback only.
    pub flow_cookie_hash: Option<FlowCookieHash>,
    /// When the callback consumed the flow.
    pub consumed_at: Option<Timestamp>,
    /// Flow secrets, tokens, or tokens whose revocation is pending.
    pub sealed: Option<Envelope>,
    /// Revision of the tokens; 0 while there are none.
    pub revision: Revision,
    /// Granted scopes of a grant, and of an attempt that ended with `insufficient_scope`.
    pub scopes: Scopes,
    /// When the access token expires.
    pub expires_at: Option<Timestamp>,
    /// Whether there is a refresh token.
    pub refreshable: bool,
    /// When the refresh token expires.
    pub refresh_expires_at: Option<Timestamp>,
    /// Account label of a grant or former grant.
    pub account: Option<String>,
    /// Authenticates the label of a grant or former grant.
    pub account_tag: Option<RowTag>,
    /// When the user's consent was committed; set exactly for grants and former grants.
    pub authorized_at: Option<Timestamp>,
    /// Day of last use, in days since the Unix epoch; before the day of `authorized_at` while there was no use. Not part of
    /// the version.
    pub last_used_day: Option<i64>,
    /// Lease and in-doubt mark; not part of the version.
    pub refresh: RefreshState,
    /// State of the revocation of a former grant.
    pub revocation: Option<RevocationRecord>,
}

/// The revocation columns of a former grant. While it is pending, the tokens are in [`AuthorizationRecord::sealed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationRecord {
    /// Not completed.
    Pending {
        /// Refresh once before revoking.
        in_doubt: bool,
        /// When to try next.
        due_at: Timestamp,
        /// Failed attempts so far.
        attempts: u32,
    },
    /// Completed.
    Completed(RevocationOutcome),
}

/// A record that this program cannot have written. Names the broken rule, never a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("stored authorization is inconsistent: {0}")]
pub struct InvariantViolation(pub &'static str);

impl Authorization {
    /// The record of this authorization.
    pub fn to_record(&self) -> AuthorizationRecord {
        let blank = AuthorizationRecord {
            id: self.id,
            owner: self.owner.clone(),
            created_at: self.created_at,
            state: self.state.kind(),
            cause: None,
            since: None,
            ended_by: None,
            deadline: None,
            state_hash: None,
            flow_cookie_hash: None,
            consumed_at: None,
            sealed: None,
            revision: Revision::NONE,
            scopes: Scopes::default(),
            expires_at: None,
            refreshable: false,
            refresh_expires_at: None,
            account: None,
            account_tag: None,
            authorized_at: None,
            last_used_day: None,
            refresh: RefreshState::default(),
            revocation: None,
        };
        match &self.state {
            State::Initiated(flow) => AuthorizationRecord { deadline: Some(flow.deadline), ..blank },
            State::AwaitingCallback(flow) => AuthorizationRecord {
                deadline: Some(flow.deadline),
                state_hash: Some(flow.state_hash),
                flow_cookie_hash: Some(flow.flow_cookie_hash),
                consumed_at: flow.consumed_at,
                sealed: flow.sealed.clone(),
                ..blank
            },
            State::Authorized(grant) => AuthorizationRecord {
                sealed: Some(grant.tokens.sealed.clone()),
                revision: grant.tokens.revision,
                scopes: grant.tokens.scopes.clone(),
                expires_at: grant.tokens.expires_at,
                refreshable: grant.tokens.refreshable,
                refresh_expires_at: grant.tokens.refresh_expires_at,
                account: grant.tokens.account.clone(),
                account_tag: grant.tokens.account_tag,
                authorized_at: Some(grant.since),
                last_used_day: Some(grant.last_used_day),
                refresh: grant.refresh.clone(),
                ..blank
            },
            State::Expired(ended) => AuthorizationRecord {
                scopes: ended.granted_scopes.clone(),
                ..blank.ended(TerminalCause::Expired(ended.cause), &ended.end)
            },
            State::Revoked(ended) => blank.ended(TerminalCause::Revoked(ended.cause), &ended.end),
        }
    }

    /// Reads a record back, checking every rule a stored authorization must obey.
    pub fn restore(record: AuthorizationRecord) -> Result<Self, InvariantViolation> {
        let state = match record.state {
            StateKind::Initiated => {
                let deadline = required(record.deadline, "a flow has a deadline")?;
                forbidden(record.sealed.is_some(), "an initiated flow has no secrets yet")?;
                State::Initiated(Initiated { deadline })
            }
            StateKind::AwaitingCallback => State::AwaitingCallback(awaiting(&record)?),
            StateKind::Authorized => State::Authorized(authorized(&record)?),
            StateKind::Expired => State::Expired(expired(&record)?),
            StateKind::Revoked => State::Revoked(revoked(&record)?),
        };
        Ok(Self { id: record.id, owner: record.owner, created_at: record.created_at, state })
    }
}

impl AuthorizationRecord {
    fn ended(self, cause: TerminalCause, end: &Termination) -> Self {
        let ended = Self { cause: Some(cause), since: Some(end.since), ended_by: Some(end.by.clone()), ..self };
        match &end.kind {
            EndedKind::Flow { account } => Self { account: account.clone(), ..ended },
            EndedKind::Grant { authorized_at, last_used_day, account, account_tag, revocation } => {
                let (sealed, revision, revocation) = match revocation {
                    Revocation::Pending(pending) => (
                        Some(pending.sealed.clone()),
                        pending.revision,
                        RevocationRecord::Pending {
                            in_doubt: pending.in_doubt,
                            due_at: pending.due_at,
                            attempts: pending.attempts,
                        },
                    ),
                    Revocation::Completed(outcome) => (None, Revision::NONE, RevocationRecord::Completed(*outcome)),
                };
                Self {
                    authorized_at: Some(*authorized_at),
                    last_used_day: *last_used_day,
                    account: account.clone(),
                    account_tag: *account_tag,
                    sealed,
                    revision,
                    revocation: Some(revocation),
                    ..ended
                }
            }
        }
    }
}

fn awaiting(record: &AuthorizationRecord) -> Result<AwaitingCallback, InvariantViolation> {
    let consumed = record.consumed_at.is_some();
    forbidden(consumed && record.sealed.is_some(), "a consumed flow has no secrets left")?;
    forbidden(!consumed && record.sealed.is_none(), "a flow awaiting its callback has its secrets")?;
    Ok(AwaitingCallback {
        state_hash: required(record.state_hash, "a flow awaiting its callback has a state hash")?,
        flow_cookie_hash: required(record.flow_cookie_hash, "a flow awaiting its callback is bound to a browser")?,
        sealed: record.sealed.clone(),
        deadline: required(record.deadline, "a flow has a deadline")?,
        consumed_at: record.consumed_at,
    })
}

fn authorized(record: &AuthorizationRecord) -> Result<Authorized, InvariantViolation> {
    forbidden(record.revision == Revision::NONE, "a grant has a token revision")?;
    forbidden(record.cause.is_some(), "a grant has no cause")?;
    let refresh = &record.refresh;
    forbidden((refresh.refusals > 0) != refresh.refused_since.is_some(), "counted refusals have a first instant")?;
    Ok(Authorized {
        tokens: SealedTokens {
            sealed: required(record.sealed.clone(), "a grant has tokens")?,
            revision: record.revision,
            scopes: record.scopes.clone(),
            expires_at: record.expires_at,
            refreshable: record.refreshable,
            refresh_expires_at: record.refresh_expires_at,
            account: record.account.clone(),
            account_tag: record.account_tag,
        },
        since: required(record.authorized_at, "a grant has a time of consent")?,
        last_used_day: required(record.last_used_day, "a grant has a day of last use")?,
        refresh: record.refresh.clone(),
    })
}

fn expired(record: &AuthorizationRecord) -> Result<Expired, InvariantViolation> {
    let Some(TerminalCause::Expired(cause)) = record.cause else {
        return Err(InvariantViolation("an expired authorization has a cause of its state"));
    };
    let end = end(record)?;
    let of_flow = cause == ExpiredCause::FlowTimedOut;
    forbidden(of_flow != end.authorized_at().is_none(), "only flows expire with flow_timed_out, and with no other cause")?;
    let is_insufficient = cause == ExpiredCause::InsufficientScope;
    let granted_scopes = if is_insufficient { record.scopes.clone() } else { Scopes::default() };
    Ok(Expired { cause, granted_scopes, end })
}

fn revoked(record: &AuthorizationRecord) -> Result<Revoked, InvariantViolation> {
    let Some(TerminalCause::Revoked(cause)) = record.cause else {
        return Err(InvariantViolation("a revoked authorization has a cause of its state"));
    };
    let end = end(record)?;
    let failed = matches!(cause, RevokedCause::Failed(_));
    forbidden(failed && end.authorized_at().is_some(), "only flows fail")?;
    Ok(Revoked { cause, end })
}

fn end(record: &AuthorizationRecord) -> Result<Termination, InvariantViolation> {
    let since = required(record.since, "a terminal state has a time")?;
    let by = required(record.ended_by.clone(), "a terminal state has an actor")?;
    let kind = match (&record.revocation, record.authorized_at) {
        (None, None) => {
            forbidden(record.sealed.is_some(), "an ended flow has no secrets left")?;
            EndedKind::Flow { account: record.account.clone() }
        }
        (Some(revocation), Some(authorized_at)) => EndedKind::Grant {
            authorized_at,
            last_used_day: record.last_used_day,
            account: record.account.clone(),
            account_tag: record.account_tag,
            revocation: self::revocation(record, revocation)?,
        },
        (None, Some(_)) | (Some(_), None) => {
            return Err(InvariantViolation("a former grant has a time of consent and a revocation state"));
        }
    };
    Ok(Termination { since, by, kind })
}

fn revocation(record: &AuthorizationRecord, revocation: &RevocationRecord) -> Result<Revocation, InvariantViolation> {
    match revocation {
        RevocationRecord::Pending { in_doubt, due_at, attempts } => Ok(Revocation::Pending(PendingRevocation {
            sealed: required(record.sealed.clone(), "a pending revocation has its tokens")?,
            revision: record.revision,
            in_doubt: *in_doubt,
            due_at: *due_at,
            attempts: *attempts,
        })),
        RevocationRecord::Completed(outcome) => {
            forbidden(record.sealed.is_some(), "a completed revocation has no tokens")?;
            Ok(Revocation::Completed(*outcome))
        }
    }
}

fn required<T>(value: Option<T>, rule: &'static str) -> Result<T, InvariantViolation> {
    value.ok_or(InvariantViolation(rule))
}

fn forbidden(broken: bool, rule: &'static str) -> Result<(), InvariantViolation> {
    if broken { Err(InvariantViolation(rule)) } else { Ok(()) }
}
