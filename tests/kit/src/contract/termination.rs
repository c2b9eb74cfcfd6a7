//! Rules of termination: disconnecting, deprovisioning, and the revocations that follow.

use std::time::Duration;

use grantry_domain::authorization::{
    AuthorizationKey, AuthorizationRecord, ExpiredCause, RevocationOutcome, RevocationRecord, StateKind, TerminationCause,
};
use grantry_domain::connector::Connector;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditKind, AuditOutcome, EditEffect, RevocationUpdate, TerminationReport, TerminationRequest, TerminationScope,
};

use super::Backend;
use super::revocations::id_of;
use super::test_store::{
    Succeeds, TestStore, connection_scope, editor, expired, pending_in_doubt, state_of, terminated, terminated_event,
};
use crate::doubles::fixtures::{self, authorization_key_of, named_key_of};

/// The authorizations of one connection: a former grant that needs a new consent, the grant, and a flow.
struct Rows {
    former: AuthorizationRecord,
    grant: AuthorizationRecord,
    flow: AuthorizationRecord,
}

impl Rows {
    async fn of(store: &TestStore, owner: &AuthorizationKey) -> Self {
        let first = store.connect(owner).await;
        let former = store.reject_refresh(&first).await;
        let grant = store.connect(owner).await;
        let flow = store.start(owner).await;
        Self { former, grant, flow }
    }

    fn all(&self) -> [&AuthorizationRecord; 3] {
        [&self.former, &self.grant, &self.flow]
    }

    fn scope(&self) -> TerminationScope {
        connection_scope(&self.grant.owner)
    }

    async fn assert_unchanged(&self, store: &TestStore, scope: &TerminationScope) {
        for row in self.all() {
            assert_eq!(store.get(row.id).await, *row, "{scope:?} does not cover it");
        }
    }

    async fn assert_terminated(&self, store: &TestStore, cause: TerminationCause) {
        for row in self.all() {
            assert_eq!(store.state(row).await, terminated(cause));
        }
        let grant = store.get(self.grant.id).await;
        assert_eq!((pending_in_doubt(&grant), &grant.sealed), (Some(false), &self.grant.sealed), "to be revoked");
        let former = store.get(self.former.id).await;
        assert_eq!(former.revocation, self.former.revocation, "its revocation is unchanged");
        assert_eq!(store.get(self.flow.id).await.sealed, None);
    }
}

/// Connections of Alice and Bob at two connectors with the same id in two spaces. Alice has two at the first one.
struct Connections {
    store: TestStore,
    drive: Connector,
    alice: Rows,
    alice_work: Rows,
    alice_in_marketing: Rows,
    bob: Rows,
    bob_in_marketing: Rows,
}

impl Connections {
    async fn new(backend: Backend) -> Self {
        // In a box, because the future of all these rows is large.
        Box::pin(Self::with_rows(backend)).await
    }

    async fn with_rows(backend: Backend) -> Self {
        let (store, drive) = TestStore::with_drive(backend).await;
        let marketing = store.add(fixtures::connector_in("marketing", "drive", 1, store.now())).await;
        let alice = Rows::of(&store, &authorization_key_of(&drive, "alice")).await;
        let alice_work = Rows::of(&store, &named_key_of(&drive, "alice", "work")).await;
        let bob = Rows::of(&store, &authorization_key_of(&drive, "bob")).await;
        let alice_in_marketing = Rows::of(&store, &authorization_key_of(&marketing, "alice")).await;
        let bob_in_marketing = Rows::of(&store, &authorization_key_of(&marketing, "bob")).await;
        store.new_events().await;
        Self { store, drive, alice, alice_work, alice_in_marketing, bob, bob_in_marketing }
    }

    /// Terminates a scope. Asserts that exactly the covered connections end, with one event for each authorization, and that
    /// a repetition changes nothing.
    async fn assert_covers(&self, scope: TerminationScope, cause: TerminationCause, covered: &[&Rows], others: &[&Rows]) {
        let times = covered.len() as u64;
        let expected = TerminationReport { flows: times, grants: times, former: times, queued: times };
        assert_eq!(self.store.terminate(scope.clone(), cause).await, expected);
        for rows in covered {
            rows.assert_terminated(&self.store, cause).await;
        }
        for rows in others {
            rows.assert_unchanged(&self.store, &scope).await;
        }
        let events = self.store.new_events().await;
        let of_authorizations = events.iter().filter(|event| event.authorization.is_some()).count();
        assert_eq!(of_authorizations as u64, 3 * times, "one event for each authorization");
        let snapshot = self.store.snapshot().await;
        assert_eq!(self.store.terminate(scope, cause).await, TerminationReport::default());
        assert_eq!(self.store.snapshot().await, snapshot, "termination is idempotent");
    }
}

/// A disconnect ends the flow, the grant and the former grant of one connection; other connections, users and connectors
/// stay unchanged.
pub async fn r49_a_disconnect_ends_everything_of_a_connection(backend: Backend) {
    let all = Connections::new(backend).await;
    let others = [&all.alice_work, &all.alice_in_marketing, &all.bob, &all.bob_in_marketing];
    all.assert_covers(all.alice.scope(), TerminationCause::Disconnected, &[&all.alice], &others).await;
}

/// After a disconnect no node returns the grant.
pub async fn r49_after_a_disconnect_no_node_returns_the_grant(backend: Backend) {
    let all = Connections::new(backend).await;
    let (store, drive) = (&all.store, &all.drive);
    let granted = async |user: &str| {
        let view = store.other.queries.access_token_view(&drive.key, &fixtures::user(user), None).await.unwrap_or_fail();
        let grants = view.expect("the connector is stored").grants;
        grants.iter().map(|grant| grant.value.id()).collect::<Vec<_>>()
    };
    assert_eq!(granted("alice").await, [all.alice.grant.id, all.alice_work.grant.id]);
    store.terminate(all.alice.scope(), TerminationCause::Disconnected).await;
    assert_eq!(granted("alice").await, [all.alice_work.grant.id]);
    assert_eq!(granted("bob").await, [all.bob.grant.id]);
}

/// The in-doubt mark of a grant becomes that of its pending revocation.
pub async fn r49_termination_moves_the_in_doubt_mark_into_the_revocation(backend: Backend) {
    let all = Connections::new(backend).await;
    let store = &all.store;
    store.lease(&all.alice.grant, 1).await;
    store.terminate(all.alice.scope(), TerminationCause::Disconnected).await;
    assert_eq!(pending_in_doubt(&store.get(all.alice.grant.id).await), Some(true));
    store.terminate(all.bob.scope(), TerminationCause::Disconnected).await;
    assert_eq!(pending_in_doubt(&store.get(all.bob.grant.id).await), Some(false));
}

/// Each terminated authorization has an event with its cause, its connection and the actor.
pub async fn r49_each_termination_writes_its_event(backend: Backend) {
    let all = Connections::new(backend).await;
    let store = &all.store;
    store.advance(Duration::from_secs(3));
    store.terminate(all.alice_work.scope(), TerminationCause::Admin).await;
    let mut events = store.new_events().await;
    events.sort_by_key(|event| event.authorization);
    let mut expected = Vec::new();
    for row in all.alice_work.all() {
        expected.push(terminated_event(&store.get(row.id).await, editor(), store.now()));
    }
    assert_eq!(events, expected);
    let kinds: Vec<_> = events.iter().map(|event| (event.kind, event.outcome)).collect();
    let (grant, admin) = (AuditKind::GrantTerminated, AuditOutcome::Admin);
    assert_eq!(kinds, [(grant, admin), (grant, admin), (AuditKind::FlowEnded, admin)]);
    assert!(events.iter().all(|event| event.connection == Some(fixtures::connection("work"))));
}

/// One authorization is terminated by its id, in every state.
pub async fn one_authorization_can_be_terminated(backend: Backend) {
    let all = Connections::new(backend).await;
    let store = &all.store;
    let cases = [
        (&all.alice.flow, TerminationReport { flows: 1, ..TerminationReport::default() }),
        (&all.alice.grant, TerminationReport { grants: 1, queued: 1, ..TerminationReport::default() }),
        (&all.alice.former, TerminationReport { former: 1, ..TerminationReport::default() }),
    ];
    for (row, expected) in cases {
        let one = TerminationScope::One(row.id);
        assert_eq!(store.terminate(one.clone(), TerminationCause::Admin).await, expected);
        assert_eq!(store.state(row).await, terminated(TerminationCause::Admin));
        assert_eq!(store.terminate(one, TerminationCause::Disconnected).await, TerminationReport::default());
        assert_eq!(store.state(row).await, terminated(TerminationCause::Admin), "the first cause is kept");
    }
    let unknown = TerminationScope::One(fixtures::authorization_id(999));
    assert_eq!(store.terminate(unknown.clone(), TerminationCause::Admin).await, TerminationReport::default());
    for others in [&all.alice_work, &all.bob] {
        others.assert_unchanged(store, &unknown).await;
    }
}

/// A flow that has ended without a grant keeps its cause.
pub async fn an_ended_flow_keeps_its_cause(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let flow = store.start(&authorization_key_of(&drive, "alice")).await;
    store.advance(fixtures::FLOW_TTL);
    store.sweep().await;
    let scope = connection_scope(&flow.owner);
    assert_eq!(store.terminate(scope, TerminationCause::Disconnected).await, TerminationReport::default());
    assert_eq!(store.state(&flow).await, expired(ExpiredCause::FlowTimedOut));
}

/// Removing a user ends every connection of the user in every space.
pub async fn r53_removing_a_user_ends_everything_of_the_user(backend: Backend) {
    let all = Connections::new(backend).await;
    let covered = [&all.alice, &all.alice_work, &all.alice_in_marketing];
    let scope = TerminationScope::User(fixtures::user("alice"));
    all.assert_covers(scope, TerminationCause::UserRemoved, &covered, &[&all.bob, &all.bob_in_marketing]).await;
}

/// Losing a role ends every connection of the user in that space.
pub async fn r53_losing_a_role_ends_everything_of_the_user_in_the_space(backend: Backend) {
    let all = Connections::new(backend).await;
    let in_space =
        |space: &str| TerminationScope::UserSpace { user: fixtures::user("alice"), space: fixtures::space(space) };
    let others = [&all.alice, &all.alice_work, &all.bob, &all.bob_in_marketing];
    let cause = TerminationCause::PermissionLost;
    all.assert_covers(in_space("marketing"), cause, &[&all.alice_in_marketing], &others).await;
    let others = [&all.bob, &all.bob_in_marketing];
    all.assert_covers(in_space("default"), cause, &[&all.alice, &all.alice_work], &others).await;
}

/// Removing a space ends every connection in it. It writes no tombstone: its users can connect again.
pub async fn r53_removing_a_space_ends_everything_in_it(backend: Backend) {
    let all = Connections::new(backend).await;
    let scope = TerminationScope::Space(fixtures::space("default"));
    let covered = [&all.alice, &all.alice_work, &all.bob];
    let others = [&all.alice_in_marketing, &all.bob_in_marketing];
    all.assert_covers(scope, TerminationCause::SpaceRemoved, &covered, &others).await;
    all.store.connect(&authorization_key_of(&all.drive, "alice")).await;
}

/// A former grant whose revocation is pending can be terminated; the revocation goes on.
pub async fn r49_terminating_a_former_grant_keeps_its_revocation(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let grant = store.connect(&authorization_key_of(&drive, "alice")).await;
    store.edit(&drive, EditEffect::ExpireGrants).await;
    let former = store.get(grant.id).await;
    assert_eq!((state_of(&former), pending_in_doubt(&former)), (expired(ExpiredCause::ConnectorChanged), Some(false)));
    store.advance(Duration::from_secs(1));
    let report = store.terminate(TerminationScope::One(grant.id), TerminationCause::Disconnected).await;
    assert_eq!(report, TerminationReport { former: 1, ..TerminationReport::default() });
    let ended = store.get(grant.id).await;
    let (state, cause) = terminated(TerminationCause::Disconnected);
    let expected = AuthorizationRecord { state, cause, since: Some(store.now()), ended_by: Some(editor()), ..former };
    assert_eq!(ended, expected);
    let job = store.claim().await.expect("the revocation is pending");
    assert_eq!(id_of(&job), grant.id);
    store.update_job(grant.id, RevocationUpdate::Completed(RevocationOutcome::Revoked)).await;
    let completed = store.get(grant.id).await;
    assert_eq!(completed.revocation, Some(RevocationRecord::Completed(RevocationOutcome::Revoked)));
    assert_eq!((completed.state, completed.since), (StateKind::Revoked, expected.since));
}

/// An ended authorization contains who ended it: the actor of a termination or an edit, the user for what a newer grant
/// supersedes, and the system for the sweeper. A later termination of an ended one changes nothing.
pub async fn r80_an_end_is_stored_with_its_actor(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let owner = authorization_key_of(&drive, "alice");
    let ended_by = async |record: &AuthorizationRecord| store.get(record.id).await.ended_by;
    let superseded = store.connect(&owner).await;
    let revoked = store.connect(&owner).await;
    assert_eq!(ended_by(&revoked).await, None, "a grant has not ended");
    assert_eq!(ended_by(&superseded).await, Some(Actor::Person(owner.user.clone())));
    store.terminate(TerminationScope::One(revoked.id), TerminationCause::Admin).await;
    assert_eq!(ended_by(&revoked).await, Some(editor()));
    let timed_out = store.start(&owner).await;
    store.advance(fixtures::FLOW_TTL);
    store.sweep().await;
    assert_eq!(ended_by(&timed_out).await, Some(Actor::System));
    let changed = store.connect(&owner).await;
    store.edit(&drive, EditEffect::ExpireGrants).await;
    assert_eq!(ended_by(&changed).await, Some(editor()));
    let rejected = store
        .connect(&authorization_key_of(&store.add(fixtures::connector_in("default", "mail", 1, store.now())).await, "bob"))
        .await;
    let rejected = store.reject_refresh(&rejected).await;
    assert_eq!(ended_by(&rejected).await, Some(Actor::System));
    store
        .terminate(
            TerminationScope::Connection {
                connector: rejected.owner.connector_key(),
                user: rejected.owner.user.clone(),
                connection: rejected.owner.connection.clone(),
            },
            TerminationCause::Disconnected,
        )
        .await;
    assert_eq!(ended_by(&rejected).await, Some(editor()));
    let request = TerminationRequest { cause: TerminationCause::UserRemoved, actor: Actor::System };
    store.node.authorizations.terminate(TerminationScope::User(owner.user.clone()), request).await.unwrap_or_fail();
    assert_eq!(ended_by(&revoked).await, Some(editor()), "the first actor is kept");
}
