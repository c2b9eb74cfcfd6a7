//! The main job, as its users see it: connect, use, refresh, disconnect, reconnect, in two spaces.

use grantry_system_tests::browser::From;
use grantry_system_tests::people::AGENT_KEY;
use grantry_system_tests::place::Place;
use grantry_system_tests::world::{DRIVE, MARKETING_DRIVE, World, whose};
use grantry_testkit::provider::{Endpoint, Fault, GrantEnd, MockProvider};
use reqwest::Method;
use serde_json::json;
use url::Url;

use crate::{assert_failed, assert_nothing_lives, caused};

#[tokio::test]
async fn two_people_connect_in_two_spaces_and_run_as_themselves() {
    let world = World::new().await;
    // Alice keeps two accounts at the provider apart: her own here, bob's there. The API tells whose token came.
    let accounts = [
        ("alice", DRIVE, "alice"),
        ("bob", DRIVE, "bob"),
        ("alice", MARKETING_DRIVE, "bob"),
        ("bob", MARKETING_DRIVE, "alice"),
    ];
    for (person, place, account) in accounts {
        let mut browser = world.browser(person).await;
        assert_eq!(browser.status_name(place).await, "not_connected");
        world.connect(&mut browser, place, account).await;
        assert_eq!(browser.status_name(place).await, "connected");
        assert_eq!(browser.status(place).await["account"], format!("{account}@example.test"));
    }
    for (person, place, account) in accounts {
        let answer = world.browser(person).await.execute(place, "/me").await;
        assert_eq!(whose(&answer), format!("{account}@example.test"));
    }
    let grants = world.provider.grants();
    assert_eq!(grants.len(), 4);
    assert!(grants.iter().all(|grant| grant.ended.is_none()));
}

#[tokio::test]
async fn r23_lesson_03_the_shared_callback_leads_to_the_space_of_the_flow_and_no_other() {
    let world = World::new().await;
    let mut bob = world.browser("bob").await;
    let (flow, callback) = world.consent(&mut bob, MARKETING_DRIVE, "bob").await;
    assert!(callback.starts_with(&world.deployment.shared_callback()), "no space in {callback}");
    bob.come_back(&callback).await;
    assert_eq!(bob.status_name(MARKETING_DRIVE).await, "connected");
    assert_eq!(bob.status_name(DRIVE).await, "not_connected");
    assert_eq!(bob.execute(DRIVE, "/me").await.code(), "authorization_required");
    assert_eq!(bob.flow(DRIVE, &flow.id).await.code(), "not_found", "not even the flow is known there");
}

#[tokio::test]
async fn the_result_page_shows_the_end_and_no_code_or_state() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    let redirect = alice.come_back(&callback).await;
    assert_eq!(redirect.status, 303);
    let code = query(&callback, "code").unwrap();
    for leak in [code.as_str(), flow.state.as_str()] {
        assert!(!redirect.everything().contains(leak), "{}", redirect.everything());
    }
    let location = redirect.location().to_owned();
    let page = alice.open(&location, From::OurPages).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains(&flow.id));
    assert!(!page.text().contains(&code) && !page.text().contains(&flow.state));
    // It is for the starter alone.
    assert_ne!(world.browser("bob").await.open(&location, From::OurPages).await.status, 200);
    assert!(alice.flow_cookie(&flow.id).is_none(), "R34: the flow's cookie is gone");
}

#[tokio::test]
async fn a_refresh_happens_when_it_is_needed_and_nobody_notices() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    whose(&alice.execute(DRIVE, "/me").await);
    let before = world.last_token();
    assert_eq!(world.provider.ledger().refreshes().len(), 0);

    world.expire_access_tokens();
    assert!(!world.provider.accepts_access_token(&before));
    assert_eq!(alice.status_name(DRIVE).await, "connected", "a lapsed access token alone is nobody's worry");
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
    assert_ne!(world.last_token(), before);
    assert_eq!(world.provider.ledger().refreshes().len(), 1);

    whose(&alice.execute(DRIVE, "/me").await);
    assert_eq!(world.provider.ledger().refreshes().len(), 1, "the new token is used until it lapses");
    world.host.connections.deliver_events().await.unwrap();
    let kinds: Vec<_> = world.host.sink.events().iter().map(|event| event.kind.as_str()).collect();
    assert!(kinds.contains(&"connected") && kinds.contains(&"renewed"), "{kinds:?}");
}

#[tokio::test]
async fn lesson_19_disconnect_ends_the_tokens_here_and_at_the_provider() {
    let world = World::new().await;
    let (mut alice, mut bob) = (world.connected("alice", DRIVE).await, world.connected("bob", DRIVE).await);
    whose(&alice.execute(DRIVE, "/me").await);
    let token = world.last_token();

    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
    let refused = alice.execute(DRIVE, "/me").await;
    assert_eq!(refused.outcome(), (409, "authorization_required".to_owned()));
    assert!(refused.json()["startUrl"].as_str().unwrap().ends_with("/oauth/start"), "{}", refused.text());

    let ledger = world.provider.until(|ledger| ledger.revocations().len() == 2).await;
    let hints: Vec<_> = ledger.revocations().iter().filter_map(|call| call.param("token_type_hint")).collect();
    assert_eq!(hints, ["refresh_token", "access_token"], "the refresh token goes first");
    assert!(!world.provider.accepts_access_token(&token));
    world.host.settle().await;
    assert_eq!(alice.disconnect(DRIVE).await.status, 204, "once more changes nothing");
    world.host.settle().await;
    assert_eq!(world.provider.ledger().revocations().len(), 2);
    // Bob was never meant.
    assert_eq!(whose(&bob.execute(DRIVE, "/me").await), "bob@example.test");

    world.connect(&mut alice, DRIVE, "alice").await;
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
}

#[tokio::test]
async fn r50_lesson_19_a_provider_that_is_down_does_not_hold_a_disconnect_up_and_is_told_later() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    world.provider.faults().once(Endpoint::Revocation, Fault::unavailable(60));
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
    world.provider.until(|ledger| ledger.revocations().len() == 1).await;
    world.host.settle().await;
    assert_eq!(alice.status(DRIVE).await["provider_note"], "revocation_pending");

    world.host.connections.revoke_due().await.unwrap();
    assert_eq!(world.provider.ledger().revocations().len(), 1, "Retry-After is obeyed");
    world.advance(std::time::Duration::from_secs(61));
    assert_nothing_lives(&world).await;
    assert_eq!(alice.status(DRIVE).await.get("provider_note"), None, "the provider has confirmed");
}

#[tokio::test]
async fn r35_another_account_on_reconnect_needs_a_word_of_consent() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    let (flow, callback) = world.consent(&mut alice, DRIVE, "bob").await;
    alice.come_back(&callback).await;
    assert_failed(&mut alice, DRIVE, &flow, "account_mismatch").await;
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test", "the old grant is untouched");

    let flow = alice.start_with(DRIVE, json!({ "allowAccountChange": true })).await;
    let callback = world.provider.approve(&flow.authorization_url, "bob").await.unwrap();
    alice.come_back(callback.as_str()).await;
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "bob@example.test");
    world.host.settle().await;
    world.host.connections.revoke_due().await.unwrap();
    assert_eq!(world.alive().len(), 1, "neither the refused tokens nor the superseded ones live on: {:?}", world.alive());
}

#[tokio::test]
async fn r27_a_reconnect_supersedes_the_old_grant_in_one_step() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    let (_, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    let status = alice.status(DRIVE).await;
    assert_eq!((status["user_auth_status"].as_str(), &status["pending"]), (Some("connected"), &json!(true)));
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test", "usable during the reconnect");
    alice.come_back(&callback).await;
    world.host.connections.revoke_due().await.unwrap();
    let ends: Vec<_> = world.provider.grants().into_iter().map(|grant| grant.ended).collect();
    assert_eq!(ends, [Some(GrantEnd::Revoked), None]);
    assert_eq!(whose(&alice.execute(DRIVE, "/me").await), "alice@example.test");
}

#[tokio::test]
async fn r33_return_url_mode_leads_back_to_where_the_person_was() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let public = world.deployment.settings.public.clone();
    for return_url in ["/app?tab=2".to_owned(), format!("{public}/app?tab=2")] {
        let flow = alice.start_with(DRIVE, json!({ "returnUrl": return_url })).await;
        let callback = world.provider.approve(&flow.authorization_url, "alice").await.unwrap();
        let answer = alice.come_back(callback.as_str()).await;
        let expected = format!("{public}/app?tab=2&oauth_authorization=success&connector_id=drive");
        assert_eq!((answer.status, answer.location()), (303, expected.as_str()));
    }
    let flow = alice.start_with(DRIVE, json!({ "returnUrl": "/app" })).await;
    let callback = world.provider.deny(&flow.authorization_url, "alice").await.unwrap();
    let answer = alice.come_back(callback.as_str()).await;
    assert_eq!(query(answer.location(), "oauth_authorization").as_deref(), Some("error"));
    assert_eq!(query(answer.location(), "error").as_deref(), Some("access_denied"));
    assert_eq!(query(answer.location(), "status_code").as_deref(), Some("403"));
    assert_eq!(query(answer.location(), "state"), None);

    for elsewhere in
        ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/a/../..//evil.example"]
    {
        let refused = alice.try_start(DRIVE, json!({ "returnUrl": elsewhere })).await;
        assert_eq!(refused.outcome(), (400, "return_url_refused".to_owned()), "{elsewhere}");
    }
}

#[tokio::test]
async fn denied_consent_leaves_nothing_behind_and_an_old_grant_alone() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    for before in ["not_connected", "connected"] {
        let flow = alice.start(DRIVE).await;
        let callback = world.provider.deny(&flow.authorization_url, "alice").await.unwrap();
        let exchanges = world.provider.ledger().exchanges().len();
        alice.come_back(callback.as_str()).await;
        assert_failed(&mut alice, DRIVE, &flow, "access_denied").await;
        assert_eq!(world.provider.ledger().exchanges().len(), exchanges);
        assert_eq!(alice.status_name(DRIVE).await, before);
        if before == "not_connected" {
            world.connect(&mut alice, DRIVE, "alice").await;
        }
    }
}

#[tokio::test]
async fn lesson_06_a_cancelled_flow_cannot_be_finished() {
    let world = World::new().await;
    let (mut alice, mut bob) = (world.browser("alice").await, world.browser("bob").await);
    let cancel = DRIVE.internal("/_oauth_cancel");
    for by_state in [true, false] {
        let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
        let which = if by_state { json!({ "state": flow.state }) } else { json!({ "flowId": flow.id }) };
        assert_eq!(bob.post(&cancel, which.clone()).await.outcome(), (403, "forbidden".to_owned()));
        let calls = caused(&world.provider.ledger());
        assert_eq!(alice.post(&cancel, which.clone()).await.status, 204);
        assert_eq!(alice.post(&cancel, which).await.status, 204, "twice is fine");
        let answer = alice.come_back(&callback).await;
        assert_ne!(answer.status, 200, "{}", answer.everything());
        assert_eq!(alice.flow_end(DRIVE, &flow.id).await.0, "cancelled");
        assert_eq!(alice.status_name(DRIVE).await, "not_connected");
        assert_eq!(caused(&world.provider.ledger()), calls);
    }
}

#[tokio::test]
async fn a_flow_that_nobody_finishes_expires_and_a_newer_one_supersedes_it() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let (old, old_callback) = world.consent(&mut alice, DRIVE, "alice").await;
    assert_eq!(alice.status_name(DRIVE).await, "connecting");
    let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    alice.come_back(&old_callback).await;
    assert_eq!(alice.flow_end(DRIVE, &old.id).await.0, "cancelled");

    world.deployment.clock().advance(std::time::Duration::from_mins(11)).unwrap();
    assert_eq!(alice.status_name(DRIVE).await, "not_connected");
    let answer = alice.come_back(&callback).await;
    assert_eq!(answer.page_code(), "flow_expired", "{}", answer.everything());
    assert_eq!(alice.flow_end(DRIVE, &flow.id).await, ("expired".to_owned(), "flow_expired".to_owned()));
    assert_eq!(caused(&world.provider.ledger()), 0);
    let swept = world.host.connections.sweep(|_| {}).await.unwrap();
    assert_eq!(swept.timed_out, 1);
    assert_eq!(alice.flow_end(DRIVE, &flow.id).await.0, "expired", "told the same way after sweeping");
}

#[tokio::test]
async fn lesson_04_other_parameters_at_the_callback_do_not_matter() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let (_, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    let callback = format!("{callback}&scope=x&authuser=0&hd=example.test&prompt=consent&session_state=abc");
    alice.come_back(&callback).await;
    assert_eq!(alice.status_name(DRIVE).await, "connected");
}

#[tokio::test]
async fn lesson_18_every_route_tells_the_same_status() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    for expected in ["not_connected", "connecting", "connected", "needs_reauthorization"] {
        match expected {
            "connecting" => drop(alice.start(DRIVE).await),
            "connected" => drop(world.connect(&mut alice, DRIVE, "alice").await),
            "needs_reauthorization" => {
                world.provider.withdraw("alice");
                world.expire_access_tokens();
                assert_eq!(alice.execute(DRIVE, "/me").await.code(), "authorization_required");
            }
            _ => {}
        }
        let one = alice.get(&DRIVE.public("")).await.json();
        let all = alice.get("/api/actions/connectors").await.json();
        assert_eq!(one["user_auth_status"], expected);
        assert_eq!(all[0]["user_auth_status"], expected);
        assert_eq!(alice.status_name(DRIVE).await, expected);
    }
}

#[tokio::test]
async fn r05_r43_r44_an_agent_runs_as_named_people_and_never_connects_them() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    let mut agent = world.stranger();
    let as_agent = |request: reqwest::RequestBuilder| request.header("authorization", format!("Bearer {AGENT_KEY}"));

    let me = json!({ "method": "GET", "path": "/me" });
    let run = |user: &str, place: Place| {
        let body = json!({ "params": me, "act_as": user });
        as_agent(agent.request(Method::POST, &place.public("/_execute"))).json(&body)
    };
    let (for_alice, for_bob, elsewhere) = (run("u_alice", DRIVE), run("u_bob", DRIVE), run("u_alice", MARKETING_DRIVE));
    assert_eq!(whose(&agent.send(for_alice).await), "alice@example.test");
    assert_eq!(agent.send(for_bob).await.outcome(), (409, "authorization_required".to_owned()));
    assert_eq!(agent.send(elsewhere).await.outcome(), (404, "not_found".to_owned()));
    let nobody = as_agent(agent.request(Method::POST, &DRIVE.public("/_execute"))).json(&json!({ "params": me }));
    assert_eq!(agent.send(nobody).await.outcome(), (400, "invalid_request".to_owned()), "never as nobody");

    let token = |destination: String| {
        let body = json!({ "user": "u_alice", "destination": destination });
        as_agent(agent.request(Method::POST, &DRIVE.internal("/_access_token"))).json(&body)
    };
    let (good, bad) = (token(world.provider.url("/api")), token("https://evil.example".to_owned()));
    let handed = agent.send(good).await;
    assert_eq!(handed.header("cache-control"), "no-store");
    assert!(world.provider.accepts_access_token(handed.json()["access_token"].as_str().unwrap()));
    assert_eq!(agent.send(bad).await.outcome(), (403, "destination_refused".to_owned()));

    for path in [DRIVE.internal("/_start_oauth_flow"), DRIVE.internal("/_oauth_disconnect")] {
        let request = as_agent(agent.request(Method::POST, &path)).json(&json!({}));
        assert_eq!(agent.send(request).await.outcome(), (403, "forbidden".to_owned()), "{path}");
    }
    let flow = alice.start(DRIVE).await;
    let callback = world.provider.approve(&flow.authorization_url, "alice").await.unwrap();
    let finishing = as_agent(alice.navigation(Method::GET, callback.as_str(), From::AnotherSite));
    let exchanges = world.provider.ledger().exchanges().len();
    agent.send(finishing).await;
    assert_eq!(world.provider.ledger().exchanges().len(), exchanges);
}

#[tokio::test]
async fn r45_nothing_is_handed_out_on_any_node_once_disconnect_has_returned() {
    let world = World::new().await;
    let other = world.deployment.host().await.unwrap();
    let mut alice = world.connected("alice", DRIVE).await;
    let mut elsewhere = alice.at(other.address);
    whose(&elsewhere.execute(DRIVE, "/me").await);
    assert_eq!(alice.disconnect(DRIVE).await.status, 204);
    assert_eq!(elsewhere.execute(DRIVE, "/me").await.code(), "authorization_required");
}

#[tokio::test]
async fn a_provider_without_refresh_tokens_is_honest_about_the_end() {
    let builder = MockProvider::builder().refresh_tokens(grantry_testkit::provider::RefreshTokens::Never);
    let world = World::with(builder, |_| {}).await;
    let mut alice = world.connected("alice", DRIVE).await;
    whose(&alice.execute(DRIVE, "/me").await);
    world.expire_access_tokens();
    let status = alice.status(DRIVE).await;
    assert_eq!(status["user_auth_status"], "needs_reauthorization");
    assert_eq!(status["reason"], "access_token_expired");
    assert_eq!(alice.execute(DRIVE, "/me").await.json()["reason"], "access_token_expired");
}

/// A parameter of a URL's query.
fn query(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
