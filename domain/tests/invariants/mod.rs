//! The ten invariants of the domain. Each is held against random stories: people in their browsers, back ends, editors and
//! administrators on two nodes, with a provider and a store that fail, after every single step.

mod machine;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, AuthorizationRecord, RevocationRecord, StateKind, StatusKind};
use grantry_domain::connector::Connector;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{AssociatedData, AuditKind, AuthorizationStore, ExpectedVersion, TokenVault, VaultError};
use grantry_domain::usecase::{CallbackRefused, StatusError};
use grantry_testkit::doubles::fixtures::{connector_key, space, user};
use proptest::prelude::*;

use self::machine::{Flow, Journal, Machine, Presented, Step, Stored, USERS, abandoned, connectors, is_grant, story};
use crate::common::{SPACES, demand_for, person, request, text, token_from};

/// One step and what it did.
struct Seen<'a> {
    machine: &'a Machine,
    step: &'a Step,
    journal: &'a Journal,
    before: &'a Stored,
    after: &'a Stored,
}

impl Seen<'_> {
    fn at_once(&self) -> bool {
        matches!(self.step, Step::AtOnce(..))
    }

    /// The flow a token came from.
    fn flow_of(&self, token: &str) -> Arc<Flow> {
        let subject = self.machine.ledger.subject_of(token).expect("a token of the provider");
        let (_, number) = subject.split_once('#').expect("the number of its flow");
        self.machine.flows()[number.parse::<usize>().expect("a number")].clone()
    }
}

/// Something that is true after every step, and when everything has come to rest.
trait Invariant: Default {
    async fn holds(&mut self, seen: &Seen<'_>);

    async fn at_rest(&mut self, _machine: &Machine, _stored: &Stored) {}
}

fn always<I: Invariant>() {
    let default = ProptestConfig::default();
    // A story is worth many cases; `PROPTEST_CASES` asks for more of them.
    let config = ProptestConfig { cases: default.cases / 5, max_shrink_iters: 400, failure_persistence: None, ..default };
    proptest!(config, |(story in story())| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let machine = Machine::new(&story).await;
            let mut invariant = I::default();
            let mut before = machine.stored().await;
            for step in prologue().iter().chain(&story.steps) {
                let journal = machine.take(step).await;
                let after = machine.stored().await;
                let seen = Seen { machine: &machine, step, journal: &journal, before: &before, after: &after };
                invariant.holds(&seen).await;
                before = after;
            }
            machine.come_to_rest().await;
            invariant.at_rest(&machine, &machine.stored().await).await;
        });
    });
}

/// Both connect, so that there is something to work on.
fn prologue() -> Vec<Step> {
    let own = Presented::Own;
    (0..2)
        .flat_map(|who| {
            let started = Step::Start { who, connector: 0, node: who };
            [started, Step::Callback { flow: 0, who: own, cookie: own, path: own, denied: false, node: who }]
        })
        .collect()
}

/// A flow is finished only by the user who started it, in the browser that started it, for the space and connector sealed in
/// it.
#[derive(Default)]
struct OnlyItsStarter {
    rightly: BTreeSet<AuthorizationId>,
}

impl Invariant for OnlyItsStarter {
    async fn holds(&mut self, seen: &Seen<'_>) {
        let flows = seen.machine.flows();
        for finished in &seen.journal.finished {
            let flow = &flows[finished.flow];
            if finished.bound {
                self.rightly.insert(flow.id);
            }
            if let Ok(completed) = &finished.result {
                assert!(finished.bound, "a stranger got past the binding");
                assert_eq!(completed.flow_id, flow.id);
                assert_eq!((&completed.space, &completed.connector), (&flow.owner.space, &flow.owner.connector));
            }
        }
        for row in seen.after.rows.values().filter(|row| row.authorized_at.is_some()) {
            let flow = flows.iter().find(|flow| flow.id == row.id).expect("every grant was a flow");
            assert_eq!(row.owner, flow.owner);
            assert!(self.rightly.contains(&row.id), "nobody presented what this grant needs");
        }
    }
}

#[test]
fn invariant_01_a_flow_is_finished_only_by_its_starter_in_its_browser() {
    always::<OnlyItsStarter>();
}

/// The space of the result comes from the sealed state; the callback's path only has to agree.
#[derive(Default)]
struct SealedSpace;

impl Invariant for SealedSpace {
    async fn holds(&mut self, seen: &Seen<'_>) {
        let flows = seen.machine.flows();
        for finished in seen.journal.connected() {
            assert!(finished.on_its_path, "another connector's callback was accepted");
        }
        for row in seen.after.rows.values().filter(|row| is_grant(row)) {
            if seen.before.rows.get(&row.id).is_some_and(is_grant) {
                continue;
            }
            let came = seen.journal.finished.iter().find(|finished| flows[finished.flow].id == row.id);
            let flow = &flows[came.expect("a grant comes from a callback").flow];
            assert_eq!((&row.owner.space, &row.owner.connector), (&flow.owner.space, &flow.owner.connector));
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
        let (flows, codes) = (seen.machine.flows(), seen.machine.ledger.codes());
        let distinct: BTreeSet<_> = codes.iter().collect();
        assert_eq!(distinct.len(), codes.len(), "a flow reached the provider twice");
        for code in &codes[self.codes..] {
            let (_, number) = code.split_once('#').expect("the number of its flow");
            let row = &seen.after.rows[&flows[number.parse::<usize>().expect("a number")].id];
            let waits =
                row.state == StateKind::Initiated || (row.state == StateKind::AwaitingCallback && row.consumed_at.is_none());
            assert!(!waits, "the code was sent before the flow was consumed");
        }
        for finished in seen.journal.finished.iter().filter(|finished| !finished.bound && !seen.at_once()) {
            let id = flows[finished.flow].id;
            assert_eq!(seen.before.rows.get(&id), seen.after.rows.get(&id), "a mismatch changed the flow");
            assert_eq!(codes.len(), self.codes, "a mismatch reached the provider");
            let refused = finished.result.as_ref().expect_err("a mismatch is refused");
            assert!(
                matches!(
                    refused,
                    CallbackRefused::UserMismatch
                        | CallbackRefused::BrowserMismatch
                        | CallbackRefused::NotFound
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

/// No token is stored or handed out for a connector that is not the one consented to.
#[derive(Default)]
struct ConsentedConnector;

impl Invariant for ConsentedConnector {
    async fn holds(&mut self, seen: &Seen<'_>) {
        let ports = seen.machine.world.node.ports();
        for row in seen.after.rows.values().filter(|row| is_grant(row)) {
            let live = seen.after.connectors.get(&row.owner.connector_key()).expect("a grant has its connector");
            assert_eq!((row.owner.incarnation, row.owner.epoch), (live.incarnation, live.epoch));
            let settings = ports.profiles.settings(&live.config).expect("settings that are understood");
            assert_eq!(row.owner.digest.0, ports.vault.fingerprint(&settings.binding_bytes()));
        }
        for given in &seen.journal.handed_out {
            let owner = seen.flow_of(&given.token).owner.clone();
            let key = owner.connector_key();
            let live = |stored: &Stored| stored.connectors.get(&key).map(|live: &Connector| (live.incarnation, live.epoch));
            let (before, after) = (live(seen.before), live(seen.after));
            let consented = Some((owner.incarnation, owner.epoch));
            let between = before <= consented && consented <= after;
            assert!(after == consented || (seen.at_once() && (before == consented || between)), "{before:?} {after:?}");
        }
    }
}

#[test]
fn invariant_04_no_token_for_a_connector_that_is_not_the_one_consented_to() {
    always::<ConsentedConnector>();
}

/// No hand-out after a committed end, on any node; no refresh revives what has ended.
#[derive(Default)]
struct OverIsOver {
    over: BTreeSet<AuthorizationId>,
}

impl Invariant for OverIsOver {
    async fn holds(&mut self, seen: &Seen<'_>) {
        for given in &seen.journal.handed_out {
            let id = seen.flow_of(&given.token).id;
            assert!(!self.over.contains(&id), "a token of an ended grant was handed out");
        }
        for row in seen.after.rows.values() {
            match row.state {
                StateKind::Expired | StateKind::Revoked => drop(self.over.insert(row.id)),
                StateKind::Initiated | StateKind::AwaitingCallback | StateKind::Authorized => {
                    assert!(!self.over.contains(&row.id), "what had ended is back");
                }
            }
        }
        if seen.at_once() {
            return;
        }
        for (who, connector) in &seen.journal.disconnected {
            // A flow that was started while its connector was replaced belongs to none: nothing can come of it.
            let live = seen.after.connectors.get(&connectors()[*connector]).map(|live| live.incarnation);
            let left = seen.after.rows.values().filter(|row| {
                row.owner.user.as_str() == USERS[*who]
                    && Some(row.owner.incarnation) == live
                    && !matches!(row.state, StateKind::Revoked | StateKind::Expired)
            });
            assert_eq!(left.count(), 0, "a disconnect leaves nothing that could be used or finished");
        }
    }
}

#[test]
fn invariant_05_no_hand_out_after_a_disconnect_and_no_revival() {
    always::<OverIsOver>();
}

/// A user's grant is never visible to, usable by or counted for somebody else; nobody falls back to a shared token.
#[derive(Default)]
struct OnesOwn;

impl Invariant for OnesOwn {
    async fn holds(&mut self, seen: &Seen<'_>) {
        for given in &seen.journal.handed_out {
            assert!(seen.machine.ledger.subject_of(&given.token).is_some(), "a shared token was given for a user's");
            let flow = seen.flow_of(&given.token);
            assert_eq!(flow.owner.user.as_str(), USERS[given.who]);
            assert_eq!(flow.owner.connector_key(), connectors()[given.connector]);
        }
        for token in &seen.journal.service {
            assert_eq!(seen.machine.ledger.subject_of(token), None, "a user's token was given for the shared one");
        }
        let node =
            seen.machine.world.node_on(&Arc::new(seen.machine.world.store.another_way()), seen.machine.ledger.clone());
        for who in USERS {
            for place in SPACES {
                let Ok(statuses) = node.statuses(&person(who), &space(place)).await else { continue };
                for (connector, status) in statuses {
                    let own = |row: &&AuthorizationRecord| {
                        row.owner.user.as_str() == who && row.owner.incarnation == connector.incarnation
                    };
                    let grants = seen.after.rows.values().filter(own).filter(|row| is_grant(row)).count();
                    assert!(grants <= 1, "one grant per user and connector");
                    assert!(status.kind != StatusKind::Connected || grants == 1, "connected by somebody else's grant");
                    assert!(status.account.is_none_or(|account| account == who));
                    let attempts = seen.after.rows.values().filter(own).filter(|row| row.authorized_at.is_none()).count();
                    assert!(status.flow.is_none() || attempts > 0);
                }
            }
        }
    }
}

#[test]
fn invariant_06_a_grant_is_its_users_alone() {
    always::<OnesOwn>();
}

/// A ciphertext opens only in the record it was sealed for.
#[derive(Default)]
struct SealedForItsRecord;

impl Invariant for SealedForItsRecord {
    async fn holds(&mut self, seen: &Seen<'_>) {
        let vault = &seen.machine.world.vault;
        let sealed: Vec<_> =
            seen.after.rows.values().filter_map(|row| Some((row, binding(row)?, row.sealed.clone()?))).collect();
        for (row, binding, _) in &sealed {
            for (other, _, envelope) in &sealed {
                let opened = vault.open(binding, envelope).map(drop);
                let expected = if row.id == other.id { Ok(()) } else { Err(VaultError::Tampered) };
                assert_eq!(opened, expected);
            }
        }
        // And so a token that was moved into another record is not handed out.
        let grants: Vec<_> = sealed.iter().filter(|(row, ..)| is_grant(row)).map(|(row, ..)| *row).collect();
        if let [own, .., other] = grants[..] {
            let store = seen.machine.world.store.inner();
            let moved = AuthorizationRecord { sealed: other.sealed.clone(), revision: other.revision, ..own.clone() };
            store.replace(moved, ExpectedVersion::of(own), Vec::new()).await.expect("the store answers");
            let node =
                seen.machine.world.node_on(&Arc::new(seen.machine.world.store.another_way()), seen.machine.ledger.clone());
            let demand = demand_for(own.owner.user.as_str(), own.owner.connector_key());
            let refused = seen.machine.world.drive(token_from(&node, &demand)).await;
            assert!(refused.is_err(), "another record's token was handed out");
            let stored = store.find(own.id).await.expect("the store answers").expect("the record is there");
            store.replace(own.clone(), ExpectedVersion::of(&stored), Vec::new()).await.expect("the store answers");
        }
    }
}

fn binding(row: &AuthorizationRecord) -> Option<AssociatedData> {
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
fn invariant_07_a_ciphertext_opens_only_in_its_own_record() {
    always::<SealedForItsRecord>();
}

/// A rotated refresh token is never dropped while the process lives; a token is handed out only after it was committed.
#[derive(Default)]
struct NeverDropped {
    started: Option<grantry_domain::time::Timestamp>,
}

impl Invariant for NeverDropped {
    async fn holds(&mut self, seen: &Seen<'_>) {
        self.started.get_or_insert(seen.machine.world.now());
        for given in &seen.journal.handed_out {
            assert!(given.was_committed, "{} was handed out before it was stored", given.token);
        }
    }

    async fn at_rest(&mut self, machine: &Machine, stored: &Stored) {
        for node in &machine.nodes {
            assert_eq!(node.pending_commits(), 0);
        }
        let lasted = machine.world.now().since(self.started.unwrap_or(machine.world.now()));
        if abandoned(stored) && lasted >= Duration::from_hours(24) {
            return;
        }
        assert!(!abandoned(stored), "a revocation was given up after {lasted:?}");
        let held: Vec<String> = stored
            .rows
            .values()
            .filter(|row| is_grant(row))
            .filter_map(|row| Some(text(&machine.opened(row)?.refresh_token?)))
            .collect();
        for newest in machine.ledger.live_refresh_tokens() {
            assert!(newest.iter().any(|token| held.contains(token)), "{newest:?} is live, and only {held:?} are held");
        }
    }
}

#[test]
fn invariant_08_no_rotated_token_is_dropped_and_none_is_given_before_its_commit() {
    always::<NeverDropped>();
}

/// Foreign and missing records look the same from outside.
#[derive(Default)]
struct ForeignIsMissing;

impl Invariant for ForeignIsMissing {
    async fn holds(&mut self, seen: &Seen<'_>) {
        let world = &seen.machine.world;
        let node = world.node_on(&Arc::new(world.store.another_way()), seen.machine.ledger.clone());
        let unknown = AuthorizationId::new(world.now(), [0xee; 16]);
        let no_flow = async |actor: &Actor, id| node.flow_status(actor, None, id).await.map(drop);
        for flow in seen.machine.flows() {
            for actor in USERS.map(person).iter().filter(|actor| **actor != Actor::Person(flow.owner.user.clone())) {
                assert_eq!(no_flow(actor, flow.id).await, no_flow(actor, unknown).await);
                assert_eq!(no_flow(actor, flow.id).await, Err(StatusError::NotFound));
            }
            let other = if flow.owner.space == space(SPACES[0]) { SPACES[1] } else { SPACES[0] };
            let revoke = async |id| node.revoke_grant(&person("ada"), &space(other), id).await;
            assert_eq!(revoke(flow.id).await, revoke(unknown).await);
        }
        for who in USERS {
            for key in connectors() {
                let standing = world.node.ports().directory.membership(&user(who), &key.space).await.expect("an answer");
                let missing = if standing.role.is_none() {
                    // A closed space: neither it nor what is in it exists.
                    [connector_key("nowhere", "drive"), connector_key(key.space.as_str(), "missing")]
                } else {
                    continue;
                };
                for nothing in missing {
                    let actor = person(who);
                    let shown = async |key| node.connector(&actor, key).await.map(drop);
                    assert_eq!(shown(&key).await, shown(&nothing).await);
                    let token = async |key| token_from(&node, &demand_for(who, key)).await;
                    assert_eq!(token(key.clone()).await, token(nothing.clone()).await);
                    let started = async |key| node.start(request(who, key)).await.map(drop);
                    assert_eq!(started(&key).await, started(&nothing).await);
                    let ended = async |key| node.disconnect(&actor, key).await;
                    assert_eq!(ended(&key).await, ended(&nothing).await);
                    let deleted = async |key| node.delete_connector(&actor, key).await;
                    assert_eq!(deleted(&key).await, deleted(&nothing).await);
                }
            }
        }
    }
}

#[test]
fn invariant_09_foreign_and_missing_records_look_the_same() {
    always::<ForeignIsMissing>();
}

/// Every change leaves its audit event, and no event tells of a change that was not made.
#[derive(Default)]
struct EveryChangeIsTold;

/// What about a record is worth an event.
fn essence(row: &AuthorizationRecord) -> (StateKind, u64, bool, bool) {
    let settled = matches!(row.revocation, Some(RevocationRecord::Completed(_)));
    (row.state, row.revision.0, row.consumed_at.is_some(), settled)
}

impl Invariant for EveryChangeIsTold {
    async fn holds(&mut self, seen: &Seen<'_>) {
        let new = &seen.after.events[seen.before.events.len()..];
        for (id, row) in &seen.after.rows {
            let changed = seen.before.rows.get(id).map(essence) != Some(essence(row));
            let told = new.iter().any(|event| event.grant == Some(*id));
            assert!(told || !changed, "nothing tells of {row:?}");
            let tells_of_a_change = new.iter().filter(|event| event.grant == Some(*id)).find(|event| match event.kind {
                AuditKind::FlowStarted
                | AuditKind::CallbackConsumed
                | AuditKind::FlowEnded
                | AuditKind::Connected
                | AuditKind::Refreshed
                | AuditKind::GrantExpired
                | AuditKind::GrantEnded
                | AuditKind::RevocationCompleted => true,
                AuditKind::BindingMismatch
                | AuditKind::IssuerMismatch
                | AuditKind::ScopeWidened
                | AuditKind::RefreshFailed
                | AuditKind::CommitPending
                | AuditKind::AccessTokenIssued
                | AuditKind::AccessTokenRefused
                | AuditKind::UnclaimedTokensQueued
                | AuditKind::OpenFailed
                | AuditKind::ConnectorCreated
                | AuditKind::ConnectorUpdated
                | AuditKind::ConnectorDeleted
                | AuditKind::KeysRotated => false,
            });
            let unmoved = seen.before.rows.get(id) == Some(row);
            assert!(!unmoved || tells_of_a_change.is_none(), "{tells_of_a_change:?} did not happen");
        }
        let about_connectors = new.iter().filter(|event| {
            matches!(event.kind, AuditKind::ConnectorCreated | AuditKind::ConnectorUpdated | AuditKind::ConnectorDeleted)
        });
        let changed = seen.before.connectors != seen.after.connectors;
        assert_eq!(about_connectors.count() > 0, changed);
    }
}

#[test]
fn invariant_10_every_change_leaves_its_audit_event() {
    always::<EveryChangeIsTold>();
}
