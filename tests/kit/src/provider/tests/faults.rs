//! Every fault has exactly its documented effect.

use serde_json::json as value;

use super::*;
use crate::provider::{Endpoint, Fault, Gate, QueryEdit, ScriptedResponse};

#[tokio::test]
async fn a_dropped_response_rotates_and_a_dropped_request_does_not() {
    let party = Party::new().await;
    let first = party.connect("alice").await;

    party.provider.faults().once(Endpoint::Token, Fault::DropRequest);
    assert_eq!(party.refresh(&first.refresh).await.map(drop), Err(WireError));
    assert!(party.provider.accepts_refresh_token(&first.refresh));

    party.provider.faults().once(Endpoint::Token, Fault::DropResponse);
    assert_eq!(party.refresh(&first.refresh).await.map(drop), Err(WireError));
    assert!(!party.provider.accepts_refresh_token(&first.refresh));

    let ledger = party.provider.ledger();
    assert_eq!(ledger.refreshes().len(), 2, "requests without a response are recorded as well");
    assert_eq!(ledger.refreshes()[0].status, None);
}

#[tokio::test]
async fn a_held_request_is_processed_only_when_the_gate_opens() {
    let party = Party::new().await;
    let first = party.connect("alice").await;
    let gate = Gate::closed();
    party.provider.faults().once(Endpoint::Token, Fault::HoldRequest(gate.clone()));
    let steps = async {
        gate.arrived(1).await;
        assert!(party.provider.accepts_refresh_token(&first.refresh));
        gate.open();
    };
    let (response, ()) = tokio::join!(party.refresh(&first.refresh), steps);
    assert_eq!(response.unwrap().status(), 200);
}

#[tokio::test]
async fn a_held_response_has_already_rotated() {
    let party = Party::new().await;
    let first = party.connect("alice").await;
    let gate = Gate::closed();
    party.provider.faults().once(Endpoint::Token, Fault::HoldResponse(gate.clone()));
    let steps = async {
        gate.arrived(1).await;
        assert!(!party.provider.accepts_refresh_token(&first.refresh));
        gate.open();
    };
    let (response, ()) = tokio::join!(party.refresh(&first.refresh), steps);
    assert_eq!(response.unwrap().status(), 200);
}

#[tokio::test]
async fn a_late_request_is_processed_although_its_client_has_disconnected() {
    let party = Party::new().await;
    let first = party.connect("alice").await;
    let gate = Gate::closed();
    party.provider.faults().once(Endpoint::Token, Fault::HoldRequest(gate.clone()));
    tokio::select! {
        _ = party.refresh(&first.refresh) => unreachable!("the gate is closed"),
        () = gate.arrived(1) => {}
    }
    gate.open();
    party.provider.until(|ledger| ledger.refreshes()[0].status == Some(200)).await;
    assert!(!party.provider.accepts_refresh_token(&first.refresh));
}

#[tokio::test]
async fn a_cut_body_is_shorter_than_its_content_length() {
    let party = Party::new().await;
    let first = party.connect("alice").await;
    party.provider.faults().once(Endpoint::Token, Fault::CutBody(10));
    assert_eq!(party.refresh(&first.refresh).await.map(drop), Err(WireError));
    assert!(!party.provider.accepts_refresh_token(&first.refresh));

    party.provider.faults().once(Endpoint::Api, Fault::CutBody(10));
    let raw = raw_get(&party, "/api/me").await;
    let (head, body) = raw.split_once("\r\n\r\n").expect("the head was sent");
    assert!(head.starts_with("HTTP/1.1 401"), "{head}");
    assert_eq!(body.len(), 10);
    assert!(head.contains("content-length: 25"), "{head}");
}

#[tokio::test]
async fn a_stalled_body_continues_when_the_gate_opens() {
    let party = Party::new().await;
    let first = party.connect("alice").await;
    let gate = Gate::closed();
    let stall = Fault::StallBody { at: 3, gate: gate.clone() };
    party.provider.faults().once(Endpoint::Token, stall);
    let steps = async {
        gate.arrived(1).await;
        gate.open();
    };
    let (response, ()) = tokio::join!(party.refresh(&first.refresh), steps);
    assert_ne!(tokens(&response.unwrap()).refresh, "");
}

#[tokio::test]
async fn an_endless_body_never_ends() {
    let party = Party::new().await;
    party.provider.faults().once(Endpoint::Api, Fault::EndlessBody);
    read_endless(&party).await;
}

/// Reads a megabyte of the response of the API, and fails if the response ends before.
pub(super) async fn read_endless(party: &Party) {
    let mut stream = raw_request(party, "/api/me").await;
    let mut read = 0;
    while read < 1_000_000 {
        let mut buffer = [0_u8; 8192];
        let more = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await.unwrap();
        assert_ne!(more, 0, "the body has ended");
        read += more;
    }
}

#[tokio::test]
async fn canned_responses_replace_processing() {
    let party = Party::new().await;
    let first = party.connect("alice").await;
    for (fault, status) in [
        (Fault::status(500), 500),
        (Fault::unavailable(7), 503),
        (Fault::throttled(7), 429),
        (Fault::redirect("http://127.0.0.1:9/elsewhere"), 307),
        (Fault::oauth_error("invalid_grant"), 400),
        (Fault::oauth_error("invalid_client"), 401),
        (Fault::ok_with_error("bad_refresh_token"), 200),
        (Fault::computed(|call| ScriptedResponse::new(202).body(call.path.clone())), 202),
    ] {
        party.provider.faults().once(Endpoint::Token, fault.clone());
        let response = party.refresh(&first.refresh).await.unwrap();
        assert_eq!(response.status(), status, "{fault:?}");
        match status {
            503 | 429 => assert_eq!(response.headers()["retry-after"], "7"),
            307 => assert_eq!(response.headers()["location"], "http://127.0.0.1:9/elsewhere"),
            202 => assert_eq!(response.body(), "/token"),
            _ => {}
        }
        assert!(party.provider.accepts_refresh_token(&first.refresh), "{fault:?}");
    }
}

#[tokio::test]
async fn edits_change_the_response_of_the_handler() {
    let party = Party::new().await;
    for (fault, expected) in [
        (Fault::with("expires_in", value!("3600")), r#""expires_in":"3600""#),
        (Fault::with("token_type", value!("bearer")), r#""token_type":"bearer""#),
        (Fault::duplicate("scope", value!("other")), r#","scope":"other"}"#),
        (Fault::nested("authed_user"), r#"{"authed_user":{"#),
        (Fault::form_encoded(), "token_type=Bearer"),
        (Fault::huge_body(70_000), r#""padding":"xxxx"#),
        (Fault::not_json(), "<!doctype html>"),
    ] {
        party.provider.faults().once(Endpoint::Token, fault.clone());
        let response = party.exchange(&party.code_of("alice", &[]).await).await;
        let text = String::from_utf8_lossy(response.body()).into_owned();
        assert!(text.contains(expected), "{fault:?}: {text}");
    }
    for member in ["token_type", "expires_in", "refresh_token", "scope"] {
        party.provider.faults().once(Endpoint::Token, Fault::without(member));
        let response = party.exchange(&party.code_of("alice", &[]).await).await;
        assert_eq!(json(&response).get(member), None);
        assert!(json(&response).get("access_token").is_some());
    }
    party.provider.faults().once(Endpoint::Token, Fault::empty_body());
    let response = party.exchange(&party.code_of("alice", &[]).await).await;
    assert!(response.body().is_empty());
}

#[tokio::test]
async fn userinfo_can_return_another_account_once() {
    let party = Party::new().await;
    let token = party.connect("alice").await.access;
    party.provider.faults().once(Endpoint::Userinfo, Fault::with("sub", value!("sub-bob")));
    assert_eq!(json(&party.get("/userinfo", &token).await)["sub"], "sub-bob");
    assert_eq!(json(&party.get("/userinfo", &token).await)["sub"], "sub-alice");
}

#[tokio::test]
async fn the_redirect_to_the_client_can_be_falsified() {
    let party = Party::new().await;
    let url = party.authorization_url(&[]);
    let faults = party.provider.faults();

    faults.once(Endpoint::Consent, Fault::iss("https://evil.test"));
    let callback = party.provider.approve(&url, "alice").await.unwrap();
    assert_eq!(query(&callback, "iss").as_deref(), Some("https://evil.test"));

    faults.once(Endpoint::Consent, Fault::no_iss());
    let callback = party.provider.deny(&url, "alice").await.unwrap();
    assert_eq!(query(&callback, "iss"), None);

    let twice = QueryEdit::Append("state".to_owned(), "other".to_owned());
    faults.once(Endpoint::Consent, Fault::EditRedirect(twice));
    let callback = party.provider.approve(&url, "alice").await.unwrap();
    assert_eq!(callback.query_pairs().filter(|(name, _)| name == "state").count(), 2);
}

#[tokio::test]
async fn queued_faults_apply_before_permanent_ones_and_both_can_be_cleared() {
    let party = Party::new().await;
    let faults = party.provider.faults();
    faults.always(Endpoint::Api, Fault::status(401));
    faults.times(2, Endpoint::Api, &Fault::status(500));
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(party.get("/api/me", "x").await.status().as_u16());
    }
    assert_eq!(seen, [500, 500, 401, 401]);
    faults.clear(Endpoint::Api);
    let token = party.connect("alice").await.access;
    assert_eq!(party.get("/api/me", &token).await.status(), 200);
}

#[tokio::test]
async fn several_faults_apply_to_one_request() {
    let party = Party::new().await;
    let first = party.connect("alice").await;
    let gate = Gate::closed();
    let both = Fault::Several(vec![Fault::HoldResponse(gate.clone()), Fault::DropResponse]);
    party.provider.faults().once(Endpoint::Token, both);
    let steps = async {
        gate.arrived(1).await;
        gate.open();
    };
    let (response, ()) = tokio::join!(party.refresh(&first.refresh), steps);
    assert_eq!(response.map(drop), Err(WireError));
    assert!(!party.provider.accepts_refresh_token(&first.refresh));
}

async fn raw_request(party: &Party, path: &str) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", party.provider.port())).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    stream
}

async fn raw_get(party: &Party, path: &str) -> String {
    let mut text = String::new();
    let mut stream = raw_request(party, path).await;
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut text).await.unwrap();
    text
}
