//! Writing authorizations: from start to commit, termination, and default connections.

use async_trait::async_trait;
use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, Authorized, ExpiredCause, Input, State, StateHash, TerminalCause,
};
use grantry_domain::connector::Incarnation;
use grantry_domain::identity::{ConnectionName, UserId};
use grantry_domain::ports::{
    AuditEvent, AuthorizationStore, CallbackKey, CommitOutcome, ConsumeOutcome, ExpectedVersion, InsertOutcome, Obsolete,
    PendingLimits, StoreError, TerminationReport, TerminationRequest, TerminationScope, Versioned, WriteOutcome,
};
use grantry_domain::secret::equal_in_constant_time;
use grantry_domain::time::Timestamp;

use crate::MemoryStore;
use crate::data::{Data, Row, amended};

impl Data {
    fn insert_flow(
        &mut self,
        flow: Authorization,
        limits: PendingLimits,
        audit: Vec<AuditEvent>,
        now: Timestamp,
    ) -> InsertOutcome {
        let owner = flow.owner().clone();
        if let Some(obsolete) = self.obsolete(&owner) {
            return InsertOutcome::Obsolete(obsolete);
        }
        let superseded = |row: &Row| same_connection(row.owner(), &owner) && row.is_unconsumed_flow();
        let (mut of_user, mut of_all) = (0, 0);
        for other in self.rows.values().filter(|row| row.is_running_flow(now) && !superseded(row)) {
            of_all += 1;
            of_user += u32::from(other.owner().user == owner.user);
        }
        if of_user >= limits.per_user || of_all >= limits.deployment {
            return InsertOutcome::TooManyPending;
        }
        self.supersede(superseded, &owner.user, false, now);
        self.rows.insert(flow.id(), Row::new(flow));
        self.outbox.add(audit);
        InsertOutcome::Inserted
    }

    fn replace(&mut self, next: &Authorization, expected: ExpectedVersion, audit: Vec<AuditEvent>) -> WriteOutcome {
        let Some(row) = self.row(next.id()) else { return WriteOutcome::NotFound };
        let stored = row.stored();
        if stored.version != expected {
            return WriteOutcome::Stale(Box::new(stored));
        }
        let day_stored = stored.value.as_grant().and_then(Authorized::last_used_day);
        row.set(amended(next, |record| {
            record.last_used_day = record.last_used_day.map(|day| day_stored.map_or(day, |stored| stored.max(day)));
        }));
        self.outbox.add(audit);
        WriteOutcome::Written
    }

    fn consume(&mut self, key: &CallbackKey, audit: Vec<AuditEvent>, now: Timestamp) -> ConsumeOutcome {
        let found = self.rows.values_mut().find_map(|row| {
            let (_, flow_cookie) = row.callback.filter(|(state, _)| *state == key.state_hash)?;
            Some((row, flow_cookie))
        });
        let Some((row, flow_cookie)) = found else { return ConsumeOutcome::NotFound };
        let stored = Box::new(row.authorization.clone());
        if stored.owner().user != key.user {
            return ConsumeOutcome::UserMismatch(stored);
        }
        if !key.flow_cookies.iter().any(|given| equal_in_constant_time(&given.0, &flow_cookie.0)) {
            return ConsumeOutcome::BrowserMismatch(stored);
        }
        if timed_out(&stored, now) {
            return ConsumeOutcome::Expired(stored);
        }
        let secrets = match stored.state() {
            State::AwaitingCallback(flow) => flow.sealed().cloned(),
            State::Initiated(_) | State::Authorized(_) | State::Expired(_) | State::Revoked(_) => None,
        };
        match secrets {
            Some(secrets) if row.apply(Input::CallbackConsumed, now) => {
                let flow = Box::new(row.stored());
                self.outbox.add(audit);
                ConsumeOutcome::Consumed { flow, secrets }
            }
            Some(_) | None => ConsumeOutcome::AlreadyUsed(stored),
        }
    }

    fn commit_grant(
        &mut self,
        grant: Authorization,
        revoke_superseded: bool,
        audit: Vec<AuditEvent>,
        now: Timestamp,
    ) -> CommitOutcome {
        let owner = grant.owner().clone();
        if let Some(obsolete) = self.obsolete(&owner) {
            return obsolete.into();
        }
        let consumed = |row: &Row| row.is_running_flow(now) && !row.is_unconsumed_flow();
        if !self.rows.get(&grant.id()).is_some_and(consumed) {
            return CommitOutcome::FlowEnded;
        }
        let superseded = |row: &Row| same_connection(row.owner(), &owner) && row.is_authorized();
        self.supersede(superseded, &owner.user, revoke_superseded, now);
        if let Some(row) = self.row(grant.id()) {
            row.set(grant);
        }
        self.outbox.add(audit);
        CommitOutcome::Committed
    }

    fn obsolete(&self, owner: &AuthorizationKey) -> Option<Obsolete> {
        match self.connectors.get(&owner.connector_key()) {
            Some(live) if live.incarnation != owner.incarnation => Some(Obsolete::ConnectorGone),
            Some(live) if live.epoch != owner.epoch => Some(Obsolete::ConnectorChanged),
            Some(_) => self.tombstones.contains_key(&owner.user).then_some(Obsolete::UserGone),
            None => Some(Obsolete::ConnectorGone),
        }
    }

    fn find_by_state(&self, state: StateHash) -> Option<Versioned<Authorization>> {
        let awaits = |row: &&Row| match row.authorization.state() {
            State::AwaitingCallback(flow) => flow.state_hash() == state,
            State::Initiated(_) | State::Authorized(_) | State::Expired(_) | State::Revoked(_) => false,
        };
        self.rows.values().find(awaits).map(Row::stored)
    }

    fn set_default_connection(
        &mut self,
        incarnation: Incarnation,
        user: UserId,
        connection: Option<ConnectionName>,
        audit: Vec<AuditEvent>,
    ) -> bool {
        match connection {
            Some(name) => {
                if !self.grants_of(incarnation, &user).any(|row| row.owner().connection == name) {
                    return false;
                }
                self.defaults.insert((incarnation, user), name);
            }
            None => {
                self.defaults.remove(&(incarnation, user));
            }
        }
        self.outbox.add(audit);
        true
    }
}

/// Whether two authorizations belong to the same connection of the same user.
fn same_connection(left: &AuthorizationKey, right: &AuthorizationKey) -> bool {
    left.incarnation == right.incarnation && left.user == right.user && left.connection == right.connection
}

/// Whether a flow was not consumed before its deadline, swept or not.
fn timed_out(flow: &Authorization, now: Timestamp) -> bool {
    flow.clone().at(now).terminal_cause() == Some(TerminalCause::Expired(ExpiredCause::FlowTimedOut))
}

#[async_trait]
impl AuthorizationStore for MemoryStore {
    async fn insert_flow(
        &self,
        flow: Authorization,
        limits: PendingLimits,
        audit: Vec<AuditEvent>,
    ) -> Result<InsertOutcome, StoreError> {
        Ok(self.transact(|data, now| data.insert_flow(flow, limits, audit, now)))
    }

    async fn replace(
        &self,
        next: Authorization,
        expected: ExpectedVersion,
        audit: Vec<AuditEvent>,
    ) -> Result<WriteOutcome, StoreError> {
        Ok(self.transact(|data, _| data.replace(&next, expected, audit)))
    }

    async fn consume(&self, key: CallbackKey, audit: Vec<AuditEvent>) -> Result<ConsumeOutcome, StoreError> {
        Ok(self.transact(|data, now| data.consume(&key, audit, now)))
    }

    async fn commit_grant(
        &self,
        grant: Authorization,
        revoke_superseded: bool,
        audit: Vec<AuditEvent>,
    ) -> Result<CommitOutcome, StoreError> {
        Ok(self.transact(|data, now| data.commit_grant(grant, revoke_superseded, audit, now)))
    }

    async fn find(&self, id: AuthorizationId) -> Result<Option<Versioned<Authorization>>, StoreError> {
        Ok(self.transact(|data, _| data.rows.get(&id).map(Row::stored)))
    }

    async fn find_by_state(&self, state: StateHash) -> Result<Option<Versioned<Authorization>>, StoreError> {
        Ok(self.transact(|data, _| data.find_by_state(state)))
    }

    async fn terminate(
        &self,
        scope: TerminationScope,
        request: TerminationRequest,
    ) -> Result<TerminationReport, StoreError> {
        Ok(self.transact(|data, now| data.terminate(&scope, &request, now)))
    }

    async fn set_default_connection(
        &self,
        incarnation: Incarnation,
        user: UserId,
        connection: Option<ConnectionName>,
        audit: Vec<AuditEvent>,
    ) -> Result<bool, StoreError> {
        Ok(self.transact(|data, _| data.set_default_connection(incarnation, user, connection, audit)))
    }
}
