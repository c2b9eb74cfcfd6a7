//! Start, stop, restart with stored state, and the limit of the ledger.

use super::*;
use crate::provider::{Endpoint, Fault, Gate, StartError};

#[tokio::test]
async fn a_port_in_use_is_reported() {
    let first = MockProvider::builder().start().await.unwrap();
    let second = MockProvider::builder().port(first.port()).start().await.unwrap_err();
    assert!(matches!(second, StartError::PortTaken(port) if port == first.port()));
    assert_eq!(second.to_string(), format!("port {} is already in use", first.port()));
}

#[tokio::test]
async fn tokens_sessions_and_the_signing_key_survive_a_restart_on_the_same_port() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("provider.json");
    let party = Party::with(MockProvider::builder().state_file(&file)).await;
    let port = party.provider.port();
    let tokens = party.connect("alice").await;
    let keys = json(&party.get("/jwks", "").await);
    party.provider.stop().await;

    let party = Party::with(MockProvider::builder().port(port).state_file(&file)).await;
    assert_eq!(party.user_of(&tokens.access).await.as_deref(), Some("alice@example.test"));
    assert_eq!(json(&party.get("/jwks", "").await), keys);
    assert_eq!(party.refresh(&tokens.refresh).await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_state_file_contains_no_token_and_only_its_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("provider.json");
    let party = Party::with(MockProvider::builder().state_file(&file)).await;
    let tokens = party.connect("alice").await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&tokens.access) && !text.contains(&tokens.refresh));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_damaged_state_file_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("provider.json");
    std::fs::write(&file, "{\"clock_offset_ms\":").unwrap();
    let refused = MockProvider::builder().state_file(&file).start().await.unwrap_err();
    assert!(matches!(refused, StartError::StateDamaged { .. }));
    let nowhere = folder.path().join("missing").join("provider.json");
    let refused = MockProvider::builder().state_file(nowhere).start().await.unwrap_err();
    assert!(matches!(refused, StartError::StateFile { .. }));
}

#[tokio::test]
async fn stop_returns_even_while_a_request_is_held() {
    let party = Party::new().await;
    let gate = Gate::closed();
    party.provider.faults().once(Endpoint::Api, Fault::HoldRequest(gate.clone()));
    let url = Url::parse(&party.provider.url("/api/me")).unwrap();
    let held = tokio::spawn(async move { send("GET", &url, &[], "").await.map(drop) });
    gate.arrived(1).await;
    party.provider.stop().await;
    assert_eq!(held.await.unwrap(), Err(WireError));
}

#[tokio::test]
async fn the_ledger_keeps_only_the_newest_calls() {
    let party = Party::with(MockProvider::builder().ledger_limit(2)).await;
    for path in ["/api/a", "/api/b", "/api/c"] {
        party.get(path, "").await;
    }
    let ledger = party.provider.ledger();
    let paths: Vec<_> = ledger.iter().map(|call| (call.path.as_str(), call.status)).collect();
    assert_eq!(paths, [("/api/b", Some(404)), ("/api/c", Some(404))]);
}

#[tokio::test]
async fn requests_for_browser_pages_are_not_back_channel_calls() {
    let party = Party::new().await;
    party.provider.deny(&party.authorization_url(&[]), "alice").await.unwrap();
    let ledger = party.provider.ledger();
    assert!(!ledger.is_empty());
    assert!(ledger.back_channel().is_empty());
    party.get("/elsewhere", "").await;
    assert_eq!(party.provider.ledger().back_channel().len(), 1);
}
