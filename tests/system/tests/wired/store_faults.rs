//! A database that is locked, full, damaged or too new, a key that is wrong, weak or missing, a clock that jumps.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use grantry_domain::ports::AuthorizationStore as _;
use grantry_system_tests::deployment::fresh_key;
use grantry_system_tests::host::HostError;
use grantry_system_tests::place::Place;
use grantry_system_tests::served::{Operator, mode};
use grantry_system_tests::world::{ACCESS_TTL, DRIVE, MARKETING_DRIVE, World, whose};
use grantry_testkit::provider::{Endpoint, Fault, MockProvider};
use rusqlite::Connection;
use serde_json::json;

use crate::GRANTRY;

const UNAVAILABLE: &str = "store_unavailable";

#[tokio::test]
async fn a_locked_database_refuses_writes_and_goes_on_reading() {
    let world = World::with(MockProvider::builder(), |settings| settings.busy_timeout = Duration::from_millis(100)).await;
    let mut alice = world.connected("alice", DRIVE).await;
    let (flow, callback) = world.consent(&mut alice, MARKETING_DRIVE, "alice").await;
    let lock = Connection::open(world.deployment.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();

    assert_eq!(alice.try_start(DRIVE, json!({})).await.outcome(), (503, UNAVAILABLE.to_owned()));
    assert_eq!(alice.disconnect(DRIVE).await.outcome(), (503, UNAVAILABLE.to_owned()));
    assert_eq!(alice.clone().come_back(&callback).await.page_code(), UNAVAILABLE, "nothing was used up");
    assert!(world.provider.ledger().exchanges().len() == 1, "only the first connection's");
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    assert_eq!(alice.status_name(DRIVE).await, "connected");

    lock.execute_batch("ROLLBACK").unwrap();
    alice.come_back(&callback).await;
    assert_eq!(alice.flow_end(MARKETING_DRIVE, &flow.id).await.0, "authorized");
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
}

#[tokio::test]
async fn a_full_database_refuses_writes_and_recovers_when_there_is_room() {
    let world = World::with(MockProvider::builder(), |settings| settings.max_pages = Some(60)).await;
    let mut alice = world.connected("alice", DRIVE).await;
    let mut full = None;
    for index in 0..400 {
        let draft = json!({ "name": "x".repeat(200), "connector_type_id": ".oauth2", "config": {
            "issuer": world.provider.base_url(), "baseUrl": world.provider.url("/api"),
            "extraAuthorizationParameters": { "filler": "y".repeat(1000) },
        } });
        let answer = alice.post(&format!("/api/actions/connector/filler-{index}"), draft).await;
        if answer.status != 200 {
            full = Some(answer);
            break;
        }
    }
    assert_eq!(full.expect("it was filled").outcome(), (503, UNAVAILABLE.to_owned()));
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test", "what is there can be used");
    world.expire_access_tokens();
    // A refresh may or may not find room; whatever was rotated is kept.
    alice.execute(DRIVE, "/me").await;
    let more = world.deployment.settings.clone();
    let bigger = grantry_system_tests::deployment::Settings { max_pages: None, ..more };
    world.host.stop().await;
    let host = grantry_system_tests::host::Host::start(&bigger, &world.deployment.people).await.unwrap();
    alice.move_to(host.address);
    assert_eq!(alice.try_start(MARKETING_DRIVE, json!({})).await.status, 200);
    assert_eq!(host.store.key_usage().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_never_answered_from() {
    let world = World::new().await;
    world.connected("alice", DRIVE).await;
    let World { provider: _provider, deployment, host } = world;
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
            // A page that the start does not need: whoever asks for it is told, and gets nothing made up.
            Ok(host) => {
                let mut alice = grantry_system_tests::browser::Browser::new(&deployment.settings.public, host.address);
                let answer = alice.post("/api/session", json!({ "username": "alice", "password": "alice-pw" })).await;
                assert_eq!(answer.outcome(), (503, UNAVAILABLE.to_owned()), "{}", answer.text());
                host.stop().await;
            }
        }
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", deployment.database().display()));
        }
        std::fs::write(deployment.database(), before).unwrap();
    }
    deployment.host().await.expect("undamaged it starts");
}

#[tokio::test]
async fn r75_r76_another_key_changes_nothing_and_the_right_one_brings_everything_back() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    let World { provider: _provider, deployment, host } = world;
    host.stop().await;
    let before = std::fs::read(deployment.database()).unwrap();
    let right = std::fs::read_to_string(deployment.key_file()).unwrap();
    deployment.write_key(&fresh_key().unwrap()).unwrap();
    let Err(error) = deployment.host().await else { panic!("it starts with another key") };
    assert!(matches!(error, HostError::Build(grantry::app::BuildError::UnknownKeys(_))), "{error}");
    assert!(!error.to_string().contains(right.trim()));

    deployment.write_key(&right).unwrap();
    assert_eq!(std::fs::read(deployment.database()).unwrap(), before, "not a byte was changed");
    let host = deployment.host().await.unwrap();
    alice.move_to(host.address);
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
}

#[tokio::test]
async fn r46_a_clock_that_jumps_ends_nothing_early_and_hands_out_nothing_late() {
    let world = World::new().await;
    let clock = world.deployment.clock();
    let mut alice = world.connected("alice", DRIVE).await;
    let (flow, callback) = world.consent(&mut alice, MARKETING_DRIVE, "alice").await;

    // Back and forth by minutes, as a clock that is being set right: the flow is still good.
    clock.set_back(Duration::from_mins(5)).unwrap();
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    assert_eq!(alice.flow(MARKETING_DRIVE, &flow.id).await.json()["status"], "awaiting");
    clock.advance(Duration::from_mins(8)).unwrap();
    alice.come_back(&callback).await;
    assert_eq!(alice.flow_end(MARKETING_DRIVE, &flow.id).await.0, "authorized");
    clock.set_back(Duration::from_mins(3)).unwrap();

    // A jump ahead only renews early; the jump back does not bring an old token to life again.
    clock.advance(ACCESS_TTL * 2).unwrap();
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    assert_eq!(world.provider.ledger().refreshes().len(), 1);
    clock.set_back(ACCESS_TTL * 2).unwrap();
    for _ in 0..5 {
        assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    }
    // Set back, our clock calls a token fresh that the provider has let lapse: one 401, one renewal.
    world.provider.expire_access_tokens();
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");

    // A renewal that was left in doubt under a clock far ahead is not locked away until then.
    clock.advance(Duration::from_hours(24 * 365)).unwrap();
    world.provider.faults().once(Endpoint::Token, Fault::status(500));
    alice.log_in("alice").await;
    assert_eq!(alice.execute(DRIVE, "/me").await.code(), "provider_unavailable");
    clock.set_back(Duration::from_hours(24 * 365)).unwrap();
    alice.log_in("alice").await;
    // A 401 forces a renewal only so often.
    clock.advance(Duration::from_mins(1)).unwrap();
    world.provider.expire_access_tokens();
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
}

#[tokio::test]
async fn an_operator_is_told_in_one_sentence_why_a_server_does_not_start() {
    let operator = Operator::new(GRANTRY, &[]).unwrap();
    let config = operator.config().unwrap();
    let key = std::fs::read_to_string(operator.path("primary.key")).unwrap();
    let with_line = |line: &str| format!("{line}\n{config}");
    let database = operator.database();
    let another_program = || {
        Connection::open(&database).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    };
    let newer = || {
        let connection = Connection::open(&database).unwrap();
        connection
            .execute_batch("PRAGMA application_id = 1196577881; PRAGMA user_version = 4711; CREATE TABLE x (y)")
            .unwrap();
    };

    let mut refused = Vec::new();
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
        ("a pasted key", config.replace("file:primary.key", &key), "keys.write"),
        ("no such key file", config.replace("file:primary.key", "file:none.key"), "none.key"),
        ("no such variable", config.replace("file:primary.key", "env:NO_SUCH_KEY"), "NO_SUCH_KEY"),
        ("a flow of an hour", format!("{config}\n[oauth]\nflow_ttl = \"1h\""), "oauth.flow_ttl"),
        ("another store", config.replace("sqlite:grantry.db", "mysql://x"), "store.url"),
        ("an id used twice", config.replace("u_bob", "u_alice"), "identity.accounts[1].id"),
    ];
    for (what, text, names) in configs {
        operator.write_config(&text).unwrap();
        refused.push((what, operator.run(&["serve"]).await.unwrap(), names));
    }
    let _ = std::fs::remove_file(&database);
    operator.write_config(&config).unwrap();
    for (what, text, names) in [
        ("a short key", "c2hvcnQ=".to_owned(), "primary.key"),
        ("an even key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned(), "primary.key"),
        ("no base64", "not base64 at all, but rather long to be sure".to_owned(), "primary.key"),
        ("an empty key", String::new(), "primary.key"),
    ] {
        operator.write_key(&text).unwrap();
        refused.push((what, operator.run(&["serve"]).await.unwrap(), names));
    }
    operator.write_key(&key).unwrap();
    std::fs::set_permissions(operator.path("primary.key"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    refused.push(("an exposed key", operator.run(&["serve"]).await.unwrap(), "0600"));
    assert!(!database.exists(), "without a key not even an empty database is made");
    operator.write_key(&key).unwrap();

    another_program();
    refused.push(("another program's file", operator.run(&["serve"]).await.unwrap(), "another program"));
    std::fs::remove_file(&database).unwrap();
    newer();
    refused.push(("a newer schema", operator.run(&["serve"]).await.unwrap(), "newer version"));
    refused.push(("a newer schema, checked", operator.run(&["check"]).await.unwrap(), "newer version"));
    std::fs::write(&database, "this is no database, but it is long enough to look like something ".repeat(80)).unwrap();
    refused.push(("no database", operator.run(&["serve"]).await.unwrap(), "grantry.db"));

    for (what, refusal, names) in refused {
        assert_eq!(refusal.status.code(), Some(1), "{what}: {}", refusal.words);
        assert!(refusal.words.contains(names), "{what}: {}", refusal.words);
        assert!(!refusal.words.contains("panicked"), "{what}: {}", refusal.words);
        if !key.trim().is_empty() {
            assert!(!refusal.words.contains(key.trim()), "{what}: {}", refusal.words);
        }
    }
}

#[tokio::test]
async fn grantry_serve_connects_runs_restarts_and_keeps_what_it_knows() {
    let provider = MockProvider::builder().start().await.unwrap();
    let operator = Operator::new(GRANTRY, &[provider.port()]).unwrap();
    let redirect_uri = format!("{}/api/actions/connector/_oauth_callback", operator.public());
    provider.register(grantry_testkit::provider::Client::new("demo", "demo-secret").redirect_uri(redirect_uri));
    let served = operator.serve().await.unwrap();
    assert_eq!(mode(&operator.database()).unwrap(), 0o600, "R72");

    let place = Place::of("drive");
    let draft = grantry_system_tests::place::Draft::issuer(provider.base_url(), &provider.url("/api"));
    let mut alice = grantry_system_tests::browser::Browser::new(&operator.public(), operator.address());
    alice.log_in("alice").await;
    assert_eq!(alice.post(&place.public(""), draft.body).await.status, 200);
    let flow = alice.start(place).await;
    let callback = provider.approve(&flow.authorization_url, "alice").await.unwrap();
    assert_eq!(alice.come_back(callback.as_str()).await.status, 303);
    assert_eq!(whose(&alice.execute(place, "/me").await), "alice@example.test");

    assert!(served.stop().await.unwrap().success(), "asked to, it ends in order");
    let served = operator.serve().await.unwrap();
    assert_eq!(whose(&alice.execute(place, "/me").await), "alice@example.test");
    served.kill().await.unwrap();
    let served = operator.serve().await.unwrap();
    provider.expire_access_tokens();
    assert_eq!(whose(&alice.execute(place, "/me").await), "alice@example.test", "with a renewal");
    assert_eq!(alice.disconnect(place).await.status, 204);
    provider.until(|ledger| ledger.revocations().len() == 2).await;
    let metrics = alice.get("/metrics").await.text();
    assert!(metrics.contains("grantry_http_requests_total"), "{metrics}");
    for told in ["\"ready\"", "\"connected\"", "\"renewed\"", "\"grant_ended\""] {
        crate::until(told, async || served.log().unwrap().contains(told)).await;
    }
    served.stop().await.unwrap();
}
