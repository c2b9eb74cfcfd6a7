//! The ten invariants of the domain. Each is checked after every step of random runs, in which users, back ends, editors and
//! administrators act on two nodes, and provider and store fail.

mod machine;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::{
    AuthorizationId, AuthorizationRecord, RevocationRecord, StateKind, StatusKind, TerminationCause,
};
use grantry_domain::connector::{Connector, ConnectorKey};
use grantry_domain::encoding::sha256;
use grantry_domain::identity::{Actor, ConnectionName};
use grantry_domain::ports::{AssociatedData, AuditKind, Directory, ProviderProfiles, TokenVault, VaultError};
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::{AccessError, CallbackRefused};
use grantry_testkit::doubles::fixtures::{authorization, connector_key, space, user};
use proptest::prelude::*;

use self::machine::{
    Disconnected, Flow, Journal, Machine, PresentedAll, Step, Stored, USERS, abandoned, connectors, is_grant, name_of, run,
};
use crate::common::{SPACES, person, request, terminated, text, token_from, token_request_for};

/// One step and its results.
struct Seen<'a> {
    machine: &'a Machine,
    step: &'a Step,
    journal: &'a Journal,
    before: &'a Stored,
    after: &'a Stored,
}

impl Seen<'_> {
    fn is_concurrent(&self) -> bool {
        matches!(self.step, Step::Concurrent(..))
    }

    /// The flow that a token was received for.
    fn flow_of(&self, token: &str) -> Arc<Flow> {
        let subject = self.machine.provider.subject_of(token).expect("a token of the provider");
        let (_, number) = subject.split_once('#').expect("the number of its flow");
        self.machine.flows()[number.parse::<usize>().expect("a number")].clone()
    }
}

/// A property that holds after every step, and when all work is done.
trait Invariant: Default {
    async fn holds(&mut self, seen: &Seen<'_>);

    async fn at_rest(&mut self, _machine: &Machine, _stored: &Stored) {}
}

fn always<I: Invariant>() {
    let default = ProptestConfig::default();
    // A run takes as long as many cases; `PROPTEST_CASES` increases their number.
    let config = ProptestConfig { cases: default.cases / 5, max_shrink_iters: 400, failure_persistence: None, ..default };
    proptest!(config, |(run in run())| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let machine = Machine::new(&run).await;
            let mut invariant = I::default();
            let mut before = machine.stored().await;
            for step in prologue().iter().chain(&run.steps) {
                let journal = machine.take(step).await;
                let after = machine.stored().await;
                let seen = Seen { machine: &machine, step, journal: &journal, before: &before, after: &after };
                invariant.holds(&seen).await;
                before = after;
            }
            machine.complete_pending_work().await;
            invariant.at_rest(&machine, &machine.stored().await).await;
        });
    });
}

/// Both users connect, so that the following steps have an effect.
fn prologue() -> Vec<Step> {
    (0..2)
        .flat_map(|who| {
            let start = Step::Start { who, connector: 0, connection: 0, node: who };
            [start, Step::Callback { flow: 0, presented: PresentedAll::OWN, account: 0, denied: false, node: who }]
        })
        .collect()
}

/// A flow is completed only by the user who started it, in the browser that started it, for the space, connector and
/// connection that are sealed in it.
#[derive(Default)]
struct OnlyItsStarter {
    bound: BTreeSet<AuthorizationId>,
}

impl Invariant for OnlyItsStarter {
    async fn holds(&mut self, seen: &Seen<'_>) {
        let flows = seen.machine.flows();
        for callback in &seen.journal.callbacks {
            let flow = &flows[callback.flow];
            if callback.bound {
                self.bound.insert(flow.id);
            }
            if let Ok(completed) = &callback.result {
                assert!(callback.bound, "another user or browser completed the flow");
                assert_eq!(completed.flow_id, flow.id);
                assert_eq!((&completed.space, &completed.connector), (&flow.owner.space, &flow.owner.connector));
                assert_eq!(completed.connection, flow.owner.connection);
            }
        }
        for row in seen.after.rows.values().filter(|row| row.authorized_at.is_some()) {
            let flow = flows.iter().find(|flow| flow.id == row.id).expect("every grant was a flow");
            assert_eq!(row.owner, flow.owner);
            assert!(self.bound.contains(&row.id), "a grant without its user and browser");
        }
    }
}

#[test]
fn invariant_01_a_flow_is_completed_only_by_its_user_in_its_browser() {
    always::<OnlyItsStarter>();
}

/// The space of the result comes from the sealed state; the path of the callback must match.
#[derive(Default)]
struct SealedSpace;

impl Invariant for SealedSpace {
    async fn holds(&mut self, seen: &Seen<'_>) {
        let flows = seen.machine.flows();
        for callback in seen.journal.connected() {
            assert!(callback.on_its_path, "the callback of another connector was accepted");
        }
        for row in seen.after.rows.values().filter(|row| is_grant(row)) {
            if seen.before.rows.get(&row.id).is_some_and(is_grant) {
                continue;
            }
            let callback = seen.journal.callbacks.iter().find(|callback| flows[callback.flow].id == row.id);
            let flow = &flows[callback.expect("a grant comes from a callback").flow];
            assert_eq!((&row.owner.space, &row.owner.connector), (&flow.owner.space, &flow.owner.connector));
            assert_eq!(row.owner.connection, flow.owner.connection);
            let elsewhere = seen.after.rows.values().filter(|other| is_grant(other) && other.id == row.id);
            assert_eq!(elsewhere.count(), 1);
        }
    }
}

#[test]
fn invariant_02_the_space_of_the_result_is_the_sealed_one() {
    always::<SealedSpace>();
}

/// A flow is consumed exactly once, before the token request; a mismatch consumes nothing.
#[derive(Default)]
struct ConsumedOnce {
    codes: usize,
}

impl Invariant for ConsumedOnce {
    async fn holds(&mut self, seen: &Seen<'_>) {
        let (flows, codes) = (seen.machine.flows(), seen.machine.provider.codes());
        let distinct: BTreeSet<_> = codes.iter().collect();
        assert_eq!(distinct.len(), codes.len(), "a code was sent twice");
        for code in &codes[self.codes..] {
            let (_, number) = code.split_once('#').expect("the number of its flow");
            let row = &seen.after.rows[&flows[number.parse::<usize>().expect("a number")].id];
            let waits =
                row.state == StateKind::Initiated || (row.state == StateKind::AwaitingCallback && row.consumed_at.is_none());
            assert!(!waits, "the code was sent before the flow was consumed");
        }
        let mismatches = seen.journal.callbacks.iter().filter(|callback| !callback.bound && !seen.is_concurrent());
        for callback in mismatches {
            let id = flows[callback.flow].id;
            assert_eq!(seen.before.rows.get(&id), seen.after.rows.get(&id), "a mismatch changed the flow");
            assert_eq!(codes.len(), self.codes, "a mismatch caused a token request");
            let refused = callback.result.as_ref().expect_err("a mismatch is refused");
            let is_flow =
                |row: &AuthorizationRecord| matches!(row.state, StateKind::Initiated | StateKind::AwaitingCallback);
            if matches!(refused, CallbackRefused::AlreadyUsed { .. }) {
                assert!(!seen.before.rows.get(&id).is_some_and(is_flow), "a flow that is not completed counts as used");
            }
            assert!(
                matches!(
                    refused,
                    CallbackRefused::UserMismatch
                        | CallbackRefused::BrowserMismatch
                        | CallbackRefused::NotFound
                        // The flow had ended or was completed, so nothing was left to consume.
                        | CallbackRefused::Ended { .. }
                        | CallbackRefused::AlreadyUsed { .. }
                        | CallbackRefused::Store(_)
                ),
                "{refused:?}"
            );
        }
        self.codes = codes.len();
    }
}

#[test]
fn invariant_03_a_flow_is_consumed_once_before_the_token_request_and_never_by_a_mismatch() {
    always::<ConsumedOnce>();
}

/// No token is stored or issued for a connector that is not the one consented to.
#[derive(Default)]
struct ConsentedConnector;

impl Invariant for ConsentedConnector {
    async fn holds(&mut self, seen: &Seen<'_>) {
        for row in seen.after.rows.values().filter(|row| is_grant(row)) {
            let live = seen.after.connectors.get(&row.owner.connector_key()).expect("a grant has its connector");
            assert_eq!((row.owner.incarnation, row.owner.epoch), (live.incarnation, live.epoch));
            let settings = seen.machine.app.profiles.settings(&live.config).expect("valid settings");
            assert_eq!(row.owner.digest.0, sha256(&settings.binding_bytes(live.auth_mode)));
        }
        for issued in &seen.journal.issued {
            let owner = seen.flow_of(&issued.token).owner.clone();
            let key = owner.connector_key();
            let live = |stored: &Stored| stored.connectors.get(&key).map(|live: &Connector| (live.incarnation, live.epoch));
            let (before, after) = (live(seen.before), live(seen.after));
            let consented = Some((owner.incarnation, owner.epoch));
            let between = before <= consented && consented <= after;
            assert!(
                after == consented || (seen.is_concurrent() && (before == consented || between)),
                "{before:?} {after:?}"
            );
        }
    }
}

#[test]
fn invariant_04_no_token_for_a_connector_that_is_not_the_one_consented_to() {
    always::<ConsentedConnector>();
}

/// No node issues a token of a grant whose end was committed; no refresh revives it.
#[derive(Default)]
struct EndedIsFinal {
    ended: BTreeSet<AuthorizationId>,
}

impl Invariant for EndedIsFinal {
    async fn holds(&mut self, seen: &Seen<'_>) {
        for issued in &seen.journal.issued {
            let id = seen.flow_of(&issued.token).id;
            assert!(!self.ended.contains(&id), "a token of an ended grant was issued");
        }
        for row in seen.after.rows.values() {
            match row.state {
                StateKind::Expired | StateKind::Revoked => drop(self.ended.insert(row.id)),
                StateKind::Initiated | StateKind::AwaitingCallback | StateKind::Authorized => {
                    assert!(!self.ended.contains(&row.id), "an ended authorization was revived");
                }
            }
        }
        if seen.is_concurrent() {
            return;
        }
        for disconnected in &seen.journal.disconnected {
            let ended = ended_connections(seen, disconnected);
            let now = seen.machine.app.now();
            if let Some(name) = name_of(disconnected.connection) {
                assert!(ended.iter().all(|ended| *ended == name), "another connection was ended");
                let open = open_connections(seen.after, now, disconnected);
                assert!(!open.contains(&name), "a disconnect leaves nothing that can be used");
            } else {
                let open = open_connections(seen.before, now, disconnected);
                assert_eq!(ended.len(), open.len().min(1), "one of {open:?} is ended, not {ended:?}");
            }
        }
    }
}

/// The records of a user at the live connector.
fn records_of<'a>(stored: &'a Stored, of: &Disconnected) -> impl Iterator<Item = &'a AuthorizationRecord> {
    // A flow that was started while its connector was replaced belongs to none, and can never become a grant.
    let live = stored.connectors.get(&connectors()[of.connector]).map(|live| live.incarnation);
    let who = USERS[of.who];
    stored.rows.values().filter(move |row| row.owner.user.as_str() == who && Some(row.owner.incarnation) == live)
}

/// The connections that have a flow, a grant, or a former grant that needs a new consent.
fn open_connections(stored: &Stored, now: Timestamp, of: &Disconnected) -> BTreeSet<ConnectionName> {
    let by_admin = Some(terminated(TerminationCause::Admin));
    let open = records_of(stored, of).filter(|row| {
        let row = authorization(row).at(now).to_record();
        match row.state {
            StateKind::Initiated | StateKind::AwaitingCallback | StateKind::Authorized => true,
            StateKind::Expired => row.authorized_at.is_some(),
            StateKind::Revoked => row.cause == by_admin,
        }
    });
    open.map(|row| row.owner.connection.clone()).collect()
}

/// The connections that this step disconnected.
fn ended_connections(seen: &Seen<'_>, of: &Disconnected) -> BTreeSet<ConnectionName> {
    let cause = Some(terminated(TerminationCause::Disconnected));
    let ended = records_of(seen.after, of).filter(|row| {
        let before = seen.before.rows.get(&row.id).and_then(|before| before.cause);
        row.cause == cause && before != cause
    });
    ended.map(|row| row.owner.connection.clone()).collect()
}

#[test]
fn invariant_05_no_token_after_a_disconnect_and_no_revival() {
    always::<EndedIsFinal>();
}

/// A grant is never visible to, used by or counted for another user or connection; a shared token never takes its place.
#[derive(Default)]
struct OnlyItsUser;

impl OnlyItsUser {
    /// Without a name the only connection is meant, or the default one.
    async fn chosen(seen: &Seen<'_>, key: &ConnectorKey, who: &str, connection: &ConnectionName) {
        let live = seen.before.connectors.get(key).map(|live| live.incarnation);
        let expired = |row: &AuthorizationRecord| row.state == StateKind::Expired && row.authorized_at.is_some();
        let own = seen.before.rows.values().filter(|row| {
            row.owner.user.as_str() == who
                && Some(row.owner.incarnation) == live
                && row.owner.connector_key() == *key
                && (is_grant(row) || expired(row))
        });
        let names: BTreeSet<_> = own.map(|row| row.owner.connection.clone()).collect();
        if seen.is_concurrent() || names.len() < 2 {
            return;
        }
        let view = seen.machine.app.stored.queries.access_token_view(key, &user(who), None).await;
        let view = view.expect("the store responds").expect("the connector is stored");
        assert_eq!(view.default_connection.as_ref(), Some(connection), "another connection than the default one was used");
    }
}

impl Invariant for OnlyItsUser {
    async fn holds(&mut self, seen: &Seen<'_>) {
        for issued in &seen.journal.issued {
            let shared = seen.machine.provider.subject_of(&issued.token).is_none();
            assert!(!shared, "a shared token was issued in place of a user's");
            let flow = seen.flow_of(&issued.token);
            assert_eq!(flow.owner.user.as_str(), USERS[issued.who]);
            assert_eq!(flow.owner.connector_key(), connectors()[issued.connector]);
            match name_of(issued.connection) {
                Some(named) => assert_eq!(flow.owner.connection, named),
                None => Self::chosen(seen, &flow.owner.connector_key(), USERS[issued.who], &flow.owner.connection).await,
            }
        }
        for token in &seen.journal.service {
            assert_eq!(seen.machine.provider.subject_of(token), None, "a user's token was issued in place of a shared one");
        }
        let node = seen.machine.app.node_on(&seen.machine.app.store.another_node(), seen.machine.provider.clone());
        for who in USERS {
            for id in SPACES {
                let Ok(statuses) = node.statuses(&person(who), &space(id)).await else { continue };
                for (connector, status) in statuses {
                    for connection in status.connections {
                        let own = |row: &&AuthorizationRecord| {
                            row.owner.user.as_str() == who
                                && row.owner.incarnation == connector.incarnation
                                && row.owner.connection == connection.connection
                        };
                        let grants = seen.after.rows.values().filter(own).filter(|row| is_grant(row)).count();
                        assert!(grants <= 1, "one grant per connection");
                        assert!(connection.kind != StatusKind::Connected || grants == 1, "connected without a grant");
                        assert!(connection.account.is_none_or(|account| account.split('.').next() == Some(who)));
                        let flows = seen.after.rows.values().filter(own).filter(|row| row.authorized_at.is_none()).count();
                        assert!(connection.flow.is_none() || flows > 0);
                    }
                }
            }
        }
    }
}

#[test]
fn invariant_06_a_grant_belongs_to_its_user_and_connection_only() {
    always::<OnlyItsUser>();
}

/// A ciphertext can be decrypted only in the record it was sealed for.
#[derive(Default)]
struct SealedForItsRecord;

impl Invariant for SealedForItsRecord {
    async fn holds(&mut self, seen: &Seen<'_>) {
        let app = &seen.machine.app;
        let sealed: Vec<_> =
            seen.after.rows.values().filter_map(|row| Some((row, associated(row)?, row.sealed.clone()?))).collect();
        for (row, associated, _) in &sealed {
            for (other, _, envelope) in &sealed {
                let opened = app.vault.open(associated, envelope).map(drop);
                let expected = if row.id == other.id { Ok(()) } else { Err(VaultError::Tampered) };
                assert_eq!(opened, expected);
            }
        }
        // No token that was moved to another record is issued.
        let grants: Vec<_> = sealed.iter().filter(|(row, ..)| is_grant(row)).map(|(row, ..)| *row).collect();
        if let [own, .., other] = grants[..] {
            let moved = AuthorizationRecord { sealed: other.sealed.clone(), revision: other.revision, ..own.clone() };
            app.tamper(moved).await;
            let node = app.node_on(&app.store.another_node(), seen.machine.provider.clone());
            let connection = Some(own.owner.connection.clone());
            let request = token_request_for(own.owner.user.as_str(), own.owner.connector_key());
            let request = grantry_domain::usecase::AccessTokenRequest { connection, ..request };
            let refused = app.drive(token_from(&node, &request)).await;
            assert!(refused.is_err(), "a token of another record was issued");
            app.tamper(own.clone()).await;
        }
    }
}

fn associated(row: &AuthorizationRecord) -> Option<AssociatedData> {
    let owner = row.owner.clone();
    match row.state {
        StateKind::Initiated => None,
        StateKind::AwaitingCallback => {
            Some(AssociatedData::Flow { owner, state: row.state_hash?, flow_cookie_hash: row.flow_cookie_hash? })
        }
        StateKind::Authorized | StateKind::Expired | StateKind::Revoked => {
            Some(AssociatedData::Grant { owner, grant: row.id })
        }
    }
}

#[test]
fn invariant_07_a_ciphertext_can_be_decrypted_only_in_its_record() {
    always::<SealedForItsRecord>();
}

/// A rotated refresh token is never dropped while the process lives; a token is issued only after it was committed.
#[derive(Default)]
struct NeverDropped {
    started: Option<Timestamp>,
}

impl Invariant for NeverDropped {
    async fn holds(&mut self, seen: &Seen<'_>) {
        self.started.get_or_insert(seen.machine.app.now());
        for issued in &seen.journal.issued {
            assert!(issued.was_committed, "{} was issued before it was stored", issued.token);
        }
    }

    async fn at_rest(&mut self, machine: &Machine, stored: &Stored) {
        for node in &machine.nodes {
            assert_eq!(node.pending_commits(), 0);
        }
        let lasted = machine.app.now().since(self.started.unwrap_or(machine.app.now()));
        if abandoned(stored) && lasted >= Duration::from_hours(24) {
            return;
        }
        assert!(!abandoned(stored), "a revocation was abandoned after {lasted:?}");
        let stored_tokens: Vec<String> = stored
            .rows
            .values()
            .filter(|row| is_grant(row))
            .filter_map(|row| Some(text(&machine.opened(row)?.refresh_token?)))
            .collect();
        for newest in machine.provider.live_refresh_tokens() {
            let known = newest.iter().any(|token| stored_tokens.contains(token));
            assert!(known, "{newest:?} is valid, and only {stored_tokens:?} are stored");
        }
    }
}

#[test]
fn invariant_08_no_rotated_token_is_dropped_and_none_is_issued_before_its_commit() {
    always::<NeverDropped>();
}

/// Foreign and missing records look the same from outside.
#[derive(Default)]
struct ForeignIsMissing;

impl Invariant for ForeignIsMissing {
    async fn holds(&mut self, seen: &Seen<'_>) {
        let app = &seen.machine.app;
        let node = app.node_on(&app.store.another_node(), seen.machine.provider.clone());
        let unknown = AuthorizationId::new(app.now(), [0xee; 16]);
        let no_flow = async |actor: &Actor, id| node.flow_status(actor, None, id).await.map(drop);
        for flow in seen.machine.flows() {
            for actor in USERS.map(person).iter().filter(|actor| **actor != Actor::Person(flow.owner.user.clone())) {
                assert_eq!(no_flow(actor, flow.id).await, no_flow(actor, unknown).await);
                assert_eq!(no_flow(actor, flow.id).await, Err(AccessError::NotFound.into()));
            }
            let other = if flow.owner.space == space(SPACES[0]) { SPACES[1] } else { SPACES[0] };
            let revoke = async |id| node.revoke_grant(&person("ada"), &space(other), id).await;
            assert_eq!(revoke(flow.id).await, revoke(unknown).await);
        }
        for who in USERS {
            for key in connectors() {
                let membership = app.directory.membership(&user(who), &key.space).await.expect("a response");
                if membership.role.is_some() {
                    continue;
                }
                // In a closed space, neither the space nor anything in it exists.
                for missing in [connector_key("nowhere", "drive"), connector_key(key.space.as_str(), "missing")] {
                    let actor = person(who);
                    let shown = async |key| node.connector(&actor, key).await.map(drop);
                    assert_eq!(shown(&key).await, shown(&missing).await);
                    let token = async |key| token_from(&node, &token_request_for(who, key)).await;
                    assert_eq!(token(key.clone()).await, token(missing.clone()).await);
                    let started = async |key| node.start(request(who, key)).await.map(drop);
                    assert_eq!(started(&key).await, started(&missing).await);
                    let ended = async |key| node.disconnect(&actor, key, None).await;
                    assert_eq!(ended(&key).await, ended(&missing).await);
                    let default = async |key| node.set_default_connection(&actor, key, None).await;
                    assert_eq!(default(&key).await, default(&missing).await);
                    let deleted = async |key| node.delete_connector(&actor, key).await;
                    assert_eq!(deleted(&key).await, deleted(&missing).await);
                }
            }
        }
    }
}

#[test]
fn invariant_09_foreign_and_missing_records_look_the_same() {
    always::<ForeignIsMissing>();
}

/// Every change has its audit event, and no event reports a change that was not made.
#[derive(Default)]
struct EveryChangeIsAudited;

/// The parts of a record whose changes are audited.
fn audited(row: &AuthorizationRecord) -> (StateKind, u64, bool, bool) {
    let completed = matches!(row.revocation, Some(RevocationRecord::Completed(_)));
    (row.state, row.revision.0, row.consumed_at.is_some(), completed)
}

impl Invariant for EveryChangeIsAudited {
    async fn holds(&mut self, seen: &Seen<'_>) {
        let new = &seen.after.events[seen.before.events.len()..];
        for (id, row) in &seen.after.rows {
            let changed = seen.before.rows.get(id).map(audited) != Some(audited(row));
            let reported = new.iter().any(|event| event.authorization == Some(*id));
            assert!(reported || !changed, "no event for {row:?}");
            let of_a_change = new.iter().filter(|event| event.authorization == Some(*id)).find(|event| match event.kind {
                AuditKind::FlowStarted
                | AuditKind::CallbackConsumed
                | AuditKind::FlowEnded
                | AuditKind::Connected
                | AuditKind::Refreshed
                | AuditKind::GrantExpired
                | AuditKind::GrantTerminated
                | AuditKind::RevocationCompleted => true,
                AuditKind::BindingMismatch
                | AuditKind::IssuerMismatch
                | AuditKind::ScopeWidened
                | AuditKind::TokenResponseAnomaly
                | AuditKind::RefreshFailed
                | AuditKind::RefreshRetried
                | AuditKind::CommitPending
                | AuditKind::AccessTokenIssued
                | AuditKind::AccessTokenRefused
                | AuditKind::AuditEventsDropped
                | AuditKind::AuditEventUnreadable
                | AuditKind::SessionTampered
                | AuditKind::UnclaimedTokensQueued
                | AuditKind::DecryptFailed
                | AuditKind::ConnectorTampered
                | AuditKind::DefaultConnectionSet
                | AuditKind::ConnectorCreated
                | AuditKind::ConnectorUpdated
                | AuditKind::ConnectorDeleted
                | AuditKind::UserDeprovisioned
                | AuditKind::UserReinstated => false,
            });
            let unchanged = seen.before.rows.get(id) == Some(row);
            assert!(!unchanged || of_a_change.is_none(), "{of_a_change:?} was not made");
            let connections = new.iter().filter(|event| event.authorization == Some(*id));
            assert!(connections.map(|event| event.connection.as_ref()).all(|name| name == Some(&row.owner.connection)));
        }
        let about_connectors = new.iter().filter(|event| {
            matches!(event.kind, AuditKind::ConnectorCreated | AuditKind::ConnectorUpdated | AuditKind::ConnectorDeleted)
        });
        let changed = seen.before.connectors != seen.after.connectors;
        assert_eq!(about_connectors.count() > 0, changed);
    }
}

#[test]
fn invariant_10_every_change_has_its_audit_event() {
    always::<EveryChangeIsAudited>();
}
