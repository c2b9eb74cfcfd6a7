//! The cache of client credentials tokens, with the ports it needs.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::Reason;
use grantry_domain::connector::{AuthMode, Connector, Incarnation};
use grantry_domain::ports::{MockAuthorizationServer, MockSpawner, MockStoreClock, ProviderErrorKind};
use grantry_domain::provider::ClientAuthentication;
use grantry_domain::usecase::parts::{ClientCredentialsCache, ClientCredentialsPorts, RefusedRequest};
use grantry_domain::usecase::{Policy, TokenError};
use grantry_testkit::doubles::fixtures::{connector_key, origin, tagged};
use grantry_testkit::doubles::{Call, Operation};

use super::TestParts;
use crate::common::{API, HOUR, SECOND, authorization_required, quiet, text, tokens_for};

fn cache_with(parts: &TestParts, ports: ClientCredentialsPorts) -> Arc<ClientCredentialsCache> {
    let (sealer, settings) = (parts.sealer.clone(), parts.settings.clone());
    ClientCredentialsCache::new(ports, Policy::default(), sealer, settings, parts.breaker.clone(), parts.audit.clone())
}

fn cache(parts: &TestParts) -> Arc<ClientCredentialsCache> {
    let ports = ClientCredentialsPorts {
        store_clock: Arc::new(parts.store.clone()),
        provider: parts.provider.clone(),
        spawner: Arc::new(parts.spawner.clone()),
        failures: parts.failures(),
    };
    cache_with(parts, ports)
}

async fn token(
    parts: &TestParts,
    cache: &Arc<ClientCredentialsCache>,
    connector: &Connector,
    rejected: Option<[u8; 32]>,
) -> Result<(String, [u8; 32]), TokenError> {
    let issued = cache.token(connector, Some(&origin(API)), rejected, parts.now()).await?;
    Ok((text(&issued.token), issued.sha256()))
}

/// The token without a rejected one.
async fn plain(parts: &TestParts, cache: &Arc<ClientCredentialsCache>) -> Result<String, TokenError> {
    token(parts, cache, &parts.connector, None).await.map(|(token, _)| token)
}

fn requests(parts: &TestParts) -> usize {
    parts.provider.count(Operation::ClientCredentials)
}

#[tokio::test(start_paused = true)]
async fn concurrent_callers_cause_one_request_and_later_ones_none() {
    let parts = Arc::new(TestParts::new().await);
    let cache = cache(&parts);
    let gate = parts.provider.hold(Operation::ClientCredentials);
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let (parts, cache) = (parts.clone(), cache.clone());
            tokio::spawn(async move { plain(&parts, &cache).await })
        })
        .collect();
    gate.arrived(1).await;
    quiet().await;
    gate.open();
    for caller in callers {
        assert_eq!(caller.await.unwrap().as_deref(), Ok("access-1"));
    }
    assert_eq!(plain(&parts, &cache).await.as_deref(), Ok("access-1"));
    assert_eq!(requests(&parts), 1);
    let Some(Call::ClientCredentials { client_secret, .. }) = parts.provider.calls().pop() else { panic!("a request") };
    assert_eq!(client_secret.as_deref(), Some("client-secret-1"));
}

#[tokio::test]
async fn a_token_is_replaced_within_a_margin_before_its_expiry() {
    for (lifetime, margin) in [(HOUR, Duration::from_secs(30)), (Duration::from_secs(20), Duration::from_secs(10))] {
        let parts = TestParts::new().await;
        let cache = cache(&parts);
        parts.provider.respond_to_client_credentials(Ok(tokens_for("first", None, lifetime)));
        assert_eq!(plain(&parts, &cache).await.as_deref(), Ok("first"));
        parts.clock.advance(lifetime - margin - Duration::from_millis(1));
        assert_eq!(plain(&parts, &cache).await.as_deref(), Ok("first"));
        parts.clock.advance(Duration::from_millis(1));
        assert_eq!(plain(&parts, &cache).await.as_deref(), Ok("access-1"), "{lifetime:?}");
    }
}

#[tokio::test]
async fn r47_a_rejected_token_is_replaced_once() {
    let parts = TestParts::new().await;
    let cache = cache(&parts);
    let (_, first) = token(&parts, &cache, &parts.connector, None).await.unwrap();
    for _ in 0..3 {
        let (replacement, _) = token(&parts, &cache, &parts.connector, Some(first)).await.unwrap();
        assert_eq!(replacement, "access-2");
    }
    assert_eq!((requests(&parts), plain(&parts, &cache).await.as_deref()), (2, Ok("access-2")));
    // A provider that issues the rejected token again gets one request for it.
    let (_, second) = token(&parts, &cache, &parts.connector, None).await.unwrap();
    for _ in 0..3 {
        parts.provider.respond_to_client_credentials(Ok(tokens_for("access-2", None, HOUR)));
        let refused = token(&parts, &cache, &parts.connector, Some(second)).await;
        assert_eq!(refused, Err(authorization_required(Reason::TokenRejected)));
    }
    assert_eq!(requests(&parts), 3);
}

#[tokio::test]
async fn r43_a_token_for_another_destination_is_refused_without_a_call() {
    let parts = TestParts::new().await;
    let ports = ClientCredentialsPorts {
        store_clock: Arc::new(MockStoreClock::new()),
        provider: Arc::new(MockAuthorizationServer::new()),
        spawner: Arc::new(MockSpawner::new()),
        failures: parts.failures(),
    };
    let cache = cache_with(&parts, ports);
    let refused = cache.token(&parts.connector, Some(&origin("https://evil.example")), None, parts.now()).await;
    assert_eq!(refused.err(), Some(TokenError::DestinationRefused));
    let connector = tagged(Connector { auth_mode: AuthMode::Shared, ..parts.connector.clone() });
    let permit = parts.breaker.admit(&connector, parts.now()).unwrap();
    assert!(permit.refused(RefusedRequest::Client, parts.now()).is_some());
    let paused = cache.token(&connector, Some(&origin(API)), None, parts.now()).await;
    assert_eq!(paused.err(), Some(TokenError::Misconfigured), "no request while the circuit is open");
}

#[tokio::test]
async fn r52_a_connector_of_the_other_mode_does_not_use_the_client_secret() {
    let parts = TestParts::new().await;
    let cache = cache(&parts);
    let shared = tagged(Connector { auth_mode: AuthMode::Shared, ..parts.connector.clone() });
    assert_eq!(token(&parts, &cache, &shared, None).await, Err(TokenError::Misconfigured));
    assert_eq!(requests(&parts), 0);
    assert!(plain(&parts, &cache).await.is_ok());
}

#[tokio::test]
async fn an_edited_connector_has_another_token() {
    let parts = TestParts::new().await;
    let cache = cache(&parts);
    assert_eq!(plain(&parts, &cache).await.as_deref(), Ok("access-1"));
    let edited = tagged(Connector { revision: 2, ..parts.connector.clone() });
    assert_eq!(token(&parts, &cache, &edited, None).await.unwrap().0, "access-2");
    assert_eq!(plain(&parts, &cache).await.as_deref(), Ok("access-3"), "the token of the earlier one was dropped");
}

#[tokio::test]
async fn tokens_that_have_expired_and_those_of_deleted_connectors_are_dropped() {
    let parts = TestParts::new().await;
    let cache = cache(&parts);
    plain(&parts, &cache).await.unwrap();
    assert_eq!(cache.len(), 1);
    cache.drop_expired(parts.now());
    assert_eq!(cache.len(), 1);
    parts.clock.advance(HOUR);
    cache.drop_expired(parts.now());
    assert!(cache.is_empty());
    plain(&parts, &cache).await.unwrap();
    cache.forget(&connector_key("default", "another"));
    assert_eq!(cache.len(), 1);
    cache.forget(&parts.connector.key);
    assert!(cache.is_empty());
}

#[tokio::test]
async fn the_tokens_that_are_kept_are_limited() {
    let parts = TestParts::new().await;
    parts.profiles.set("{}", |settings| settings.authentication = ClientAuthentication::None);
    let cache = cache(&parts);
    for number in 0..300_u16 {
        let mut incarnation = [7; 16];
        incarnation[..2].copy_from_slice(&number.to_be_bytes());
        let connector = tagged(Connector { incarnation: Incarnation(incarnation), ..parts.connector.clone() });
        token(&parts, &cache, &connector, None).await.unwrap();
    }
    assert_eq!(cache.len(), 256);
}

#[tokio::test]
async fn a_refused_client_opens_the_circuit_that_refreshes_share() {
    let mut parts = TestParts::new().await;
    parts.connector = tagged(Connector { auth_mode: AuthMode::Shared, ..parts.connector.clone() });
    parts.profiles.set("{}", |settings| settings.authentication = ClientAuthentication::None);
    let cache = cache(&parts);
    parts.provider.respond_to_client_credentials(Err(ProviderErrorKind::ClientRefused));
    assert_eq!(plain(&parts, &cache).await, Err(TokenError::Misconfigured));
    assert!(parts.breaker.is_open(&parts.connector, parts.now()));
    assert_eq!((plain(&parts, &cache).await, requests(&parts)), (Err(TokenError::Misconfigured), 1));
    parts.clock.advance(Duration::from_mins(1));
    parts.provider.respond_to_client_credentials(Err(ProviderErrorKind::NotSent));
    let unavailable = Err(TokenError::Unavailable { retry_after: 5 * SECOND });
    assert_eq!(plain(&parts, &cache).await, unavailable);
    assert!(!parts.breaker.is_open(&parts.connector, parts.now()), "an unreachable provider does not open it");
}
