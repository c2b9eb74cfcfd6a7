//! The main job against real authorization servers, which are independent of this project and of each other.

use std::time::Duration;

use futures_util::future::join_all;
use grantry_system_tests::authorization_server::{Answer, Kind, RealServer};
use grantry_system_tests::browser::{self, Browser, Flow};
use grantry_system_tests::deployment::Deployment;
use grantry_system_tests::host::Host;
use grantry_system_tests::people::AGENT_KEY;
use grantry_system_tests::place::Draft;
use grantry_system_tests::world::{DRIVE, MARKETING_DRIVE};
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::is_long;

/// Longer than these tests take: both servers measure it with their own clocks, which nobody moves.
const TTL: &str = "600";
const LAPSED: Duration = Duration::from_secs(601);

/// A real server, and a deployment with the connectors `drive` in both spaces. They are in issuer mode, so that one redirect
/// URI serves both.
struct Real {
    server: RealServer,
    deployment: Deployment,
    host: Host,
    http: reqwest::Client,
}

impl Real {
    async fn new(kind: Kind) -> Self {
        let mut deployment = Deployment::new().unwrap();
        let server = RealServer::start(kind, &deployment.shared_callback(), &[("ACCESS_TTL", TTL)]).await.unwrap();
        deployment.allow(server.port());
        let host = deployment.host().await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let real = Self { server, deployment, host, http };
        let metadata: Value = real.http.get(real.server.endpoint("metadata")).send().await.unwrap().json().await.unwrap();
        let extra: serde_json::Map<_, _> =
            real.server.extra_parameters().into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        let draft = Draft::issuer(metadata["issuer"].as_str().unwrap(), &real.server.issuer())
            .config("scope", real.server.scope())
            .config("extraAuthorizationParameters", extra);
        let mut carol = real.browser("carol").await;
        for place in [DRIVE, MARKETING_DRIVE] {
            let answer = carol.post(&place.public(""), draft.body.clone()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.json()["redirect_uri"], real.deployment.shared_callback());
        }
        real
    }

    async fn browser(&self, name: &str) -> Browser {
        let mut browser = Browser::new(&self.deployment.settings.public, self.host.address);
        browser.log_in(name).await;
        browser
    }

    async fn consent(&self, browser: &mut Browser, place: grantry_system_tests::place::Place, user: &str) -> (Flow, String) {
        self.between_tokens().await;
        let flow = browser.start(place).await;
        let callback = self.server.login(&flow.authorization_url, user, Answer::Allow).await.unwrap();
        (flow, callback)
    }

    async fn connect(&self, browser: &mut Browser, place: grantry_system_tests::place::Place, user: &str) {
        let (flow, callback) = self.consent(browser, place, user).await;
        let answer = browser.come_back(&callback).await;
        let end = browser.flow_end(place, &flow.id).await;
        assert_eq!(end.0, "authorized", "{end:?} {}", answer.everything());
    }

    /// Whose account userinfo tells, through Grantry.
    async fn whose(&self, browser: &mut Browser, place: grantry_system_tests::place::Place) -> String {
        let userinfo = Url::parse(&self.server.endpoint("userinfo")).unwrap();
        let answer = browser.execute(place, userinfo.path()).await;
        match answer.json()["data"]["body"]["sub"].as_str() {
            Some(user) => user.to_owned(),
            None => panic!("no user in {}", answer.text()),
        }
    }

    /// One server cannot make two tokens for a user within a second; it has no clock to be moved.
    async fn between_tokens(&self) {
        tokio::time::sleep(self.server.min_interval()).await;
    }

    /// Our clock passes the end of every access token.
    async fn lapse(&self) {
        self.deployment.clock().advance(LAPSED).unwrap();
        self.between_tokens().await;
    }

    /// Alice's present access token, as a back end gets it.
    async fn access_token(&self) -> String {
        let agent = Browser::new(&self.deployment.settings.public, self.host.address);
        let body = json!({ "user": "u_alice", "destination": self.server.issuer() });
        let request = agent.request(Method::POST, &DRIVE.internal("/_access_token"));
        let answer = agent.clone().send(request.bearer_auth(AGENT_KEY).json(&body)).await;
        answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
    }

    /// Does the server itself call a token good: by userinfo and by introspection (RFC 7662)?
    async fn is_good(&self, token: &str) -> (bool, bool) {
        let userinfo = self.http.get(self.server.endpoint("userinfo")).bearer_auth(token).send().await.unwrap();
        let introspection = self.http.post(self.server.endpoint("introspect")).basic_auth("demo", Some("demo-secret"));
        let told: Value = introspection.form(&[("token", token)]).send().await.unwrap().json().await.unwrap();
        (userinfo.status().is_success(), told["active"] == true)
    }

    /// How many renewals the audit trail tells of.
    async fn renewals(&self) -> usize {
        self.host.connections.deliver_events().await.unwrap();
        self.host.sink.events().iter().filter(|event| event.kind.as_str() == "renewed").count()
    }
}

/// Two people in two spaces, each with another account, run as themselves.
async fn two_people_two_spaces(kind: Kind) {
    let real = Real::new(kind).await;
    let accounts = [
        ("alice", DRIVE, "alice"),
        ("bob", DRIVE, "bob"),
        ("alice", MARKETING_DRIVE, "bob"),
        ("bob", MARKETING_DRIVE, "alice"),
    ];
    for (person, place, account) in accounts {
        let mut browser = real.browser(person).await;
        assert_eq!(browser.status_name(place).await, "not_connected");
        real.connect(&mut browser, place, account).await;
        assert_eq!(browser.status_name(place).await, "connected");
    }
    for (person, place, account) in accounts {
        assert_eq!(real.whose(&mut real.browser(person).await, place).await, account);
    }
    // One lapsed token is renewed, nobody else's is touched.
    real.lapse().await;
    let mut alice = real.browser("alice").await;
    assert_eq!(real.whose(&mut alice, DRIVE).await, "alice");
    assert_eq!(real.renewals().await, 1);
}

/// RefreshState with rotation, once and again, with many callers at the same moment.
async fn refresh(kind: Kind) {
    let real = Real::new(kind).await;
    let mut alice = real.browser("alice").await;
    real.connect(&mut alice, DRIVE, "alice").await;
    let mut before = real.access_token().await;

    real.lapse().await;
    let callers = (0..24).map(|_| {
        let mut tab = alice.clone();
        let real = &real;
        async move { real.whose(&mut tab, DRIVE).await }
    });
    assert!(join_all(callers).await.iter().all(|user| user == "alice"));
    assert_eq!(real.renewals().await, 1, "twenty-four callers, one refresh");

    // Both servers take a spent refresh token ill, so that going on proves that none was used twice.
    let rounds = match (is_long(), kind) {
        (false, Kind::OidcProvider) => 12,
        (false, Kind::Canaille) => 4,
        (true, Kind::OidcProvider) => 1000,
        (true, Kind::Canaille) => 20,
    };
    for round in 1..=rounds {
        real.lapse().await;
        if round % 20 == 0 {
            alice.log_in("alice").await;
        }
        assert_eq!(real.whose(&mut alice, DRIVE).await, "alice", "round {round}");
        let now = real.access_token().await;
        assert_ne!(now, before, "round {round}");
        before = now;
    }
    assert_eq!(real.renewals().await, rounds + 1);
    assert_eq!(alice.status_name(DRIVE).await, "connected");
}

/// Disconnect reaches the server: it calls neither token good any more.
async fn revocation(kind: Kind) {
    let real = Real::new(kind).await;
    let mut alice = real.browser("alice").await;
    real.connect(&mut alice, DRIVE, "alice").await;
    let first = real.access_token().await;
    assert_eq!(real.is_good(&first).await, (true, true));
    real.lapse().await;
    assert_eq!(real.whose(&mut alice, DRIVE).await, "alice");
    let second = real.access_token().await;
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
    real.host.settle().await;
    real.host.connections.revoke_due().await.unwrap();
    assert_eq!(real.is_good(&second).await, (false, false));
    assert_eq!(alice.status(DRIVE).await.get("provider_note"), None, "the server has confirmed it");
    real.host.connections.deliver_events().await.unwrap();
    let events = real.host.sink.events();
    let settled = events.iter().find(|event| event.kind.as_str() == "revocation_completed").unwrap();
    assert_eq!(settled.outcome, "revoked");

    // ID tokens of a new consent are judged by a clock that is right.
    real.deployment.clock().set_back(LAPSED).unwrap();
    real.connect(&mut alice, DRIVE, "alice").await;
    assert_eq!(real.whose(&mut alice, DRIVE).await, "alice");
}

/// Wrong person, wrong browser, denial, replay.
async fn refusals(kind: Kind) {
    let real = Real::new(kind).await;
    let mut alice = real.browser("alice").await;
    let (_, callback) = real.consent(&mut alice, DRIVE, "alice").await;
    let mut bob = real.browser("bob").await;
    assert_eq!(bob.come_back(&callback).await.page_code(), "user_mismatch");
    let mut other_browser = real.browser("alice").await;
    assert_eq!(other_browser.come_back(&callback).await.page_code(), "browser_mismatch");
    let mut tab = alice.clone();
    alice.come_back(&callback).await;
    assert_eq!(alice.status_name(DRIVE).await, "connected", "none of it used the flow up");
    assert_eq!(tab.come_back(&callback).await.page_code(), "flow_already_used");
    assert_eq!(real.whose(&mut alice, DRIVE).await, "alice", "a replay that goes no further harms nothing");

    let flow = bob.start(DRIVE).await;
    let denied = real.server.login(&flow.authorization_url, "bob", Answer::Deny).await.unwrap();
    bob.come_back(&denied).await;
    assert_eq!(bob.flow_end(DRIVE, &flow.id).await, ("failed".to_owned(), "access_denied".to_owned()));
    assert_eq!(bob.status_name(DRIVE).await, "not_connected");

    let (flow, callback) = real.consent(&mut bob, DRIVE, "bob").await;
    let forged = callback.replacen("iss=", "iss=https%3A%2F%2Fevil.example%2F", 1);
    assert_ne!(forged, callback);
    bob.come_back(&forged).await;
    assert_eq!(bob.flow_end(DRIVE, &flow.id).await, ("failed".to_owned(), "issuer_mismatch".to_owned()));
    let page = alice.open(&format!("{callback}&x=1"), browser::From::AnotherSite).await;
    assert!(!page.everything().contains("code="), "{}", page.everything());
}

/// Grantry is restarted, then the server.
async fn restarts(kind: Kind) {
    let mut real = Real::new(kind).await;
    let mut alice = real.browser("alice").await;
    real.connect(&mut alice, DRIVE, "alice").await;
    let mut bob = real.browser("bob").await;
    let (flow, callback) = real.consent(&mut bob, DRIVE, "bob").await;

    real.host.stop().await;
    real.host = real.deployment.host().await.unwrap();
    alice.move_to(real.host.address);
    bob.move_to(real.host.address);
    assert_eq!(real.whose(&mut alice, DRIVE).await, "alice");
    bob.come_back(&callback).await;
    assert_eq!(bob.flow_end(DRIVE, &flow.id).await.0, "authorized", "a flow outlives a restart");

    // While the server is down nobody is told to connect again.
    real.server.end().await;
    real.deployment.clock().advance(LAPSED).unwrap();
    let userinfo = Url::parse(&real.server.endpoint("userinfo")).unwrap();
    assert_eq!(alice.execute(DRIVE, userinfo.path()).await.outcome(), (503, "provider_unavailable".to_owned()));
    assert_eq!(alice.status_name(DRIVE).await, "connected");
    real.server.restart().await.unwrap();
    real.deployment.clock().advance(Duration::from_mins(2)).unwrap();
    match kind {
        Kind::Canaille => assert_eq!(real.whose(&mut alice, DRIVE).await, "alice", "it remembers"),
        Kind::OidcProvider => {
            let answer = alice.execute(DRIVE, userinfo.path()).await;
            assert_eq!(answer.json()["reason"], "refresh_rejected", "it has forgotten everything: {}", answer.text());
            assert_eq!(alice.status_name(DRIVE).await, "needs_reauthorization");
        }
    }
}

#[tokio::test]
async fn two_people_run_as_themselves_in_two_spaces_at_oidc_provider() {
    two_people_two_spaces(Kind::OidcProvider).await;
}

#[tokio::test]
async fn two_people_run_as_themselves_in_two_spaces_at_canaille() {
    two_people_two_spaces(Kind::Canaille).await;
}

#[tokio::test]
async fn r36_r38_lesson_10_twenty_four_callers_cause_one_refresh_at_oidc_provider() {
    refresh(Kind::OidcProvider).await;
}

#[tokio::test]
async fn r36_r38_lesson_10_twenty_four_callers_cause_one_refresh_at_canaille() {
    refresh(Kind::Canaille).await;
}

#[tokio::test]
async fn r49_r50_lesson_19_a_disconnect_is_heard_by_oidc_provider() {
    revocation(Kind::OidcProvider).await;
}

#[tokio::test]
async fn r49_r50_lesson_19_a_disconnect_is_heard_by_canaille() {
    revocation(Kind::Canaille).await;
}

#[tokio::test]
async fn r03_r10_r20_lesson_02_strangers_denials_and_replays_at_oidc_provider() {
    refusals(Kind::OidcProvider).await;
}

#[tokio::test]
async fn r03_r10_r20_lesson_02_strangers_denials_and_replays_at_canaille() {
    refusals(Kind::Canaille).await;
}

#[tokio::test]
async fn r40_a_restart_loses_nothing_that_was_stored_at_oidc_provider() {
    restarts(Kind::OidcProvider).await;
}

#[tokio::test]
async fn r40_a_restart_loses_nothing_that_was_stored_at_canaille() {
    restarts(Kind::Canaille).await;
}
