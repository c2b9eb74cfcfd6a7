//! The table of authorizations.

use std::cmp::Ordering;
use std::time::Duration;

use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, AuthorizationRecord, EndedKind, FlowCookieHash, INTERRUPTED_AFTER,
    Input, InvariantViolation, Revocation, State, StateHash, Termination,
};
use grantry_domain::connector::{ConnectorKey, Incarnation};
use grantry_domain::identity::{SpaceId, UserId};
use grantry_domain::ports::{AuthorizationFilter, ClientSecretKey, LeftOut, StoreError, SweepPolicy, Versioned};
use grantry_domain::time::Timestamp;

use crate::{Record, Selection};

/// The claim of a worker on a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The worker.
    pub worker: [u8; 16],
    /// The end of the claim.
    pub until: Timestamp,
}

/// The key by which a callback finds its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredCallback {
    /// The hash of the `state`.
    pub state_hash: StateHash,
    /// The hash of the flow cookie.
    pub flow_cookie_hash: FlowCookieHash,
}

/// An authorization and what is stored beside it. A database stores [`Authorization::to_record`] in columns, and reads with
/// [`Authorization::restore`]. `callback` and `claim` have further columns: the record does not contain them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationRow {
    /// The authorization.
    pub authorization: Authorization,
    /// The key by which a callback finds it. It stays when the state no longer contains it, so that a replayed callback can
    /// be distinguished from an unknown one.
    pub callback: Option<StoredCallback>,
    /// The claim on its revocation.
    pub claim: Option<Claim>,
}

impl Record for AuthorizationRow {
    type Key = AuthorizationId;
    type Selection = AuthorizationSelection;

    fn key(&self) -> AuthorizationId {
        self.authorization.id()
    }
}

impl AuthorizationRow {
    pub(crate) fn new(authorization: Authorization) -> Self {
        Self { callback: callback_key(&authorization), authorization, claim: None }
    }

    pub(crate) fn owner(&self) -> &AuthorizationKey {
        self.authorization.owner()
    }

    pub(crate) fn stored(&self) -> Versioned<Authorization> {
        Versioned::stored(self.authorization.clone())
    }

    pub(crate) fn set(&mut self, next: Authorization) {
        self.callback = callback_key(&next).or(self.callback);
        self.authorization = next;
    }

    /// Applies an input. Returns false, without a change, if the state refuses it.
    pub(crate) fn apply(&mut self, input: Input, now: Timestamp) -> bool {
        match self.authorization.clone().on(input, now) {
            Ok(next) => {
                self.authorization = next;
                true
            }
            Err(_refused) => false,
        }
    }

    /// Changes columns that the state machine does not decide on: lease, in-doubt mark, day of last use, and the attempts of
    /// a revocation.
    pub(crate) fn amend(&mut self, change: impl FnOnce(&mut AuthorizationRecord)) -> Result<(), StoreError> {
        let mut record = self.authorization.to_record();
        change(&mut record);
        self.authorization = Authorization::restore(record).map_err(|InvariantViolation(rule)| self.inconsistent(rule))?;
        Ok(())
    }

    /// This record breaks a rule. It has no sequence number; the first bytes of its id are the instant at which it was made,
    /// which finds it.
    pub(crate) fn inconsistent(&self, rule: &'static str) -> StoreError {
        let made_at = self.key().as_bytes().first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
        StoreError::Inconsistent { table: "authorizations", row: made_at, rule }
    }

    /// Whether it is a flow that has neither timed out nor been interrupted at this instant, swept or not.
    pub(crate) fn is_running_flow(&self, now: Timestamp) -> bool {
        self.authorization.is_flow() && !self.authorization.is_due(now)
    }

    /// Whether it is a flow whose callback has not arrived.
    pub(crate) fn is_unconsumed_flow(&self) -> bool {
        match self.authorization.state() {
            State::Initiated(_) => true,
            State::AwaitingCallback(flow) => !flow.is_consumed(),
            State::Authorized(_) | State::Expired(_) | State::Revoked(_) => false,
        }
    }

    pub(crate) fn is_grant(&self) -> bool {
        self.authorization.as_grant().is_some()
    }

    /// Whether the user consented: it is or was a grant.
    pub(crate) fn is_consented(&self) -> bool {
        self.authorization.authorized_at().is_some()
    }

    /// The access token's expiry, of a grant with a refresh token.
    fn refreshable_until(&self) -> Option<Timestamp> {
        let tokens = self.authorization.as_grant()?.tokens();
        tokens.expires_at.filter(|_| tokens.refreshable)
    }

    /// When its pending revocation is due.
    pub(crate) fn revocation_due_at(&self) -> Option<Timestamp> {
        Some(self.authorization.termination()?.pending_revocation()?.due_at)
    }

    /// Whether its tokens are to be revoked, or may still be received by an exchange or a refresh that was in progress when it
    /// ended.
    fn may_need_revocation(&self, at: Timestamp) -> bool {
        self.authorization
            .termination()
            .is_none_or(|end| end.pending_revocation().is_some() || at < end.since.plus(INTERRUPTED_AFTER))
    }
}

fn callback_key(authorization: &Authorization) -> Option<StoredCallback> {
    match authorization.state() {
        State::AwaitingCallback(flow) => {
            Some(StoredCallback { state_hash: flow.state_hash(), flow_cookie_hash: flow.flow_cookie_hash() })
        }
        State::Initiated(_) | State::Authorized(_) | State::Expired(_) | State::Revoked(_) => None,
    }
}

/// Selections of authorizations. In the order of their ids, oldest first, unless another one is given. The columns are those of
/// [`AuthorizationRecord`]; a grant is a record in the state `Authorized`.
/// [`Selection`] documents what a database does with one that it does not implement.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthorizationSelection {
    /// The one with this state hash in [`AuthorizationRow::callback`].
    Callback(StateHash),
    /// Flows that are not over at an instant: `Initiated` before their deadline, `AwaitingCallback` before their deadline,
    /// or less than [`INTERRUPTED_AFTER`] after they were consumed.
    RunningFlows {
        /// The instant.
        at: Timestamp,
        /// Only of this user.
        user: Option<UserId>,
    },
    /// Those of a user at one incarnation of a connector.
    OfUserAt(Incarnation, UserId),
    /// Those of a user.
    OfUser(UserId),
    /// Those of a space.
    OfSpace(SpaceId),
    /// Those of all incarnations of a connector.
    OfConnector(ConnectorKey),
    /// Those of one incarnation of a connector.
    OfIncarnation(Incarnation),
    /// The grants at one incarnation of a connector.
    GrantsAt(Incarnation),
    /// Those that may need a client secret for a revocation at an instant: with its incarnation and epoch, and not ended, ended
    /// less than [`INTERRUPTED_AFTER`] ago, or with a pending revocation.
    NeedsSecret {
        /// The secret.
        key: ClientSecretKey,
        /// The instant.
        at: Timestamp,
    },
    /// Pending revocations that can be claimed, by the instant at which they are due, then by id.
    Claimable(Box<ClaimableRevocations>),
    /// Those of a space that are or were grants, newest first.
    Listed {
        /// The space.
        space: SpaceId,
        /// Further conditions.
        filter: AuthorizationFilter,
        /// Only those with a lower id.
        before: Option<AuthorizationId>,
    },
    /// Grants, by user, space and id.
    Holders {
        /// Only those of a higher pair.
        after: Option<(UserId, SpaceId)>,
    },
    /// Those that are or were grants, by user and id.
    Users {
        /// Only those of a higher user id.
        after: Option<UserId>,
    },
    /// Grants with a refresh token whose access token expires before an instant, and that were used (or, if never, consented to)
    /// on or after a day since the Unix epoch. By expiry, then by id.
    Expiring {
        /// The day.
        used_since_day: i64,
        /// The instant.
        before: Timestamp,
    },
    /// Those that a sweep ends or removes at an instant: flows that are over, grants past
    /// [`final_expiry`](grantry_domain::authorization::SealedTokens::final_expiry), grants last used (or, if never, consented to)
    /// before the day of `at - unused_grants`, and ended ones without a pending revocation whose retention has passed.
    Due {
        /// The retention. Its `batch` is no condition.
        policy: SweepPolicy,
        /// The instant.
        at: Timestamp,
    },
    /// Those with an envelope.
    Sealed,
}

impl Selection<AuthorizationRow> for AuthorizationSelection {
    fn selects(&self, row: &AuthorizationRow) -> bool {
        let owner = row.owner();
        match self {
            Self::Callback(state) => row.callback.is_some_and(|stored| stored.state_hash == *state),
            Self::RunningFlows { at, user } => {
                row.is_running_flow(*at) && user.as_ref().is_none_or(|user| owner.user == *user)
            }
            Self::OfUserAt(incarnation, user) => owner.incarnation == *incarnation && owner.user == *user,
            Self::OfUser(user) => owner.user == *user,
            Self::OfSpace(space) => owner.space == *space,
            Self::OfConnector(key) => owner.space == key.space && owner.connector == key.id,
            Self::OfIncarnation(incarnation) => owner.incarnation == *incarnation,
            Self::GrantsAt(incarnation) => owner.incarnation == *incarnation && row.is_grant(),
            Self::NeedsSecret { key, at } => {
                (owner.incarnation, owner.epoch) == (key.incarnation, key.epoch) && row.may_need_revocation(*at)
            }
            Self::Claimable(claimable) => claimable.selects_row(row),
            Self::Listed { space, filter, before } => {
                row.is_consented()
                    && owner.space == *space
                    && filter.connector.as_ref().is_none_or(|connector| owner.connector == *connector)
                    && filter.user.as_ref().is_none_or(|user| owner.user == *user)
                    && filter.state.is_none_or(|state| row.authorization.state().kind() == state)
                    && before.is_none_or(|before| row.authorization.id() < before)
            }
            Self::Holders { after } => {
                let later = |(user, space): &(UserId, SpaceId)| (&owner.user, &owner.space) > (user, space);
                row.is_grant() && after.as_ref().is_none_or(later)
            }
            Self::Users { after } => row.is_consented() && after.as_ref().is_none_or(|after| owner.user > *after),
            Self::Expiring { used_since_day, before } => {
                let in_use = row.authorization.as_grant().is_some_and(|grant| grant.idle_since_day() >= *used_since_day);
                in_use && row.refreshable_until().is_some_and(|expiry| expiry < *before)
            }
            Self::Due { policy, at } => SweepAction::of(row, *policy, *at).is_some(),
            Self::Sealed => row.authorization.to_record().sealed.is_some(),
        }
    }

    fn compare(&self, left: &AuthorizationRow, right: &AuthorizationRow) -> Ordering {
        let (first, second) = (left.owner(), right.owner());
        let order = match self {
            Self::Listed { .. } => return right.key().cmp(&left.key()),
            Self::Claimable(_) => left.revocation_due_at().cmp(&right.revocation_due_at()),
            Self::Holders { .. } => (&first.user, &first.space).cmp(&(&second.user, &second.space)),
            Self::Users { .. } => first.user.cmp(&second.user),
            Self::Expiring { .. } => left.refreshable_until().cmp(&right.refreshable_until()),
            Self::Callback(_)
            | Self::RunningFlows { .. }
            | Self::OfUserAt(..)
            | Self::OfUser(_)
            | Self::OfSpace(_)
            | Self::OfConnector(_)
            | Self::OfIncarnation(_)
            | Self::GrantsAt(_)
            | Self::NeedsSecret { .. }
            | Self::Due { .. }
            | Self::Sealed => Ordering::Equal,
        };
        order.then_with(|| left.key().cmp(&right.key()))
    }

    fn leaves_out_unreadable(&self) -> bool {
        match self {
            // A client secret that only such a record needs is destroyed: the tokens to revoke cannot be read.
            Self::RunningFlows { .. }
            | Self::NeedsSecret { .. }
            | Self::Claimable(_)
            | Self::Holders { .. }
            | Self::Users { .. }
            | Self::Expiring { .. }
            | Self::Due { .. } => true,
            // A key that seals a record stays in use, even if the rest of the record cannot be read.
            Self::Sealed
            | Self::Callback(_)
            | Self::OfUserAt(..)
            | Self::OfUser(_)
            | Self::OfSpace(_)
            | Self::OfConnector(_)
            | Self::OfIncarnation(_)
            | Self::GrantsAt(_)
            | Self::Listed { .. } => false,
        }
    }
}

/// Which pending revocations a worker can claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimableRevocations {
    /// The present instant: due until now, and not claimed beyond it.
    pub now: Timestamp,
    /// The end of the new claim. A claim that ends later is implausible, the result of a clock that was set back, and does not
    /// block.
    pub until: Timestamp,
    /// One that is due later than this from now was postponed before the clock was set back, and is due. One that has been
    /// pending for this long is claimed even if it is left out.
    pub longest_pause: Duration,
    /// The digests and users that are left out.
    pub left_out: LeftOut,
}

impl ClaimableRevocations {
    fn selects_row(&self, row: &AuthorizationRow) -> bool {
        let since = row.authorization.termination().map(|end| end.since);
        let pending = row.revocation_due_at().zip(since);
        pending.is_some_and(|(due_at, since)| self.selects(due_at, row.claim, since, row.owner()))
    }

    /// Whether a revocation can be claimed that is due at an instant, has this claim, and is pending since an instant.
    pub(crate) fn selects(
        &self,
        due_at: Timestamp,
        claim: Option<Claim>,
        since: Timestamp,
        owner: &AuthorizationKey,
    ) -> bool {
        let is_due = due_at <= self.now || due_at > self.now.plus(self.longest_pause);
        let is_free = claim.is_none_or(|held| held.until <= self.now || held.until > self.until);
        let is_left_out = self.left_out.digests.contains(&owner.digest) || self.left_out.users.contains(&owner.user);
        is_due && is_free && (!is_left_out || since <= self.now.minus(self.longest_pause))
    }
}

/// What a sweep does with a row.
#[derive(Clone, Copy)]
pub(crate) enum SweepAction {
    TimeOut,
    Interrupt,
    Expire,
    TerminateUnused,
    Remove,
}

impl SweepAction {
    pub(crate) fn of(row: &AuthorizationRow, policy: SweepPolicy, now: Timestamp) -> Option<Self> {
        let over = !row.is_running_flow(now);
        match row.authorization.state() {
            State::AwaitingCallback(flow) if flow.is_consumed() => over.then_some(Self::Interrupt),
            State::Initiated(_) | State::AwaitingCallback(_) => over.then_some(Self::TimeOut),
            State::Authorized(grant) if grant.tokens().final_expiry().is_some_and(|expiry| now >= expiry) => {
                Some(Self::Expire)
            }
            State::Authorized(grant) => {
                (grant.idle_since_day() < now.minus(policy.unused_grants).day()).then_some(Self::TerminateUnused)
            }
            State::Expired(ended) => removal(ended.termination(), policy, now),
            State::Revoked(ended) => removal(ended.termination(), policy, now),
        }
    }
}

fn removal(end: &Termination, policy: SweepPolicy, now: Timestamp) -> Option<SweepAction> {
    let retention = match end.kind {
        EndedKind::Flow { .. } => policy.ended_flows,
        EndedKind::Grant { revocation: Revocation::Completed(_), .. } => policy.ended_grants,
        EndedKind::Grant { revocation: Revocation::Pending(_), .. } => return None,
    };
    (now >= end.since.plus(retention)).then_some(SweepAction::Remove)
}
