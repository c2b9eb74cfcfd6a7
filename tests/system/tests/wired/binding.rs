//! A flow is finished only by the person who started it, in the browser that started it, once.

use grantry_system_tests::browser::{Browser, From, made_up};
use grantry_system_tests::world::{DRIVE, World, whose};
use grantry_testkit::provider::{Endpoint, Fault, QueryEdit};
use reqwest::Method;
use serde_json::json;
use url::Url;

use crate::{assert_failed, assert_refused, assert_usable, caused};

#[tokio::test]
async fn r03_lesson_02_another_person_cannot_finish_a_flow_and_does_not_use_it_up() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;

    // Bob clicks the link he was sent; once more with alice's flow cookie planted in his browser.
    let mut bob = world.browser("bob").await;
    assert_refused(&bob.come_back(&callback).await, "user_mismatch");
    let (name, value) = alice.flow_cookie(&flow.id).unwrap();
    bob.cookies.insert(name.to_owned(), value.to_owned());
    assert_refused(&bob.come_back(&callback).await, "user_mismatch");

    assert_eq!(caused(&world.provider.ledger()), 0);
    assert_eq!(bob.status_name(DRIVE).await, "not_connected");
    world.host.connections.deliver_events().await.unwrap();
    let mismatches = world.host.sink.events().into_iter().filter(|event| event.kind.as_str() == "binding_mismatch");
    assert_eq!(mismatches.count(), 2, "R80: both left a trace");
    assert_usable(&mut alice, DRIVE, &callback).await;
}

#[tokio::test]
async fn r03_the_same_person_without_the_flows_cookie_cannot_finish_it() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let (_, callback) = world.consent(&mut alice, DRIVE, "alice").await;

    let mut other_browser = world.browser("alice").await;
    assert_refused(&other_browser.come_back(&callback).await, "browser_mismatch");
    // A flow of that browser's own does not help.
    let own = other_browser.start(DRIVE.in_other_space("marketing")).await;
    assert!(other_browser.flow_cookie(&own.id).is_some());
    assert_refused(&other_browser.come_back(&callback).await, "browser_mismatch");

    assert_eq!(caused(&world.provider.ledger()), 0);
    assert_usable(&mut alice, DRIVE, &callback).await;
}

#[tokio::test]
async fn r01_r20_states_that_do_not_exist_find_nothing() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    let mut off_by_one = flow.state.clone().into_bytes();
    off_by_one[20] = if off_by_one[20] == b'A' { b'B' } else { b'A' };
    let states = [made_up(1), flow.state.to_uppercase(), format!("{}A", flow.state), String::from_utf8(off_by_one).unwrap()];
    for state in states {
        let answer = alice.come_back(&with(&callback, "state", &state)).await;
        assert_refused(&answer, "flow_not_found");
        assert!(!answer.everything().contains(&state));
    }
    assert_refused(&alice.come_back(&with(&callback, "state", "")).await, "invalid_request");
    assert_eq!(caused(&world.provider.ledger()), 0);
    assert_usable(&mut alice, DRIVE, &callback).await;
}

#[tokio::test]
async fn r20_r29_a_callback_works_once() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let before = alice.clone();
    let (_, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    let mut with_cookie = alice.clone();
    alice.come_back(&callback).await;
    // The back button: the flow's cookie is gone. A second tab at the same moment: it still has it.
    for mut again in [alice.clone(), with_cookie.clone(), before] {
        let answer = again.come_back(&callback).await;
        assert_ne!(answer.page_code(), "", "{}", answer.everything());
    }
    assert_refused(&with_cookie.come_back(&callback).await, "flow_already_used");
    assert_eq!(world.provider.ledger().exchanges().len(), 1);
    assert_eq!(alice.status_name(DRIVE).await, "connected");
}

#[tokio::test]
async fn r21_heads_prefetches_frames_and_images_use_nothing_up() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let (_, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    let navigation = |browser: &Browser, method| browser.navigation(method, &callback, From::AnotherSite);

    let mut probes = Vec::new();
    for method in [Method::HEAD, Method::OPTIONS, Method::POST, Method::PUT] {
        probes.push(navigation(&alice, method));
    }
    for purpose in ["prefetch", "prefetch;prerender"] {
        probes.push(navigation(&alice, Method::GET).header("sec-purpose", purpose));
    }
    for dest in ["iframe", "image", "script", "empty", "object"] {
        let request = alice.request(Method::GET, &callback);
        probes.push(request.header("sec-fetch-site", "cross-site").header("sec-fetch-dest", dest));
    }
    for probe in probes {
        let answer = alice.send(probe).await;
        assert!(answer.status >= 400, "{}", answer.everything());
        assert!(alice.cookies.keys().any(|name| name.contains("_flow_")), "the cookie stays");
    }
    assert_eq!(caused(&world.provider.ledger()), 0);
    assert_usable(&mut alice, DRIVE, &callback).await;
}

#[tokio::test]
async fn r21_doubled_and_contradicting_parameters_are_refused() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    let doubled = [
        format!("{callback}&state={}", flow.state),
        format!("{callback}&state={}", made_up(3)),
        format!("{callback}&code=another"),
        format!("{callback}&error=access_denied"),
        format!("{callback}&state[]={}", flow.state),
        with(&callback, "code", ""),
        with(&callback, "code", &"x".repeat(4097)),
        with(&callback, "code", "a\r\nb"),
    ];
    for target in doubled {
        assert_refused(&alice.come_back(&target).await, "invalid_request");
    }
    assert_eq!(caused(&world.provider.ledger()), 0);
    assert_usable(&mut alice, DRIVE, &callback).await;
}

#[tokio::test]
async fn r22_without_a_session_nothing_is_used_up_and_the_code_goes_nowhere() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    alice.forget("_session");
    let answer = alice.come_back(&callback).await;
    assert_refused(&answer, "not_signed_in");
    let code = parameter(&callback, "code");
    assert!(!answer.everything().contains(&code) && !answer.everything().contains(&flow.state), "{}", answer.everything());
    assert_eq!(caused(&world.provider.ledger()), 0);
    // Threat 21: logged in again in the same browser, the same person may go on.
    alice.log_in("alice").await;
    assert_usable(&mut alice, DRIVE, &callback).await;
}

#[tokio::test]
async fn r03_a_session_that_changes_in_mid_flow() {
    let world = World::new().await;

    // Logged out: the flow's cookie goes with the session (R34), so even a new log-in does not finish it.
    let mut alice = world.browser("alice").await;
    let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    assert_eq!(alice.log_out().await.status, 204);
    assert!(alice.flow_cookie(&flow.id).is_none());
    assert_refused(&alice.come_back(&callback).await, "not_signed_in");
    alice.log_in("alice").await;
    assert_refused(&alice.come_back(&callback).await, "browser_mismatch");

    // Somebody else logs in in the same browser, without a log-out in between.
    let (_, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    alice.log_in("bob").await;
    assert_refused(&alice.come_back(&callback).await, "user_mismatch");
    assert_eq!(alice.status_name(DRIVE).await, "not_connected", "nothing of hers became his");

    // A session that was ended behind the browser's back.
    let mut alice = world.browser("alice").await;
    let (_, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    let mut copy = alice.clone();
    copy.log_out().await;
    assert_refused(&alice.come_back(&callback).await, "not_signed_in");
    assert_eq!(caused(&world.provider.ledger()), 0);
}

#[tokio::test]
async fn r24_a_forged_error_changes_nothing() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    let forged = format!("{}?error=access_denied&state={}", world.deployment.shared_callback(), flow.state);
    let calls = caused(&world.provider.ledger());
    let (mut bob, mut no_cookie) = (world.browser("bob").await, world.browser("alice").await);
    assert_refused(&bob.come_back(&forged).await, "user_mismatch");
    assert_refused(&no_cookie.come_back(&forged).await, "browser_mismatch");
    assert_refused(&world.stranger().come_back(&forged).await, "not_signed_in");
    assert_eq!(caused(&world.provider.ledger()), calls);
    assert_eq!(alice.status(DRIVE).await["pending"], true, "the flow still waits");
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    assert_usable(&mut alice, DRIVE, &callback).await;
}

#[tokio::test]
async fn r31_lesson_05_text_of_the_provider_is_never_shown() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let markup = "<script>alert(1)</script>";
    let texts = [("error_description", markup), ("error_uri", "javascript:alert(1)"), ("error", "<img src=x onerror=1>")];
    for (name, text) in texts {
        world
            .provider
            .faults()
            .once(Endpoint::Consent, Fault::EditRedirect(QueryEdit::Set(name.to_owned(), text.to_owned())));
        let flow = alice.start(DRIVE).await;
        let callback = world.provider.deny(&flow.authorization_url, "alice").await.unwrap();
        let answer = alice.come_back(callback.as_str()).await;
        assert!(!answer.everything().contains(text), "{}", answer.everything());
        let location = answer.location().to_owned();
        let page = alice.open(&location, From::OurPages).await;
        for part in [text, "alert(1)", "onerror"] {
            assert!(!page.text().contains(part), "{name}: {}", page.text());
        }
    }
    // An error for a flow that does not exist reflects nothing either.
    let target = format!("{}?error={markup}&error_description={markup}&state=x", world.deployment.shared_callback());
    let answer = alice.come_back(&target.replace('<', "%3C").replace('>', "%3E")).await;
    assert_refused(&answer, "flow_not_found");
    assert!(!answer.everything().contains("alert"), "{}", answer.everything());
}

#[tokio::test]
async fn r02_a_stolen_code_is_worth_nothing_in_another_flow() {
    let world = World::new().await;
    // The attacker has the victim's code and puts it into a flow of his own.
    let mut bob = world.browser("bob").await;
    let (_, callback_of_bob) = world.consent(&mut bob, DRIVE, "bob").await;
    let mut alice = world.browser("alice").await;
    let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    let stolen = parameter(&callback_of_bob, "code");
    alice.come_back(&with(&callback, "code", &stolen)).await;
    assert_failed(&mut alice, DRIVE, &flow, "exchange_failed").await;
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
    let requests = world.provider.ledger();
    assert!(requests.authorization_requests().iter().all(|call| call.param("code_challenge_method") == Some("S256")));
}

#[tokio::test]
async fn r18_an_eleventh_pending_flow_is_refused() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let draft = grantry_system_tests::place::Draft::issuer(world.provider.base_url(), &world.provider.url("/api"));
    let ids = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11"];
    for (index, id) in ids.into_iter().enumerate() {
        let place = grantry_system_tests::place::Place::of(id);
        world.create(place, &draft).await;
        let answer = alice.try_start(place, json!({})).await;
        if index < 10 {
            assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        } else {
            assert_eq!(answer.outcome(), (429, "rate_limited".to_owned()));
            assert!(answer.headers.contains_key("retry-after"));
        }
    }
    let cookies = alice.cookies.keys().filter(|name| name.contains("_flow_")).count();
    assert_eq!(cookies, 10);
    assert_eq!(world.browser("bob").await.try_start(DRIVE, json!({})).await.status, 200, "others are not held up");
}

#[tokio::test]
async fn r04_only_a_post_of_our_own_pages_starts_a_flow() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let path = DRIVE.internal("/_start_oauth_flow");
    let post = |browser: &Browser| browser.request(Method::POST, &path);
    let probes = [
        post(&alice).header("sec-fetch-site", "cross-site").header("origin", "https://evil.example").json(&json!({})),
        post(&alice).header("sec-fetch-site", "same-site").json(&json!({})),
        post(&alice).header("origin", "null").json(&json!({})),
        alice.fetch(Method::POST, &path).form(&[("returnUrl", "/")]),
        alice.fetch(Method::POST, &path).header("content-type", "text/plain").body("{}"),
        alice.fetch(Method::POST, &path),
        alice.navigation(Method::GET, &path, From::AnotherSite),
        alice.navigation(Method::GET, &DRIVE.public("/oauth/start"), From::AnotherSite),
        alice.navigation(Method::GET, &DRIVE.public("/oauth/start"), From::Nowhere).header("sec-purpose", "prefetch"),
        alice.request(Method::HEAD, &DRIVE.public("/oauth/start")),
    ];
    for probe in probes {
        alice.send(probe).await;
        assert_eq!(alice.status_name(DRIVE).await, "not_connected", "nothing was started");
    }
    assert_eq!(world.provider.ledger().authorization_requests().len(), 0);
    alice.start(DRIVE).await;
    assert_eq!(alice.status_name(DRIVE).await, "connecting");
}

/// A callback with one parameter set to something else.
fn with(callback: &str, name: &str, value: &str) -> String {
    let mut url = Url::parse(callback).unwrap();
    let kept: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    url.query_pairs_mut().clear().extend_pairs(kept).append_pair(name, value);
    url.into()
}

fn parameter(callback: &str, name: &str) -> String {
    let url = Url::parse(callback).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap()
}
