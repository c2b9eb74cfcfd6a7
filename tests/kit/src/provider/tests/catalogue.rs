//! Every fault of the catalogue acts as its entry describes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use miniz_oxide::inflate::decompress_to_vec;

use super::faults::read_endless;
use super::*;
use crate::provider::{FaultPlace, GrantEnd, NamedFault, NamedFaultError, ScriptedUserError, fault_catalogue};

type Received = Result<Response<Bytes>, WireError>;
/// Whether the client received what a fault describes.
type Shows = fn(&Received) -> bool;

fn named(faults: &[&str]) -> MockProviderBuilder {
    MockProvider::builder().named_faults(faults.iter().map(|fault| fault.parse::<NamedFault>().unwrap()))
}

async fn party(faults: &[&str]) -> Party {
    Party::with(named(faults)).await
}

async fn exchanged(party: &Party) -> Received {
    let code = party.code_of("alice", &[]).await;
    let form =
        [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    party.post("/token", &form).await
}

fn status(received: &Received) -> Option<u16> {
    received.as_ref().ok().map(|response| response.status().as_u16())
}

fn header<'r>(received: &'r Received, name: &str) -> Option<&'r str> {
    received.as_ref().ok()?.headers().get(name)?.to_str().ok()
}

fn body(received: &Received) -> &[u8] {
    received.as_ref().map_or(b"", |response| response.body())
}

fn member(received: &Received, name: &str) -> Option<Value> {
    serde_json::from_slice::<Value>(body(received)).ok()?.get(name).cloned()
}

/// The content of one gzip member, without its header of 10 bytes and its trailer of 8.
fn unzipped(received: &Received) -> Vec<u8> {
    let body = body(received);
    assert_eq!(header(received, "content-encoding"), Some("gzip"));
    decompress_to_vec(&body[10..body.len() - 8]).unwrap()
}

/// Faults of the code exchange, and what the client receives then.
const EXCHANGES: [(&str, Shows); 20] = [
    ("drop-request", Result::is_err),
    ("unavailable=7", |received| status(received) == Some(503) && header(received, "retry-after") == Some("7")),
    ("throttled=7", |received| status(received) == Some(429) && header(received, "retry-after") == Some("7")),
    ("server-error", |received| status(received) == Some(500) && body(received).is_empty()),
    ("redirect", |received| status(received) == Some(307) && header(received, "location") == Some("/elsewhere")),
    ("invalid-grant", |received| status(received) == Some(400) && member(received, "error") == Some("invalid_grant".into())),
    ("error-200", |received| status(received) == Some(200) && member(received, "error") == Some("invalid_grant".into())),
    ("no-expiry", |received| {
        member(received, "expires_in").is_none() && member(received, "access_token").is_some_and(|token| token.is_string())
    }),
    ("text-expiry", |received| member(received, "expires_in") == Some("300".into())),
    ("huge=100000", |received| member(received, "access_token").is_some() && body(received).len() > 100_000),
    ("nested", |received| member(received, "authed_user").is_some_and(|inner| inner["access_token"].is_string())),
    ("form-encoded", |received| {
        header(received, "content-type") == Some("application/x-www-form-urlencoded")
            && form_urlencoded::parse(body(received)).any(|(name, _)| name == "access_token")
    }),
    ("empty", |received| status(received) == Some(200) && body(received).is_empty()),
    ("not-json", |received| status(received) == Some(200) && body(received).starts_with(b"<!doctype html>")),
    ("byte-order-mark", |received| body(received).starts_with(b"\xef\xbb\xbf{")),
    ("gzip", |received| unzipped(received).starts_with(b"{\"access_token\"")),
    ("deflate", |received| header(received, "content-encoding") == Some("deflate") && body(received)[0] == 0x78),
    ("gzip-bomb=100000", |received| unzipped(received).len() > 100_000 && body(received).len() < 10_000),
    ("cut=10", Result::is_err),
    ("drop-response", Result::is_err),
];

/// The faults that the other tests of this file show.
const OTHERS: [&str; 12] = [
    "rotation",
    "grace",
    "no-rotation",
    "no-refresh-token",
    "pkce-refused",
    "no-iss",
    "wrong-iss",
    "no-state",
    "other-account",
    "evicted-client",
    "slow",
    "endless",
];

#[test]
fn every_fault_has_a_test_and_a_unique_name() {
    let exchanges = EXCHANGES.iter().map(|(fault, _)| fault.split('=').next().unwrap());
    let tested: BTreeSet<&str> = exchanges.chain(OTHERS).collect();
    let names: Vec<&str> = fault_catalogue().iter().map(|entry| entry.name).collect();
    assert_eq!(names.iter().copied().collect::<BTreeSet<_>>(), tested);
    assert_eq!(names.len(), tested.len());
}

#[tokio::test]
async fn a_fault_of_the_code_exchange_is_what_the_client_receives() {
    for (fault, shows) in EXCHANGES {
        let party = party(&[fault]).await;
        let received = exchanged(&party).await;
        assert!(shows(&received), "{fault}: {received:?}");
    }
}

#[tokio::test]
async fn a_request_is_processed_unless_its_fault_replaces_processing() {
    let not_processed =
        ["drop-request", "unavailable", "throttled", "server-error", "redirect", "invalid-grant", "error-200"];
    for (fault, _) in EXCHANGES {
        let party = party(&[fault]).await;
        drop(exchanged(&party).await);
        let expected = usize::from(!not_processed.contains(&fault.split('=').next().unwrap()));
        assert_eq!(party.provider.grants().len(), expected, "{fault}");
    }
}

#[tokio::test]
async fn rotation_ends_the_family_and_grace_forgives_for_its_seconds() {
    let strict = party(&["rotation"]).await;
    let first = strict.connect("alice").await;
    assert_eq!(strict.refresh(&first.refresh).await.unwrap().status(), 200);
    assert_eq!(error(&strict.refresh(&first.refresh).await.unwrap()), "invalid_grant");
    assert_eq!(strict.provider.grants()[0].ended, Some(GrantEnd::RefreshTokenReused));

    let forgiving = party(&["grace=10"]).await;
    let first = forgiving.connect("alice").await;
    for _ in 0..2 {
        assert_eq!(forgiving.refresh(&first.refresh).await.unwrap().status(), 200);
    }
    forgiving.provider.advance(Duration::from_secs(10));
    assert_eq!(error(&forgiving.refresh(&first.refresh).await.unwrap()), "invalid_grant");
}

#[tokio::test]
async fn a_provider_may_rotate_no_token_or_issue_none() {
    let same = party(&["no-rotation"]).await;
    let first = same.connect("alice").await;
    for _ in 0..2 {
        let response = same.refresh(&first.refresh).await.unwrap();
        assert_eq!((response.status().as_u16(), json(&response).get("refresh_token")), (200, None));
    }
    assert_eq!(party(&["no-refresh-token"]).await.connect("alice").await.refresh, "");
}

#[tokio::test]
async fn a_provider_that_refuses_pkce_works_without_it_and_announces_no_method() {
    let party = party(&["pkce-refused"]).await;
    let refused = party.provider.approve(&party.authorization_url(&[]), "alice").await.unwrap();
    assert_eq!(query(&refused, "error").as_deref(), Some("invalid_request"));
    let code = party.code_of("alice", &[("code_challenge", ""), ("code_challenge_method", "")]).await;
    let form = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
    assert_eq!(party.post("/token", &form).await.unwrap().status(), 200);
    let metadata = json(&party.get("/.well-known/oauth-authorization-server", "").await);
    assert_eq!(metadata.get("code_challenge_methods_supported"), None);
    let other = Party::new().await;
    let metadata = json(&other.get("/.well-known/oauth-authorization-server", "").await);
    assert_eq!(metadata["code_challenge_methods_supported"], serde_json::json!(["S256"]));
}

#[tokio::test]
async fn an_authorization_response_may_lack_iss_or_state_or_name_another_server() {
    for (fault, iss, state) in [
        ("no-iss", None, Some("a-state")),
        ("wrong-iss", Some("https://other.example"), Some("a-state")),
        ("no-state", Some("own"), None),
    ] {
        let party = party(&[fault]).await;
        let callback = party.provider.approve(&party.authorization_url(&[]), "alice").await.unwrap();
        let iss = if iss == Some("own") { Some(party.provider.base_url()) } else { iss };
        assert_eq!(query(&callback, "iss").as_deref(), iss, "{fault}");
        assert_eq!(query(&callback, "state").as_deref(), state, "{fault}");
    }
}

#[tokio::test]
async fn userinfo_may_describe_another_account() {
    let party = party(&["other-account"]).await;
    let token = party.connect("alice").await.access;
    let described = json(&party.get("/userinfo", &token).await);
    assert_eq!((&described["sub"], &described["email"]), (&"sub-other".into(), &"other@example.test".into()));
    assert_eq!(party.user_of(&token).await.as_deref(), Some("alice@example.test"));
}

#[tokio::test]
async fn an_evicted_client_neither_refreshes_nor_revokes() {
    let party = party(&["evicted-client"]).await;
    let first = party.connect("alice").await;
    let refreshed = party.refresh(&first.refresh).await.unwrap();
    assert_eq!((refreshed.status().as_u16(), error(&refreshed)), (401, "invalid_client".to_owned()));
    let revoked = party.post("/revoke", &[("token", &first.refresh)]).await.unwrap();
    assert_eq!((revoked.status().as_u16(), error(&revoked)), (401, "invalid_client".to_owned()));
    assert!(party.provider.accepts_refresh_token(&first.refresh));
}

#[tokio::test]
async fn a_client_that_is_no_longer_registered_is_unknown_everywhere() {
    let party = Party::new().await;
    let first = party.connect("alice").await;
    party.provider.unregister("demo");
    assert_eq!(error(&party.refresh(&first.refresh).await.unwrap()), "invalid_client");
    let refused = party.provider.approve(&party.authorization_url(&[]), "alice").await;
    assert_eq!(refused, Err(ScriptedUserError::Stuck(400)));
}

#[tokio::test]
async fn a_slow_response_is_sent_after_the_request_was_processed() {
    let party = party(&["slow=40@refresh"]).await;
    let first = party.connect("alice").await;
    let sent = Instant::now();
    assert_eq!(party.refresh(&first.refresh).await.unwrap().status(), 200);
    assert!(sent.elapsed() >= Duration::from_millis(40));
    assert!(!party.provider.accepts_refresh_token(&first.refresh));
}

#[tokio::test]
async fn an_endless_body_can_be_placed_at_the_api() {
    read_endless(&party(&["endless@api"]).await).await;
}

#[tokio::test]
async fn a_place_limits_a_fault_to_its_requests() {
    for place in FaultPlace::ALL {
        let party = party(&[&format!("server-error@{}", place.name())]).await;
        let exchange = exchanged(&party).await.unwrap();
        // Tokens for the further requests come from the same provider, whose code exchange may be the place.
        let issued = tokens(&exchange);
        let found = [
            (FaultPlace::Code, exchange.status()),
            (FaultPlace::Refresh, party.refresh(&issued.refresh).await.unwrap().status()),
            (FaultPlace::Revocation, party.post("/revoke", &[("token", "unknown")]).await.unwrap().status()),
            (FaultPlace::Userinfo, party.get("/userinfo", &issued.access).await.status()),
            (FaultPlace::Metadata, party.get("/.well-known/openid-configuration", "").await.status()),
            (FaultPlace::Api, party.get("/api/me", &issued.access).await.status()),
        ];
        for (at, status) in found {
            let of_token = place == FaultPlace::Token && matches!(at, FaultPlace::Code | FaultPlace::Refresh);
            assert_eq!(status == 500, at == place || of_token, "{place:?} at {at:?}: {status}");
        }
    }
}

#[tokio::test]
async fn combined_faults_act_in_the_order_of_the_catalogue() {
    let party = party(&["gzip", "form-encoded", "no-expiry"]).await;
    let form = String::from_utf8(unzipped(&exchanged(&party).await)).unwrap();
    assert!(form.contains("access_token=at_") && !form.contains("expires_in"), "{form}");
}

#[tokio::test]
async fn a_fault_of_one_request_precedes_the_named_ones() {
    let party = party(&["unavailable@api"]).await;
    party.provider.faults().once(crate::provider::Endpoint::Api, crate::provider::Fault::status(418));
    let seen = [party.get("/api/me", "").await.status(), party.get("/api/me", "").await.status()];
    assert_eq!(seen.map(|status| status.as_u16()), [418, 503]);
}

#[test]
fn a_fault_is_read_with_value_and_place_and_displayed_in_full() {
    for (text, full) in [
        ("grace", "grace=30"),
        ("grace=5", "grace=5"),
        ("gzip@refresh", "gzip@refresh"),
        ("unavailable@token", "unavailable=5@token"),
        ("cut=0@userinfo", "cut=0@userinfo"),
    ] {
        let fault: NamedFault = text.parse().unwrap();
        assert_eq!(fault.to_string(), full);
        assert_eq!(full.parse::<NamedFault>().unwrap().to_string(), full);
    }
}

#[test]
fn a_refusal_names_what_is_accepted() {
    let refused = |text: &str| text.parse::<NamedFault>().unwrap_err();
    assert_eq!(refused("gzipp"), NamedFaultError::UnknownName("gzipp".to_owned()));
    assert!(refused("").to_string().starts_with("`` is not a fault; the faults are rotation, grace, "));
    assert_eq!(refused("gzip=1").to_string(), "the fault `gzip` takes no value");
    for text in ["cut=", "cut=-1", "cut=x", "cut=67108865"] {
        let expected = "the value of `cut` must be a whole number from 0 to 67108864: bytes of the body";
        assert_eq!(refused(text).to_string(), expected, "{text}");
    }
    assert_eq!(
        refused("gzip@here").to_string(),
        "`@here` is not a place; the places are token, code, refresh, revocation, userinfo, metadata, api"
    );
    for text in ["grace@token", "other-account@api", "no-state@token"] {
        assert!(refused(text).to_string().ends_with("takes no place; omit `@` and what follows"), "{text}");
    }
}
