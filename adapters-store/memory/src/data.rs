//! The tables, and the few ways to change a row.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationRecord, FlowCookieHash, Input, State, StateHash,
};
use grantry_domain::connector::{Connector, ConnectorKey};
use grantry_domain::identity::UserId;
use grantry_domain::ports::{
    AuditEvent, ClientSecretKey, ClientSecretRecord, RecordedEvent, Session, SessionHash, StoreError, UnclaimedTokens,
};
use grantry_domain::time::Timestamp;

/// Everything there is.
#[derive(Default)]
pub(crate) struct Data {
    pub(crate) rows: BTreeMap<AuthorizationId, Row>,
    pub(crate) orphans: BTreeMap<AuthorizationId, Orphan>,
    pub(crate) connectors: BTreeMap<ConnectorKey, Connector>,
    pub(crate) secrets: BTreeMap<ClientSecretKey, ClientSecret>,
    /// Users for whom no grant is committed any more.
    pub(crate) tombstones: BTreeSet<UserId>,
    pub(crate) sessions: BTreeMap<SessionHash, Session>,
    pub(crate) outbox: Outbox,
}

/// One authorization, and by what a callback finds it. The key outlives the state it belongs to, so that a replayed callback
/// can be told apart from an unknown one.
pub(crate) struct Row {
    pub(crate) grant: Authorization,
    pub(crate) callback: Option<(StateHash, FlowCookieHash)>,
    /// Until when a worker holds its revocation.
    pub(crate) claimed_until: Option<Timestamp>,
}

/// Tokens to revoke, when to try next, and until when a worker holds them.
pub(crate) struct Orphan {
    pub(crate) tokens: UnclaimedTokens,
    pub(crate) due_at: Timestamp,
    pub(crate) claimed_until: Option<Timestamp>,
}

/// A client secret, and since when it is no longer the present one of its connector.
pub(crate) struct ClientSecret {
    pub(crate) record: ClientSecretRecord,
    pub(crate) superseded_at: Option<Timestamp>,
}

/// Audit events that were not delivered yet.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) events: VecDeque<RecordedEvent>,
    last: u64,
}

impl Outbox {
    pub(crate) fn add(&mut self, events: impl IntoIterator<Item = AuditEvent>) {
        for event in events {
            self.last += 1;
            self.events.push_back(RecordedEvent { sequence: self.last, event });
        }
    }
}

impl Row {
    pub(crate) fn new(record: &AuthorizationRecord) -> Result<Self, StoreError> {
        let mut row = Self { grant: restored(record.clone())?, callback: None, claimed_until: None };
        row.note_callback(record);
        Ok(row)
    }

    pub(crate) fn to_record(&self) -> AuthorizationRecord {
        self.grant.to_record()
    }

    /// Replaces the record.
    pub(crate) fn set(&mut self, record: AuthorizationRecord) -> Result<(), StoreError> {
        self.note_callback(&record);
        self.grant = restored(record)?;
        Ok(())
    }

    /// Changes columns that stand outside the state machine.
    pub(crate) fn amend(
        &mut self,
        change: impl FnOnce(&mut AuthorizationRecord),
    ) -> Result<AuthorizationRecord, StoreError> {
        let mut record = self.to_record();
        change(&mut record);
        self.set(record.clone())?;
        Ok(record)
    }

    /// Applies an input. `None`, and no change, if the state refuses it.
    pub(crate) fn apply(&mut self, input: Input, now: Timestamp) -> Option<AuthorizationRecord> {
        self.grant = self.grant.clone().on(input, now).ok()?;
        Some(self.to_record())
    }

    /// Whether it is a flow that is not over at this instant, swept or not.
    pub(crate) fn is_running_flow(&self, now: Timestamp) -> bool {
        match self.grant.clone().at(now).state() {
            State::Initiated(_) | State::AwaitingCallback(_) => true,
            State::Authorized(_) | State::Expired(_) | State::Revoked(_) => false,
        }
    }

    /// Whether it is a flow whose callback has not arrived.
    pub(crate) fn is_unconsumed_flow(&self) -> bool {
        match self.grant.state() {
            State::Initiated(_) => true,
            State::AwaitingCallback(flow) => !flow.is_consumed(),
            State::Authorized(_) | State::Expired(_) | State::Revoked(_) => false,
        }
    }

    /// Whether it is in a terminal state.
    pub(crate) fn has_ended(&self) -> bool {
        match self.grant.state() {
            State::Initiated(_) | State::AwaitingCallback(_) | State::Authorized(_) => false,
            State::Expired(_) | State::Revoked(_) => true,
        }
    }

    /// Whether it is a grant.
    pub(crate) fn is_authorized(&self) -> bool {
        matches!(self.grant.state(), State::Authorized(_))
    }

    fn note_callback(&mut self, record: &AuthorizationRecord) {
        self.callback = record.state_hash.zip(record.flow_cookie_hash).or(self.callback);
    }
}

fn restored(record: AuthorizationRecord) -> Result<Authorization, StoreError> {
    Authorization::restore(record).map_err(|broken| StoreError::Inconsistent { table: "grants", rule: broken.0 })
}
