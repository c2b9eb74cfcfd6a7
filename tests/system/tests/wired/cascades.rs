//! What an edit, a deletion, a departure or the mere passing of time does to what people have connected.

use std::time::Duration;

use grantry_domain::identity::Role;
use grantry_domain::ports::UserStatus;
use grantry_system_tests::people::{space, user};
use grantry_system_tests::place::{Draft, Place};
use grantry_system_tests::world::{DRIVE, MARKETING_DRIVE, World, whose};
use grantry_testkit::provider::{Client, Endpoint, Fault, MockProvider};
use reqwest::Method;
use serde_json::json;

use crate::assert_nothing_lives;

const DAY: Duration = Duration::from_hours(24);

fn usual(world: &World) -> Draft {
    Draft::issuer(world.provider.base_url(), &world.provider.url("/api"))
}

#[tokio::test]
async fn lesson_16_a_rename_a_new_secret_or_a_scope_keeps_every_grant() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    let mut renamed = usual(&world).without_secrets();
    renamed.body["name"] = json!("Another name");
    let answer = world.edit(DRIVE, &renamed).await;
    assert_eq!((answer.status, &answer.json()["disconnected_users"]), (200, &json!(0)));
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");

    // The secret rotates at the provider and here; the next refresh uses the new one.
    world.provider.register(Client::new("demo", "rotated").redirect_uri(world.deployment.shared_callback()));
    assert_eq!(world.edit(DRIVE, &usual(&world).client("demo", "rotated")).await.status, 200);
    world.expire_access_tokens();
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");

    let wider = usual(&world).without_secrets().config("scope", "openid files.read offline_access files.write");
    let answer = world.edit(DRIVE, &wider).await;
    assert_eq!(answer.json()["disconnected_users"], 0, "{}", answer.text());
    let status = alice.status(DRIVE).await;
    assert_eq!(
        (&status["user_auth_status"], &status["reason"]),
        (&json!("needs_reauthorization"), &json!("insufficient_scope"))
    );
    world.edit(DRIVE, &usual(&world).without_secrets()).await;
    assert_eq!(alice.status_name(DRIVE).await, "connected", "the grant was never ended");
    assert!(world.provider.ledger().revocations().is_empty());
}

#[tokio::test]
async fn r42_r52_lesson_16_a_security_relevant_edit_ends_grants_and_revokes_at_the_old_endpoint() {
    let world = World::new().await;
    let other = MockProvider::builder().start().await.unwrap();
    let mut deployment = world.deployment;
    deployment.allow(other.port());
    let host = deployment.host().await.unwrap();
    let world = World { deployment, host, provider: world.provider };
    let (mut alice, mut bob) = (world.connected("alice", DRIVE).await, world.connected("bob", DRIVE).await);
    let mut elsewhere = world.connected("alice", MARKETING_DRIVE).await;
    whose(&alice.execute(DRIVE, "/me").await);

    let moved = Draft::issuer(other.base_url(), &other.url("/api"));
    let refused = world.edit(DRIVE, &moved.clone().without_secrets()).await;
    assert_eq!(refused.outcome(), (400, "invalid_request".to_owned()));
    assert!(refused.json()["detail"].as_str().unwrap().contains("clientSecret"), "the secret must be entered again");
    assert_eq!(alice.status_name(DRIVE).await, "connected");

    let dry = world.browser("carol").await.call(Method::PUT, &DRIVE.public("?dry_run=true"), Some(moved.body.clone())).await;
    assert_eq!(dry.json(), json!({ "disconnected_users": 2 }));
    assert_eq!(alice.status_name(DRIVE).await, "connected", "a dry run changes nothing");

    let answer = world.edit(DRIVE, &moved).await;
    assert_eq!((answer.status, &answer.json()["disconnected_users"]), (200, &json!(2)), "{}", answer.text());
    for browser in [&mut alice, &mut bob] {
        let status = browser.status(DRIVE).await;
        assert_eq!(
            (&status["user_auth_status"], &status["reason"]),
            (&json!("needs_reauthorization"), &json!("connector_changed"))
        );
        assert_eq!(browser.execute(DRIVE, "/me").await.json()["reason"], "connector_changed");
    }
    world.host.settle().await;
    world.host.connections.revoke_due().await.unwrap();
    assert_eq!(world.provider.ledger().revocations().len(), 4, "told at the endpoint consented to");
    assert!(other.ledger().back_channel().is_empty(), "nothing of the old grants reached the new provider");
    assert_eq!(world.alive().len(), 1, "the namesake in the other space is another connector");
    assert_eq!(whose(&elsewhere.execute(MARKETING_DRIVE, "/me").await), "alice@example.test");
}

#[tokio::test]
async fn r43_r52_another_base_url_ends_grants_before_a_token_goes_there() {
    let world = World::new().await;
    let counterfeit = MockProvider::builder().start().await.unwrap();
    let mut deployment = world.deployment;
    deployment.allow(counterfeit.port());
    let host = deployment.host().await.unwrap();
    let world = World { deployment, host, provider: world.provider };
    let mut alice = world.connected("alice", DRIVE).await;
    let moved = Draft::issuer(world.provider.base_url(), &counterfeit.url("/api"));
    assert_eq!(world.edit(DRIVE, &moved).await.status, 200);
    assert_eq!(alice.execute(DRIVE, "/me").await.json()["reason"], "connector_changed");
    assert!(counterfeit.ledger().is_empty());
}

#[tokio::test]
async fn r54_a_connector_created_again_is_another_one() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    world.delete(DRIVE).await;
    assert_eq!(alice.execute(DRIVE, "/me").await.outcome(), (404, "not_found".to_owned()));
    world.create(DRIVE, &usual(&world)).await;
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
    assert_eq!(alice.execute(DRIVE, "/me").await.json()["reason"], "not_connected");
    alice.come_back(&callback).await;
    assert_eq!(alice.status_name(DRIVE).await, "not_connected", "a flow of the old one finishes nothing");
    assert_ne!(alice.flow_end(DRIVE, &flow.id).await.0, "authorized");
    assert_nothing_lives(&world).await;
}

#[tokio::test]
async fn lesson_20_a_deletion_with_many_grants_ends_and_tells() {
    let world = World::new().await;
    for name in ["alice", "bob"] {
        world.connected(name, DRIVE).await;
    }
    // One of the revocations fails for good: the others are not held up.
    world.provider.faults().once(Endpoint::Revocation, Fault::oauth_error("unsupported_token_type"));
    world.delete(DRIVE).await;
    world.host.settle().await;
    for _ in 0..4 {
        world.advance(Duration::from_hours(2));
        world.host.connections.revoke_due().await.unwrap();
    }
    assert!(world.alive().len() <= 1, "{:?}", world.alive());
    let swept = world.host.connections.sweep(|_| {}).await.unwrap();
    assert!(!swept.more);
}

#[tokio::test]
async fn r53_whoever_leaves_loses_everything_and_a_reconciliation_finds_it() {
    let world = World::new().await;
    let directory = world.deployment.people.directory.clone();
    let (mut alice, mut bob) = (world.connected("alice", DRIVE).await, world.connected("bob", DRIVE).await);
    world.connected("alice", MARKETING_DRIVE).await;

    // At once: nothing is handed out. With the next reconciliation: ended and revoked.
    directory.expel(&user("bob"), &space("default"));
    assert_eq!(bob.execute(DRIVE, "/me").await.status, 404);
    directory.set_user(&user("alice"), UserStatus::Disabled);
    assert_ne!(alice.execute(DRIVE, "/me").await.status, 200);
    let found = world.host.connections.reconcile().await.unwrap();
    assert_eq!(found.ended, 3);
    assert_nothing_lives(&world).await;

    // Whoever was disabled may come back, and starts anew.
    directory.set_user(&user("alice"), UserStatus::Active);
    directory.authorize(&user("bob"), &space("default"), Role::Viewer);
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
    world.connect(&mut alice, DRIVE, "alice").await;
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");

    // A directory that does not answer ends nothing, and lets nobody in.
    directory.go_down(true);
    let found = world.host.connections.reconcile().await.unwrap();
    assert_eq!((found.ended, found.unanswered), (0, found.checked));
    assert_ne!(alice.execute(DRIVE, "/me").await.status, 200);
    directory.go_down(false);
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
}

#[tokio::test]
async fn r55_lesson_30_what_is_used_stays_and_what_is_not_is_revoked_after_ninety_days() {
    let world = World::new().await;
    let (mut alice, bob) = (world.connected("alice", DRIVE).await, world.connected("bob", DRIVE).await);
    drop(bob);
    for day in 1..=91 {
        world.advance(DAY);
        if day % 10 == 0 {
            alice.log_in("alice").await;
            assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
            world.host.connections.write_notes().await.unwrap();
        }
        let swept = world.host.connections.sweep(|_| {}).await.unwrap();
        if day < 90 {
            assert_eq!(swept.unused, 0, "day {day}");
        }
    }
    world.host.settle().await;
    world.host.connections.revoke_due().await.unwrap();
    let whose_lives: Vec<_> = world.alive().into_iter().filter_map(|grant| grant.username).collect();
    assert_eq!(whose_lives, ["alice"]);
    let mut bob = world.browser("bob").await;
    assert_eq!(bob.status_name(DRIVE).await, "not_connected");
}

#[tokio::test]
async fn lesson_17_whatever_can_be_created_can_be_saved_again_as_it_is() {
    let world = World::new().await;
    let drafts = [
        usual(&world),
        Draft::pinned(world.provider.base_url()),
        Draft::pinned(world.provider.base_url())
            .config("extraAuthorizationParameters", json!({ "prompt": "consent" }))
            .config("clientAuth", "post")
            .config("scopeSeparator", ",")
            .config("destinations", json!([world.provider.base_url()])),
    ];
    for (index, draft) in drafts.into_iter().enumerate() {
        let place = Place::of(["one", "two", "three"][index]);
        let created = world.create(place, &draft).await;
        let same = json!({
            "name": created["name"], "connector_type_id": created["connector_type_id"],
            "auth_mode": created["auth_mode"], "config": created["config"], "revision": created["revision"],
        });
        let answer = world.browser("carol").await.call(Method::PUT, &place.public(""), Some(same)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let saved = answer.json();
        for member in ["config", "redirect_uri", "name", "is_missing_secrets", "created_at"] {
            assert_eq!(saved[member], created[member], "{member}");
        }
        assert_eq!(saved["is_missing_secrets"], false);
        let stale = json!({ "name": "x", "config": created["config"], "revision": created["revision"] });
        let answer = world.browser("carol").await.call(Method::PUT, &place.public(""), Some(stale)).await;
        assert_eq!(answer.outcome(), (409, "conflict".to_owned()));
    }
}

#[tokio::test]
async fn lesson_23_a_shared_connector_is_nobodys_grant_and_a_grant_is_never_shared() {
    let world = World::new().await;
    let place = Place::of("service");
    let mut draft = Draft::pinned(world.provider.base_url());
    draft.body["auth_mode"] = json!("shared");
    world.create(place, &draft).await;
    let mut alice = world.connected("alice", DRIVE).await;
    assert_eq!(alice.status_name(place).await, "not_applicable");
    assert_eq!(alice.try_start(place, json!({})).await.status, 400);
    let answer = alice.execute(place, "/me").await;
    assert_eq!(answer.json()["data"]["body"]["user"], json!(null), "its own account: {}", answer.text());
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    let mut bob = world.browser("bob").await;
    assert_eq!(bob.execute(DRIVE, "/me").await.code(), "authorization_required", "no fallback to anybody's token");
    let ledger = world.provider.ledger();
    assert_eq!(ledger.token_requests("client_credentials").len(), 1);
}

#[tokio::test]
async fn r66_r70_lesson_25_a_target_that_is_not_allowed_any_more_gets_no_request() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    let (flow, callback) = world.consent(&mut alice, MARKETING_DRIVE, "alice").await;
    // The operator takes the provider off the list and restarts.
    let World { provider, mut deployment, host } = world;
    host.stop().await;
    let list = std::mem::take(&mut deployment.settings.egress);
    let host = deployment.host().await.unwrap();
    let mut world = World { provider, deployment, host };
    alice.move_to(world.host.address);
    world.provider.clear_ledger();
    assert_ne!(alice.try_start(DRIVE, json!({})).await.status, 200, "at start");
    alice.come_back(&callback).await;
    assert_eq!(alice.flow_end(MARKETING_DRIVE, &flow.id).await.0, "failed", "at the exchange");
    assert_ne!(alice.execute(DRIVE, "/me").await.status, 200, "at the API");
    world.expire_access_tokens();
    assert_ne!(alice.execute(DRIVE, "/me").await.status, 200, "at a renewal");
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    world.host.settle().await;
    assert!(world.provider.ledger().is_empty(), "at the revocation");

    // Back on the list, what was owed is worked off.
    let World { provider, mut deployment, host } = world;
    host.stop().await;
    deployment.settings.egress = list;
    let host = deployment.host().await.unwrap();
    world = World { provider, deployment, host };
    world.advance(Duration::from_mins(20));
    world.host.connections.revoke_due().await.unwrap();
    assert_eq!(world.provider.grants()[0].ended, Some(grantry_testkit::provider::GrantEnd::Revoked));
}
