//! The domain with the memory store and doubles.

#[path = "../../examples/domain_only.rs"]
pub(crate) mod example;

use std::sync::Arc;

use grantry_domain::authorization::Reason;
use grantry_domain::identity::ConnectionName;
use grantry_domain::usecase::{Outcome, TokenError};
use grantry_store_memory::MemoryStore;
use grantry_testkit::doubles::TestClock;

#[tokio::test]
async fn the_domain_connects_refreshes_and_disconnects_without_io() {
    let clock = TestClock::default();
    let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
    let report = example::whole_flow(clock, store).await.unwrap();
    let (reason, connection) = (Reason::NotConnected, ConnectionName::default());
    let required = TokenError::AuthorizationRequired { reason, connection };
    assert_eq!(report.before, required);
    assert_eq!(report.outcome, Outcome::Connected);
    assert_eq!(report.tokens, ["access-1", "access-2"]);
    assert_eq!(report.after, required);
    assert_eq!(report.revoked, ["refresh-2", "access-2"]);
    let of_tokens = ["access_token_refused", "access_token_issued"];
    let (tokens, changes): (Vec<_>, Vec<_>) = report.events.into_iter().partition(|kind| of_tokens.contains(kind));
    assert_eq!(tokens.len(), 4, "two refused and two issued: {tokens:?}");
    let expected = [
        "connector_created",
        "flow_started",
        "callback_consumed",
        "connected",
        "refreshed",
        "grant_terminated",
        "revocation_completed",
    ];
    assert_eq!(changes, expected);
}
