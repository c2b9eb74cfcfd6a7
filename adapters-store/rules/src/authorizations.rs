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

use crate::transaction::Transaction;
use crate::{AuthorizationRow, AuthorizationSelection, ConnectorRow, Database, DefaultConnection, TableStore, Tombstone};

impl Transaction<'_> {
    fn insert_flow(
        &mut self,
        flow: Authorization,
        limits: PendingLimits,
        audit: Vec<AuditEvent>,
    ) -> Result<InsertOutcome, StoreError> {
        let owner = flow.owner().clone();
        if let Some(obsolete) = self.obsolete(&owner)? {
            return Ok(InsertOutcome::Obsolete(obsolete));
        }
        let superseded = self.rows_of_connection(&owner, AuthorizationRow::is_unconsumed_flow)?;
        let replaced = superseded.iter().filter(|row| row.is_running_flow(self.now)).count() as u64;
        let of_user = self.count_running(Some(owner.user.clone()))?.saturating_sub(replaced);
        if of_user >= limits.per_user.into() {
            return Ok(InsertOutcome::TooManyPending);
        }
        if self.count_running(None)?.saturating_sub(replaced) >= limits.deployment.into() {
            return Ok(InsertOutcome::TooManyPending);
        }
        self.supersede(superseded, &owner.user, false)?;
        self.put(AuthorizationRow::new(flow))?;
        self.log(audit)?;
        Ok(InsertOutcome::Inserted)
    }

    fn replace(
        &mut self,
        next: Authorization,
        expected: ExpectedVersion,
        audit: Vec<AuditEvent>,
    ) -> Result<WriteOutcome, StoreError> {
        let Some(mut row) = self.get::<AuthorizationRow>(&next.id())? else { return Ok(WriteOutcome::NotFound) };
        let stored = row.stored();
        if stored.version != expected {
            return Ok(WriteOutcome::Stale(Box::new(stored)));
        }
        // The day is recorded beside the version, so `next` may have been read before it.
        let day_stored = stored.value.as_grant().and_then(Authorized::last_used_day);
        row.set(next);
        row.amend(|record| {
            record.last_used_day = record.last_used_day.map(|day| day_stored.map_or(day, |stored| stored.max(day)));
        })?;
        self.put(row)?;
        self.log(audit)?;
        Ok(WriteOutcome::Written)
    }

    fn consume(&mut self, key: &CallbackKey, audit: Vec<AuditEvent>) -> Result<ConsumeOutcome, StoreError> {
        let found = self.first::<AuthorizationRow>(&AuthorizationSelection::Callback(key.state_hash))?;
        let found = found.and_then(|row| row.callback.map(|stored| (row, stored.flow_cookie_hash)));
        let Some((mut row, flow_cookie)) = found else { return Ok(ConsumeOutcome::NotFound) };
        let stored = Box::new(row.authorization.clone());
        if stored.owner().user != key.user {
            return Ok(ConsumeOutcome::UserMismatch(stored));
        }
        if !key.flow_cookies.iter().any(|given| equal_in_constant_time(&given.0, &flow_cookie.0)) {
            return Ok(ConsumeOutcome::BrowserMismatch(stored));
        }
        if timed_out(&stored, self.now) {
            return Ok(ConsumeOutcome::Expired(stored));
        }
        let secrets = match stored.state() {
            State::AwaitingCallback(flow) => flow.sealed().cloned(),
            State::Initiated(_) | State::Authorized(_) | State::Expired(_) | State::Revoked(_) => None,
        };
        match secrets {
            Some(secrets) if row.apply(Input::CallbackConsumed, self.now) => {
                let flow = Box::new(row.stored());
                self.put(row)?;
                self.log(audit)?;
                Ok(ConsumeOutcome::Consumed { flow, secrets })
            }
            Some(_) | None => Ok(ConsumeOutcome::AlreadyUsed(stored)),
        }
    }

    fn commit_grant(
        &mut self,
        grant: Authorization,
        revoke_superseded: bool,
        audit: Vec<AuditEvent>,
    ) -> Result<CommitOutcome, StoreError> {
        let owner = grant.owner().clone();
        if let Some(obsolete) = self.obsolete(&owner)? {
            return Ok(obsolete.into());
        }
        let stored = self.get::<AuthorizationRow>(&grant.id())?;
        let consumed = stored.filter(|row| row.is_running_flow(self.now) && !row.is_unconsumed_flow());
        let Some(mut row) = consumed else { return Ok(CommitOutcome::FlowEnded) };
        let superseded = self.rows_of_connection(&owner, AuthorizationRow::is_grant)?;
        self.supersede(superseded, &owner.user, revoke_superseded)?;
        row.set(grant);
        self.put(row)?;
        self.log(audit)?;
        Ok(CommitOutcome::Committed)
    }

    /// Whether connector or user have changed since a flow was made for them.
    fn obsolete(&mut self, owner: &AuthorizationKey) -> Result<Option<Obsolete>, StoreError> {
        let live = self.get::<ConnectorRow>(&owner.connector_key())?.map(|row| row.connector);
        match live {
            Some(live) if live.incarnation != owner.incarnation => Ok(Some(Obsolete::ConnectorGone)),
            Some(live) if live.epoch != owner.epoch => Ok(Some(Obsolete::ConnectorChanged)),
            Some(_) => Ok(self.get::<Tombstone>(&owner.user)?.map(|_| Obsolete::UserGone)),
            None => Ok(Some(Obsolete::ConnectorGone)),
        }
    }

    fn count_running(&mut self, user: Option<UserId>) -> Result<u64, StoreError> {
        self.count::<AuthorizationRow>(&AuthorizationSelection::RunningFlows { at: self.now, user })
    }

    fn rows_of_connection(
        &mut self,
        owner: &AuthorizationKey,
        matches: impl Fn(&AuthorizationRow) -> bool,
    ) -> Result<Vec<AuthorizationRow>, StoreError> {
        let mut rows = self.rows_of(owner.incarnation, &owner.user)?;
        rows.retain(|row| row.owner().connection == owner.connection && matches(row));
        Ok(rows)
    }

    fn find_by_state(&mut self, state: StateHash) -> Result<Option<Versioned<Authorization>>, StoreError> {
        let found = self.first::<AuthorizationRow>(&AuthorizationSelection::Callback(state))?;
        Ok(found.filter(|row| matches!(row.authorization.state(), State::AwaitingCallback(_))).map(|row| row.stored()))
    }

    fn set_default_connection(
        &mut self,
        incarnation: Incarnation,
        user: UserId,
        connection: Option<ConnectionName>,
        audit: Vec<AuditEvent>,
    ) -> Result<bool, StoreError> {
        match connection {
            Some(connection) => {
                let rows = self.rows_of(incarnation, &user)?;
                if !rows.iter().any(|row| row.is_grant() && row.owner().connection == connection) {
                    return Ok(false);
                }
                self.put(DefaultConnection { incarnation, user, connection })?;
            }
            None => self.remove::<DefaultConnection>(&(incarnation, user))?,
        }
        self.log(audit)?;
        Ok(true)
    }
}

/// Whether a flow was not consumed before its deadline, swept or not.
fn timed_out(flow: &Authorization, now: Timestamp) -> bool {
    flow.clone().at(now).terminal_cause() == Some(TerminalCause::Expired(ExpiredCause::FlowTimedOut))
}

#[async_trait]
impl<D: Database> AuthorizationStore for TableStore<D> {
    async fn insert_flow(
        &self,
        flow: Authorization,
        limits: PendingLimits,
        audit: Vec<AuditEvent>,
    ) -> Result<InsertOutcome, StoreError> {
        self.write(move |rules| rules.insert_flow(flow, limits, audit)).await
    }

    async fn replace(
        &self,
        next: Authorization,
        expected: ExpectedVersion,
        audit: Vec<AuditEvent>,
    ) -> Result<WriteOutcome, StoreError> {
        self.write(move |rules| rules.replace(next, expected, audit)).await
    }

    async fn consume(&self, key: CallbackKey, audit: Vec<AuditEvent>) -> Result<ConsumeOutcome, StoreError> {
        self.write(move |rules| rules.consume(&key, audit)).await
    }

    async fn commit_grant(
        &self,
        grant: Authorization,
        revoke_superseded: bool,
        audit: Vec<AuditEvent>,
    ) -> Result<CommitOutcome, StoreError> {
        self.write(move |rules| rules.commit_grant(grant, revoke_superseded, audit)).await
    }

    async fn find(&self, id: AuthorizationId) -> Result<Option<Versioned<Authorization>>, StoreError> {
        self.read(move |rules| Ok(rules.get::<AuthorizationRow>(&id)?.map(|row| row.stored()))).await
    }

    async fn find_by_state(&self, state: StateHash) -> Result<Option<Versioned<Authorization>>, StoreError> {
        self.read(move |rules| rules.find_by_state(state)).await
    }

    async fn terminate(
        &self,
        scope: TerminationScope,
        request: TerminationRequest,
    ) -> Result<TerminationReport, StoreError> {
        self.write(move |rules| rules.terminate(scope, &request)).await
    }

    async fn set_default_connection(
        &self,
        incarnation: Incarnation,
        user: UserId,
        connection: Option<ConnectionName>,
        audit: Vec<AuditEvent>,
    ) -> Result<bool, StoreError> {
        self.write(move |rules| rules.set_default_connection(incarnation, user, connection, audit)).await
    }
}
