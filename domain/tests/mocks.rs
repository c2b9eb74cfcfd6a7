//! One decision at a time, with the mock that stands beside each port: a call that nobody expected fails the test.

use std::sync::Arc;

use grantry_domain::connector::{ConnectorId, ConnectorKey};
use grantry_domain::identity::{Actor, SpaceId, UserId};
use grantry_domain::ports::{
    DirectoryError, MockAuthorizationServer, MockAuthorizationStore, MockClock, MockConnectorStore, MockDirectory,
    MockEventSink, MockProviderProfiles, MockRateLimiter, MockResourceServer, MockSecureRandom, MockSpawner, MockTokenVault,
    StoreError,
};
use grantry_domain::provider::Origin;
use grantry_domain::usecase::{
    AccessTokenRequest, Connections, Policy, Ports, PublicBaseUrl, StartError, StartRequest, TokenError,
};

/// A system in which only the given ports may be called.
fn connections(directory: MockDirectory, grants: MockAuthorizationStore) -> Arc<Connections> {
    let ports = Ports {
        authorizations: Arc::new(grants),
        connectors: Arc::new(MockConnectorStore::new()),
        vault: Arc::new(MockTokenVault::new()),
        provider: Arc::new(MockAuthorizationServer::new()),
        profiles: Arc::new(MockProviderProfiles::new()),
        resource: Arc::new(MockResourceServer::new()),
        directory: Arc::new(directory),
        limiter: Arc::new(MockRateLimiter::new()),
        sink: Arc::new(MockEventSink::new()),
        clock: Arc::new(MockClock::new()),
        random: Arc::new(MockSecureRandom::new()),
        spawner: Arc::new(MockSpawner::new()),
    };
    let policy = Policy::new(PublicBaseUrl::new("https://connect.example").unwrap());
    Connections::new(ports, policy).unwrap()
}

fn silent_directory() -> MockDirectory {
    let mut directory = MockDirectory::new();
    directory.expect_membership().times(1).returning(|_, _| Err(DirectoryError));
    directory
}

fn alice() -> UserId {
    UserId::new("u_alice").unwrap()
}

fn drive() -> ConnectorId {
    ConnectorId::new("drive").unwrap()
}

#[tokio::test]
async fn r06_a_directory_that_does_not_answer_lets_nobody_start() {
    let request = StartRequest {
        actor: Actor::Person(alice()),
        space: SpaceId::default_space(),
        connector: drive(),
        return_path: None,
        allow_account_change: false,
    };
    let refused = connections(silent_directory(), MockAuthorizationStore::new()).start(request).await;
    assert_eq!(refused.err(), Some(StartError::Forbidden));
}

#[tokio::test]
async fn r43_a_directory_that_does_not_answer_gets_no_token_read() {
    let mut grants = MockAuthorizationStore::new();
    // The refusal is dated for the audit trail; nothing else of the store is touched.
    grants.expect_now().returning(|| Err(StoreError::Unavailable));
    let demand = AccessTokenRequest {
        actor: Actor::Agent("workflows".to_owned()),
        connector: ConnectorKey { space: SpaceId::default_space(), id: drive() },
        user: alice(),
        destination: Origin::new("https://api.example").unwrap(),
    };
    let refused = connections(silent_directory(), grants).access_token(&demand).await;
    assert_eq!(refused.err(), Some(TokenError::Forbidden));
}
