//! An attacker who can write to the database and has no key changes every column of every table, alone and with those that
//! belong together. No change makes a user another user, uses the token of another user, or sends a code, a token or a
//! secret to another server. What each change does instead is stated in [`EFFECTS`].

mod database;
mod postgres;
mod sqlite;

use std::time::Duration;

use grantry_system_tests::browser::{Browser, Flow, Response};
use grantry_system_tests::paths::{ConnectorPath, Draft};
use grantry_system_tests::test_app::{DRIVE, TestApp};
use grantry_system_tests::users::AGENT_KEY;
use grantry_testkit::provider::{Endpoint, Fault, MockProvider, User};
use reqwest::Method;
use serde_json::json;

use self::database::{CHANGES, Change, Database};

/// The start of the outcome of a connector that is shown.
const VIEWED: &str = "viewed ";

/// A connector of the attacker, whose endpoints are those of the attacker's server.
const EVIL: ConnectorPath = ConnectorPath::of("evil");

/// What the changes of a column do at most; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    /// Every response is the same as without the change.
    Nothing,
    /// A status is shown wrongly; nothing else changes.
    Shown,
    /// A use is refused because the row is not authentic, or does not belong where it is.
    Refused,
    /// A connection, a flow, a session or a revocation is lost.
    Lost,
}

use Effect::{Lost, Nothing, Refused, Shown};

/// Codes of refusals that report a row that was changed or moved.
const REFUSALS: [&str; 6] =
    ["connector_tampered", "undecryptable", "connector_changed", "not_signed_in", "user_mismatch", "browser_mismatch"];

/// The effect of each column. Most are those of a row that cannot be used or found any more. Three that are `Nothing` here have
/// another effect: `events` is the audit trail until it is delivered, `tombstones` has the users that were deprovisioned, and
/// the id of the deployment counts at the next start.
const EFFECTS: [(&str, &str, Effect); 126] = [
    ("connectors", "seq", Nothing),
    ("connectors", "space", Lost),
    ("connectors", "connector", Lost),
    ("connectors", "incarnation", Lost),
    ("connectors", "epoch", Refused),
    ("connectors", "name", Refused),
    ("connectors", "profile", Refused),
    ("connectors", "config", Refused),
    ("connectors", "client_id", Refused),
    ("connectors", "auth_mode", Lost),
    ("connectors", "callback_id", Refused),
    ("connectors", "has_client_secret", Refused),
    ("connectors", "revision", Refused),
    ("connectors", "created_at", Refused),
    ("connectors", "updated_at", Refused),
    ("connectors", "tag", Refused),
    ("client_secrets", "seq", Nothing),
    ("client_secrets", "incarnation", Lost),
    ("client_secrets", "epoch", Lost),
    ("client_secrets", "space", Nothing),
    ("client_secrets", "connector", Nothing),
    ("client_secrets", "digest", Nothing),
    ("client_secrets", "sealed", Lost),
    ("client_secrets", "kid", Nothing),
    ("client_secrets", "superseded_at", Lost),
    ("authorizations", "seq", Nothing),
    ("authorizations", "id", Lost),
    ("authorizations", "space", Lost),
    ("authorizations", "connector", Lost),
    ("authorizations", "incarnation", Lost),
    ("authorizations", "epoch", Lost),
    ("authorizations", "digest", Lost),
    ("authorizations", "user", Lost),
    ("authorizations", "connection", Lost),
    ("authorizations", "created_at", Nothing),
    ("authorizations", "state", Lost),
    ("authorizations", "cause", Lost),
    ("authorizations", "since", Lost),
    ("authorizations", "ended_by", Lost),
    ("authorizations", "deadline", Lost),
    ("authorizations", "state_hash", Lost),
    ("authorizations", "flow_cookie_hash", Lost),
    ("authorizations", "consumed_at", Lost),
    ("authorizations", "sealed", Lost),
    ("authorizations", "kid", Nothing),
    ("authorizations", "revision", Lost),
    ("authorizations", "scopes", Nothing),
    ("authorizations", "expires_at", Nothing),
    ("authorizations", "refreshable", Nothing),
    ("authorizations", "refresh_expires_at", Nothing),
    ("authorizations", "account", Nothing),
    ("authorizations", "account_tag", Nothing),
    ("authorizations", "authorized_at", Lost),
    ("authorizations", "last_used_day", Lost),
    ("authorizations", "lease_until", Nothing),
    ("authorizations", "lease_holder", Nothing),
    ("authorizations", "in_doubt_since", Nothing),
    ("authorizations", "failed_attempts", Lost),
    ("authorizations", "failing_since", Nothing),
    ("authorizations", "refusals", Lost),
    ("authorizations", "refused_since", Lost),
    ("authorizations", "last_refusal", Nothing),
    ("authorizations", "revocation", Lost),
    ("authorizations", "revoke_at", Lost),
    ("authorizations", "revoke_attempts", Lost),
    ("authorizations", "revoke_in_doubt", Lost),
    ("authorizations", "claimed_by", Nothing),
    ("authorizations", "claimed_until", Nothing),
    ("sessions", "seq", Nothing),
    ("sessions", "hash", Refused),
    ("sessions", "user", Refused),
    ("sessions", "created_at", Refused),
    ("sessions", "seen_at", Refused),
    ("sessions", "tag", Refused),
    ("default_connections", "incarnation", Lost),
    ("default_connections", "user", Lost),
    ("default_connections", "connection", Lost),
    ("unclaimed_tokens", "seq", Nothing),
    ("unclaimed_tokens", "id", Lost),
    ("unclaimed_tokens", "space", Lost),
    ("unclaimed_tokens", "connector", Lost),
    ("unclaimed_tokens", "incarnation", Lost),
    ("unclaimed_tokens", "epoch", Lost),
    ("unclaimed_tokens", "digest", Lost),
    ("unclaimed_tokens", "user", Lost),
    ("unclaimed_tokens", "connection", Lost),
    ("unclaimed_tokens", "sealed", Lost),
    ("unclaimed_tokens", "kid", Nothing),
    ("unclaimed_tokens", "queued_at", Lost),
    ("unclaimed_tokens", "attempts", Lost),
    ("unclaimed_tokens", "revoke_at", Nothing),
    ("unclaimed_tokens", "claimed_by", Nothing),
    ("unclaimed_tokens", "claimed_until", Nothing),
    ("deployment", "only", Nothing),
    ("deployment", "id", Nothing),
    ("client_refusals", "incarnation", Nothing),
    ("client_refusals", "revision", Nothing),
    ("client_refusals", "since", Nothing),
    ("connector_anomalies", "seq", Nothing),
    ("connector_anomalies", "incarnation", Nothing),
    ("connector_anomalies", "member", Nothing),
    ("connector_anomalies", "kind", Nothing),
    ("connector_anomalies", "at", Nothing),
    ("connector_failures", "incarnation", Nothing),
    ("connector_failures", "operation", Nothing),
    ("connector_failures", "code", Nothing),
    ("connector_failures", "http_status", Nothing),
    ("connector_failures", "oauth_error", Nothing),
    ("connector_failures", "endpoint_host", Nothing),
    ("connector_failures", "hint", Nothing),
    ("connector_failures", "correlation_id", Nothing),
    ("connector_failures", "at", Nothing),
    ("events", "sequence", Nothing),
    ("events", "at", Nothing),
    ("events", "actor_kind", Nothing),
    ("events", "actor", Nothing),
    ("events", "kind", Nothing),
    ("events", "space", Nothing),
    ("events", "connector", Nothing),
    ("events", "user", Nothing),
    ("events", "connection", Nothing),
    ("events", "authorization_id", Nothing),
    ("events", "outcome", Nothing),
    ("events", "details", Nothing),
    ("tombstones", "user", Nothing),
    ("tombstones", "removed_at", Nothing),
];

/// The effects that differ on `PostgreSQL`. These columns are empty in the rows that are changed. A value of another length makes
/// the row unreadable. The types of `SQLite` refuse the value that replaces an empty one.
const OTHER_EFFECTS: [(&str, &str, Effect); 2] =
    [("authorizations", "account_tag", Lost), ("authorizations", "lease_holder", Lost)];

/// The effects of the columns that only `PostgreSQL` has.
const POSTGRES_EFFECTS: [(&str, &str, Effect); 11] = [
    ("events", "id", Nothing),
    ("events", "added", Nothing),
    ("event_delivery", "singleton", Nothing),
    ("event_delivery", "last_sequence", Nothing),
    ("event_delivery", "holder", Nothing),
    ("event_delivery", "held_since", Nothing),
    ("event_delivery", "held_until", Nothing),
    ("grantry_migrations", "version", Nothing),
    ("grantry_migrations", "oldest_reader", Nothing),
    ("grantry_migrations", "hash", Nothing),
    ("grantry_migrations", "applied_at", Nothing),
];

/// The id of another deployment, and of another callback.
const OTHER_ID: &str = "x'00112233445566778899aabbccddeeff'";

/// No row.
const NONE: &str = "1 = 0";

/// The rows that are changed, each with the row of the attacker that it is exchanged with.
fn victims(table: &str) -> Vec<(&'static str, &'static str)> {
    match table {
        "connectors" | "client_secrets" => vec![("connector = 'drive' AND space = 'default'", "connector = 'evil'")],
        "authorizations" => vec![
            ("user_id = 'u_alice' AND role = 'grant' AND connection = 'default'", "user_id = 'u_bob' AND role = 'grant'"),
            ("user_id = 'u_alice' AND role = 'pending'", "user_id = 'u_bob' AND role = 'pending'"),
            ("user_id = 'u_dave' AND role = 'former_grant'", NONE),
        ],
        "sessions" | "default_connections" => vec![("user_id = 'u_alice'", "user_id = 'u_bob'")],
        // On `PostgreSQL` every user has a row there.
        "tombstones" => vec![("removed_at IS NOT NULL", NONE)],
        _ => vec![("1 = 1", NONE)],
    }
}

/// A deployment, the attacker's server, and the database.
struct Scene {
    app: TestApp,
    attacker: MockProvider,
    database: Database,
}

/// Browsers and flows before a change.
struct Prepared {
    alice: Browser,
    bob: Browser,
    flow: Flow,
    callback: String,
}

/// The response to each step, by the name of the step.
type Outcomes = Vec<(&'static str, String)>;

impl Scene {
    async fn new() -> Self {
        let users = ["alice", "bob", "carol", "dave"].map(|name| User::new(name, &format!("{name}-pw")));
        let mut app = TestApp::with(MockProvider::builder().users(users), |_| {}).await;
        let attacker = MockProvider::builder().start().await.unwrap();
        app.allow(attacker.port()).await;
        app.create_with_endpoints(EVIL, &Draft::with_endpoints(attacker.base_url()), &attacker).await;
        app.host.connections.flush_audit().await.unwrap();
        app.host.connections.deliver_events().await.unwrap();
        let database = Database::open(&app);
        Self { app, attacker, database }
    }

    /// Alice has two connections, a default one, and a flow; bob, the attacker, has a connection and a flow. A grant and
    /// unclaimed tokens of dave wait for their revocation. The other tables have a row each.
    async fn prepare(&self) -> Prepared {
        let app = &self.app;
        for user in ["alice", "bob", "carol", "dave"] {
            app.provider.withdraw(user);
        }
        self.database.restore();
        app.provider.faults().always(Endpoint::Revocation, Fault::unavailable(60));
        let mut dave = app.connected("dave", DRIVE).await;
        app.connect(&mut dave, DRIVE, "bob").await;
        dave.disconnect(DRIVE).await;
        let mut alice = app.connected("alice", DRIVE).await;
        app.connect_named(&mut alice, DRIVE, "work", "carol").await;
        assert_eq!(alice.set_default_connection(DRIVE, Some("default")).await.status, 204);
        let mut bob = app.connected("bob", DRIVE).await;
        assert_eq!(bob.set_default_connection(DRIVE, Some("default")).await.status, 204);
        bob.start(DRIVE).await;
        let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
        app.host.drain().await;
        self.database.run(
            "INSERT INTO connector_failures (incarnation, operation, code, at) \
                 SELECT incarnation, 'refresh', 'refused', 1 FROM connectors WHERE connector = 'evil';
             INSERT INTO connector_anomalies (incarnation, member, kind, at) \
                 SELECT incarnation, 'scope', 'wrong_type', 1 FROM connectors WHERE connector = 'evil';
             INSERT INTO client_refusals (incarnation, revision, since) \
                 SELECT incarnation, revision, 1 FROM connectors WHERE connector = 'evil'",
        );
        let tombstones = self.database.name("tombstones");
        self.database.run(&format!("INSERT INTO {tombstones} (user_id, removed_at) VALUES ('u_erin', 1)"));
        let rows =
            "SELECT count(*) FROM unclaimed_tokens, authorizations WHERE role = 'former_grant' AND revocation = 'pending'";
        assert_eq!(self.database.number(rows), 1);
        self.attacker.clear_ledger();
        Prepared { alice, bob, flow, callback }
    }

    /// What the users and a back end do after the change.
    async fn play(&self, prepared: Prepared) -> Outcomes {
        let Prepared { mut alice, mut bob, flow, callback } = prepared;
        let app = &self.app;
        let mut outcomes = vec![
            ("session of alice", session(&mut alice).await),
            ("session of bob", session(&mut bob).await),
            ("run of alice", run(&alice.execute(DRIVE, "/me").await)),
            ("run of bob", run(&bob.execute(DRIVE, "/me").await)),
            ("named run of alice", run(&alice.execute_named(DRIVE, "work", "/me").await)),
            ("run of a back end", run(&self.run_as_agent().await)),
            ("flow of alice with bob", bob.open_callback(&callback).await.page_code()),
        ];
        alice.open_callback(&callback).await;
        outcomes.push(("flow of alice", alice.flow_result(DRIVE, &flow.id).await.1));
        outcomes.push(("start", self.start(&mut alice).await));
        app.expire_access_tokens();
        outcomes.push(("refresh of alice", run(&alice.execute(DRIVE, "/me").await)));
        outcomes.push(("refresh of bob", run(&bob.execute(DRIVE, "/me").await)));
        outcomes.push(("run at the attacker's connector", run(&alice.execute(EVIL, "/me").await)));
        outcomes.push(("view", view(&mut alice).await));
        outcomes.push(("shown", shown(&mut alice).await));
        outcomes.push(("disconnect", alice.disconnect(DRIVE).await.outcome().1));
        // A request that is running while the clock is stepped would count as one without a response.
        app.host.drain().await;
        app.provider.faults().clear(Endpoint::Revocation);
        app.advance(Duration::from_mins(10));
        app.host.connections.revoke_due().await.ok();
        app.host.drain().await;
        let live = |user: &str| {
            app.live_grants().iter().filter(|grant| grant.username.as_deref() == Some(user)).count().to_string()
        };
        outcomes.push(("grants of the former connection", live("dave")));
        outcomes.push(("grants of the unclaimed account", live("bob")));
        outcomes
    }

    async fn run_as_agent(&self) -> Response {
        let mut agent = self.app.anonymous_browser();
        let params = json!({ "method": "GET", "path": "/me" });
        let body = json!({ "params": params, "act_as": "u_alice" });
        let request = agent.request(Method::POST, &DRIVE.public("/_execute"));
        agent.send(request.bearer_auth(AGENT_KEY).json(&body)).await
    }

    /// The user goes to the provider, or nowhere.
    async fn start(&self, alice: &mut Browser) -> String {
        let response = alice.try_start(DRIVE, json!({})).await;
        if response.status != 200 {
            return response.code();
        }
        let url = response.json()["authorizationUrl"].as_str().unwrap().to_owned();
        assert!(url.starts_with(self.app.provider.base_url()), "the user is sent to another server");
        "started".to_owned()
    }

    /// What holds after every change.
    fn check(&self, outcomes: &Outcomes, change: &str) {
        assert!(self.attacker.ledger().is_empty(), "{change}: a request reached the server of the attacker");
        for (step, outcome) in outcomes {
            let (own, users): (&[&str], &str) = if step.contains("bob") {
                (&["bob@example.test"], "u_bob")
            } else {
                (&["alice@example.test", "carol@example.test"], "u_alice")
            };
            if let Some(account) = outcome.strip_prefix("ran as ") {
                assert!(own.contains(&account), "{change}: {step} used a token of {account}");
            }
            if let Some(user) = outcome.strip_prefix("signed in as ") {
                assert_eq!(user, users, "{change}: {step}");
            }
        }
    }

    /// Applies a change, and compares what happens with what happens without it.
    async fn effect(&self, expected: &Outcomes, name: &str, change: impl FnOnce(&Database) -> bool) -> Effect {
        let prepared = self.prepare().await;
        if !change(&self.database) {
            return Nothing;
        }
        let outcomes = self.play(prepared).await;
        self.check(&outcomes, name);
        let differences = outcomes.iter().zip(expected).filter(|(outcome, expected)| outcome != expected);
        for ((_, outcome), _) in differences.clone() {
            assert!(!outcome.starts_with(VIEWED), "{name}: another address or setting is shown");
        }
        let effect = differences.map(|((step, outcome), _)| match *step {
            "shown" => Shown,
            _ if REFUSALS.contains(&outcome.as_str()) => Refused,
            _ => Lost,
        });
        effect.max().unwrap_or(Nothing)
    }
}

async fn session(browser: &mut Browser) -> String {
    let response = browser.get("/api/session").await;
    if response.status != 200 {
        return response.code();
    }
    format!("signed in as {}", response.json()["user"]["id"].as_str().unwrap_or_default())
}

fn run(response: &Response) -> String {
    let body = response.json();
    if let Some(user) = body["data"]["body"]["user"].as_str() {
        return format!("ran as {user}");
    }
    body["reason"].as_str().map_or_else(|| response.code(), str::to_owned)
}

/// What an editor copies from a connector: the redirect URI to register and the settings to save.
async fn view(alice: &mut Browser) -> String {
    let response = alice.get(&DRIVE.public("")).await;
    if response.status != 200 {
        return response.code();
    }
    let body = response.json();
    format!("{VIEWED}{} {}", body["redirect_uri"], body["config"])
}

async fn shown(alice: &mut Browser) -> String {
    let path = "/internal/actions/connectors/_me/auth_status";
    let response = alice.post(path, json!({})).await;
    if response.status != 200 {
        return response.code();
    }
    let connection = &response.json()[DRIVE.id]["connection"];
    format!("{} {} {}", connection["status"], connection["reason"], connection["account"])
}

/// The effects of the columns that the store has.
fn effects(database: &Database) -> Vec<(&'static str, &'static str, Effect)> {
    if !database.is_postgres() {
        return EFFECTS.to_vec();
    }
    let of_postgres = |(table, column, effect)| {
        let other = OTHER_EFFECTS.iter().find(|(of_table, of_column, _)| (*of_table, *of_column) == (table, column));
        other.copied().unwrap_or((table, column, effect))
    };
    EFFECTS.into_iter().map(of_postgres).chain(POSTGRES_EFFECTS).collect()
}

/// Changes every column of these tables, or every second one, and compares the effects with those stated.
async fn columns_of(tables: &[&str], step: usize, first: usize) {
    let scene = Scene::new().await;
    let prepared = scene.prepare().await;
    let expected = scene.play(prepared).await;
    scene.check(&expected, "no change");
    assert!(expected.iter().any(|(_, outcome)| outcome == "ran as alice@example.test"), "{expected:?}");
    let stated: Vec<_> = tables
        .iter()
        .flat_map(|name| {
            let of_table = effects(&scene.database).into_iter().filter(move |(table, ..)| table == name);
            of_table.skip(first).step_by(step)
        })
        .collect();
    let mut found = Vec::new();
    for (table, column, _) in &stated {
        let mut most = Nothing;
        for change in if crate::is_long() { &CHANGES } else { &CHANGES[..2] } {
            if *change == Change::Swapped && victims(table).iter().all(|(_, attacker)| *attacker == NONE) {
                continue;
            }
            let name = format!("{table}.{column} {change:?}");
            let effect = scene.effect(&expected, &name, |database| database.change(table, &[column], *change));
            most = most.max(effect.await);
        }
        found.push((*table, *column, most));
    }
    let lines: Vec<_> =
        found.iter().map(|(table, column, effect)| format!("    ({table:?}, {column:?}, {effect:?}),")).collect();
    let within = found.iter().zip(&stated).all(|((.., found), (.., stated))| found <= stated);
    // A column of `PostgreSQL` has a type, which can prevent a change.
    let agree = within && (found == stated || !crate::is_long() || scene.database.is_postgres());
    assert!(agree, "the effects are\n{}", lines.join("\n"));
}

const GRANT_TO_EVIL: &str = "UPDATE authorizations SET (connector, incarnation, epoch, digest) = \
    (SELECT s.connector, s.incarnation, s.epoch, s.digest FROM client_secrets AS s WHERE s.connector = 'evil') \
    WHERE user_id = 'u_alice' AND role = 'grant' AND connection = 'default'";
const FLOW_TO_EVIL: &str = "UPDATE authorizations SET (connector, incarnation, epoch, digest) = \
    (SELECT s.connector, s.incarnation, s.epoch, s.digest FROM client_secrets AS s WHERE s.connector = 'evil') \
    WHERE user_id = 'u_alice' AND role = 'pending'";
const CONNECTOR_TO_SPACE: &str = "DELETE FROM connectors WHERE connector = 'drive' AND space = 'default'; \
    UPDATE connectors SET space = 'default' WHERE space = 'marketing'";
const SECRET_TO_EVIL: &str = "DELETE FROM client_secrets WHERE connector = 'evil'; \
    UPDATE client_secrets SET connector = 'evil', incarnation = (SELECT incarnation FROM connectors WHERE connector = 'evil') \
    WHERE connector = 'drive' AND space = 'default'";
const EVIL_TO_DRIVE: &str = "UPDATE connectors SET (profile, config, client_id, epoch, revision, callback_id, tag) = \
    (SELECT e.profile, e.config, e.client_id, e.epoch, e.revision, x'00112233445566778899aabbccddeeff', e.tag \
        FROM connectors AS e WHERE e.connector = 'evil') WHERE connector = 'drive' AND space = 'default'; \
    UPDATE client_secrets SET digest = (SELECT e.digest FROM client_secrets AS e WHERE e.connector = 'evil') \
    WHERE connector = 'drive' AND space = 'default'";

#[tokio::test]
async fn r73_r76_a_deployment_with_another_id_has_no_sessions_and_uses_no_connector() {
    let mut app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    Database::open(&app).run(&format!("UPDATE deployment SET id = {OTHER_ID}"));
    app.restart().await;
    alice.move_to(app.host.address);
    assert_eq!(session(&mut alice).await, "not_signed_in");
    let mut alice = app.browser("alice").await;
    assert_eq!(run(&alice.execute(DRIVE, "/me").await), "connector_tampered");
}

#[tokio::test]
async fn r73_r76_every_table_is_tested() {
    let app = TestApp::new().await;
    let database = Database::open(&app);
    for (table, columns) in database.tables() {
        let tested = effects(&database).into_iter().filter(|(tested, ..)| database.name(tested) == table);
        let mut tested: Vec<_> = tested.map(|(_, column, _)| database.name(column).to_owned()).collect();
        let mut columns = columns.clone();
        tested.sort_unstable();
        columns.sort_unstable();
        assert_eq!(tested, columns, "{table}");
        assert!(TABLES.iter().flat_map(|tables| *tables).any(|tested| database.name(tested) == table), "{table}");
    }
}

/// Tables of either store.
const TABLES: [&[&str]; 5] = [
    &["connectors", "client_secrets"],
    &["authorizations"],
    &["sessions", "default_connections"],
    &["unclaimed_tokens", "deployment"],
    &[
        "client_refusals",
        "connector_anomalies",
        "connector_failures",
        "events",
        "tombstones",
        "event_delivery",
        "grantry_migrations",
    ],
];

#[tokio::test]
async fn r42_r52_r73_a_changed_column_of_a_connector_redirects_nothing() {
    columns_of(TABLES[0], 1, 0).await;
}

#[tokio::test]
async fn r73_r76_a_changed_column_of_an_authorization_gives_no_token_of_another_user() {
    columns_of(TABLES[1], 2, 0).await;
}

#[tokio::test]
async fn r73_r76_another_changed_column_of_an_authorization_gives_no_token_of_another_user() {
    columns_of(TABLES[1], 2, 1).await;
}

#[tokio::test]
async fn r73_r76_a_changed_column_of_a_session_makes_no_user_another_one() {
    columns_of(TABLES[2], 1, 0).await;
}

#[tokio::test]
async fn r73_r76_a_changed_column_of_unclaimed_tokens_sends_them_nowhere() {
    columns_of(TABLES[3], 1, 0).await;
}

#[tokio::test]
async fn r73_r76_the_other_tables_decide_about_no_token() {
    columns_of(TABLES[4], 1, 0).await;
}

#[tokio::test]
async fn r42_r52_r73_r76_columns_that_belong_together_redirect_nothing_when_they_are_exchanged() {
    let scene = Scene::new().await;
    let prepared = scene.prepare().await;
    let expected = scene.play(prepared).await;
    let sets: [(&str, &[&str]); 19] = [
        ("connectors", &["space", "connector"]),
        ("connectors", &["config", "tag"]),
        ("connectors", &["config", "client_id", "tag"]),
        ("connectors", &["profile", "config", "client_id", "has_client_secret"]),
        ("connectors", &["incarnation", "epoch", "tag"]),
        ("connectors", &["space", "connector", "incarnation", "tag"]),
        ("connectors", &["auth_mode", "tag"]),
        ("connectors", &["callback_id", "tag"]),
        ("client_secrets", &["digest", "sealed", "kid"]),
        ("client_secrets", &["incarnation", "epoch"]),
        ("client_secrets", &["incarnation", "epoch", "space", "connector", "digest"]),
        ("authorizations", &["sealed", "kid"]),
        ("authorizations", &["user", "connection"]),
        ("authorizations", &["sealed", "kid", "revision"]),
        ("authorizations", &["id", "sealed", "kid"]),
        ("authorizations", &["state_hash", "flow_cookie_hash"]),
        ("authorizations", &["state_hash", "flow_cookie_hash", "sealed", "kid"]),
        ("sessions", &["hash", "tag"]),
        ("sessions", &["user", "tag", "created_at", "seen_at"]),
    ];
    for (table, columns) in sets {
        let name = format!("{table} {columns:?}");
        let change = |database: &Database| {
            assert!(database.change(table, columns, Change::Swapped), "{name} can be exchanged");
            true
        };
        assert_ne!(scene.effect(&expected, &name, change).await, Nothing, "{name}");
    }
    let moves = [
        ("the grant of alice at the attacker's connector", GRANT_TO_EVIL),
        ("the flow of alice at the attacker's connector", FLOW_TO_EVIL),
        ("the connector of another space in this one", CONNECTOR_TO_SPACE),
        ("the client secret at the attacker's connector", SECRET_TO_EVIL),
        ("the session of bob as one of alice", "UPDATE sessions SET user_id = 'u_alice' WHERE user_id = 'u_bob'"),
        ("the attacker's configuration and secret", EVIL_TO_DRIVE),
    ];
    for (name, statements) in moves {
        let change = |database: &Database| {
            database.run(statements);
            true
        };
        assert_ne!(scene.effect(&expected, name, change).await, Nothing, "{name}");
    }
    // The user in every table at once.
    let everywhere = |database: &Database| {
        ["authorizations", "default_connections", "sessions"]
            .iter()
            .all(|table| database.change(table, &["user"], Change::Swapped))
    };
    assert_ne!(scene.effect(&expected, "the user everywhere", everywhere).await, Nothing);
}

/// What the removal of all rows of a table does. As in [`EFFECTS`], `events`, `tombstones` and `deployment` have another effect
/// than on these responses.
const REMOVALS: [(&str, Effect); 15] = [
    ("authorizations", Lost),
    ("client_refusals", Nothing),
    ("client_secrets", Lost),
    ("connector_anomalies", Nothing),
    ("connector_failures", Nothing),
    ("connectors", Lost),
    ("default_connections", Lost),
    ("deployment", Nothing),
    ("events", Nothing),
    ("sessions", Refused),
    ("tombstones", Nothing),
    ("unclaimed_tokens", Lost),
    ("sqlite_sequence", Nothing),
    ("event_delivery", Nothing),
    ("grantry_migrations", Nothing),
];

/// Tables that only `SQLite` has, and those that only `PostgreSQL` has.
const SQLITE_TABLES: [&str; 1] = ["sqlite_sequence"];
const POSTGRES_TABLES: [&str; 2] = ["event_delivery", "grantry_migrations"];

#[tokio::test]
async fn r73_r76_removed_rows_give_no_token_of_another_user() {
    let scene = Scene::new().await;
    let prepared = scene.prepare().await;
    let expected = scene.play(prepared).await;
    let mut found = Vec::new();
    let others: &[_] = if scene.database.is_postgres() { &SQLITE_TABLES } else { &POSTGRES_TABLES };
    let stated: Vec<_> = REMOVALS.iter().filter(|(table, _)| !others.contains(table)).collect();
    for (table, _) in &stated {
        let remove = |database: &Database| {
            database.run(&format!("DELETE FROM {}", database.name(table)));
            true
        };
        found.push((*table, scene.effect(&expected, &format!("without {table}"), remove).await));
    }
    assert_eq!(found, stated.into_iter().copied().collect::<Vec<_>>());
}

#[tokio::test]
async fn r73_r76_copied_rows_give_no_token_of_another_user() {
    let scene = Scene::new().await;
    let prepared = scene.prepare().await;
    let expected = scene.play(prepared).await;
    let columns = |table: &str, values: &[(&str, &str)]| {
        let all = &scene.database.tables()[table];
        let value = |column: &String| {
            values.iter().find(|(name, _)| name == column).map_or_else(|| column.clone(), |(_, value)| (*value).to_owned())
        };
        (all.join(", "), all.iter().map(value).collect::<Vec<_>>().join(", "))
    };
    let (id, cookie) = ("(SELECT id FROM copy.other)", "(SELECT flow_cookie_hash FROM copy.other)");
    let user = scene.database.name("user");
    let next = |table: &str| format!("(SELECT coalesce(max(seq), 0) + 1 FROM {table})");
    let seq = next("authorizations");
    let of_bob = [("seq", seq.as_str()), (user, "'u_bob'"), ("id", id), ("flow_cookie_hash", cookie)];
    let (names, values) = columns("authorizations", &of_bob);
    let copies = [("grant", "connection = 'default'"), ("pending", "1 = 1")];
    for (role, condition) in copies {
        // The row of alice is removed from the unique indexes first, and bob has a copy of it with the id of his row.
        let statements = format!(
            "CREATE TABLE copy.other AS SELECT id, flow_cookie_hash FROM authorizations WHERE user_id = 'u_bob' AND role = '{role}';
             DELETE FROM authorizations WHERE user_id = 'u_bob' AND role = '{role}';
             CREATE TABLE copy.kept AS SELECT {names} FROM authorizations WHERE user_id = 'u_alice' AND role = '{role}' AND {condition};
             DELETE FROM authorizations WHERE user_id = 'u_alice' AND role = '{role}' AND {condition};
             INSERT INTO authorizations ({names}) SELECT {values} FROM copy.kept;
             DROP TABLE copy.kept; DROP TABLE copy.other"
        );
        let copy = |database: &Database| {
            database.run(&statements);
            true
        };
        assert_ne!(scene.effect(&expected, &format!("the {role} of alice copied for bob"), copy).await, Nothing);
    }
    let (names, values) = columns("sessions", &[("seq", &next("sessions")), (user, "'u_alice'")]);
    let session = format!(
        "CREATE TABLE copy.kept AS SELECT {names} FROM sessions WHERE user_id = 'u_bob'; DELETE FROM sessions WHERE user_id = 'u_bob';
         INSERT INTO sessions ({names}) SELECT {values} FROM copy.kept; DROP TABLE copy.kept"
    );
    let copy = |database: &Database| {
        database.run(&session);
        true
    };
    assert_ne!(scene.effect(&expected, "the session of bob copied for alice", copy).await, Nothing);
}

#[tokio::test]
async fn r73_r76_a_former_grant_that_is_inserted_again_serves_its_user_only() {
    let scene = Scene::new().await;
    let Prepared { mut alice, mut bob, .. } = scene.prepare().await;
    let database = &scene.database;
    let names = database.tables()["authorizations"].join(", ");
    database.run(&format!(
        "CREATE TABLE copy.kept AS SELECT {names} FROM authorizations WHERE user_id = 'u_alice' AND role = 'grant'"
    ));
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    scene.app.host.drain().await;
    assert_eq!(run(&alice.execute_named(DRIVE, "default", "/me").await), "not_connected");
    database.run(&format!(
        "DELETE FROM authorizations WHERE id IN (SELECT id FROM copy.kept); \
         INSERT INTO authorizations ({names}) SELECT * FROM copy.kept"
    ));
    scene.app.expire_access_tokens();
    let outcomes = vec![
        ("run of alice", run(&alice.execute_named(DRIVE, "default", "/me").await)),
        ("named run of alice", run(&alice.execute_named(DRIVE, "work", "/me").await)),
        ("run of bob", run(&bob.execute(DRIVE, "/me").await)),
    ];
    scene.check(&outcomes, "a former grant is inserted again");
    // Its tokens wait for revocation.
    assert_eq!(outcomes[0].1, "ran as alice@example.test");
    assert_eq!(outcomes[2].1, "ran as bob@example.test");
    // For a user without a grant it cannot be decrypted.
    database.run("UPDATE authorizations SET user_id = 'u_carol' WHERE id IN (SELECT id FROM copy.kept)");
    let mut carol = scene.app.browser("carol").await;
    assert_eq!(run(&carol.execute_named(DRIVE, "default", "/me").await), "undecryptable");
}
