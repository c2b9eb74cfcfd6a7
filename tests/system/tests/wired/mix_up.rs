//! Answers that arrive at the wrong place, or come from the wrong provider.

use grantry_system_tests::place::{Draft, Place};
use grantry_system_tests::world::{DRIVE, World};
use grantry_testkit::provider::{Client, Endpoint, Fault, MockProvider};
use serde_json::Value;
use url::Url;

use crate::{assert_failed, caused};

const OWN: Place = Place::of("own");
const ANOTHER: Place = Place::of("another");

fn redirect_uri(connector: &Value) -> String {
    connector["redirect_uri"].as_str().unwrap().to_owned()
}

/// A callback at another address, with the same parameters.
fn moved(callback: &str, address: &str) -> String {
    let query = Url::parse(callback).unwrap().query().unwrap().to_owned();
    format!("{address}?{query}")
}

#[tokio::test]
async fn r08_callbacks_of_two_connectors_cannot_be_swapped() {
    let world = World::new().await;
    let draft = Draft::pinned(world.provider.base_url());
    let (own, another) = (world.create(OWN, &draft).await, world.create(ANOTHER, &draft).await);
    let (own, another) = (redirect_uri(&own), redirect_uri(&another));
    assert_ne!(own, another);
    let client = Client::new("demo", "demo-secret").redirect_uri(own.clone()).redirect_uri(another.clone());
    let shared = world.deployment.shared_callback();
    world.provider.register(client.redirect_uri(shared.clone()));

    let mut alice = world.browser("alice").await;
    let cases = [(OWN, another.clone()), (ANOTHER, own.clone()), (OWN, shared), (DRIVE, own.clone())];
    for (place, wrong) in cases {
        let (flow, callback) = world.consent(&mut alice, place, "alice").await;
        alice.come_back(&moved(&callback, &wrong)).await;
        assert_failed(&mut alice, place, &flow, "callback_mismatch").await;
        assert_eq!(caused(&world.provider.ledger()), 0, "{place:?} at {wrong}");
    }
    for (place, right) in [(OWN, own), (ANOTHER, another)] {
        let (_, callback) = world.consent(&mut alice, place, "alice").await;
        assert!(callback.starts_with(&right), "{callback}");
        alice.come_back(&callback).await;
        assert_eq!(alice.status_name(place).await, "connected");
    }
}

/// Cross-toolkit account take-over: the attacker's connector sends the victim's browser on to the honest provider with the
/// honest client, the shared callback and the victim's fresh state. The honest code must not reach the attacker's token
/// endpoint.
#[tokio::test]
async fn r08_r09_r10_a_malicious_connector_never_gets_an_honest_code() {
    let mut world = World::new().await;
    let attacker = MockProvider::builder().start().await.unwrap();
    world.deployment.allow(attacker.port());
    world.host = world.deployment.host().await.unwrap();
    let shared = world.deployment.shared_callback();
    let honest = world.provider.base_url().to_owned();

    // Hand-written endpoints: the connector has a callback of its own, whatever issuer it claims.
    let claims_issuer = Draft::pinned(attacker.base_url()).config("issuer", honest.clone());
    for (place, draft) in [(OWN, Draft::pinned(attacker.base_url())), (ANOTHER, claims_issuer)] {
        let answer = world.browser("carol").await.post(&place.public(""), draft.body).await;
        if answer.status != 200 {
            continue;
        }
        let uri = redirect_uri(&answer.json());
        assert_ne!(uri, shared);
        attacker.register(Client::new("demo", "demo-secret").redirect_uri(uri));
        let mut alice = world.browser("alice").await;
        let flow = alice.start(place).await;
        let trick = honest_request(&flow.authorization_url, &honest, &shared);
        let callback = world.provider.approve(&trick, "alice").await.unwrap();
        assert!(callback.as_str().starts_with(&shared));
        alice.come_back(callback.as_str()).await;
        assert_failed(&mut alice, place, &flow, "callback_mismatch").await;
    }

    // Issuer mode shares the callback, and compares who answered.
    let place = Place::of("lookalike");
    world.create(place, &Draft::issuer(attacker.base_url(), &attacker.url("/api"))).await;
    attacker.register(Client::new("demo", "demo-secret").redirect_uri(shared.clone()));
    let mut alice = world.browser("alice").await;
    let flow = alice.start(place).await;
    let trick = honest_request(&flow.authorization_url, &honest, &shared);
    let callback = world.provider.approve(&trick, "alice").await.unwrap();
    alice.come_back(callback.as_str()).await;
    assert_failed(&mut alice, place, &flow, "issuer_mismatch").await;

    assert!(attacker.ledger().exchanges().is_empty(), "the code never left the process");
    assert!(world.provider.ledger().exchanges().is_empty());
}

/// The authorization request of a flow, addressed to the honest provider instead.
fn honest_request(authorization_url: &str, honest: &str, redirect_uri: &str) -> String {
    let mut url = Url::parse(&format!("{honest}/authorize")).unwrap();
    let request = Url::parse(authorization_url).unwrap();
    let kept = request.query_pairs().into_owned().filter(|(name, _)| name != "redirect_uri");
    url.query_pairs_mut().extend_pairs(kept).append_pair("redirect_uri", redirect_uri);
    url.into()
}

#[tokio::test]
async fn r10_lesson_04_a_wrong_or_missing_issuer_is_refused_before_anything_else() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let issuer = world.provider.base_url().to_owned();
    let wrong = [
        Fault::no_iss(),
        Fault::iss("https://evil.example"),
        Fault::iss(&format!("{issuer}/")),
        Fault::iss(&issuer.to_uppercase()),
        Fault::iss(&issuer.replace("127.0.0.1", "localhost")),
    ];
    for fault in wrong {
        for denied in [false, true] {
            let flow = alice.start(DRIVE).await;
            world.provider.faults().once(Endpoint::Consent, fault.clone());
            let callback = if denied {
                world.provider.deny(&flow.authorization_url, "alice").await.unwrap()
            } else {
                world.provider.approve(&flow.authorization_url, "alice").await.unwrap()
            };
            alice.come_back(callback.as_str()).await;
            assert_failed(&mut alice, DRIVE, &flow, "issuer_mismatch").await;
        }
    }
    assert_eq!(caused(&world.provider.ledger()), 0);
    world.host.connections.deliver_events().await.unwrap();
    assert!(world.host.sink.events().iter().any(|event| event.kind.as_str() == "issuer_mismatch"));
}

#[tokio::test]
async fn r09_r10_issuer_mode_needs_an_issuer_that_names_itself() {
    let world = World::new().await;
    let quiet = MockProvider::builder().announce_iss(false).start().await.unwrap();
    let mut deployment = world.deployment;
    deployment.allow(quiet.port());
    let host = deployment.host().await.unwrap();
    let world = World { deployment, host, provider: world.provider };
    let place = Place::of("quiet");
    world.create(place, &Draft::issuer(quiet.base_url(), &quiet.url("/api"))).await;
    let refused = world.browser("alice").await.try_start(place, serde_json::json!({})).await;
    assert_eq!(refused.outcome(), (502, "provider_misconfigured".to_owned()));
    assert!(quiet.ledger().authorization_requests().is_empty());
}

#[tokio::test]
async fn r11_metadata_of_another_issuer_is_refused() {
    let world = World::new().await;
    let place = Place::of("liar");
    let issuer = world.provider.base_url().to_owned();
    for other in [format!("{issuer}/"), issuer.replace("127.0.0.1", "localhost"), "https://evil.example".to_owned()] {
        let fault = Fault::with("issuer", other.clone().into());
        // A fresh node: metadata is remembered for a while.
        let host = world.deployment.host().await.unwrap();
        let mut carol = world.browser("carol").await.at(host.address);
        let draft = Draft::issuer(&issuer, &world.provider.url("/api"));
        carol.post(&place.public(""), draft.body).await;
        world.provider.faults().always(Endpoint::Metadata, fault);
        let refused = carol.try_start(place, serde_json::json!({})).await;
        assert_eq!(refused.outcome(), (502, "provider_misconfigured".to_owned()), "{other}");
        world.provider.faults().clear(Endpoint::Metadata);
    }
}

#[tokio::test]
async fn r11_r63_endpoints_that_no_browser_may_be_sent_to_are_refused() {
    let world = World::new().await;
    let place = Place::of("weird");
    let issuer = world.provider.base_url().to_owned();
    let weird = [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "vbscript:x",
        "intent://x",
        "ftp://example.com/a",
        "http://example.com/authorize",
        "https://127.0.0.1/authorize",
        "https://user:x@example.com/authorize",
        "https://example.com/authorize?state=fixed",
        "https://example.com/authorize#x",
        "//example.com/authorize",
        "HTTPS://example.com/authorize",
        "",
    ];
    world.create(place, &Draft::issuer(&issuer, &world.provider.url("/api"))).await;
    for endpoint in weird {
        let host = world.deployment.host().await.unwrap();
        let mut alice = world.browser("alice").await.at(host.address);
        world.provider.faults().always(Endpoint::Metadata, Fault::with("authorization_endpoint", endpoint.into()));
        let refused = alice.try_start(place, serde_json::json!({})).await;
        assert_eq!(refused.outcome(), (502, "provider_misconfigured".to_owned()), "{endpoint:?}: {}", refused.text());
        assert_eq!(alice.status_name(place).await, "not_connected", "{endpoint:?}: nothing waits");
        host.stop().await;
    }
}
