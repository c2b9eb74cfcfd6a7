//! The tables, and the operations on one row.

use std::collections::{BTreeMap, VecDeque};

use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, AuthorizationRecord, FlowCookieHash, Input, State, StateHash,
};
use grantry_domain::connector::{Connector, ConnectorKey, Incarnation};
use grantry_domain::identity::{ConnectionName, UserId};
use grantry_domain::ports::{
    AuditEvent, ClientSecretKey, ClientSecretRecord, Diagnostics, RecordedEvent, Session, SessionHash, UnclaimedTokens,
    Versioned,
};
use grantry_domain::time::Timestamp;

/// All tables.
#[derive(Default)]
pub(crate) struct Data {
    pub(crate) rows: BTreeMap<AuthorizationId, Row>,
    pub(crate) unclaimed: BTreeMap<AuthorizationId, Unclaimed>,
    pub(crate) connectors: BTreeMap<ConnectorKey, Connector>,
    pub(crate) secrets: BTreeMap<ClientSecretKey, ClientSecret>,
    /// The connections that users chose as default.
    pub(crate) defaults: BTreeMap<(Incarnation, UserId), ConnectionName>,
    /// Users for whom no grant is committed any more, and when they were removed.
    pub(crate) tombstones: BTreeMap<UserId, Timestamp>,
    pub(crate) sessions: BTreeMap<SessionHash, Session>,
    pub(crate) outbox: Outbox,
    pub(crate) diagnostics: BTreeMap<Incarnation, Diagnostics>,
}

/// One authorization and the key by which a callback finds it. The key stays when the state no longer contains it, so that a
/// replayed callback can be distinguished from an unknown one.
pub(crate) struct Row {
    pub(crate) authorization: Authorization,
    pub(crate) callback: Option<(StateHash, FlowCookieHash)>,
    /// The worker that has claimed the revocation, and until when.
    pub(crate) claim: Option<Claim>,
}

/// A worker and the end of its claim.
pub(crate) type Claim = ([u8; 16], Timestamp);

/// Unclaimed tokens, when their revocation is due, and which worker has claimed it until when.
pub(crate) struct Unclaimed {
    pub(crate) tokens: UnclaimedTokens,
    pub(crate) due_at: Timestamp,
    pub(crate) claim: Option<Claim>,
}

/// A client secret, and since when its connector has a newer one.
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

impl Data {
    pub(crate) fn row(&mut self, id: AuthorizationId) -> Option<&mut Row> {
        self.rows.get_mut(&id)
    }
}

impl Row {
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

    /// Changes columns that the state machine does not decide on.
    pub(crate) fn amend(&mut self, change: impl FnOnce(&mut AuthorizationRecord)) {
        self.authorization = amended(&self.authorization, change);
    }

    /// Whether it is a flow that has neither timed out nor been interrupted at this instant, swept or not.
    pub(crate) fn is_running_flow(&self, now: Timestamp) -> bool {
        self.authorization.clone().at(now).is_flow()
    }

    /// Whether it is a flow whose callback has not arrived.
    pub(crate) fn is_unconsumed_flow(&self) -> bool {
        match self.authorization.state() {
            State::Initiated(_) => true,
            State::AwaitingCallback(flow) => !flow.is_consumed(),
            State::Authorized(_) | State::Expired(_) | State::Revoked(_) => false,
        }
    }

    pub(crate) fn is_authorized(&self) -> bool {
        self.authorization.as_grant().is_some()
    }
}

/// The authorization with changes to columns that the state machine does not decide on: lease, in-doubt mark, day of last
/// use, and the attempts of a revocation.
///
/// # Panics
/// If the change breaks a rule of the record.
pub(crate) fn amended(authorization: &Authorization, change: impl FnOnce(&mut AuthorizationRecord)) -> Authorization {
    let mut record = authorization.to_record();
    change(&mut record);
    Authorization::restore(record).expect("the change keeps the rules of the record")
}

fn callback_key(authorization: &Authorization) -> Option<(StateHash, FlowCookieHash)> {
    match authorization.state() {
        State::AwaitingCallback(flow) => Some((flow.state_hash(), flow.flow_cookie_hash())),
        State::Initiated(_) | State::Authorized(_) | State::Expired(_) | State::Revoked(_) => None,
    }
}
