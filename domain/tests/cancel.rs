//! Cancelling a flow, and redirecting a browser to the provider.

use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, FlowStatus, StateKind, StatusKind};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuditKind, ProviderErrorKind, StoreError, VaultError};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{AccessError, CallbackRefused, CancelError, CancelKey, LaunchError};
use grantry_testkit::doubles::fixtures::space;
use grantry_testkit::doubles::{Call, Fault, Method};

use crate::common::{TestApp, agent, callback_of, draft, drive, elsewhere, person, text};

async fn cancel(app: &TestApp, who: &str, key: CancelKey) -> Result<Option<AuthorizationId>, CancelError> {
    app.node.cancel(&person(who), &drive(), key).await
}

#[tokio::test]
async fn lesson_06_a_cancelled_flow_is_refused_and_cancelling_twice_is_fine() {
    let app = TestApp::new().await;
    for by_state in [true, false] {
        let started = app.start("alice", &drive()).await;
        let key =
            || if by_state { CancelKey::State(started.state.clone_secret()) } else { CancelKey::Flow(started.flow_id) };
        assert_eq!(cancel(&app, "alice", key()).await, Ok(Some(started.flow_id)));
        // An ended flow has no state any more.
        assert_eq!(cancel(&app, "alice", key()).await, Ok((!by_state).then_some(started.flow_id)));
        let refused = app.node.complete(callback_of(&started, "alice")).await.unwrap_err();
        assert_eq!(refused, CallbackRefused::Ended { flow_id: started.flow_id });
        assert_eq!(refused.code(), "flow_already_used");
        let flow = app.node.flow_status(&person("alice"), None, started.flow_id).await.unwrap();
        assert_eq!(flow.status, FlowStatus::Cancelled);
    }
    assert!(app.token_calls().is_empty());
    assert_eq!(app.outcomes(AuditKind::FlowEnded).await, ["cancelled"; 2]);
    assert_eq!(app.kind("alice").await, StatusKind::NotConnected);
}

#[tokio::test]
async fn lesson_06_another_users_flow_cannot_be_cancelled() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    for key in [CancelKey::State(started.state.clone_secret()), CancelKey::Flow(started.flow_id)] {
        let refused = cancel(&app, "bob", key).await.unwrap_err();
        assert_eq!((refused, refused.code()), (CancelError::Access(AccessError::Forbidden), "forbidden"));
    }
    app.create_connector(&elsewhere(), draft("{}")).await;
    let other_space = app.node.cancel(&person("alice"), &elsewhere(), CancelKey::Flow(started.flow_id)).await;
    assert_eq!(other_space, Err(AccessError::Forbidden.into()));
    for actor in [agent(), Actor::System] {
        let refused = app.node.cancel(&actor, &drive(), CancelKey::Flow(started.flow_id)).await;
        assert_eq!(refused, Err(AccessError::Forbidden.into()));
    }
    assert_eq!(cancel(&app, "stranger", CancelKey::Flow(started.flow_id)).await, Err(AccessError::NotFound.into()));
    app.complete(callback_of(&started, "alice")).await;
}

#[tokio::test]
async fn cancelling_an_unknown_flow_or_a_grant_changes_nothing() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    let unknown = AuthorizationId::new(app.now(), [9; 16]);
    for (key, stored) in [
        (CancelKey::Flow(unknown), None),
        (CancelKey::State(Secret::from_text("unknown")), None),
        (CancelKey::Flow(id), Some(id)),
    ] {
        assert_eq!(cancel(&app, "alice", key).await, Ok(stored));
    }
    assert_eq!(app.record(id).await.state, StateKind::Authorized);
    let started = app.start("alice", &drive()).await;
    app.clock.advance(Duration::from_mins(10));
    assert_eq!(cancel(&app, "alice", CancelKey::Flow(started.flow_id)).await, Ok(Some(started.flow_id)));
    let flow = app.node.flow_status(&person("alice"), None, started.flow_id).await.unwrap();
    assert_eq!(flow.status, FlowStatus::Expired);
}

#[tokio::test]
async fn a_failure_of_the_store_at_a_cancel_is_reported() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    for method in [Method::Find, Method::Now, Method::Replace] {
        app.store.fail_next(method, Fault::UNAVAILABLE);
        let refused = cancel(&app, "alice", CancelKey::Flow(started.flow_id)).await.unwrap_err();
        assert_eq!((refused, refused.code()), (CancelError::Store(StoreError::Unavailable), "store_unavailable"));
    }
    app.complete(callback_of(&started, "alice")).await;
}

#[tokio::test]
async fn r17_the_launch_page_redirects_only_the_user_of_the_flow_in_its_browser() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let cookie = || vec![started.flow_cookie.clone_secret()];
    let launch = async |actor: Actor, place: &str, id, cookies: Vec<Secret>| {
        app.node.launch(&actor, &space(place), id, &cookies).await.map(|url| text(&url))
    };
    let url = launch(person("alice"), "default", started.flow_id, cookie()).await;
    assert_eq!(url, Ok(text(&started.authorization_url)), "the same state and challenge");
    let not_found = Err(LaunchError::NotFound);
    assert_eq!(launch(person("bob"), "default", started.flow_id, cookie()).await, not_found);
    assert_eq!(launch(agent(), "default", started.flow_id, cookie()).await, not_found);
    assert_eq!(launch(person("alice"), "marketing", started.flow_id, cookie()).await, not_found);
    assert_eq!(launch(person("alice"), "default", AuthorizationId::new(app.now(), [9; 16]), cookie()).await, not_found);
    for cookies in [Vec::new(), vec![Secret::from_text("other")]] {
        let refused = launch(person("alice"), "default", started.flow_id, cookies).await;
        assert_eq!(refused, Err(LaunchError::BrowserMismatch));
    }
    assert_eq!(app.record(started.flow_id).await.state, StateKind::AwaitingCallback);
    app.complete(callback_of(&started, "alice")).await;
    let over = launch(person("alice"), "default", started.flow_id, cookie()).await;
    assert_eq!(over, Err(LaunchError::Over));
    let codes = [LaunchError::NotFound, LaunchError::BrowserMismatch, LaunchError::Over, LaunchError::Internal];
    assert_eq!(codes.map(LaunchError::code), ["flow_not_found", "browser_mismatch", "flow_expired", "internal"]);
}

#[tokio::test]
async fn a_failed_launch_is_reported_and_leaves_the_flow() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let launch = async || {
        let cookies = [started.flow_cookie.clone_secret()];
        app.node.launch(&person("alice"), &space("default"), started.flow_id, &cookies).await.map(drop)
    };
    for method in [Method::Find, Method::Now, Method::ClientSecret] {
        app.store.fail_next(method, Fault::UNAVAILABLE);
        assert_eq!(launch().await, Err(LaunchError::Store(StoreError::Unavailable)), "{method:?}");
    }
    app.vault.fail(Some(VaultError::UnknownKey));
    assert_eq!(launch().await, Err(LaunchError::Internal));
    app.vault.fail(None);
    app.provider.respond_to_authorization_url(Err(ProviderErrorKind::NoResponse));
    assert_eq!(launch().await, Err(LaunchError::Internal));
    assert_eq!(launch().await, Ok(()));
    app.clock.advance(Duration::from_mins(10));
    assert_eq!(launch().await, Err(LaunchError::Over));
    assert_eq!(LaunchError::Store(StoreError::Unavailable).code(), "store_unavailable");
}

#[tokio::test]
async fn the_launch_page_requests_the_same_scopes_and_account() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    let started = app.start("alice", &drive()).await;
    app.node
        .launch(&person("alice"), &space("default"), started.flow_id, &[started.flow_cookie.clone_secret()])
        .await
        .unwrap();
    let calls = app.provider.calls();
    let urls: Vec<&Call> = calls.iter().filter(|call| matches!(call, Call::AuthorizationUrl { .. })).collect();
    assert_eq!(urls[1], urls[2]);
}
