//! What users are told, by whatever way they ask.

use std::time::Duration;

use grantry_domain::authorization::{
    AuthStatus, AuthorizationId, FailureCode, FlowFailure, FlowStatus, ProviderNote, Reason, StatusKind,
};
use grantry_domain::connector::AuthMode;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{ProviderError, StoreError, TokenResponse};
use grantry_domain::provider::Scopes;
use grantry_domain::usecase::{
    AuthorizationResponse, CallbackRequest, CancelKey, ConnectorDraft, ConnectorError, StatusError, TokenError,
};
use grantry_testkit::doubles::PlainVault;
use grantry_testkit::doubles::fixtures::{connector_key, space};
use grantry_testkit::doubles::tokens;

use crate::common::store::{DOWN, Method};
use crate::common::{HOUR, World, agent, came_back, draft, drive, elsewhere, person, tokens_for};

/// Asks in every way there is, and insists that all answers agree.
async fn told(world: &World) -> AuthStatus {
    // Revocations under way would be told at one time and not at the next.
    world.spawner.finished().await;
    let alice = person("alice");
    let one = world.node.connector(&alice, &drive()).await.unwrap();
    let all = world.node.connectors(&alice, &space("default")).await.unwrap();
    let bulk = world.node.statuses(&alice, &space("default")).await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all.iter().find(|view| view.connector.key == drive()), Some(&one));
    let (_, status) = bulk.iter().find(|(connector, _)| connector.key == drive()).unwrap();
    assert_eq!(*status, one.status);
    // And the hand-out agrees with them.
    let token = world.token("alice").await;
    match (one.status.kind, token) {
        (StatusKind::Connected, token) => {
            assert!(matches!(token, Ok(_) | Err(TokenError::Unavailable { .. } | TokenError::Misconfigured)), "{token:?}");
        }
        (StatusKind::NeedsReauthorization, token) => {
            let reason = one.status.reason.unwrap();
            assert_eq!(token, Err(TokenError::AuthorizationRequired { reason }));
        }
        (StatusKind::NotConnected | StatusKind::Connecting, token) => {
            assert_eq!(token, Err(TokenError::AuthorizationRequired { reason: Reason::NotConnected }));
        }
        (StatusKind::NotApplicable, token) => assert!(token.is_ok()),
    }
    one.status
}

async fn expect(world: &World, kind: StatusKind, reason: Option<Reason>, pending: bool) -> AuthStatus {
    let status = told(world).await;
    assert_eq!((status.kind, status.reason, status.pending), (kind, reason, pending));
    status
}

#[tokio::test(start_paused = true)]
async fn lesson_18_every_way_to_ask_gives_the_same_answer_in_every_state() {
    use StatusKind::{Connected, Connecting, NeedsReauthorization, NotConnected};
    let world = World::new().await;
    world.create_connector(&connector_key("default", "another"), draft("{}")).await;
    let tick = || world.clock.advance(Duration::from_secs(1));
    expect(&world, NotConnected, None, false).await;
    let started = world.start("alice", &drive()).await;
    let connecting = expect(&world, Connecting, None, false).await;
    assert_eq!(connecting.flow.map(|flow| (flow.id, flow.expires_at)), Some((started.flow_id, started.expires_at)));
    world.node.cancel(&person("alice"), &drive(), CancelKey::Flow(started.flow_id)).await.unwrap();
    expect(&world, NotConnected, None, false).await;
    world.start("alice", &drive()).await;
    world.clock.advance(Duration::from_mins(10));
    expect(&world, NotConnected, None, false).await;
    world.connect("alice").await;
    let since = world.now();
    let connected = expect(&world, Connected, None, false).await;
    assert_eq!((connected.since, connected.last_used_day), (Some(since), Some(since.day())));
    let started = world.start("alice", &drive()).await;
    expect(&world, Connected, None, true).await;
    let denied = CallbackRequest { answer: AuthorizationResponse::Error { denied: true }, ..came_back(&started, "alice") };
    world.complete(denied).await;
    expect(&world, Connected, None, false).await;
    // A provider that does not answer.
    world.clock.advance(HOUR);
    world.provider.answer_refresh(Err(ProviderError::NoResponse));
    expect(&world, Connected, None, false).await;
    let unreachable = expect(&world, Connected, None, false).await;
    assert_eq!(unreachable.provider_note, Some(ProviderNote::UnreachableSince(world.now())));
    world.clock.advance(Duration::from_mins(2));
    world.provider.answer_refresh(Err(ProviderError::InvalidGrant));
    world.token("alice").await.unwrap_err();
    expect(&world, NeedsReauthorization, Some(Reason::RefreshRejected), false).await;
    world.start("alice", &drive()).await;
    expect(&world, NeedsReauthorization, Some(Reason::RefreshRejected), true).await;
    tick();
    world.provider.answer_exchange(Ok(tokens_for("a", None, HOUR)));
    world.connect("alice").await;
    world.clock.advance(HOUR);
    expect(&world, NeedsReauthorization, Some(Reason::AccessTokenExpired), false).await;
    tick();
    let narrow = TokenResponse { scopes: Some(Scopes::new(["write"])), ..tokens("a", Some("r")) };
    world.provider.answer_exchange(Ok(narrow));
    world.connect("alice").await;
    expect(&world, NeedsReauthorization, Some(Reason::InsufficientScope), false).await;
    tick();
    world.connect("alice").await;
    world.vault.forget(PlainVault::FIRST_KEY);
    expect(&world, NeedsReauthorization, Some(Reason::Undecryptable), false).await;
    world.vault.restore(PlainVault::FIRST_KEY);
    expect(&world, Connected, None, false).await;
    world.profiles.set("edited", |settings| settings.client_id = "client-2".to_owned());
    world.edit(draft("edited")).await;
    expect(&world, NeedsReauthorization, Some(Reason::ConnectorChanged), false).await;
    tick();
    let id = world.connect("alice").await;
    world.node.revoke_grant(&person("ada"), &space("default"), id).await.unwrap();
    expect(&world, NeedsReauthorization, Some(Reason::Admin), false).await;
    tick();
    world.connect("alice").await;
    world.node.disconnect(&person("alice"), &drive()).await.unwrap();
    expect(&world, NotConnected, None, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_needed_consent_can_be_put_away_by_a_disconnect() {
    let world = World::new().await;
    world.connect("alice").await;
    world.clock.advance(HOUR);
    world.provider.answer_refresh(Err(ProviderError::InvalidGrant));
    world.token("alice").await.unwrap_err();
    assert_eq!(world.kind("alice").await, StatusKind::NeedsReauthorization);
    let ended = world.node.disconnect(&person("alice"), &drive()).await.unwrap();
    assert_eq!((ended.grants, ended.former), (0, 1));
    assert_eq!(world.kind("alice").await, StatusKind::NotConnected);
}

#[tokio::test]
async fn a_shared_connector_has_no_status() {
    let world = World::without_connector();
    world.create_connector(&drive(), ConnectorDraft { auth_mode: AuthMode::Shared, ..draft("{}") }).await;
    world.create_connector(&connector_key("default", "another"), draft("{}")).await;
    assert_eq!(told(&world).await.kind, StatusKind::NotApplicable);
}

#[tokio::test]
async fn r60_flows_are_shown_to_their_starter_alone() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let status = async |actor: Actor, place: Option<&str>, id| {
        let place = place.map(space);
        world.node.flow_status(&actor, place.as_ref(), id).await.map(|view| view.status)
    };
    for place in [None, Some("default")] {
        assert_eq!(status(person("alice"), place, started.flow_id).await, Ok(FlowStatus::Awaiting));
    }
    assert_eq!(status(person("alice"), Some("marketing"), started.flow_id).await, Err(StatusError::NotFound));
    assert_eq!(status(person("bob"), None, started.flow_id).await, Err(StatusError::NotFound));
    assert_eq!(status(person("alice"), None, AuthorizationId::new(world.now(), [9; 16])).await, Err(StatusError::NotFound));
    assert_eq!(status(agent(), None, started.flow_id).await, Err(StatusError::Forbidden));
    world.store.fail_next(Method::Find, DOWN);
    assert_eq!(status(person("alice"), None, started.flow_id).await, Err(StatusError::Store(StoreError::Unavailable)));
    let view = world.node.flow_status(&person("alice"), None, started.flow_id).await.unwrap();
    assert_eq!((view.connector, view.expires_at), (drive().id, started.expires_at));
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_flow_tells_how_it_ended_whatever_became_of_the_grant() {
    let world = World::new().await;
    let of = async |id| world.node.flow_status(&person("alice"), None, id).await.unwrap().status;
    let id = world.connect("alice").await;
    assert_eq!(of(id).await, FlowStatus::Authorized);
    world.node.disconnect(&person("alice"), &drive()).await.unwrap();
    assert_eq!(of(id).await, FlowStatus::Authorized);
    let denied = world.start("alice", &drive()).await;
    world
        .complete(CallbackRequest { answer: AuthorizationResponse::Error { denied: true }, ..came_back(&denied, "alice") })
        .await;
    assert_eq!(of(denied.flow_id).await, FlowStatus::Failed(FlowFailure::AccessDenied));
    let late = world.start("alice", &drive()).await;
    world.clock.advance(Duration::from_mins(10));
    assert_eq!(of(late.flow_id).await, FlowStatus::Expired, "before the sweeper");
    let gone = world.start("alice", &drive()).await;
    world.node.delete_connector(&person("ed"), &drive()).await.unwrap();
    assert_eq!(of(gone.flow_id).await, FlowStatus::Failed(FlowFailure::Code(FailureCode::ConnectorGone)));
}

#[tokio::test]
async fn who_may_not_see_a_space_sees_nothing_of_it() {
    let world = World::new().await;
    let one = async |actor: Actor, key| world.node.connector(&actor, &key).await.map(drop);
    assert_eq!(one(person("stranger"), drive()).await, Err(ConnectorError::NotFound));
    assert_eq!(one(person("alice"), elsewhere()).await, Err(ConnectorError::NotFound));
    assert_eq!(one(agent(), drive()).await, Err(ConnectorError::Forbidden));
    let all = async |actor: Actor, place: &str| world.node.connectors(&actor, &space(place)).await.map(|views| views.len());
    assert_eq!(all(person("alice"), "default").await, Ok(1));
    assert_eq!(all(person("alice"), "marketing").await, Ok(0));
    assert_eq!(all(person("alice"), "nowhere").await, Err(ConnectorError::NotFound));
    assert_eq!(all(agent(), "default").await, Err(ConnectorError::Forbidden));
    world.store.fail_next(Method::Statuses, DOWN);
    assert_eq!(all(person("alice"), "default").await, Err(ConnectorError::Store(StoreError::Unavailable)));
    let bulk = async |actor: Actor| world.node.statuses(&actor, &space("default")).await.map(drop);
    assert_eq!(bulk(person("stranger")).await, Err(StatusError::NotFound));
    assert_eq!(bulk(agent()).await, Err(StatusError::Forbidden));
    let codes = [StatusError::NotFound, StatusError::Forbidden, StatusError::Store(StoreError::Unavailable)];
    assert_eq!(codes.map(StatusError::code), ["not_found", "forbidden", "store_unavailable"]);
}

#[tokio::test]
async fn a_connector_that_is_not_understood_is_shown_with_what_is_wrong() {
    let world = World::new().await;
    world.connect("alice").await;
    world.profiles.refuse("{}", "config.tokenUrl", "must be https");
    let view = world.node.connector(&person("alice"), &drive()).await.unwrap();
    assert!(view.settings.is_err_and(|invalid| invalid.field == "config.tokenUrl"));
    assert_eq!((view.status.kind, view.status.reason), (StatusKind::NeedsReauthorization, Some(Reason::ConnectorChanged)));
}
