//! Callbacks while somebody edits, deletes, disables, or takes a privilege away (R25, R26, R53).

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::{FailureCode, FlowFailure, StateKind, StatusKind, TerminationCause};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuthorizationStore, Cascade, ConnectorStore, UserStatus};
use grantry_domain::usecase::{CallbackRefused, Completed, Connections};
use grantry_testkit::doubles::Operation;
use grantry_testkit::doubles::fixtures::{space, user};

use super::{Outcome, Point, failed};
use crate::common::store::Method;
use crate::common::{World, came_back, draft, drive, person, quiet};

/// What somebody does to the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// The token endpoint is edited.
    Edit,
    Delete,
    Disable,
    /// The user loses the privilege in the space.
    Expel,
    /// The host disables the user.
    DisableUser,
    /// The host removes the user, and says so.
    RemoveUser,
    RemoveSpace,
    /// The user cancels, in another tab.
    Cancel,
    Disconnect,
}

use Event::{Cancel, Delete, Disable, DisableUser, Disconnect, Edit, Expel, RemoveSpace, RemoveUser};

const EVENTS: [Event; 9] = [Edit, Delete, Disable, Expel, DisableUser, RemoveUser, RemoveSpace, Cancel, Disconnect];

/// When it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    BeforeTheCallback,
    BeforeTheExchange,
    InTheExchange,
    InTheIdentification,
    BeforeTheCommit,
}

const WHEN: [When; 5] = [
    When::BeforeTheCallback,
    When::BeforeTheExchange,
    When::InTheExchange,
    When::InTheIdentification,
    When::BeforeTheCommit,
];

impl When {
    fn hold(self, world: &World) -> Option<Point> {
        match self {
            Self::BeforeTheCallback => None,
            Self::BeforeTheExchange => Some(Point::Store(world.store.hold(Method::GetConnector))),
            Self::InTheExchange => Some(Point::Provider(world.provider.hold(Operation::Exchange))),
            Self::InTheIdentification => Some(Point::Provider(world.provider.hold(Operation::Identify))),
            Self::BeforeTheCommit => Some(Point::Store(world.store.hold(Method::CommitGrant))),
        }
    }
}

async fn happens(
    event: Event,
    world: &World,
    node: &Arc<Connections>,
    flow: grantry_domain::authorization::AuthorizationId,
) {
    let (alice, default) = (user("alice"), space("default"));
    match event {
        Edit => {
            world.profiles.set("moved", |settings| {
                let mut endpoints = settings.endpoints.take().unwrap_or_default();
                endpoints.token = "https://elsewhere.example/token".to_owned();
                settings.endpoints = Some(endpoints);
            });
            node.update_connector(&person("ed"), &drive(), draft("moved"), None, false).await.unwrap();
        }
        Delete => drop(node.delete_connector(&person("ed"), &drive()).await.unwrap()),
        Disable => {
            let mut connector = world.stored_connector(&drive()).await;
            let expected = connector.revision;
            connector.enabled = false;
            connector.epoch = connector.epoch.next();
            connector.revision += 1;
            let store = world.store.inner();
            store.update(connector, expected, None, Cascade::Disabled, person("ed"), Vec::new()).await.unwrap();
        }
        Expel => world.directory.expel(&alice, &default),
        DisableUser => world.directory.set_user(&alice, UserStatus::Disabled),
        RemoveUser => {
            world.directory.set_user(&alice, UserStatus::Unknown);
            node.remove_user(Actor::System, &alice).await.unwrap();
        }
        RemoveSpace => world.directory.remove_space(&default),
        Cancel => {
            let key = grantry_domain::usecase::CancelKey::Flow(flow);
            node.cancel(&person("alice"), &drive(), key).await.unwrap();
        }
        Disconnect => drop(node.disconnect(&person("alice"), &drive()).await.unwrap()),
    }
}

async fn run(event: Event, when: When) -> (World, Result<Completed, CallbackRefused>) {
    let world = World::new().await;
    let node = world.node_on(&Arc::new(world.store.another_way()), world.provider.clone());
    let started = world.start("alice", &drive()).await;
    let callback = came_back(&started, "alice");
    let result = match when.hold(&world) {
        None => {
            happens(event, &world, &node, started.flow_id).await;
            world.node.complete(callback).await
        }
        Some(point) => {
            let completing = tokio::spawn({
                let node = world.node.clone();
                async move { node.complete(callback).await }
            });
            point.arrived().await;
            happens(event, &world, &node, started.flow_id).await;
            point.open();
            world.drive(completing).await.unwrap()
        }
    };
    quiet().await;
    world.node.revoke_due().await.unwrap();
    (world, result)
}

/// What only the host knows is asked for right before the commit and at every hand-out, not in the transaction.
fn known_only_to_the_host(event: Event) -> bool {
    match event {
        Expel | DisableUser | RemoveSpace => true,
        Edit | Delete | Disable | RemoveUser | Cancel | Disconnect => false,
    }
}

#[tokio::test(start_paused = true)]
async fn r26_r53_whatever_happens_at_whatever_point_no_grant_and_no_live_token_is_left() {
    for when in WHEN {
        for event in EVENTS {
            let (world, result) = run(event, when).await;
            let seen = format!("{event:?} {when:?}: {result:?}");
            let exchanged = world.provider.count(Operation::Exchange) > 0;
            if known_only_to_the_host(event) && when == When::BeforeTheCommit {
                assert_eq!(result.unwrap().outcome, Outcome::Connected, "{seen}");
                assert!(world.token("alice").await.is_err(), "{seen}");
                assert_eq!(world.node.reconcile().await.unwrap().ended, 1, "{seen}");
                quiet().await;
            } else {
                let failed = result.map(|completed| matches!(completed.outcome, Outcome::Failed(_)));
                assert!(failed.unwrap_or(true), "{seen}");
            }
            let revoked = if exchanged { vec!["refresh-1", "access-1"] } else { Vec::new() };
            assert_eq!(world.revoked(), revoked, "{seen}");
            assert_eq!(world.store.inner().claim_revocation([0; 16], Duration::ZERO).await.unwrap(), None, "{seen}");
            world.directory.authorize(&user("alice"), &space("default"), grantry_domain::identity::Role::Viewer);
            assert!(world.token("alice").await.is_err(), "{seen}");
            assert_eq!(world.node.sweep(|_| {}).await.unwrap().timed_out, 0, "no orphan flow: {seen}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r25_an_edit_before_the_callback_stops_the_code() {
    for (event, code) in
        [(Edit, FailureCode::ConnectorChanged), (Delete, FailureCode::ConnectorGone), (Disable, FailureCode::ConnectorGone)]
    {
        let (world, result) = run(event, When::BeforeTheExchange).await;
        assert_eq!(result.unwrap().outcome, failed(code), "{event:?}");
        assert!(world.token_calls().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn r26_the_codes_of_a_disturbed_commit() {
    for (event, code) in [
        (Edit, FailureCode::ConnectorChanged),
        (Delete, FailureCode::ConnectorGone),
        (Disable, FailureCode::ConnectorGone),
        (RemoveUser, FailureCode::PermissionLost),
    ] {
        let (_, result) = run(event, When::BeforeTheCommit).await;
        assert_eq!(result.unwrap().outcome, failed(code), "{event:?}");
    }
    for event in [Expel, DisableUser, RemoveSpace] {
        let (_, result) = run(event, When::InTheExchange).await;
        assert_eq!(result.unwrap().outcome, failed(FailureCode::PermissionLost), "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r06_a_directory_that_does_not_answer_at_the_commit_means_no() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    world.directory.go_down(true);
    let outcome = world.complete(came_back(&started, "alice")).await.outcome;
    world.directory.go_down(false);
    assert_eq!(outcome, failed(FailureCode::PermissionLost));
    quiet().await;
    assert_eq!(world.revoked(), ["refresh-1", "access-1"]);
}

#[tokio::test(start_paused = true)]
async fn r25_a_connector_edited_and_edited_back_is_another_epoch() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let point = When::BeforeTheExchange.hold(&world).unwrap();
    let completing = tokio::spawn({
        let (node, callback) = (world.node.clone(), came_back(&started, "alice"));
        async move { node.complete(callback).await.unwrap().outcome }
    });
    point.arrived().await;
    let other = world.node_on(&Arc::new(world.store.another_way()), world.provider.clone());
    happens(Edit, &world, &other, started.flow_id).await;
    other.update_connector(&person("ed"), &drive(), draft("{}"), None, false).await.unwrap();
    point.open();
    assert_eq!(completing.await.unwrap(), failed(FailureCode::ConnectorChanged));
    assert!(world.token_calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn r54_a_recreated_connector_does_not_take_an_old_state() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    world.node.delete_connector(&person("ed"), &drive()).await.unwrap();
    world.create_connector(&drive(), draft("{}")).await;
    let refused = world.node.complete(came_back(&started, "alice")).await.unwrap_err();
    assert!(matches!(refused, CallbackRefused::AlreadyUsed { .. }));
    assert!(world.token_calls().is_empty());
    assert_eq!(world.kind("alice").await, StatusKind::NotConnected);
}

#[tokio::test(start_paused = true)]
async fn r27_a_disturbed_reconnect_leaves_the_old_grant() {
    let world = World::new().await;
    let old = world.connect("alice").await;
    let started = world.start("alice", &drive()).await;
    let gate = world.store.hold(Method::CommitGrant);
    let completing = tokio::spawn({
        let (node, callback) = (world.node.clone(), came_back(&started, "alice"));
        async move { node.complete(callback).await.unwrap().outcome }
    });
    gate.arrived(1).await;
    let key = grantry_domain::usecase::CancelKey::Flow(started.flow_id);
    world.node.cancel(&person("alice"), &drive(), key).await.unwrap();
    gate.open();
    assert!(matches!(completing.await.unwrap(), Outcome::Failed(FlowFailure::Code(_))));
    assert_eq!(world.row(old).await.state, StateKind::Authorized);
    quiet().await;
    assert_eq!(world.revoked(), ["refresh-2", "access-2"]);
    let cancelled = grantry_domain::authorization::RevokedCause::Terminated(TerminationCause::Cancelled).to_record();
    assert_eq!(world.row(started.flow_id).await.cause, Some(cancelled));
}
