//! Statuses, by every use case that returns them.

use std::time::Duration;

use grantry_domain::authorization::{
    AuthorizationId, ConnectionStatus, ConnectorStatus, FailureCode, FlowFailure, FlowStatus, ProviderNote, Reason,
    StatusKind, UserAuthStatus,
};
use grantry_domain::connector::AuthMode;
use grantry_domain::identity::{Actor, ConnectionName};
use grantry_domain::ports::{KeyId, Operation as Limit, ProviderErrorKind, StoreError, TokenResponse};
use grantry_domain::provider::Scopes;
use grantry_domain::usecase::{
    AccessError, CancelKey, ConnectorDraft, ConnectorError, StatusError, TokenError, UnusableConnector,
};
use grantry_testkit::doubles::fixtures::{connector_key, space};
use grantry_testkit::doubles::tokens;
use grantry_testkit::doubles::{Fault, Method};

use crate::common::{
    HOUR, SECOND, TestApp, agent, authorization_required, callback_of, draft, drive, elsewhere, error_callback_of, person,
    tokens_for,
};

/// The status of alice at `drive`. Asserts that every use case that returns or uses it agrees.
async fn status_of(app: &TestApp) -> ConnectorStatus {
    // A running revocation would be part of one status and not of the next.
    app.spawner.finished().await;
    let alice = person("alice");
    let one = app.node.connector(&alice, &drive()).await.unwrap();
    let all = app.node.connectors(&alice, &space("default")).await.unwrap();
    let bulk = app.node.statuses(&alice, &space("default")).await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all.iter().find(|view| view.connector.key == drive()), Some(&one));
    let (_, status) = bulk.iter().find(|(connector, _)| connector.key == drive()).unwrap();
    assert_eq!(*status, one.status);
    // Issuing a token agrees as well.
    let token = app.token("alice").await;
    let shown = one.status.shown();
    let expected = match (one.status.user_auth_status, shown.kind) {
        (UserAuthStatus::NotApplicable, _) => {
            assert!(token.is_ok());
            return one.status;
        }
        (status, StatusKind::Connected) => {
            assert!(matches!(token, Ok(_) | Err(TokenError::Unavailable { .. } | TokenError::Misconfigured)), "{token:?}");
            assert_eq!(status, UserAuthStatus::Connected);
            return one.status;
        }
        (status, StatusKind::NeedsReauthorization) => (status, shown.reason.unwrap()),
        (status, StatusKind::NotConnected | StatusKind::Connecting) => (status, Reason::NotConnected),
    };
    assert_eq!(token, Err(authorization_required(expected.1)));
    assert_eq!(expected.0, UserAuthStatus::NotConnected);
    one.status
}

async fn expect(app: &TestApp, kind: StatusKind, reason: Option<Reason>, reconnecting: bool) -> ConnectionStatus {
    let status = status_of(app).await.shown();
    assert_eq!((status.kind, status.reason, status.is_reconnecting()), (kind, reason, reconnecting));
    status
}

#[tokio::test(start_paused = true)]
async fn lesson_18_every_use_case_returns_the_same_status_in_every_state() {
    use StatusKind::{Connected, Connecting, NeedsReauthorization, NotConnected};
    let app = TestApp::new().await;
    app.create_connector(&connector_key("default", "another"), draft("{}")).await;
    let tick = || app.clock.advance(Duration::from_secs(1));
    expect(&app, NotConnected, None, false).await;
    let started = app.start("alice", &drive()).await;
    let connecting = expect(&app, Connecting, None, false).await;
    assert_eq!(connecting.flow.map(|flow| (flow.id, flow.expires_at)), Some((started.flow_id, started.expires_at)));
    app.node.cancel(&person("alice"), &drive(), CancelKey::Flow(started.flow_id)).await.unwrap();
    expect(&app, NotConnected, None, false).await;
    app.start("alice", &drive()).await;
    app.clock.advance(Duration::from_mins(10));
    expect(&app, NotConnected, None, false).await;
    app.connect("alice").await;
    let since = app.now();
    let connected = expect(&app, Connected, None, false).await;
    assert_eq!((connected.since, connected.last_used_day), (Some(since), None), "no use yet");
    app.token("alice").await.unwrap();
    app.node.flush_audit().await.unwrap();
    assert_eq!(expect(&app, Connected, None, false).await.last_used_day, Some(since.day()));
    let started = app.start("alice", &drive()).await;
    expect(&app, Connected, None, true).await;
    let denied = error_callback_of(&started, "alice", true);
    app.complete(denied).await;
    expect(&app, Connected, None, false).await;
    // A provider that does not respond.
    app.clock.advance(HOUR);
    app.provider.respond_to_refresh(Err(ProviderErrorKind::NoResponse));
    expect(&app, Connected, None, false).await;
    let unreachable = expect(&app, Connected, None, false).await;
    assert_eq!(unreachable.provider_note, Some(ProviderNote::UnreachableSince(app.now())));
    app.clock.advance(Duration::from_mins(2));
    app.provider.respond_to_refresh(Err(ProviderErrorKind::InvalidGrant));
    app.token("alice").await.unwrap_err();
    expect(&app, NeedsReauthorization, Some(Reason::RefreshRejected), false).await;
    app.start("alice", &drive()).await;
    expect(&app, NeedsReauthorization, Some(Reason::RefreshRejected), true).await;
    tick();
    let narrow = TokenResponse { scopes: Some(Scopes::new(["write"])), ..tokens("a", Some("r")) };
    app.provider.respond_to_exchange(Ok(narrow));
    let started = app.start("alice", &drive()).await;
    app.complete(callback_of(&started, "alice")).await;
    expect(&app, NeedsReauthorization, Some(Reason::InsufficientScope), false).await;
    tick();
    app.provider.respond_to_exchange(Ok(tokens_for("a", None, HOUR)));
    app.connect("alice").await;
    app.clock.advance(HOUR);
    expect(&app, NeedsReauthorization, Some(Reason::AccessTokenExpired), false).await;
    tick();
    let second = KeyId(*b"key-0002");
    app.vault.rotate_to(second);
    app.connect("alice").await;
    app.vault.forget(second);
    expect(&app, NeedsReauthorization, Some(Reason::Undecryptable), false).await;
    app.vault.restore(second);
    expect(&app, Connected, None, false).await;
    app.profiles.set("edited", |settings| settings.client_id = "client-2".to_owned());
    app.edit(draft("edited")).await;
    expect(&app, NeedsReauthorization, Some(Reason::ConnectorChanged), false).await;
    tick();
    let id = app.connect("alice").await;
    app.node.revoke_grant(&person("ada"), &space("default"), id).await.unwrap();
    expect(&app, NeedsReauthorization, Some(Reason::Admin), false).await;
    tick();
    app.connect("alice").await;
    app.node.disconnect(&person("alice"), &drive(), None).await.unwrap();
    expect(&app, NotConnected, None, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_closes_a_connection_that_needs_reauthorization() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.clock.advance(HOUR);
    app.provider.respond_to_refresh(Err(ProviderErrorKind::InvalidGrant));
    app.token("alice").await.unwrap_err();
    assert_eq!(app.kind("alice").await, StatusKind::NeedsReauthorization);
    let ended = app.node.disconnect(&person("alice"), &drive(), None).await.unwrap();
    assert_eq!((ended.grants, ended.former), (0, 1));
    assert_eq!(app.kind("alice").await, StatusKind::NotConnected);
}

#[tokio::test]
async fn a_shared_connector_has_no_status() {
    let app = TestApp::without_connector();
    app.create_connector(&drive(), ConnectorDraft { auth_mode: AuthMode::Shared, ..draft("{}") }).await;
    app.create_connector(&connector_key("default", "another"), draft("{}")).await;
    let status = status_of(&app).await;
    assert_eq!((status.user_auth_status, status.connections.len()), (UserAuthStatus::NotApplicable, 0));
}

#[tokio::test]
async fn r60_flows_are_shown_only_to_the_user_who_started_them() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let status = async |actor: Actor, place: Option<&str>, id| {
        let place = place.map(space);
        app.node.flow_status(&actor, place.as_ref(), id).await.map(|view| view.status)
    };
    for place in [None, Some("default")] {
        assert_eq!(status(person("alice"), place, started.flow_id).await, Ok(FlowStatus::Awaiting));
    }
    assert_eq!(status(person("alice"), Some("marketing"), started.flow_id).await, Err(AccessError::NotFound.into()));
    assert_eq!(status(person("bob"), None, started.flow_id).await, Err(AccessError::NotFound.into()));
    assert_eq!(
        status(person("alice"), None, AuthorizationId::new(app.now(), [9; 16])).await,
        Err(AccessError::NotFound.into())
    );
    assert_eq!(status(agent(), None, started.flow_id).await, Err(AccessError::Forbidden.into()));
    app.store.fail_next(Method::Find, Fault::UNAVAILABLE);
    assert_eq!(status(person("alice"), None, started.flow_id).await, Err(StatusError::Store(StoreError::Unavailable)));
    let view = app.node.flow_status(&person("alice"), None, started.flow_id).await.unwrap();
    assert_eq!((view.connector, view.connection, view.expires_at), (drive(), ConnectionName::default(), started.expires_at));
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_flow_is_how_it_ended_and_does_not_change_with_its_grant() {
    let app = TestApp::new().await;
    let of = async |id| app.node.flow_status(&person("alice"), None, id).await.unwrap().status;
    let id = app.connect("alice").await;
    assert_eq!(of(id).await, FlowStatus::Authorized);
    app.node.disconnect(&person("alice"), &drive(), None).await.unwrap();
    assert_eq!(of(id).await, FlowStatus::Authorized);
    let denied = app.start("alice", &drive()).await;
    app.complete(error_callback_of(&denied, "alice", true)).await;
    assert_eq!(of(denied.flow_id).await, FlowStatus::Failed(FlowFailure::AccessDenied));
    let late = app.start("alice", &drive()).await;
    app.clock.advance(Duration::from_mins(10));
    assert_eq!(of(late.flow_id).await, FlowStatus::Expired, "before the sweeper");
    let gone = app.start("alice", &drive()).await;
    app.node.delete_connector(&person("ed"), &drive()).await.unwrap();
    assert_eq!(of(gone.flow_id).await, FlowStatus::Failed(FlowFailure::Code(FailureCode::ConnectorGone)));
}

#[tokio::test]
async fn a_space_that_is_closed_to_the_caller_looks_missing() {
    let app = TestApp::new().await;
    let one = async |actor: Actor, key| app.node.connector(&actor, &key).await.map(drop);
    assert_eq!(one(person("stranger"), drive()).await, Err(AccessError::NotFound.into()));
    assert_eq!(one(person("alice"), elsewhere()).await, Err(AccessError::NotFound.into()));
    assert_eq!(one(agent(), drive()).await, Err(AccessError::Forbidden.into()));
    let all = async |actor: Actor, place: &str| app.node.connectors(&actor, &space(place)).await.map(|views| views.len());
    assert_eq!(all(person("alice"), "default").await, Ok(1));
    assert_eq!(all(person("alice"), "marketing").await, Ok(0));
    assert_eq!(all(person("alice"), "nowhere").await, Err(AccessError::NotFound.into()));
    assert_eq!(all(agent(), "default").await, Err(AccessError::Forbidden.into()));
    app.store.fail_next(Method::Statuses, Fault::UNAVAILABLE);
    assert_eq!(all(person("alice"), "default").await, Err(ConnectorError::Store(StoreError::Unavailable)));
    let bulk = async |actor: Actor| app.node.statuses(&actor, &space("default")).await.map(drop);
    assert_eq!(bulk(person("stranger")).await, Err(AccessError::NotFound.into()));
    assert_eq!(bulk(agent()).await, Err(AccessError::Forbidden.into()));
    let codes = [
        StatusError::Access(AccessError::NotFound),
        StatusError::Access(AccessError::Forbidden),
        StatusError::Store(StoreError::Unavailable),
    ];
    assert_eq!(codes.map(StatusError::code), ["not_found", "forbidden", "store_unavailable"]);
}

#[tokio::test]
async fn a_connector_with_invalid_settings_is_shown_with_the_problem() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.profiles.refuse("{}", "config.tokenUrl", "must be https");
    let view = app.node.connector(&person("alice"), &drive()).await.unwrap();
    assert!(matches!(view.settings, Err(UnusableConnector::Config(invalid)) if invalid.field == "config.tokenUrl"));
    let shown = view.status.shown();
    assert_eq!((shown.kind, shown.reason), (StatusKind::NeedsReauthorization, Some(Reason::ConnectorChanged)));
}

#[tokio::test]
async fn r59_statuses_of_flows_and_spaces_are_limited_per_user() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let limited = StatusError::RateLimited { retry_after: SECOND };
    assert_eq!(limited.code(), "rate_limited");
    app.limiter.refuse(SECOND);
    let flow = app.node.flow_status(&person("alice"), None, started.flow_id).await;
    assert_eq!(flow.map(drop), Err(limited));
    app.limiter.refuse(SECOND);
    assert_eq!(app.node.statuses(&person("alice"), &space("default")).await.map(drop), Err(limited));
    let counted = ("user:alice".to_owned(), Limit::Status);
    assert_eq!(app.limiter.taken()[1..], [counted.clone(), counted]);
    assert!(app.node.flow_status(&person("alice"), None, started.flow_id).await.is_ok());
    assert_eq!(app.store.count(Method::Find), 1, "a refused request reads nothing");
}

#[tokio::test]
async fn connectors_are_shown_without_a_rate_limit() {
    let app = TestApp::new().await;
    app.limiter.refuse(SECOND);
    assert!(app.node.connector(&person("alice"), &drive()).await.is_ok());
    assert!(app.node.connectors(&person("alice"), &space("default")).await.is_ok());
    assert!(app.limiter.taken().is_empty());
}
