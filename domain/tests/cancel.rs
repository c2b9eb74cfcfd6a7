//! Cancelling an attempt, and sending a browser on to the provider.

use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, FlowStatus, StateKind, StatusKind};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuditKind, ProviderError, StoreError, VaultError};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{CallbackRefused, CancelError, CancelKey, LaunchError};
use grantry_testkit::doubles::Call;
use grantry_testkit::doubles::fixtures::{connector_key, space};

use crate::common::store::{DOWN, Method};
use crate::common::{World, agent, came_back, draft, drive, elsewhere, person, text};

async fn cancel(world: &World, who: &str, key: CancelKey) -> Result<(), CancelError> {
    world.node.cancel(&person(who), &drive(), key).await
}

#[tokio::test]
async fn lesson_06_a_cancelled_flow_is_refused_and_cancelling_twice_is_fine() {
    let world = World::new().await;
    for by_state in [true, false] {
        let started = world.start("alice", &drive()).await;
        let key =
            || if by_state { CancelKey::State(started.state.clone_secret()) } else { CancelKey::Flow(started.flow_id) };
        cancel(&world, "alice", key()).await.unwrap();
        cancel(&world, "alice", key()).await.unwrap();
        let refused = world.node.complete(came_back(&started, "alice")).await.unwrap_err();
        assert_eq!(refused, CallbackRefused::AlreadyUsed { flow_id: started.flow_id });
        let flow = world.node.flow_status(&person("alice"), None, started.flow_id).await.unwrap();
        assert_eq!(flow.status, FlowStatus::Cancelled);
    }
    assert!(world.token_calls().is_empty());
    assert_eq!(world.outcomes(AuditKind::FlowEnded).await, ["cancelled"; 2]);
    assert_eq!(world.kind("alice").await, StatusKind::NotConnected);
}

#[tokio::test]
async fn lesson_06_nobody_cancels_another_users_flow() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    for key in [CancelKey::State(started.state.clone_secret()), CancelKey::Flow(started.flow_id)] {
        let refused = cancel(&world, "bob", key).await.unwrap_err();
        assert_eq!((refused, refused.code()), (CancelError::Forbidden, "forbidden"));
    }
    world.create_connector(&elsewhere(), draft("{}")).await;
    let wrong_place = world.node.cancel(&person("alice"), &elsewhere(), CancelKey::Flow(started.flow_id)).await;
    assert_eq!(wrong_place, Err(CancelError::Forbidden));
    for actor in [agent(), Actor::System] {
        let refused = world.node.cancel(&actor, &drive(), CancelKey::Flow(started.flow_id)).await;
        assert_eq!(refused, Err(CancelError::Forbidden));
    }
    assert_eq!(cancel(&world, "stranger", CancelKey::Flow(started.flow_id)).await, Err(CancelError::NotFound));
    world.complete(came_back(&started, "alice")).await;
}

#[tokio::test]
async fn cancelling_what_nobody_knows_or_what_is_a_grant_changes_nothing() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    let unknown = AuthorizationId::new(world.now(), [9; 16]);
    for key in [CancelKey::Flow(unknown), CancelKey::State(Secret::from_text("unknown")), CancelKey::Flow(id)] {
        assert_eq!(cancel(&world, "alice", key).await, Ok(()));
    }
    assert_eq!(world.row(id).await.state, StateKind::Authorized);
    let started = world.start("alice", &drive()).await;
    world.clock.advance(Duration::from_mins(10));
    assert_eq!(cancel(&world, "alice", CancelKey::Flow(started.flow_id)).await, Ok(()));
    let flow = world.node.flow_status(&person("alice"), None, started.flow_id).await.unwrap();
    assert_eq!(flow.status, FlowStatus::Expired);
}

#[tokio::test]
async fn a_store_that_fails_at_a_cancel_is_told() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    for method in [Method::Find, Method::Now, Method::Replace] {
        world.store.fail_next(method, DOWN);
        let refused = cancel(&world, "alice", CancelKey::Flow(started.flow_id)).await.unwrap_err();
        assert_eq!((refused, refused.code()), (CancelError::Store(StoreError::Unavailable), "store_unavailable"));
    }
    world.complete(came_back(&started, "alice")).await;
}

#[tokio::test]
async fn r17_the_launch_page_sends_on_only_its_own_user_in_their_own_browser() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let cookie = || vec![started.flow_cookie.clone_secret()];
    let launch = async |actor: Actor, place: &str, id, cookies: Vec<Secret>| {
        world.node.launch(&actor, &space(place), id, &cookies).await.map(|url| text(&url))
    };
    let url = launch(person("alice"), "default", started.flow_id, cookie()).await;
    assert_eq!(url, Ok(text(&started.authorization_url)), "the same state and challenge");
    let not_found = Err(LaunchError::NotFound);
    assert_eq!(launch(person("bob"), "default", started.flow_id, cookie()).await, not_found);
    assert_eq!(launch(agent(), "default", started.flow_id, cookie()).await, not_found);
    assert_eq!(launch(person("alice"), "marketing", started.flow_id, cookie()).await, not_found);
    assert_eq!(launch(person("alice"), "default", AuthorizationId::new(world.now(), [9; 16]), cookie()).await, not_found);
    for cookies in [Vec::new(), vec![Secret::from_text("other")]] {
        let refused = launch(person("alice"), "default", started.flow_id, cookies).await;
        assert_eq!(refused, Err(LaunchError::BrowserMismatch));
    }
    assert_eq!(world.row(started.flow_id).await.state, StateKind::AwaitingCallback);
    world.complete(came_back(&started, "alice")).await;
    let over = launch(person("alice"), "default", started.flow_id, cookie()).await;
    assert_eq!(over, Err(LaunchError::Over));
    let codes = [LaunchError::NotFound, LaunchError::BrowserMismatch, LaunchError::Over, LaunchError::Internal];
    assert_eq!(codes.map(LaunchError::code), ["flow_not_found", "browser_mismatch", "flow_expired", "internal"]);
}

#[tokio::test]
async fn a_launch_that_fails_is_told_and_leaves_the_flow() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let launch = async || {
        let cookies = [started.flow_cookie.clone_secret()];
        world.node.launch(&person("alice"), &space("default"), started.flow_id, &cookies).await.map(drop)
    };
    for method in [Method::Find, Method::Now, Method::ClientSecret] {
        world.store.fail_next(method, DOWN);
        assert_eq!(launch().await, Err(LaunchError::Store(StoreError::Unavailable)), "{method:?}");
    }
    world.vault.fail(Some(VaultError::UnknownKey));
    assert_eq!(launch().await, Err(LaunchError::Internal));
    world.vault.fail(None);
    world.provider.answer_authorization_url(Err(ProviderError::NoResponse));
    assert_eq!(launch().await, Err(LaunchError::Internal));
    assert_eq!(launch().await, Ok(()));
    world.clock.advance(Duration::from_mins(10));
    assert_eq!(launch().await, Err(LaunchError::Over));
    assert_eq!(LaunchError::Store(StoreError::Unavailable).code(), "store_unavailable");
}

#[tokio::test]
async fn the_launch_page_asks_for_the_same_scopes_and_account() {
    let world = World::new().await;
    world.connect("alice").await;
    let started = world.start("alice", &drive()).await;
    world
        .node
        .launch(&person("alice"), &space("default"), started.flow_id, &[started.flow_cookie.clone_secret()])
        .await
        .unwrap();
    let calls = world.provider.calls();
    let urls: Vec<&Call> = calls.iter().filter(|call| matches!(call, Call::AuthorizationUrl { .. })).collect();
    assert_eq!(urls[1], urls[2]);
    assert_eq!(connector_key("default", "drive"), drive());
}
