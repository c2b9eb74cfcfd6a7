//! The primary server is killed while users work, and its synchronous standby is promoted. `FAILOVERS` is how often, each time
//! with new servers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use grantry_test_postgres::{Cluster, private_cluster};
use grantry_testkit::provider::{MockProvider, Rotation, User};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::{assert_refused, connect, install, reaching, register, site_at};
use crate::support::{Browser, Response, Site};

/// Every run refreshes: the tokens expire sooner than the program uses one.
const ACCESS_TTL: Duration = Duration::from_secs(1);
/// Connections that exist before the load.
const CALLERS: usize = 4;
/// The most connections that are made during the load.
const NEW: usize = 100;
/// How long the load runs before the primary is killed.
const LOAD: Duration = Duration::from_secs(2);
/// The deadline of every wait: the lease of a refresh that was interrupted lasts 45 s.
const DEADLINE: Duration = Duration::from_secs(90);

/// A primary server and its synchronous standby.
fn servers() -> (Cluster, Cluster) {
    let primary = private_cluster();
    let standby = primary.standby("standby");
    // Not in the configuration that the standby copied: after its promotion it has no standby.
    primary.rows("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
    primary.rows("SELECT pg_reload_conf()");
    let state = "SELECT sync_state FROM pg_stat_replication";
    until("the standby is synchronous", || primary.rows(state) == [[Some("sync".to_owned())]]);
    (primary, standby)
}

fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_true() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn run(browser: &mut Browser, connection: &str) -> Response {
    let body = json!({ "params": { "method": "GET", "path": "/me" }, "connection": connection });
    browser.post("/api/actions/connector/files/_execute", &body)
}

/// Whether the run used the account of the connection, which has the same name.
fn is_run(response: &Response, connection: &str) -> bool {
    response.status == 200 && response.json()["data"]["body"]["user"] == format!("{connection}@example.test").as_str()
}

/// What the callers saw.
#[derive(Default)]
struct Seen {
    /// Connections that the program confirmed.
    confirmed: Mutex<BTreeSet<String>>,
    /// The number of responses of each kind that is no success.
    others: Mutex<BTreeMap<String, usize>>,
    is_over: AtomicBool,
}

impl Seen {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Counts a response that is no success. Each must be one that a client repeats.
    fn count(&self, response: &Response) {
        let body: Value = serde_json::from_str(&response.body).unwrap_or_default();
        let code = body["code"].as_str().unwrap_or_default().to_owned();
        if code == "store_unavailable" {
            assert!(response.header("retry-after").is_some(), "{response:?}");
        }
        assert_eq!(response.status, 503, "a caller got a lasting error: {response:?}");
        *self.others.lock().unwrap().entry(code).or_default() += 1;
    }
}

/// A second client with the session of the first one.
fn same_user(browser: &Browser, site: &Site) -> Browser {
    let mut other = Browser::new(site.port);
    other.cookies.clone_from(&browser.cookies);
    other
}

/// Runs one connection again and again. Returns the instant of the first success after `since`.
fn keep_running(mut browser: Browser, name: &str, seen: &Seen, promoted: &Mutex<Option<Instant>>) -> Option<Instant> {
    let mut first = None;
    while !seen.is_over() {
        let started = Instant::now();
        let response = run(&mut browser, name);
        if is_run(&response, name) {
            let is_after = promoted.lock().unwrap().is_some_and(|promoted| started >= promoted);
            if is_after && first.is_none() {
                first = Some(Instant::now());
            }
        } else {
            seen.count(&response);
            thread::sleep(Duration::from_millis(50));
        }
    }
    first
}

/// Makes new connections until the load ends, and records the ones that the program confirmed.
fn keep_connecting(mut browser: Browser, provider: &MockProvider, seen: &Seen, runtime: &Handle) {
    for number in 0..NEW {
        let name = format!("new-{number}");
        while browser.get("/readyz").status != 200 && !seen.is_over() {
            thread::sleep(Duration::from_millis(50));
        }
        if seen.is_over() {
            return;
        }
        let body = json!({ "connection": name });
        let started = browser.post("/internal/actions/connector/files/_start_oauth_flow", &body);
        if started.status != 200 {
            seen.count(&started);
            continue;
        }
        let authorization_url = started.json()["authorizationUrl"].as_str().unwrap().to_owned();
        let callback = runtime.block_on(provider.approve(&authorization_url, &name)).unwrap();
        let finished = browser.get(&format!("{}?{}", callback.path(), callback.query().unwrap()));
        // The confirmation is what the API shows of the connection afterwards.
        let listed = browser.post("/internal/actions/connectors/_me/auth_status", &json!({}));
        let is_connected = |connection: &Value| connection["name"] == name.as_str() && connection["status"] == "connected";
        if finished.status == 303 && listed.status == 200 && has(&listed.json(), &is_connected) {
            seen.confirmed.lock().unwrap().insert(name);
        }
    }
}

/// Whether a value contains an object for which this is true.
fn has(value: &Value, is_wanted: &impl Fn(&Value) -> bool) -> bool {
    is_wanted(value)
        || match value {
            Value::Array(items) => items.iter().any(|item| has(item, is_wanted)),
            Value::Object(members) => members.values().any(|member| has(member, is_wanted)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r36_r38_a_promoted_standby_has_every_confirmed_grant_and_no_token_is_refreshed_twice() {
    let failovers = std::env::var("FAILOVERS").map_or(1, |number| number.parse().expect("FAILOVERS is a number"));
    for number in 0..failovers {
        // Different states of the transactions at the kill.
        fail_over(LOAD + Duration::from_millis(37) * number).await;
    }
}

async fn fail_over(load: Duration) {
    let (primary, standby) = servers();
    let names: Vec<_> = (0..CALLERS).map(|number| format!("first-{number}")).collect();
    let accounts = names.iter().cloned().chain((0..NEW).map(|number| format!("new-{number}")));
    let accounts: Vec<_> = accounts.map(|name| User::new(&name, "pw")).collect();
    let provider = MockProvider::builder().access_ttl(ACCESS_TTL).rotation(Rotation::Strict).users(accounts);
    let provider = provider.start().await.unwrap();
    let limits = "oauth.rate_limits.start = \"1000/10m\"\noauth.rate_limits.callback = \"1000/10m\"";
    let url = format!("postgres://postgres@{},{}/postgres", primary.host(), standby.host());
    let site = site_at(&url, &format!("{}\n{limits}", reaching(&provider)));
    let connector = install(&site, &provider).await;
    // A standby alone is refused.
    let alone = site_at(&standby.url("postgres"), "");
    assert_refused(&alone, "is a read-only standby or read-only by a setting; name the primary server");

    let server = site.serve();
    let mut alice = Browser::new(site.port);
    alice.log_in("alice", "password-canary");
    register(&mut alice, &provider, &connector);
    for name in &names {
        let finished = connect(&mut alice, &provider, name, &json!({ "connection": name })).await;
        assert_eq!(finished.status, 303, "{finished:?}");
        let first = run(&mut alice, name);
        assert!(is_run(&first, name), "{first:?}");
    }

    let (seen, promoted) = (Seen::default(), Mutex::new(None));
    let runtime = Handle::current();
    seen.confirmed.lock().unwrap().extend(names.iter().cloned());
    thread::scope(|scope| {
        let callers: Vec<_> = names
            .iter()
            .map(|name| (same_user(&alice, &site), name))
            .map(|(browser, name)| scope.spawn(|| keep_running(browser, name, &seen, &promoted)))
            .collect();
        let other = same_user(&alice, &site);
        let (provider, seen) = (&provider, &seen);
        scope.spawn(move || keep_connecting(other, provider, seen, &runtime));
        thread::sleep(load);
        primary.kill();
        let killed = Instant::now();
        let mut observer = same_user(&alice, &site);
        until("the outage is reported", || {
            let refused = observer.get("/api/actions/connectors");
            let is_reported = refused.status == 503;
            if is_reported {
                assert_eq!(refused.json()["code"], "store_unavailable", "{refused:?}");
                assert!(refused.header("retry-after").is_some(), "{refused:?}");
            }
            is_reported
        });
        until("/readyz reports the outage", || observer.get("/readyz").status == 503);
        standby.promote();
        let instant = Instant::now();
        *promoted.lock().unwrap() = Some(instant);
        until("the node is ready", || observer.get("/readyz").status == 200);
        println!("promoted {:?} after the kill, ready {:?} after that", instant - killed, instant.elapsed());
        let mut waiting: BTreeSet<_> = seen.confirmed.lock().unwrap().clone();
        until("every confirmed connection is run", || {
            waiting.retain(|name| {
                let response = run(&mut observer, name);
                let is_success = is_run(&response, name);
                if !is_success {
                    seen.count(&response);
                }
                !is_success
            });
            waiting.is_empty()
        });
        println!("all connections were used {:?} after the promotion", instant.elapsed());
        seen.is_over.store(true, Ordering::Relaxed);
        for caller in callers {
            assert!(caller.join().unwrap().is_some(), "a caller had no success after the promotion");
        }
    });
    let (confirmed, others) = (seen.confirmed.into_inner().unwrap(), seen.others.into_inner().unwrap());
    println!("{} confirmed connections, responses that were repeated: {others:?}", confirmed.len());
    assert!(confirmed.len() > CALLERS, "no connection was made beside the load");
    assert!(others.contains_key("store_unavailable"), "{others:?}");

    let ledger = provider.ledger();
    let mut presented = BTreeMap::<_, usize>::new();
    for refresh in ledger.refreshes() {
        *presented.entry(refresh.param("refresh_token").unwrap_or_default().to_owned()).or_default() += 1;
    }
    println!("{} refreshes", presented.len());
    assert!(presented.values().all(|times| *times == 1), "a refresh token was presented twice");
    assert!(presented.len() > CALLERS, "no token was refreshed under load");
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
}
