//! An attacker who can write to the database and has no key: rows are moved, copied and restored, and yield no token.

use grantry_system_tests::browser::{Browser, Response};
use grantry_system_tests::paths::{ConnectorPath, Draft};
use grantry_system_tests::test_app::{DRIVE, MARKETING_DRIVE, TestApp, account_of};
use grantry_testkit::provider::{Endpoint, Fault, MockProvider};
use reqwest::Method;
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use url::Url;

/// A second connection to the database.
fn open_database(app: &TestApp) -> Connection {
    Connection::open(app.deployment.database()).unwrap()
}

fn sealed(database: &Connection, user: &str, space: &str) -> Vec<u8> {
    let query = "SELECT sealed FROM authorizations WHERE role = 'grant' AND user = ?1 AND space = ?2";
    database.query_row(query, params![user, space], |row| row.get(0)).unwrap()
}

fn set_sealed(database: &Connection, user: &str, space: &str, sealed: &[u8]) {
    let update = "UPDATE authorizations SET sealed = ?3 WHERE role = 'grant' AND user = ?1 AND space = ?2";
    assert_eq!(database.execute(update, params![user, space, sealed]).unwrap(), 1);
}

/// Checks that the user's grant cannot be decrypted, and that nothing is sent.
async fn assert_undecryptable(app: &TestApp, browser: &mut Browser, connector: ConnectorPath) {
    app.provider.clear_ledger();
    let refused = browser.execute(connector, "/me").await;
    assert_eq!(refused.json()["reason"], "undecryptable", "{}", refused.text());
    let undecryptable = ("needs_reauthorization".to_owned(), "undecryptable".to_owned());
    assert_eq!(browser.status_and_reason(connector).await, undecryptable);
    assert!(app.provider.ledger().is_empty());
}

#[tokio::test]
async fn r73_r76_r80_lesson_27_an_envelope_can_be_decrypted_only_in_its_row() {
    let app = TestApp::new().await;
    let (mut alice, mut bob) = (app.connected("alice", DRIVE).await, app.connected("bob", DRIVE).await);
    let mut marketing = app.connected("alice", MARKETING_DRIVE).await;
    let database = open_database(&app);
    let rows = [("u_alice", "default"), ("u_bob", "default"), ("u_alice", "marketing")];
    let envelopes = rows.map(|(user, space)| sealed(&database, user, space));
    for distance in [1, 2] {
        for (index, (user, space)) in rows.into_iter().enumerate() {
            set_sealed(&database, user, space, &envelopes[(index + distance) % 3]);
        }
        assert_undecryptable(&app, &mut alice, DRIVE).await;
        assert_undecryptable(&app, &mut bob, DRIVE).await;
        assert_undecryptable(&app, &mut marketing, MARKETING_DRIVE).await;
    }
    // A changed bit in each part of the envelope.
    for at in [0, 5, 7, 10, 30, 50, 61, envelopes[0].len() - 1] {
        let mut flipped = envelopes[0].clone();
        flipped[at] ^= 1;
        set_sealed(&database, "u_alice", "default", &flipped);
        assert_undecryptable(&app, &mut alice, DRIVE).await;
    }
    for ((user, space), sealed) in rows.into_iter().zip(&envelopes) {
        set_sealed(&database, user, space, sealed);
    }
    assert_eq!(
        account_of(&alice.execute(DRIVE, "/me").await),
        "alice@example.test",
        "with the original envelope the grant can be used again"
    );
    assert_eq!(account_of(&bob.execute(DRIVE, "/me").await), "bob@example.test");
    assert_eq!(account_of(&marketing.execute(MARKETING_DRIVE, "/me").await), "alice@example.test");
    app.host.connections.flush_audit().await.unwrap();
    app.host.connections.deliver_events().await.unwrap();
    assert!(app.host.sink.events().iter().any(|event| event.kind.as_str() == "decrypt_failed"), "the audit log reports it");
}

#[tokio::test]
async fn r73_r80_each_use_of_a_session_that_is_not_authentic_is_in_the_trail() {
    let app = TestApp::new().await;
    let mut bob = app.connected("bob", DRIVE).await;
    app.connected("alice", DRIVE).await;
    let database = open_database(&app);
    database.execute("DELETE FROM sessions WHERE user = 'u_alice'", []).unwrap();
    database.execute("UPDATE sessions SET user = 'u_alice' WHERE user = 'u_bob'", []).unwrap();
    for uses in 1..=3 {
        assert_eq!(bob.execute(DRIVE, "/me").await.status, 401);
        app.host.connections.flush_audit().await.unwrap();
        app.host.connections.deliver_events().await.unwrap();
        let events = app.host.sink.events();
        let found: Vec<_> = events.iter().filter(|event| event.kind.as_str() == "session_tampered").collect();
        assert_eq!(found.len(), uses, "{events:?}");
        for event in found {
            assert_eq!((event.user.as_ref().unwrap().as_str(), event.outcome.as_str()), ("u_alice", "tampered"));
        }
    }
}

#[tokio::test]
async fn r73_a_row_with_another_user_or_space_cannot_be_decrypted() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    app.connected("bob", DRIVE).await;
    let database = open_database(&app);
    database.execute("UPDATE authorizations SET user = 'u_alice' WHERE user = 'u_bob'", []).unwrap();
    assert_undecryptable(&app, &mut alice, DRIVE).await;
    let move_row = "UPDATE authorizations SET space = 'marketing', \
        incarnation = (SELECT incarnation FROM connectors WHERE space = 'marketing'), user = 'u_bob'";
    database.execute(move_row, []).unwrap();
    let mut bob = app.browser("bob").await;
    assert_undecryptable(&app, &mut bob, MARKETING_DRIVE).await;
}

#[tokio::test]
async fn r73_a_row_with_another_connection_name_cannot_be_decrypted() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    app.connect_named(&mut alice, DRIVE, "work", "alice").await;
    let database = open_database(&app);
    let rename = |from: &str, to: &str| {
        let update =
            "UPDATE authorizations SET connection = ?2 WHERE role = 'grant' AND user = 'u_alice' AND connection = ?1";
        assert_eq!(database.execute(update, [from, to]).unwrap(), 1, "{from} to {to}");
    };
    rename("work", "other");
    assert_undecryptable(&app, &mut alice, DRIVE).await;
    rename("other", "work");
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");

    // Two connections of one user cannot be swapped.
    app.connect_named(&mut alice, DRIVE, "home", "bob").await;
    let swap = || {
        rename("work", "swapped");
        rename("home", "work");
        rename("swapped", "home");
    };
    swap();
    app.provider.clear_ledger();
    for name in ["work", "home"] {
        assert_eq!(alice.execute_named(DRIVE, name, "/me").await.json()["reason"], "undecryptable", "{name}");
        assert_eq!(alice.connection_named(DRIVE, name).await["reason"], "undecryptable", "{name}");
    }
    assert!(app.provider.ledger().is_empty());
    swap();
    for (name, account) in [("work", "alice@example.test"), ("home", "bob@example.test")] {
        assert_eq!(account_of(&alice.execute_named(DRIVE, name, "/me").await), account);
    }
}

#[tokio::test]
async fn r73_a_pending_flow_with_another_connection_name_cannot_be_completed() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (flow, callback) = app.consent_named(&mut alice, DRIVE, "work", "alice").await;
    let update = "UPDATE authorizations SET connection = 'home' WHERE role = 'pending'";
    assert_eq!(open_database(&app).execute(update, []).unwrap(), 1);
    alice.open_callback(&callback).await;
    assert_eq!(alice.flow_result(DRIVE, &flow.id).await, ("failed".to_owned(), "internal".to_owned()));
    assert!(app.provider.ledger().exchanges().is_empty(), "the code is not sent");
    for name in ["work", "home"] {
        assert_eq!(alice.execute_named(DRIVE, name, "/me").await.json()["reason"], "not_connected");
    }
}

#[tokio::test]
async fn r76_an_older_envelope_of_the_same_grant_is_refused() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let database = open_database(&app);
    let old_envelope = sealed(&database, "u_alice", "default");
    app.expire_access_tokens();
    account_of(&alice.execute(DRIVE, "/me").await);
    let new_envelope = sealed(&database, "u_alice", "default");
    set_sealed(&database, "u_alice", "default", &old_envelope);
    assert_undecryptable(&app, &mut alice, DRIVE).await;
    app.expire_access_tokens();
    alice.execute(DRIVE, "/me").await;
    assert!(app.provider.ledger().refreshes().is_empty(), "a used refresh token is not sent");
    set_sealed(&database, "u_alice", "default", &new_envelope);
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
}

#[tokio::test]
async fn r76_sealed_values_take_precedence_over_columns() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let database = open_database(&app);
    // The provider granted fewer scopes than required; the column contains all of them.
    app.provider.faults().once(Endpoint::Token, Fault::with("scope", json!("openid")));
    app.connect(&mut alice, DRIVE, "alice").await;
    app.edit(DRIVE, &app.draft().without_secrets().config("requiredScopes", "files.read")).await;
    database.execute("UPDATE authorizations SET scopes = 'files.read offline_access openid'", []).unwrap();
    assert_eq!(alice.execute(DRIVE, "/me").await.json()["reason"], "insufficient_scope");

    // The token has expired; the column contains a later time.
    app.connect(&mut alice, DRIVE, "alice").await;
    account_of(&alice.execute(DRIVE, "/me").await);
    let expired = app.last_access_token();
    app.expire_access_tokens();
    let later = 4_000_000_000_000_i64;
    database
        .execute("UPDATE authorizations SET expires_at = ?1, lease_until = NULL, in_doubt_since = NULL", [later])
        .unwrap();
    app.provider.clear_ledger();
    account_of(&alice.execute(DRIVE, "/me").await);
    let ledger = app.provider.ledger();
    assert!(ledger.api_calls().iter().all(|call| call.bearer_token() != Some(&expired)), "the expired token was not sent");
    assert_eq!(ledger.refreshes().len(), 1);
}

#[tokio::test]
async fn r25_r42_r52_a_connector_changed_in_the_database_receives_neither_code_nor_token_nor_secret() {
    let mut app = TestApp::new().await;
    let attacker = MockProvider::builder().start().await.unwrap();
    app.allow(attacker.port()).await;
    let connector = ConnectorPath::of("entered");
    app.create_with_endpoints(connector, &Draft::with_endpoints(app.provider.base_url()), &app.provider).await;
    let mut alice = app.connected("alice", connector).await;
    let mut bob = app.browser("bob").await;
    let (flow, callback) = app.consent(&mut bob, connector, "bob").await;

    let database = open_database(&app);
    let change = "UPDATE connectors SET config = replace(config, ?1, ?2) WHERE connector = 'entered'";
    for part in ["/token", "/revoke", "/userinfo", "/api"] {
        let (original, changed) = (app.provider.url(part), attacker.url(part));
        assert_eq!(database.execute(change, params![original, changed]).unwrap(), 1);
    }
    app.expire_access_tokens();
    assert_eq!(alice.execute(connector, "/me").await.outcome(), (503, "connector_tampered".to_owned()));
    bob.open_callback(&callback).await;
    assert_eq!(bob.flow_result(connector, &flow.id).await, ("failed".to_owned(), "connector_tampered".to_owned()));
    assert_eq!(alice.disconnect(connector).await.status, 204);
    app.host.drain().await;
    assert!(attacker.ledger().is_empty());
    assert_eq!(app.provider.ledger().revocations().len(), 2, "revoked at the endpoint that alice consented to");
}

/// The login hint of a new flow.
async fn login_hint(browser: &mut Browser) -> Option<String> {
    let started = browser.try_start(DRIVE, json!({})).await.json();
    let url = Url::parse(started["authorizationUrl"].as_str().unwrap()).unwrap();
    url.query_pairs().find(|(name, _)| name == "login_hint").map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn r35_r76_a_changed_account_label_confirms_no_account_and_is_no_login_hint() {
    const FORMER: &str = "UPDATE authorizations SET state = 'expired', cause = 'refresh_rejected', since = authorized_at, \
        ended_by = 'system', sealed = NULL, kid = NULL, revocation = 'not_needed', expires_at = NULL, refreshable = 0, \
        revision = 0 WHERE user = 'u_alice' AND role = 'grant'";
    const DAMAGED: &str = "UPDATE authorizations SET sealed = zeroblob(90) WHERE user = 'u_alice' AND role = 'grant'";
    for end in [FORMER, DAMAGED] {
        let app = TestApp::new().await;
        let mut alice = app.connected("alice", DRIVE).await;
        app.connected("bob", DRIVE).await;
        let database = open_database(&app);
        assert_eq!(database.execute(end, []).unwrap(), 1);
        assert_eq!(login_hint(&mut alice).await.as_deref(), Some("alice@example.test"), "{end}");
        let relabel = "UPDATE authorizations SET account = 'bob@example.test' WHERE user = 'u_alice' AND account NOT NULL";
        assert_eq!(database.execute(relabel, []).unwrap(), 1);
        assert_eq!(login_hint(&mut alice).await, None, "{end}");
        for account in ["bob", "alice"] {
            let (flow, callback) = app.consent(&mut alice, DRIVE, account).await;
            alice.open_callback(&callback).await;
            let refused = ("failed".to_owned(), "account_mismatch".to_owned());
            assert_eq!(alice.flow_result(DRIVE, &flow.id).await, refused, "{end}: {account}");
        }
    }
}

/// The row of the connector in the list, and the response to reading it alone.
async fn views(browser: &mut Browser, connector: ConnectorPath) -> (Value, Response) {
    let list = browser.get("/api/actions/connectors").await.json();
    let listed = list.as_array().unwrap().iter().find(|listed| listed["id"] == connector.id).unwrap().clone();
    (listed, browser.get(&connector.public("")).await)
}

#[tokio::test]
async fn r42_a_connector_changed_in_the_database_shows_no_address_and_cannot_be_saved_again() {
    let mut app = TestApp::new().await;
    let attacker = MockProvider::builder().start().await.unwrap();
    app.allow(attacker.port()).await;
    let (honest, evil) = (ConnectorPath::of("entered"), ConnectorPath::of("evil"));
    let draft = Draft::with_endpoints(app.provider.base_url());
    app.create_with_endpoints(honest, &draft, &app.provider).await;
    app.create_with_endpoints(evil, &Draft::with_endpoints(attacker.base_url()), &attacker).await;
    let mut editor = app.browser("carol").await;
    let (shown, _) = views(&mut editor, honest).await;
    let database = open_database(&app);
    let copy = "CREATE TEMP TABLE copy AS SELECT callback_id, config, auth_mode FROM connectors WHERE connector = 'entered'";
    database.execute_batch(copy).unwrap();
    let restore = "UPDATE connectors SET (callback_id, config, auth_mode) = (SELECT callback_id, config, auth_mode FROM copy) \
        WHERE connector = 'entered'";
    let changes = [
        "UPDATE connectors SET callback_id = randomblob(16) WHERE connector = 'entered'".to_owned(),
        "UPDATE connectors SET auth_mode = 'shared' WHERE connector = 'entered'".to_owned(),
        format!(
            "UPDATE connectors SET config = replace(config, '{}', '{}') WHERE connector = 'entered'",
            app.provider.url("/token"),
            attacker.url("/token")
        ),
    ];
    for change in changes {
        assert_eq!(database.execute(&change, []).unwrap(), 1);
        let (listed, alone) = views(&mut editor, honest).await;
        assert_eq!(alone.outcome(), (503, "connector_tampered".to_owned()), "{change}");
        assert!(!alone.text().contains("config"), "{change}");
        assert_eq!((&listed["is_tampered"], &listed["redirect_uri"]), (&json!(true), &json!(null)), "{change}");
        assert_eq!((&listed["config"]["tokenUrl"], &listed["consent"]), (&json!(null), &json!(null)), "{change}");
        for query in ["", "?dry_run=true"] {
            let body = json!({ "name": "Renamed", "config": shown["config"], "revision": shown["revision"] });
            let saved = editor.call(Method::PUT, &honest.public(query), Some(body)).await;
            assert_eq!(saved.outcome(), (503, "connector_tampered".to_owned()), "{change}");
        }
        let diagnostics = editor.get(&honest.public("/diagnostics")).await;
        assert_eq!(diagnostics.outcome(), (503, "connector_tampered".to_owned()), "{change}");
        assert_eq!(database.execute(restore, []).unwrap(), 1);
        let (listed, alone) = views(&mut editor, honest).await;
        assert_eq!((alone.status, &listed), (200, &shown), "{change}");
    }
}

#[tokio::test]
async fn r42_the_response_to_a_creation_shows_no_address_of_another_connector() {
    let app = TestApp::new().await;
    let database = open_database(&app);
    let trigger = "CREATE TRIGGER moved AFTER INSERT ON connectors WHEN new.connector = 'new' BEGIN \
        UPDATE connectors SET callback_id = x'00112233445566778899aabbccddeeff' WHERE connector = 'new'; END";
    database.execute_batch(trigger).unwrap();
    let mut editor = app.browser("carol").await;
    let body = Draft::with_endpoints(app.provider.base_url()).body;
    let created = editor.post(&ConnectorPath::of("new").public(""), body).await;
    assert_eq!(created.outcome(), (503, "connector_tampered".to_owned()));
    assert!(!created.text().contains("redirect_uri"));
}

#[tokio::test]
async fn r49_r50_a_disconnect_ends_the_grant_of_a_connector_changed_in_the_database() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let database = open_database(&app);
    database.execute_batch("CREATE TEMP TABLE copy AS SELECT * FROM connectors").unwrap();
    let restore = "UPDATE connectors SET (auth_mode, incarnation, epoch) = \
        (SELECT c.auth_mode, c.incarnation, c.epoch FROM copy AS c WHERE c.seq = connectors.seq)";
    for change in ["auth_mode = 'shared'", "incarnation = randomblob(16)", "epoch = epoch + 1"] {
        for body in [json!({}), json!({ "connection": "default" })] {
            app.connect(&mut alice, DRIVE, "alice").await;
            app.provider.clear_ledger();
            database.execute_batch(&format!("UPDATE connectors SET {change}")).unwrap();
            let response = alice.post(&DRIVE.internal("/_oauth_disconnect"), body).await;
            assert_eq!(response.status, 204, "{change}");
            database.execute_batch(restore).unwrap();
            app.host.drain().await;
            assert_eq!(alice.execute(DRIVE, "/me").await.json()["reason"], "not_connected", "{change}");
            assert!(app.live_grants().is_empty(), "{change}: the tokens are revoked");
        }
    }
}

#[tokio::test]
async fn r50_a_deletion_ends_the_grants_of_a_connector_changed_in_the_database() {
    let app = TestApp::new().await;
    app.connected("alice", DRIVE).await;
    let mut marketing = app.connected("bob", MARKETING_DRIVE).await;
    let database = open_database(&app);
    // The incarnation of the other connector, whose grants are not ended.
    let change = "CREATE TEMP TABLE copy AS SELECT incarnation FROM connectors WHERE space = 'marketing'; \
        UPDATE connectors SET incarnation = randomblob(16) WHERE space = 'marketing'; \
        UPDATE connectors SET incarnation = (SELECT incarnation FROM copy) WHERE space = 'default' AND connector = 'drive'";
    database.execute_batch(change).unwrap();
    app.delete(DRIVE).await;
    database
        .execute_batch("UPDATE connectors SET incarnation = (SELECT incarnation FROM copy) WHERE space = 'marketing'")
        .unwrap();
    app.host.drain().await;
    let live = app.live_grants();
    assert!(live.iter().all(|grant| grant.username.as_deref() == Some("bob")), "{live:?}");
    assert_eq!(account_of(&marketing.execute(MARKETING_DRIVE, "/me").await), "bob@example.test");
}

#[tokio::test]
async fn r50_r72_after_a_disconnect_no_envelope_is_left_on_disk() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    app.expire_access_tokens();
    let before = sealed(&open_database(&app), "u_alice", "default");
    account_of(&alice.execute(DRIVE, "/me").await);
    let after = sealed(&open_database(&app), "u_alice", "default");
    alice.disconnect(DRIVE).await;
    crate::assert_all_revoked(&app).await;
    let deployment = app.deployment;
    app.host.stop().await;
    for end in ["", "-wal", "-shm"] {
        let Ok(bytes) = std::fs::read(format!("{}{end}", deployment.database().display())) else { continue };
        for envelope in [&before, &after] {
            // The header is the same in all envelopes of a key; the part that follows it is random.
            let part = &envelope[16..48];
            assert!(!bytes.windows(part.len()).any(|window| window == part), "in grantry.db{end}");
        }
    }
}
