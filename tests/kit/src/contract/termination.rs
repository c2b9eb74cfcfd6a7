//! Rules of ending: disconnect, off-boarding, and what they leave behind.

use std::time::Duration;

use grantry_domain::authorization::{
    AuthorizationKey, AuthorizationRecord, RevocationOutcome, RevocationRecord, StateKind, TerminationCause,
};
use grantry_domain::connector::Connector;
use grantry_domain::identity::UserId;
use grantry_domain::ports::{AuditEvent, AuditKind, Cascade, RevocationUpdate, TerminationReport, TerminationScope};

use super::Backend;
use super::world::{Succeeds, World, editor, owed, state_of};
use crate::doubles::fixtures::{self, ownership_of};

/// A user's three rows for a connector: a former grant that wants consent again, the grant, and a new attempt.
struct Rows {
    former: AuthorizationRecord,
    grant: AuthorizationRecord,
    flow: AuthorizationRecord,
}

impl Rows {
    async fn of(world: &World, owner: &AuthorizationKey) -> Self {
        let first = world.connect(owner).await;
        let former = world.refuse(&first).await;
        let grant = world.connect(owner).await;
        let flow = world.start(owner).await;
        Self { former, grant, flow }
    }

    fn all(&self) -> [&AuthorizationRecord; 3] {
        [&self.former, &self.grant, &self.flow]
    }

    async fn are_untouched(&self, world: &World) -> bool {
        for row in self.all() {
            if world.get(row.id).await != *row {
                return false;
            }
        }
        true
    }

    /// Asserts that all three are ended with a cause, and how.
    async fn are_ended(&self, world: &World, cause: &str) {
        for row in self.all() {
            assert_eq!(state_of(&world.get(row.id).await), (StateKind::Revoked, Some(cause)));
        }
        let grant = world.get(self.grant.id).await;
        assert_eq!((owed(&grant), &grant.sealed), (Some(false), &self.grant.sealed), "its tokens wait for revocation");
        let former = world.get(self.former.id).await;
        assert_eq!(former.revocation, self.former.revocation, "its revocation goes on as it was");
        assert_eq!(world.get(self.flow.id).await.sealed, None);
    }
}

/// Alice and Bob on one connector in each of two spaces; the connectors have the same id.
struct Town {
    world: World,
    alice: Rows,
    alice_in_marketing: Rows,
    bob: Rows,
    bob_in_marketing: Rows,
    drive: Connector,
}

impl Town {
    async fn new(backend: Backend) -> Self {
        let (world, drive) = World::with_drive(backend).await;
        let marketing = world.add(fixtures::connector_in("marketing", "drive", 1, world.now())).await;
        let alice = Rows::of(&world, &ownership_of(&drive, "alice")).await;
        let bob = Rows::of(&world, &ownership_of(&drive, "bob")).await;
        let alice_in_marketing = Rows::of(&world, &ownership_of(&marketing, "alice")).await;
        let bob_in_marketing = Rows::of(&world, &ownership_of(&marketing, "bob")).await;
        world.news().await;
        Self { world, alice, alice_in_marketing, bob, bob_in_marketing, drive }
    }

    fn users_and_connector(&self, user: &str) -> TerminationScope {
        TerminationScope::UserConnector { incarnation: self.drive.incarnation, user: fixtures::user(user) }
    }

    /// Ends a scope and asserts what it covers and what not, and that doing it again does nothing.
    async fn ends(&self, scope: TerminationScope, cause: TerminationCause, covered: &[&Rows], others: &[&Rows]) {
        let times = covered.len() as u64;
        let expected = TerminationReport { flows: times, grants: times, former: times, queued: times };
        assert_eq!(self.world.end(scope.clone(), cause).await, expected);
        for rows in covered {
            rows.are_ended(&self.world, cause.as_str()).await;
        }
        for rows in others {
            assert!(rows.are_untouched(&self.world).await, "{scope:?} ended too much");
        }
        assert_eq!(self.world.news().await.len() as u64, 3 * times, "one event for each");
        let image = self.world.image().await;
        assert_eq!(self.world.end(scope, cause).await, TerminationReport::default());
        assert_eq!(self.world.image().await, image, "ending is idempotent");
    }
}

/// A disconnect ends a user's flow, grant and former grant on one connector, and nothing else; again, it does nothing.
pub async fn r49_a_disconnect_ends_everything_of_a_user_on_a_connector(backend: Backend) {
    let town = Town::new(backend).await;
    let scope = town.users_and_connector("alice");
    town.ends(scope, TerminationCause::Disconnected, &[&town.alice], &[&town.alice_in_marketing, &town.bob]).await;
}

/// After a disconnect was committed no node hands out.
pub async fn r49_after_a_disconnect_no_node_hands_out(backend: Backend) {
    let town = Town::new(backend).await;
    let (world, alice) = (&town.world, fixtures::user("alice"));
    let granted = async |user: &UserId| {
        let view = world.other.authorizations.access_token_view(&town.drive.key, user).await.unwrap_or_fail();
        view.expect("the connector is there").grant.map(|grant| grant.id)
    };
    assert_eq!(granted(&alice).await, Some(town.alice.grant.id));
    world.end(town.users_and_connector("alice"), TerminationCause::Disconnected).await;
    assert_eq!(granted(&alice).await, None);
    assert_eq!(granted(&fixtures::user("bob")).await, Some(town.bob.grant.id));
}

/// The in-doubt mark goes into the owed revocation, whoever set it and however late.
pub async fn r49_ending_carries_the_doubt_into_the_revocation(backend: Backend) {
    let town = Town::new(backend).await;
    town.world.lease(&town.alice.grant, 1).await;
    town.world.end(town.users_and_connector("alice"), TerminationCause::Disconnected).await;
    assert_eq!(owed(&town.world.get(town.alice.grant.id).await), Some(true));
    town.world.end(town.users_and_connector("bob"), TerminationCause::Disconnected).await;
    assert_eq!(owed(&town.world.get(town.bob.grant.id).await), Some(false));
}

/// Each ended authorization has its own event, with its cause, in the name of who did it.
pub async fn r49_each_ending_leaves_its_event(backend: Backend) {
    let town = Town::new(backend).await;
    let world = &town.world;
    world.pass(Duration::from_secs(3));
    world.end(town.users_and_connector("alice"), TerminationCause::Admin).await;
    let mut events = world.news().await;
    events.sort_by_key(|event| event.grant);
    let mut expected = Vec::new();
    for row in town.alice.all() {
        expected.push(AuditEvent::ending(&world.get(row.id).await, editor(), world.now()));
    }
    assert_eq!(events, expected);
    let kinds: Vec<_> = events.iter().map(|event| (event.kind, event.outcome.as_str())).collect();
    assert_eq!(kinds, [(AuditKind::GrantEnded, "admin"), (AuditKind::GrantEnded, "admin"), (AuditKind::FlowEnded, "admin")]);
}

/// One authorization by its id, in whatever state.
pub async fn one_authorization_can_be_ended(backend: Backend) {
    let town = Town::new(backend).await;
    let world = &town.world;
    let cases = [
        (&town.alice.flow, TerminationReport { flows: 1, ..TerminationReport::default() }),
        (&town.alice.grant, TerminationReport { grants: 1, queued: 1, ..TerminationReport::default() }),
        (&town.alice.former, TerminationReport { former: 1, ..TerminationReport::default() }),
    ];
    for (row, expected) in cases {
        assert_eq!(world.end(TerminationScope::One(row.id), TerminationCause::Admin).await, expected);
        assert_eq!(world.cause(row).await.as_deref(), Some("admin"));
        assert_eq!(
            world.end(TerminationScope::One(row.id), TerminationCause::Disconnected).await,
            TerminationReport::default()
        );
        assert_eq!(world.cause(row).await.as_deref(), Some("admin"), "the first cause stays");
    }
    let unknown = TerminationScope::One(fixtures::grant_id(999));
    assert_eq!(world.end(unknown, TerminationCause::Admin).await, TerminationReport::default());
    assert!(town.bob.are_untouched(world).await);
}

/// Ended flows that never were grants are not touched by later endings.
pub async fn an_ended_flow_keeps_its_cause(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let flow = world.start(&ownership_of(&drive, "alice")).await;
    world.pass(fixtures::FLOW_TTL);
    world.sweep().await;
    let scope = TerminationScope::UserConnector { incarnation: drive.incarnation, user: fixtures::user("alice") };
    assert_eq!(world.end(scope, TerminationCause::Disconnected).await, TerminationReport::default());
    assert_eq!(world.cause(&flow).await.as_deref(), Some("flow_timed_out"));
}

/// Off-boarding a user ends everything of theirs, everywhere.
pub async fn r53_removing_a_user_ends_everything_of_theirs(backend: Backend) {
    let town = Town::new(backend).await;
    let (scope, others) = (TerminationScope::User(fixtures::user("alice")), [&town.bob, &town.bob_in_marketing]);
    town.ends(scope, TerminationCause::UserRemoved, &[&town.alice, &town.alice_in_marketing], &others).await;
}

/// Losing a privilege ends what a user has in that space.
pub async fn r53_losing_a_privilege_ends_what_a_user_has_in_the_space(backend: Backend) {
    let town = Town::new(backend).await;
    let scope = TerminationScope::UserSpace { user: fixtures::user("alice"), space: fixtures::space("marketing") };
    let others = [&town.alice, &town.bob, &town.bob_in_marketing];
    town.ends(scope, TerminationCause::PermissionLost, &[&town.alice_in_marketing], &others).await;
}

/// Removing a space ends everything in it; no tombstone is left for its users.
pub async fn r53_removing_a_space_ends_everything_in_it(backend: Backend) {
    let town = Town::new(backend).await;
    let scope = TerminationScope::Space(fixtures::space("default"));
    let others = [&town.alice_in_marketing, &town.bob_in_marketing];
    town.ends(scope, TerminationCause::SpaceRemoved, &[&town.alice, &town.bob], &others).await;
    town.world.connect(&ownership_of(&town.drive, "alice")).await;
}

/// A former grant whose revocation is still owed can be put away, and the revocation goes on.
pub async fn r49_putting_a_former_grant_away_keeps_its_revocation(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let grant = world.connect(&ownership_of(&drive, "alice")).await;
    world.edit(&drive, Cascade::Changed).await;
    let former = world.get(grant.id).await;
    assert_eq!((state_of(&former), owed(&former)), ((StateKind::Expired, Some("connector_changed")), Some(false)));
    world.pass(Duration::from_secs(1));
    let ended = world.end(TerminationScope::One(grant.id), TerminationCause::Disconnected).await;
    assert_eq!(ended, TerminationReport { former: 1, ..TerminationReport::default() });
    let away = world.get(grant.id).await;
    let expected = AuthorizationRecord {
        state: StateKind::Revoked,
        cause: Some("disconnected".to_owned()),
        since: Some(world.now()),
        ..former
    };
    assert_eq!(away, expected);
    let job = world.claim().await.expect("the revocation is still owed");
    assert_eq!(super::revocation::id_of(&job), grant.id);
    world.end_job(grant.id, RevocationUpdate::Completed(RevocationOutcome::Revoked)).await;
    let settled = world.get(grant.id).await;
    assert_eq!(settled.revocation, Some(RevocationRecord::Completed(RevocationOutcome::Revoked)));
    assert_eq!((settled.state, settled.since), (StateKind::Revoked, expected.since));
}
