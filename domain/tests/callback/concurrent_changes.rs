//! Callbacks during which a connector is edited or deleted, or a user loses access.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, FailureCode, FlowFailure, StateKind, StatusKind, TerminationCause};
use grantry_domain::identity::{Actor, Role};
use grantry_domain::ports::{LeftOut, UserStatus};
use grantry_domain::usecase::{CallbackRefused, CancelKey, Completed, Connections};
use grantry_testkit::doubles::fixtures::{space, user};
use grantry_testkit::doubles::{Method, Operation};
use grantry_testkit::provider::Gate;

use super::{Outcome, failed};
use crate::common::{TestApp, callback_of, draft, drive, person, quiet, terminated};

/// What happens during the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// The token endpoint is edited.
    Edit,
    Delete,
    /// The user loses the role in the space.
    RemoveRole,
    /// The host disables the user.
    DisableUser,
    /// The host removes the user and reports it.
    RemoveUser,
    RemoveSpace,
    /// The user cancels in another tab.
    Cancel,
    Disconnect,
}

use Event::{Cancel, Delete, DisableUser, Disconnect, Edit, RemoveRole, RemoveSpace, RemoveUser};

const EVENTS: [Event; 8] = [Edit, Delete, RemoveRole, DisableUser, RemoveUser, RemoveSpace, Cancel, Disconnect];

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
    fn hold(self, app: &TestApp) -> Option<Gate> {
        match self {
            Self::BeforeTheCallback => None,
            Self::BeforeTheExchange => Some(app.store.hold(Method::GetConnector)),
            Self::InTheExchange => Some(app.provider.hold(Operation::Exchange)),
            Self::InTheIdentification => Some(app.provider.hold(Operation::Identify)),
            Self::BeforeTheCommit => Some(app.store.hold(Method::CommitGrant)),
        }
    }
}

async fn perform(event: Event, app: &TestApp, node: &Arc<Connections>, flow: AuthorizationId) {
    let (alice, default) = (user("alice"), space("default"));
    match event {
        Edit => {
            app.profiles.set("moved", |settings| {
                let mut endpoints = settings.endpoints.take().unwrap_or_default();
                endpoints.token = "https://elsewhere.example/token".to_owned();
                settings.endpoints = Some(endpoints);
            });
            node.update_connector(&person("ed"), &drive(), draft("moved"), None, false).await.unwrap();
        }
        Delete => drop(node.delete_connector(&person("ed"), &drive()).await.unwrap()),
        RemoveRole => app.directory.remove_role(&alice, &default),
        DisableUser => app.directory.set_user(&alice, UserStatus::Disabled),
        RemoveUser => {
            app.directory.set_user(&alice, UserStatus::Unknown);
            node.remove_user(Actor::System, &alice).await.unwrap();
        }
        RemoveSpace => app.directory.remove_space(&default),
        Cancel => {
            let key = CancelKey::Flow(flow);
            node.cancel(&person("alice"), &drive(), key).await.unwrap();
        }
        Disconnect => drop(node.disconnect(&person("alice"), &drive(), None).await.unwrap()),
    }
}

async fn run(event: Event, when: When) -> (TestApp, Result<Completed, CallbackRefused>) {
    let app = TestApp::new().await;
    let node = app.node_on(&app.store.another_node(), app.provider.clone());
    let started = app.start("alice", &drive()).await;
    let callback = callback_of(&started, "alice");
    let result = match when.hold(&app) {
        None => {
            perform(event, &app, &node, started.flow_id).await;
            app.node.complete(callback).await
        }
        Some(point) => {
            let completing = tokio::spawn({
                let node = app.node.clone();
                async move { node.complete(callback).await }
            });
            point.arrived(1).await;
            perform(event, &app, &node, started.flow_id).await;
            point.open();
            app.drive(completing).await.unwrap()
        }
    };
    quiet().await;
    app.node.revoke_due().await.unwrap();
    (app, result)
}

/// The directory is asked right before the commit and at every access token, not in the transaction of the commit.
fn known_only_to_the_host(event: Event) -> bool {
    match event {
        RemoveRole | DisableUser | RemoveSpace => true,
        Edit | Delete | RemoveUser | Cancel | Disconnect => false,
    }
}

#[tokio::test(start_paused = true)]
async fn r26_r53_no_event_at_any_point_leaves_a_grant_or_a_valid_token() {
    for when in WHEN {
        for event in EVENTS {
            let (app, result) = run(event, when).await;
            let seen = format!("{event:?} {when:?}: {result:?}");
            let exchanged = app.provider.count(Operation::Exchange) > 0;
            if known_only_to_the_host(event) && when == When::BeforeTheCommit {
                assert_eq!(result.unwrap().outcome, Outcome::Connected, "{seen}");
                assert!(app.token("alice").await.is_err(), "{seen}");
                assert_eq!(app.node.reconcile().await.unwrap().ended, 1, "{seen}");
                quiet().await;
            } else {
                let failed = result.map(|completed| matches!(completed.outcome, Outcome::Failed(_)));
                assert!(failed.unwrap_or(true), "{seen}");
            }
            let revoked = if exchanged { vec!["refresh-1", "access-1"] } else { Vec::new() };
            assert_eq!(app.revoked(), revoked, "{seen}");
            assert_eq!(
                app.stored
                    .revocations
                    .claim_revocation([0; 16], Duration::ZERO, Duration::from_hours(1), LeftOut::default())
                    .await
                    .unwrap(),
                None,
                "{seen}"
            );
            app.directory.set_role(&user("alice"), &space("default"), Role::Viewer);
            assert!(app.token("alice").await.is_err(), "{seen}");
            assert_eq!(app.node.sweep(|_| {}).await.unwrap().timed_out, 0, "no flow is left: {seen}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r25_after_an_edit_or_a_deletion_the_code_is_not_sent() {
    for (event, code) in [(Edit, FailureCode::ConnectorChanged), (Delete, FailureCode::ConnectorGone)] {
        let (app, result) = run(event, When::BeforeTheExchange).await;
        assert_eq!(result.unwrap().outcome, failed(code), "{event:?}");
        assert!(app.token_calls().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn r26_failure_codes_of_a_commit_that_an_event_prevents() {
    for (event, code) in [
        (Edit, FailureCode::ConnectorChanged),
        (Delete, FailureCode::ConnectorGone),
        (RemoveUser, FailureCode::UserDeprovisioned),
    ] {
        let (_, result) = run(event, When::BeforeTheCommit).await;
        assert_eq!(result.unwrap().outcome, failed(code), "{event:?}");
    }
    for event in [RemoveRole, DisableUser, RemoveSpace] {
        let (_, result) = run(event, When::InTheExchange).await;
        assert_eq!(result.unwrap().outcome, failed(FailureCode::PermissionLost), "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r06_an_unavailable_directory_at_the_commit_denies_access() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    app.directory.set_unavailable(true);
    let outcome = app.complete(callback_of(&started, "alice")).await.outcome;
    app.directory.set_unavailable(false);
    assert_eq!(outcome, failed(FailureCode::Internal));
    quiet().await;
    assert_eq!(app.revoked(), ["refresh-1", "access-1"]);
}

#[tokio::test(start_paused = true)]
async fn r25_a_connector_edited_and_edited_back_is_another_epoch() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let point = When::BeforeTheExchange.hold(&app).unwrap();
    let completing = tokio::spawn({
        let (node, callback) = (app.node.clone(), callback_of(&started, "alice"));
        async move { node.complete(callback).await.unwrap().outcome }
    });
    point.arrived(1).await;
    let other = app.node_on(&app.store.another_node(), app.provider.clone());
    perform(Edit, &app, &other, started.flow_id).await;
    other.update_connector(&person("ed"), &drive(), draft("{}"), None, false).await.unwrap();
    point.open();
    assert_eq!(completing.await.unwrap(), failed(FailureCode::ConnectorChanged));
    assert!(app.token_calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn r54_a_recreated_connector_does_not_accept_a_state_of_the_deleted_one() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    app.node.delete_connector(&person("ed"), &drive()).await.unwrap();
    app.create_connector(&drive(), draft("{}")).await;
    let refused = app.node.complete(callback_of(&started, "alice")).await.unwrap_err();
    assert!(matches!(refused, CallbackRefused::Ended { .. }));
    assert!(app.token_calls().is_empty());
    assert_eq!(app.kind("alice").await, StatusKind::NotConnected);
}

#[tokio::test(start_paused = true)]
async fn r27_a_cancelled_reconnect_leaves_the_old_grant() {
    let app = TestApp::new().await;
    let old = app.connect("alice").await;
    let started = app.start("alice", &drive()).await;
    let gate = app.store.hold(Method::CommitGrant);
    let completing = tokio::spawn({
        let (node, callback) = (app.node.clone(), callback_of(&started, "alice"));
        async move { node.complete(callback).await.unwrap().outcome }
    });
    gate.arrived(1).await;
    let key = CancelKey::Flow(started.flow_id);
    app.node.cancel(&person("alice"), &drive(), key).await.unwrap();
    gate.open();
    assert!(matches!(completing.await.unwrap(), Outcome::Failed(FlowFailure::Code(_))));
    assert_eq!(app.record(old).await.state, StateKind::Authorized);
    quiet().await;
    assert_eq!(app.revoked(), ["refresh-2", "access-2"]);
    assert_eq!(app.record(started.flow_id).await.cause, Some(terminated(TerminationCause::Cancelled)));
}
