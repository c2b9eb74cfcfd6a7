//! Somebody who can write the database but has no key: rows are moved, copied and put back, and no token comes of it.

use grantry_system_tests::browser::Browser;
use grantry_system_tests::place::{Draft, Place};
use grantry_system_tests::world::{DRIVE, MARKETING_DRIVE, World, whose};
use grantry_testkit::provider::{Endpoint, Fault, MockProvider};
use rusqlite::{Connection, params};
use serde_json::json;

/// A second hand on the database.
fn intruder(world: &World) -> Connection {
    Connection::open(world.deployment.database()).unwrap()
}

fn sealed(database: &Connection, user: &str, space: &str) -> Vec<u8> {
    let query = "SELECT sealed FROM authorizations WHERE role = 'grant' AND user = ?1 AND space = ?2";
    database.query_row(query, params![user, space], |row| row.get(0)).unwrap()
}

fn seal(database: &Connection, user: &str, space: &str, sealed: &[u8]) {
    let update = "UPDATE authorizations SET sealed = ?3 WHERE role = 'grant' AND user = ?1 AND space = ?2";
    assert_eq!(database.execute(update, params![user, space, sealed]).unwrap(), 1);
}

/// No token is found behind this person's grant, and the API is not called.
async fn assert_undecryptable(world: &World, browser: &mut Browser, place: Place) {
    world.provider.clear_ledger();
    let refused = browser.execute(place, "/me").await;
    assert_eq!(refused.json()["reason"], "undecryptable", "{}", refused.text());
    let status = browser.status(place).await;
    assert_eq!((&status["user_auth_status"], &status["reason"]), (&json!("needs_reauthorization"), &json!("undecryptable")));
    assert!(world.provider.ledger().is_empty());
}

#[tokio::test]
async fn r73_r76_lesson_27_a_sealed_grant_opens_in_its_own_row_and_nowhere_else() {
    let world = World::new().await;
    let (mut alice, mut bob) = (world.connected("alice", DRIVE).await, world.connected("bob", DRIVE).await);
    let mut elsewhere = world.connected("alice", MARKETING_DRIVE).await;
    let database = intruder(&world);
    let rows = [("u_alice", "default"), ("u_bob", "default"), ("u_alice", "marketing")];
    let own = rows.map(|(user, space)| sealed(&database, user, space));
    for turn in [1, 2] {
        for (index, (user, space)) in rows.into_iter().enumerate() {
            seal(&database, user, space, &own[(index + turn) % 3]);
        }
        assert_undecryptable(&world, &mut alice, DRIVE).await;
        assert_undecryptable(&world, &mut bob, DRIVE).await;
        assert_undecryptable(&world, &mut elsewhere, MARKETING_DRIVE).await;
    }
    // One bit, anywhere.
    for at in [0, 5, 7, 10, 30, 50, 61, own[0].len() - 1] {
        let mut flipped = own[0].clone();
        flipped[at] ^= 1;
        seal(&database, "u_alice", "default", &flipped);
        assert_undecryptable(&world, &mut alice, DRIVE).await;
    }
    for ((user, space), sealed) in rows.into_iter().zip(&own) {
        seal(&database, user, space, sealed);
    }
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test", "nothing was lost by looking");
    assert_eq!(whose(&bob.execute(DRIVE, "/me").await), "bob@example.test");
    assert_eq!(whose(&elsewhere.execute(MARKETING_DRIVE, "/me").await), "alice@example.test");
    world.host.connections.write_notes().await.unwrap();
    world.host.connections.deliver_events().await.unwrap();
    assert!(world.host.sink.events().iter().any(|event| event.kind.as_str() == "open_failed"), "R80");
}

#[tokio::test]
async fn r73_a_row_that_changes_hands_takes_no_token_along() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    world.connected("bob", DRIVE).await;
    let database = intruder(&world);
    database.execute("UPDATE authorizations SET user = 'u_alice' WHERE user = 'u_bob'", []).unwrap();
    assert_undecryptable(&world, &mut alice, DRIVE).await;
    let move_it = "UPDATE authorizations SET space = 'marketing', \
        incarnation = (SELECT incarnation FROM connectors WHERE space = 'marketing'), user = 'u_bob'";
    database.execute(move_it, []).unwrap();
    let mut bob = world.browser("bob").await;
    assert_undecryptable(&world, &mut bob, MARKETING_DRIVE).await;
}

#[tokio::test]
async fn r76_an_older_ciphertext_of_the_same_grant_is_stale() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    let database = intruder(&world);
    let old = sealed(&database, "u_alice", "default");
    world.expire_access_tokens();
    whose(&alice.execute(DRIVE, "/me").await);
    let new = sealed(&database, "u_alice", "default");
    seal(&database, "u_alice", "default", &old);
    assert_undecryptable(&world, &mut alice, DRIVE).await;
    world.expire_access_tokens();
    alice.execute(DRIVE, "/me").await;
    assert!(world.provider.ledger().refreshes().is_empty(), "a spent refresh token is not sent");
    seal(&database, "u_alice", "default", &new);
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
}

#[tokio::test]
async fn r76_what_is_sealed_wins_over_every_column() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let database = intruder(&world);
    // The provider granted less than is required; the column claims all of it.
    world.provider.faults().once(Endpoint::Token, Fault::with("scope", json!("openid")));
    world.connect(&mut alice, DRIVE, "alice").await;
    database.execute("UPDATE authorizations SET scopes = 'files.read offline_access openid'", []).unwrap();
    assert_eq!(alice.execute(DRIVE, "/me").await.json()["reason"], "insufficient_scope");

    // The token has lapsed; the columns claim a long life.
    world.connect(&mut alice, DRIVE, "alice").await;
    whose(&alice.execute(DRIVE, "/me").await);
    let lapsed = world.last_token();
    world.expire_access_tokens();
    let later = 4_000_000_000_000_i64;
    database
        .execute("UPDATE authorizations SET expires_at = ?1, lease_until = NULL, in_doubt_since = NULL", [later])
        .unwrap();
    world.provider.clear_ledger();
    whose(&alice.execute(DRIVE, "/me").await);
    let ledger = world.provider.ledger();
    assert!(ledger.api_calls().iter().all(|call| call.bearer_token() != Some(&lapsed)), "the old token was not even tried");
    assert_eq!(ledger.refreshes().len(), 1);
}

#[tokio::test]
async fn r25_r42_r52_a_connector_changed_in_the_database_gets_neither_code_nor_token_nor_secret() {
    let world = World::new().await;
    let thief = MockProvider::builder().start().await.unwrap();
    let mut deployment = world.deployment;
    deployment.allow(thief.port());
    let host = deployment.host().await.unwrap();
    let world = World { deployment, host, provider: world.provider };
    let place = Place::of("pinned");
    world.create_pinned(place, &Draft::pinned(world.provider.base_url()), &world.provider).await;
    let mut alice = world.connected("alice", place).await;
    let mut bob = world.browser("bob").await;
    let (flow, callback) = world.consent(&mut bob, place, "bob").await;

    let database = intruder(&world);
    let change = "UPDATE connectors SET config = replace(config, ?1, ?2) WHERE connector = 'pinned'";
    for part in ["/token", "/revoke", "/userinfo", "/api"] {
        let (honest, evil) = (world.provider.url(part), thief.url(part));
        assert_eq!(database.execute(change, params![honest, evil]).unwrap(), 1);
    }
    world.expire_access_tokens();
    assert_eq!(alice.execute(place, "/me").await.json()["reason"], "connector_changed");
    bob.come_back(&callback).await;
    assert_eq!(bob.flow_end(place, &flow.id).await, ("failed".to_owned(), "connector_changed".to_owned()));
    assert_eq!(alice.disconnect(place).await.status, 204);
    world.host.settle().await;
    assert!(thief.ledger().is_empty());
    assert_eq!(world.provider.ledger().revocations().len(), 2, "revoked where alice consented");
}

#[tokio::test]
async fn r50_r72_what_was_disconnected_is_nowhere_on_the_disk() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    world.expire_access_tokens();
    let before = sealed(&intruder(&world), "u_alice", "default");
    whose(&alice.execute(DRIVE, "/me").await);
    let after = sealed(&intruder(&world), "u_alice", "default");
    alice.disconnect(DRIVE).await;
    crate::assert_nothing_lives(&world).await;
    let deployment = world.deployment;
    world.host.stop().await;
    for end in ["", "-wal", "-shm"] {
        let Ok(bytes) = std::fs::read(format!("{}{end}", deployment.database().display())) else { continue };
        for envelope in [&before, &after] {
            // The random part behind the header that all envelopes of a key share.
            let part = &envelope[16..48];
            assert!(!bytes.windows(part.len()).any(|window| window == part), "in grantry.db{end}");
        }
    }
}
