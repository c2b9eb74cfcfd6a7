//! A database that is locked, full, damaged or too new; a key that is wrong, weak or missing; a clock that jumps.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use grantry::app::BuildError;
use grantry_domain::identity::Actor;
use grantry_domain::usecase::AccessTokenRequest;
use grantry_system_tests::browser::Browser;
use grantry_system_tests::deployment::{Settings, fresh_key};
use grantry_system_tests::host::{Host, HostError};
use grantry_system_tests::paths::Draft;
use grantry_system_tests::process::{Installation, mode};
use grantry_system_tests::test_app::{ACCESS_TTL, DRIVE, MARKETING_DRIVE, TestApp, account_of};
use grantry_testkit::doubles::fixtures;
use grantry_testkit::provider::{Client, Endpoint, Fault, MockProvider};
use rusqlite::Connection;
use serde_json::json;

use crate::GRANTRY;

const UNAVAILABLE: &str = "store_unavailable";

#[tokio::test]
async fn with_a_locked_database_writes_fail_and_reads_succeed() {
    let app = TestApp::with(MockProvider::builder(), |settings| settings.busy_timeout = Duration::from_millis(100)).await;
    let mut alice = app.connected("alice", DRIVE).await;
    let (flow, callback) = app.consent(&mut alice, MARKETING_DRIVE, "alice").await;
    let lock = Connection::open(app.deployment.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();

    assert_eq!(alice.try_start(DRIVE, json!({})).await.outcome(), (503, UNAVAILABLE.to_owned()));
    assert_eq!(alice.disconnect(DRIVE).await.outcome(), (503, UNAVAILABLE.to_owned()));
    assert_eq!(alice.clone().open_callback(&callback).await.page_code(), UNAVAILABLE, "the flow is not consumed");
    assert_eq!(app.provider.ledger().exchanges().len(), 1, "only that of the first connection");
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    assert_eq!(alice.status_name(DRIVE).await, "connected");

    lock.execute_batch("ROLLBACK").unwrap();
    alice.open_callback(&callback).await;
    assert_eq!(alice.flow_result(MARKETING_DRIVE, &flow.id).await.0, "authorized");
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);

    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    app.advance(Duration::from_mins(2));
    assert_eq!(alice.status_name(DRIVE).await, "not_connected", "the use of the session cannot be stored");
}

#[tokio::test]
async fn with_a_full_database_writes_fail_until_there_is_space() {
    let app = TestApp::with(MockProvider::builder(), |settings| settings.max_pages = Some(60)).await;
    let mut alice = app.connected("alice", DRIVE).await;
    let mut full = None;
    for index in 0..400 {
        let draft = json!({ "name": "x".repeat(200), "connector_type_id": ".oauth2", "config": {
            "issuer": app.provider.base_url(), "baseUrl": app.provider.url("/api"),
            "extraAuthorizationParameters": { "filler": "y".repeat(1000) },
        } });
        let response = alice.post(&format!("/api/actions/connector/filler-{index}"), draft).await;
        if response.status != 200 {
            full = Some(response);
            break;
        }
    }
    assert_eq!(full.expect("the database is full").outcome(), (503, UNAVAILABLE.to_owned()));
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test", "existing grants can be used");
    app.expire_access_tokens();
    // A refresh may or may not find space. Rotated tokens are kept.
    alice.execute(DRIVE, "/me").await;
    let unlimited = Settings { max_pages: None, ..app.deployment.settings.clone() };
    app.host.stop().await;
    let host = Host::start(&unlimited, &app.deployment.users).await.unwrap();
    alice.move_to(host.address);
    assert_eq!(alice.try_start(MARKETING_DRIVE, json!({})).await.status, 200);
    assert_eq!(host.store.key_usage().await.unwrap().len(), 1);
}

#[tokio::test]
async fn r80_events_that_the_database_refuses_are_bounded_counted_and_recorded_later() {
    const ISSUED: usize = 9000;
    let app = TestApp::new().await;
    app.connected("alice", DRIVE).await;
    let connections = &app.host.connections;
    connections.flush_audit().await.unwrap();
    let other = Connection::open(app.deployment.database()).unwrap();
    other.busy_timeout(Duration::from_secs(5)).unwrap();
    let full = "CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'full'); END";
    other.execute_batch(full).unwrap();
    let request = AccessTokenRequest {
        actor: Actor::Agent("workflows".to_owned()),
        connector: fixtures::connector_key("default", "drive"),
        user: fixtures::user("u_alice"),
        connection: None,
        destination: Some(fixtures::origin(app.provider.base_url())),
    };
    for _ in 0..ISSUED {
        connections.access_token(&request).await.expect("tokens are issued without a trail, which is the default");
        assert!(connections.audit_backlog().waiting <= 8192);
    }
    assert!(connections.flush_audit().await.is_err());
    let backlog = connections.audit_backlog();
    assert_eq!((backlog.waiting, backlog.dropped, backlog.is_failing), (8192, 808, true));

    other.execute_batch("DROP TRIGGER full").unwrap();
    connections.flush_audit().await.unwrap();
    assert!(!connections.audit_backlog().is_failing);
    let of_kind = |kind: &str| {
        let mut query =
            other.prepare("SELECT connector, details FROM events WHERE kind = ?1 AND connector = 'drive'").unwrap();
        let rows = query.query_map([kind], |row| row.get::<_, Option<String>>(1)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(of_kind("access_token_issued").len(), 8192);
    let dropped = of_kind("audit_events_dropped");
    assert_eq!(dropped.len(), 1);
    let details = dropped[0].as_deref().unwrap();
    assert!(details.starts_with("kind=access_token_issued count=808 first="), "{details}");
}

#[tokio::test]
async fn r80_rows_of_another_program_do_not_stop_the_audit_trail() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let (connections, sink) = (&app.host.connections, &app.host.sink);
    connections.flush_audit().await.unwrap();
    connections.deliver_events().await.unwrap();
    let other = Connection::open(app.deployment.database()).unwrap();
    other.busy_timeout(Duration::from_secs(5)).unwrap();
    for sequence in ["NULL", "0", "-1", "-7"] {
        let columns = "(sequence, at, actor_kind, actor, kind, outcome)";
        let row = format!("INSERT INTO events {columns} VALUES ({sequence}, 1, 'user', 'u_alice', 'no_such_kind', 'ok')");
        other.execute_batch(&row).unwrap();
    }
    alice.execute(DRIVE, "/me").await;
    connections.flush_audit().await.unwrap();
    let before = sink.events().len();
    connections.deliver_events().await.unwrap();
    let kinds: Vec<_> = sink.events()[before..].iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "audit_event_unreadable").count(), 4, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == "access_token_issued").count(), 1, "{kinds:?}");
    assert_eq!(connections.deliver_events().await, Ok(0), "the rows were removed");

    // Events that cannot be removed are delivered once a round, not without end.
    other.execute_batch("CREATE TRIGGER kept BEFORE DELETE ON events BEGIN SELECT RAISE(IGNORE); END").unwrap();
    alice.execute(DRIVE, "/me").await;
    connections.flush_audit().await.unwrap();
    let before = sink.events().len();
    connections.deliver_events().await.unwrap_err();
    assert_eq!(sink.events().len(), before + 1);
    other.execute_batch("DROP TRIGGER kept").unwrap();
    assert_eq!(connections.deliver_events().await, Ok(1));
}

#[tokio::test]
async fn a_damaged_database_is_reported_and_not_read() {
    let app = TestApp::new().await;
    app.connected("alice", DRIVE).await;
    let TestApp { provider: _provider, deployment, host } = app;
    host.stop().await;
    let size = std::fs::metadata(deployment.database()).unwrap().len();
    for (at, length) in [(0, 100), (100, 4000), (4096, usize::try_from(size - 4096).unwrap())] {
        let before = std::fs::read(deployment.database()).unwrap();
        let mut file = std::fs::OpenOptions::new().write(true).open(deployment.database()).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&vec![0xa5; length]).unwrap();
        drop(file);
        match deployment.host().await {
            Err(error) => assert!(matches!(error, HostError::Store(_)), "{error}"),
            // The start does not read the damaged page. A request that does gets an error.
            Ok(host) => {
                let mut alice = Browser::new(&deployment.settings.public, host.address);
                let response = alice.post("/api/session", json!({ "username": "alice", "password": "alice-pw" })).await;
                assert_eq!(response.outcome(), (503, UNAVAILABLE.to_owned()), "{}", response.text());
                host.stop().await;
            }
        }
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", deployment.database().display()));
        }
        std::fs::write(deployment.database(), before).unwrap();
    }
    deployment.host().await.expect("the node starts with the original database");
}

#[tokio::test]
async fn r75_r76_a_wrong_key_is_refused_and_changes_nothing() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let TestApp { provider: _provider, deployment, host } = app;
    host.stop().await;
    let before = std::fs::read(deployment.database()).unwrap();
    let right = std::fs::read_to_string(deployment.key_file()).unwrap();
    deployment.write_key(&fresh_key().unwrap()).unwrap();
    let Err(error) = deployment.host().await else { panic!("the node starts with a wrong key") };
    assert!(matches!(error, HostError::Build(BuildError::UnknownKeys(_))), "{error}");
    assert!(!error.to_string().contains(right.trim()));

    deployment.write_key(&right).unwrap();
    assert_eq!(std::fs::read(deployment.database()).unwrap(), before, "the database is unchanged");
    let host = deployment.host().await.unwrap();
    alice.move_to(host.address);
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
}

#[tokio::test]
async fn r46_a_clock_that_jumps_neither_ends_grants_nor_prolongs_tokens() {
    let app = TestApp::new().await;
    let clock = app.deployment.clock();
    let mut alice = app.connected("alice", DRIVE).await;
    let (flow, callback) = app.consent(&mut alice, MARKETING_DRIVE, "alice").await;

    // Corrections by minutes do not end a flow.
    clock.set_back(Duration::from_mins(5)).unwrap();
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    assert_eq!(alice.flow(MARKETING_DRIVE, &flow.id).await.json()["status"], "awaiting");
    clock.set_forward(Duration::from_mins(8)).unwrap();
    alice.open_callback(&callback).await;
    assert_eq!(alice.flow_result(MARKETING_DRIVE, &flow.id).await.0, "authorized");
    clock.set_back(Duration::from_mins(3)).unwrap();

    // A jump forward causes an early refresh. After the jump back the new token is used.
    clock.set_forward(ACCESS_TTL * 2).unwrap();
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    assert_eq!(app.provider.ledger().refreshes().len(), 1);
    clock.set_back(ACCESS_TTL * 2).unwrap();
    // A session that was used in the future has ended.
    alice.log_in("alice").await;
    for _ in 0..5 {
        assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    }
    // The token has expired only by the provider's clock: one 401, one refresh.
    app.provider.expire_access_tokens();
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");

    // A failed refresh under a clock that is a year ahead does not block refreshes for a year.
    clock.set_forward(Duration::from_hours(24 * 365)).unwrap();
    app.provider.faults().once(Endpoint::Token, Fault::status(500));
    alice.log_in("alice").await;
    assert_eq!(alice.execute(DRIVE, "/me").await.code(), "provider_unavailable");
    clock.set_back(Duration::from_hours(24 * 365)).unwrap();
    alice.log_in("alice").await;
    // Refreshes that a 401 forces have a minimum interval.
    clock.advance(Duration::from_mins(1)).unwrap();
    app.provider.expire_access_tokens();
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
}

#[tokio::test]
async fn a_server_that_does_not_start_prints_the_reason() {
    let installation = Installation::new(GRANTRY, &[]).unwrap();
    let config = installation.config().unwrap();
    let key = std::fs::read_to_string(installation.path("primary.key")).unwrap();
    let with_line = |line: &str| format!("{line}\n{config}");
    let database = installation.database();
    let create_foreign_database = || {
        Connection::open(&database).unwrap().execute_batch("CREATE TABLE other (x)").unwrap();
    };
    let create_newer_database = || {
        let connection = Connection::open(&database).unwrap();
        connection
            .execute_batch("PRAGMA application_id = 1196577881; PRAGMA user_version = 4711; CREATE TABLE x (y)")
            .unwrap();
    };

    let mut outputs = Vec::new();
    let configs = [
        ("unknown key", with_line("lisen = \"127.0.0.1:1\""), "lisen"),
        ("unknown table", format!("{config}\n[telemetri]\nlog = \"info\""), "telemetri"),
        ("not TOML", with_line("= ="), "line 1"),
        ("no public URL", config.replace("public_base_url", "#"), "public_base_url"),
        (
            "http elsewhere",
            config.replace("public_base_url = \"http://127.0.0.1", "public_base_url = \"http://example.com"),
            "public_base_url",
        ),
        ("a key in the configuration", config.replace("file:primary.key", &key), "keys.write"),
        ("a missing key file", config.replace("file:primary.key", "file:none.key"), "none.key"),
        ("a missing variable", config.replace("file:primary.key", "env:NO_SUCH_KEY"), "NO_SUCH_KEY"),
        ("a flow of an hour", format!("{config}\n[oauth]\nflow_ttl = \"1h\""), "oauth.flow_ttl"),
        ("another store", config.replace("sqlite:grantry.db", "mysql://x"), "store.url"),
        ("an id used twice", config.replace("u_bob", "u_alice"), "identity.accounts[1].id"),
    ];
    for (what, text, expected) in configs {
        installation.write_config(&text).unwrap();
        outputs.push((what, installation.run(&["serve"]).await.unwrap(), expected));
    }
    let _ = std::fs::remove_file(&database);
    installation.write_config(&config).unwrap();
    for (what, text, expected) in [
        ("a short key", "c2hvcnQ=".to_owned(), "primary.key"),
        ("a key of zeros", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned(), "primary.key"),
        ("a key that is not base64", "not base64 at all, but rather long to be sure".to_owned(), "primary.key"),
        ("an empty key", String::new(), "primary.key"),
    ] {
        installation.write_key(&text).unwrap();
        outputs.push((what, installation.run(&["serve"]).await.unwrap(), expected));
    }
    installation.write_key(&key).unwrap();
    std::fs::set_permissions(installation.path("primary.key"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    outputs.push(("a key that others can read", installation.run(&["serve"]).await.unwrap(), "0600"));
    assert!(!database.exists(), "without a key no database is created");
    installation.write_key(&key).unwrap();

    create_foreign_database();
    outputs.push(("a database of another program", installation.run(&["serve"]).await.unwrap(), "another program"));
    std::fs::remove_file(&database).unwrap();
    create_newer_database();
    outputs.push(("a newer schema", installation.run(&["serve"]).await.unwrap(), "newer version"));
    outputs.push(("a newer schema, checked", installation.run(&["check"]).await.unwrap(), "newer version"));
    std::fs::write(&database, "this file is not a database, and it is longer than one page of a database ".repeat(80))
        .unwrap();
    outputs.push(("a file that is not a database", installation.run(&["serve"]).await.unwrap(), "grantry.db"));

    for (what, output, expected) in outputs {
        assert_eq!(output.status.code(), Some(1), "{what}: {}", output.text);
        assert!(output.text.contains(expected), "{what}: {}", output.text);
        assert!(!output.text.contains("panicked"), "{what}: {}", output.text);
        if !key.trim().is_empty() {
            assert!(!output.text.contains(key.trim()), "{what}: {}", output.text);
        }
    }
}

#[tokio::test]
async fn r72_grantry_serve_connects_executes_and_keeps_its_data_over_restarts() {
    let provider = MockProvider::builder().start().await.unwrap();
    let installation = Installation::new(GRANTRY, &[provider.port()]).unwrap();
    let redirect_uri = format!("{}/api/actions/connector/_oauth_callback", installation.public());
    provider.register(Client::new("demo", "demo-secret").redirect_uri(redirect_uri));
    let process = installation.serve().await.unwrap();
    assert_eq!(mode(&installation.database()).unwrap(), 0o600, "permissions of the database file");

    let draft = Draft::issuer(provider.base_url(), &provider.url("/api"));
    let mut alice = Browser::new(&installation.public(), installation.address());
    alice.log_in("alice").await;
    assert_eq!(alice.post(&DRIVE.public(""), draft.body).await.status, 200);
    let flow = alice.start(DRIVE).await;
    let callback = provider.approve(&flow.authorization_url, "alice").await.unwrap();
    assert_eq!(alice.open_callback(callback.as_str()).await.status, 303);
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");

    assert!(process.stop().await.unwrap().success(), "SIGTERM ends it with success");
    let process = installation.serve().await.unwrap();
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    process.kill().await.unwrap();
    let process = installation.serve().await.unwrap();
    provider.expire_access_tokens();
    assert_eq!(account_of(&alice.execute(DRIVE, "/me").await), "alice@example.test", "after a refresh");
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    provider.until(|ledger| ledger.revocations().len() == 2).await;
    let metrics = installation.metrics().await.unwrap();
    assert!(metrics.contains("grantry_http_requests_total"), "{metrics}");
    for event in ["\"ready\"", "\"connected\"", "\"refreshed\"", "\"grant_terminated\""] {
        crate::until(event, async || process.log().unwrap().contains(event)).await;
    }
    process.stop().await.unwrap();
}
