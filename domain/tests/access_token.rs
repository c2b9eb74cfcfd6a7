//! Handing tokens out: to whom, for where, and for how long.

use std::time::Duration;

use grantry_domain::authorization::{AuthorizationRecord, Reason, Revision, StatusKind};
use grantry_domain::connector::{AuthMode, ProfileId};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditKind, AuthorizationStore, Cascade, ConnectorStore, ExpectedVersion, StoreError, TokenResponse, UserStatus,
};
use grantry_domain::provider::Scopes;
use grantry_domain::usecase::{AccessTokenRequest, ConnectorDraft, TokenError};
use grantry_testkit::doubles::fixtures::{connector_id, connector_key, origin, space, user};
use grantry_testkit::doubles::{Operation, PlainVault, tokens};

use crate::common::store::{DOWN, Method};
use crate::common::{
    API, HOUR, World, agent, came_back, demand, demand_for, draft, drive, elsewhere, person, quiet, token_from, tokens_for,
};

fn required(reason: Reason) -> TokenError {
    TokenError::AuthorizationRequired { reason }
}

/// Changes a stored record as somebody does who writes to the database.
async fn tamper(world: &World, record: AuthorizationRecord) {
    let stored = world.row(record.id).await;
    world.store.inner().replace(record, ExpectedVersion::of(&stored), Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_fresh_token_is_handed_out_without_asking_the_provider() {
    let world = World::new().await;
    world.connect("alice").await;
    let given = world.node.access_token(&demand("alice")).await.unwrap();
    assert_eq!((given.token_type.as_str(), given.expires_at), ("Bearer", Some(world.now().plus(HOUR))));
    assert_eq!(world.refreshes(), 0);
    assert_eq!(world.store.count(Method::Find), 0, "one read is enough");
}

#[tokio::test]
async fn r43_a_token_goes_only_where_its_user_consented_to() {
    let world = World::new().await;
    world.connect("alice").await;
    for destination in ["https://evil.example", "http://api.example", "https://api.example:444", "https://as.example"] {
        let refused =
            world.node.access_token(&AccessTokenRequest { destination: origin(destination), ..demand("alice") }).await;
        let refused = refused.map(drop).unwrap_err();
        assert_eq!((refused, refused.code()), (TokenError::DestinationRefused, "destination_refused"));
    }
    assert_eq!(world.outcomes(AuditKind::AccessTokenRefused).await, ["destination_refused"; 4]);
    assert!(world.token("alice").await.is_ok());
}

#[tokio::test]
async fn r43_privilege_is_asked_for_at_every_hand_out() {
    let world = World::new().await;
    world.connect("alice").await;
    assert!(world.token("alice").await.is_ok());
    world.directory.expel(&user("alice"), &space("default"));
    assert_eq!(world.token("alice").await, Err(TokenError::NotFound));
    world.directory.authorize(&user("alice"), &space("default"), grantry_domain::identity::Role::Viewer);
    assert!(world.token("alice").await.is_ok());
    for standing in [UserStatus::Disabled, UserStatus::Unknown] {
        world.directory.set_user(&user("alice"), standing);
        assert_eq!(world.token("alice").await, Err(TokenError::NotFound));
    }
    world.directory.set_user(&user("alice"), UserStatus::Active);
    world.directory.go_down(true);
    assert_eq!(world.token("alice").await, Err(TokenError::Forbidden), "no answer means no");
    assert_eq!(world.token("alice").await.unwrap_err().code(), "forbidden");
}

#[tokio::test]
async fn a_person_gets_no_other_persons_token() {
    let world = World::new().await;
    world.connect("alice").await;
    for actor in [person("bob"), person("ada")] {
        let refused = world.node.access_token(&AccessTokenRequest { actor, ..demand("alice") }).await;
        assert_eq!(refused.map(drop), Err(TokenError::Forbidden));
    }
    for actor in [person("alice"), agent(), Actor::System] {
        assert!(world.node.access_token(&AccessTokenRequest { actor, ..demand("alice") }).await.is_ok());
    }
}

#[tokio::test]
async fn r60_foreign_and_missing_connectors_look_the_same() {
    let world = World::new().await;
    world.connect("alice").await;
    world.create_connector(&elsewhere(), draft("{}")).await;
    world.directory.expel(&user("bob"), &space("marketing"));
    let mut refused = Vec::new();
    for connector in [connector_key("nowhere", "drive"), connector_key("default", "other"), elsewhere()] {
        refused.push(token_from(&world.node, &demand_for("bob", connector)).await);
    }
    assert_eq!(refused, [Err(TokenError::NotFound), Err(TokenError::NotFound), Err(TokenError::NotFound)]);
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-1"));
    let other_space = token_from(&world.node, &demand_for("alice", elsewhere())).await;
    assert_eq!(other_space, Err(required(Reason::NotConnected)), "the same id in another space is another connector");
}

#[tokio::test]
async fn lesson_23_a_run_without_a_grant_of_its_own_gets_nobody_elses() {
    let world = World::new().await;
    let shared = connector_key("default", "shared");
    world.create_connector(&shared, ConnectorDraft { auth_mode: AuthMode::Shared, ..draft("{}") }).await;
    assert!(token_from(&world.node, &demand_for("bob", shared.clone())).await.is_ok(), "a shared token is kept now");
    world.connect("alice").await;
    assert_eq!(world.token("bob").await, Err(required(Reason::NotConnected)));
    assert_eq!(world.token("bob").await.unwrap_err().code(), "authorization_required");
    let of_shared = token_from(&world.node, &demand_for("alice", shared)).await.unwrap();
    assert_ne!(Ok(of_shared), world.token("alice").await);
}

#[tokio::test(start_paused = true)]
async fn r45_after_a_disconnect_no_node_hands_out() {
    let world = World::new().await;
    let other = world.another_node();
    world.connect("alice").await;
    assert!(token_from(&other, &demand("alice")).await.is_ok());
    world.node.disconnect(&person("alice"), &drive()).await.unwrap();
    for node in [&world.node, &other] {
        assert_eq!(token_from(node, &demand("alice")).await, Err(required(Reason::NotConnected)));
    }
}

#[tokio::test]
async fn r42_a_profile_that_changed_under_a_grant_stops_hand_out_and_renewal() {
    let world = World::new().await;
    world.connect("alice").await;
    world.profiles.set("{}", |settings| settings.destinations.push(origin("https://evil.example")));
    assert_eq!(world.token("alice").await, Err(required(Reason::ConnectorChanged)));
    assert_eq!(world.status("alice").await.reason, Some(Reason::ConnectorChanged));
    world.clock.advance(HOUR);
    assert_eq!(world.token("alice").await, Err(required(Reason::ConnectorChanged)));
    assert_eq!(world.refreshes(), 0);
    world.profiles.refuse("{}", "config.tokenUrl", "must be https");
    assert_eq!(world.token("alice").await, Err(TokenError::Misconfigured));
    assert_eq!(world.token("alice").await.unwrap_err().code(), "provider_misconfigured");
}

#[tokio::test]
async fn reasons_tell_what_became_of_a_former_grant() {
    let world = World::new().await;
    assert_eq!(world.token("alice").await, Err(required(Reason::NotConnected)));
    world.provider.answer_exchange(Ok(tokens_for("a", None, HOUR)));
    world.connect("alice").await;
    world.clock.advance(HOUR);
    assert_eq!(world.token("alice").await, Err(required(Reason::AccessTokenExpired)), "before the sweeper");
    world.node.sweep(|_| {}).await.unwrap();
    assert_eq!(world.token("alice").await, Err(required(Reason::AccessTokenExpired)), "after it");
    let refresh_lapses =
        |life| TokenResponse { refresh_lifetime: grantry_domain::ports::Lifetime::For(life), ..tokens("b", Some("r")) };
    world.provider.answer_exchange(Ok(refresh_lapses(2 * HOUR)));
    world.connect("alice").await;
    world.clock.advance(2 * HOUR);
    assert_eq!(world.token("alice").await, Err(required(Reason::RefreshTokenExpired)));
    world.connect("alice").await;
    let changed = ConnectorDraft { client_id: Some("client-2".to_owned()), ..draft("{}") };
    assert_eq!(world.edit(changed).await, 1);
    assert_eq!(world.token("alice").await, Err(required(Reason::ConnectorChanged)));
    let id = world.connect("alice").await;
    world.node.revoke_grant(&person("ada"), &space("default"), id).await.unwrap();
    assert_eq!(world.token("alice").await, Err(required(Reason::Admin)));
    world.clock.advance(Duration::from_secs(1));
    world.connect("alice").await;
    world.node.disconnect(&person("alice"), &drive()).await.unwrap();
    assert_eq!(world.token("alice").await, Err(required(Reason::NotConnected)));
}

#[tokio::test]
async fn an_attempt_under_way_is_no_grant() {
    let world = World::new().await;
    world.start("alice", &drive()).await;
    assert_eq!(world.token("alice").await, Err(required(Reason::NotConnected)));
}

#[tokio::test]
async fn r76_columns_never_yield_what_the_seal_forbids() {
    let world = World::new().await;
    world.provider.answer_exchange(Ok(tokens_for("a", None, HOUR)));
    let id = world.connect("alice").await;
    let honest = world.row(id).await;
    // A longer life in the column does not lengthen it.
    let later = Some(world.now().plus(100 * HOUR));
    tamper(&world, AuthorizationRecord { expires_at: later, ..honest.clone() }).await;
    world.clock.advance(HOUR);
    assert!(world.token("alice").await.is_err());
    assert_eq!(world.refreshes(), 0);
    // More scopes in the column do not widen it.
    let narrow = TokenResponse { scopes: Some(Scopes::new(["write"])), ..tokens("b", Some("r")) };
    world.provider.answer_exchange(Ok(narrow));
    let id = world.connect("alice").await;
    let honest = world.row(id).await;
    tamper(&world, AuthorizationRecord { scopes: Scopes::new(["read", "write"]), ..honest }).await;
    assert_eq!(world.token("alice").await, Err(required(Reason::InsufficientScope)));
}

#[tokio::test(start_paused = true)]
async fn r76_a_grant_whose_column_promises_a_refresh_token_it_does_not_have_ends_the_wait() {
    let world = World::new().await;
    world.provider.answer_exchange(Ok(tokens_for("a", None, HOUR)));
    let id = world.connect("alice").await;
    tamper(&world, AuthorizationRecord { refreshable: true, ..world.row(id).await }).await;
    world.clock.advance(HOUR);
    let refused = world.drive(world.token("alice")).await;
    assert!(matches!(refused, Err(TokenError::Unavailable { .. })), "{refused:?}");
    assert_eq!(world.refreshes(), 0);
}

#[tokio::test]
async fn r76_lesson_27_an_envelope_opens_only_where_it_belongs() {
    let world = World::new().await;
    let (alices, bobs) = (world.connect("alice").await, world.connect("bob").await);
    let (alice, bob) = (world.row(alices).await, world.row(bobs).await);
    tamper(&world, AuthorizationRecord { sealed: bob.sealed, ..alice.clone() }).await;
    assert_eq!(world.token("alice").await, Err(required(Reason::Undecryptable)));
    assert_eq!(world.outcomes(AuditKind::OpenFailed).await, ["tampered"]);
    // An older generation of the same grant.
    tamper(&world, alice.clone()).await;
    world.clock.advance(HOUR);
    assert!(world.token("alice").await.is_ok());
    let renewed = world.row(alices).await;
    assert_eq!(renewed.revision, Revision::FIRST.next());
    tamper(&world, AuthorizationRecord { sealed: alice.sealed, ..renewed.clone() }).await;
    assert_eq!(world.token("alice").await, Err(required(Reason::Undecryptable)));
    assert_eq!(world.outcomes(AuditKind::OpenFailed).await.last().map(String::as_str), Some("stale"));
    assert_eq!(world.row(alices).await.revision, renewed.revision, "nothing is deleted or overwritten");
}

#[tokio::test]
async fn r76_a_missing_key_is_told_changes_nothing_and_is_over_when_the_key_is_back() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    let before = world.row(id).await;
    world.vault.forget(PlainVault::FIRST_KEY);
    assert_eq!(world.token("alice").await, Err(required(Reason::Undecryptable)));
    let status = world.status("alice").await;
    assert_eq!((status.kind, status.reason), (StatusKind::NeedsReauthorization, Some(Reason::Undecryptable)));
    world.clock.advance(HOUR);
    assert_eq!(world.token("alice").await, Err(required(Reason::Undecryptable)));
    assert_eq!(world.row(id).await, before);
    assert_eq!(world.outcomes(AuditKind::OpenFailed).await, ["unknown_key"; 2]);
    world.vault.restore(PlainVault::FIRST_KEY);
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"));
    assert_eq!(world.kind("alice").await, StatusKind::Connected);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_told() {
    let world = World::new().await;
    world.connect("alice").await;
    world.store.fail_next(Method::AccessTokenView, DOWN);
    let refused = world.token("alice").await;
    assert_eq!(refused, Err(TokenError::Store(StoreError::Unavailable)));
    assert_eq!(refused.unwrap_err().code(), "store_unavailable");
}

#[tokio::test]
async fn r80_hand_outs_and_refusals_are_audited_with_who_and_for_whom() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.token("alice").await.unwrap();
    world.token("bob").await.unwrap_err();
    let events = world.events().await;
    let given = events.iter().find(|event| event.kind == AuditKind::AccessTokenIssued).unwrap();
    assert_eq!((&given.actor, &given.user, given.grant), (&agent(), &Some(user("alice")), Some(id)));
    let refused = events.iter().find(|event| event.kind == AuditKind::AccessTokenRefused).unwrap();
    assert_eq!((&refused.user, refused.connector.clone()), (&Some(user("bob")), Some(connector_id("drive"))));
    assert_eq!(refused.outcome, "authorization_required");
}

#[tokio::test(start_paused = true)]
async fn r80_notes_that_cannot_be_written_are_written_later() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    for method in [Method::Record, Method::NoteUse] {
        world.clock.advance(Duration::from_hours(24));
        world.token("alice").await.unwrap();
        world.store.fail_next(method, DOWN);
        assert!(world.node.write_notes().await.is_err());
    }
    assert_eq!(world.outcomes(AuditKind::AccessTokenIssued).await.len(), 2);
    assert_eq!(world.row(id).await.last_used_day, Some(world.now().day()));
    // Many notes are written without waiting for the housekeeper.
    world.store.fail_next(Method::Record, DOWN);
    for _ in 0..1024 {
        world.token("alice").await.unwrap();
    }
    quiet().await;
    let written = world.store.inner().pending_events(u32::MAX).await.unwrap();
    let given = |events: &[grantry_domain::ports::RecordedEvent]| {
        events.iter().filter(|recorded| recorded.event.kind == AuditKind::AccessTokenIssued).count()
    };
    assert!(given(&written) > 2, "the second batch went through");
    assert_eq!(world.outcomes(AuditKind::AccessTokenIssued).await.len(), 2 + 1024);
}

#[tokio::test]
async fn use_is_noted_once_a_day() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    let first_day = world.now().day();
    world.token("alice").await.unwrap();
    world.node.write_notes().await.unwrap();
    assert_eq!(world.store.count(Method::NoteUse), 0, "today is in the record already");
    world.clock.advance(Duration::from_hours(24));
    world.token("alice").await.unwrap();
    world.token("alice").await.unwrap();
    world.node.write_notes().await.unwrap();
    assert_eq!(world.row(id).await.last_used_day, Some(first_day + 1));
}

#[tokio::test]
async fn a_disabled_connector_hands_nothing_out() {
    let world = World::new().await;
    world.connect("alice").await;
    let mut connector = world.stored_connector(&drive()).await;
    connector.enabled = false;
    let store = world.store.inner();
    store.update(connector, 1, None, Cascade::Keep, Actor::System, Vec::new()).await.unwrap();
    assert_eq!(world.token("alice").await, Err(TokenError::NotFound), "even if the cascade were missing");
}

#[tokio::test]
async fn a_grant_of_an_earlier_epoch_or_incarnation_is_never_handed_out() {
    let world = World::new().await;
    world.connect("alice").await;
    let mut connector = world.stored_connector(&drive()).await;
    connector.epoch = connector.epoch.next();
    let store = world.store.inner();
    store.update(connector, 1, None, Cascade::Keep, Actor::System, Vec::new()).await.unwrap();
    assert_eq!(world.token("alice").await, Err(required(Reason::ConnectorChanged)), "even if the cascade were missing");
    world.clock.advance(HOUR);
    assert_eq!(world.token("alice").await, Err(required(Reason::ConnectorChanged)));
    assert_eq!(world.provider.count(Operation::Refresh), 0);
}

#[tokio::test]
async fn profiles_may_name_more_than_one_destination() {
    let world = World::without_connector();
    world.profiles.set("two", |settings| settings.destinations.push(origin("https://upload.example")));
    let profile = ProfileId::new(".example").unwrap();
    world.create_connector(&drive(), ConnectorDraft { profile, ..draft("two") }).await;
    let started = world.start("alice", &drive()).await;
    world.complete(came_back(&started, "alice")).await;
    for destination in [API, "https://upload.example"] {
        let given =
            world.node.access_token(&AccessTokenRequest { destination: origin(destination), ..demand("alice") }).await;
        assert!(given.is_ok());
    }
}
