//! From start to commit.

use grantry_domain::authorization::{AuthorizationRecord, ExpiredCause, Input, State, StateHash};
use grantry_domain::ports::{
    AuditEvent, CallbackKey, CommitOutcome, ConsumeOutcome, ExpectedVersion, InsertOutcome, PendingLimits, StoreError,
    WriteOutcome,
};
use grantry_domain::secret::equal_in_constant_time;
use grantry_domain::time::Timestamp;

use crate::data::{Data, Row};

impl Data {
    pub(crate) fn insert_pending(
        &mut self,
        flow: &AuthorizationRecord,
        limits: PendingLimits,
        audit: Vec<AuditEvent>,
        now: Timestamp,
    ) -> Result<InsertOutcome, StoreError> {
        let row = Row::new(flow)?;
        let owner = &flow.owner;
        let replaced = |other: &Row| {
            let same = other.grant.owner().incarnation == owner.incarnation && other.grant.owner().user == owner.user;
            same && other.is_unconsumed_flow()
        };
        let (mut of_user, mut of_all) = (0, 0);
        for other in self.rows.values().filter(|other| other.is_running_flow(now) && !replaced(other)) {
            of_all += 1;
            of_user += u32::from(other.grant.owner().user == owner.user);
        }
        if of_user >= limits.per_user || of_all >= limits.deployment {
            return Ok(InsertOutcome::TooManyPending);
        }
        self.supersede(Row::is_unconsumed_flow, flow, false, now);
        self.rows.insert(flow.id, row);
        self.outbox.add(audit);
        Ok(InsertOutcome::Inserted)
    }

    pub(crate) fn replace(
        &mut self,
        mut next: AuthorizationRecord,
        fence: ExpectedVersion,
        audit: Vec<AuditEvent>,
    ) -> Result<WriteOutcome, StoreError> {
        let Some(row) = self.row(next.id) else { return Ok(WriteOutcome::NotFound) };
        let stored = row.to_record();
        if ExpectedVersion::of(&stored) != fence {
            return Ok(WriteOutcome::Stale(Box::new(stored)));
        }
        next.last_used_day = next.last_used_day.map(|day| stored.last_used_day.map_or(day, |noted| noted.max(day)));
        row.set(next)?;
        self.outbox.add(audit);
        Ok(WriteOutcome::Written)
    }

    pub(crate) fn consume(&mut self, key: &CallbackKey, audit: Vec<AuditEvent>, now: Timestamp) -> ConsumeOutcome {
        let found = self.rows.values_mut().find(|row| row.callback.is_some_and(|(state, _)| state == key.state_hash));
        let Some(row) = found else { return ConsumeOutcome::NotFound };
        let record = Box::new(row.to_record());
        if record.owner.user != key.user {
            return ConsumeOutcome::UserMismatch(record);
        }
        let bound = row.callback.is_some_and(|(_, flow_cookie_hash)| {
            key.flow_cookies.iter().any(|given| equal_in_constant_time(&given.0, &flow_cookie_hash.0))
        });
        if !bound {
            return ConsumeOutcome::BrowserMismatch(record);
        }
        if timed_out(row, now) {
            return ConsumeOutcome::Expired(record);
        }
        let Some(sealed) = record.sealed.clone() else { return ConsumeOutcome::AlreadyUsed(record) };
        let Some(consumed) = row.apply(Input::CallbackConsumed, now) else { return ConsumeOutcome::AlreadyUsed(record) };
        self.outbox.add(audit);
        ConsumeOutcome::Consumed { record: Box::new(consumed), sealed }
    }

    pub(crate) fn find_by_state(&self, state: StateHash) -> Option<AuthorizationRecord> {
        self.rows.values().map(Row::to_record).find(|record| record.state_hash == Some(state))
    }

    pub(crate) fn commit_grant(
        &mut self,
        grant: &AuthorizationRecord,
        revoke_superseded: bool,
        audit: Vec<AuditEvent>,
        now: Timestamp,
    ) -> Result<CommitOutcome, StoreError> {
        let owner = &grant.owner;
        match self.connectors.get(&owner.connector_key()) {
            Some(live) if live.incarnation != owner.incarnation || !live.enabled => return Ok(CommitOutcome::ConnectorGone),
            Some(live) if live.epoch != owner.epoch => return Ok(CommitOutcome::ConnectorChanged),
            Some(_) => {}
            None => return Ok(CommitOutcome::ConnectorGone),
        }
        if self.tombstones.contains(&owner.user) {
            return Ok(CommitOutcome::UserGone);
        }
        let in_exchange = |row: &Row| row.is_running_flow(now) && !row.is_unconsumed_flow();
        if !self.rows.get(&grant.id).is_some_and(in_exchange) {
            return Ok(CommitOutcome::FlowEnded);
        }
        let committed = Row { callback: self.rows[&grant.id].callback, ..Row::new(grant)? };
        self.supersede(Row::is_authorized, grant, revoke_superseded, now);
        self.rows.insert(grant.id, committed);
        self.outbox.add(audit);
        Ok(CommitOutcome::Committed)
    }
}

/// Whether a flow was not consumed before its deadline, whether or not the sweeper has noted that.
fn timed_out(row: &Row, now: Timestamp) -> bool {
    match row.grant.clone().at(now).state() {
        State::Expired(ended) => ended.cause() == ExpiredCause::FlowTimedOut,
        State::Initiated(_) | State::AwaitingCallback(_) | State::Authorized(_) | State::Revoked(_) => false,
    }
}
