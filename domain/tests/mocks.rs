//! The unit test of a host: a use case with mocks of the ports. A call that was not expected fails the test.

use std::sync::Arc;

use grantry_domain::connector::ConnectorKey;
use grantry_domain::identity::{Actor, ConnectionName};
use grantry_domain::ports::{
    AuthorizationQueries, DirectoryError, Membership, MockAuditOutbox, MockAuthorizationQueries, MockAuthorizationServer,
    MockAuthorizationStore, MockClock, MockConnectorStore, MockDirectory, MockEventSink, MockHousekeeping,
    MockProviderProfiles, MockRateLimiter, MockRefreshLeases, MockResourceServer, MockRevocationQueue, MockSecureRandom,
    MockSpawner, MockStoreClock, MockTokenVault, MockUrls, StoreError, StorePorts, UserStatus,
};
use grantry_domain::usecase::{
    AccessError, AccessTokenRequest, Connections, Policy, Ports, StartError, StartRequest, TokenError,
};
use grantry_testkit::doubles::fixtures::{connector_key, origin, user};

/// The ports of a store, none of which may be called.
fn store_ports() -> StorePorts {
    StorePorts {
        clock: Arc::new(MockStoreClock::new()),
        authorizations: Arc::new(MockAuthorizationStore::new()),
        queries: Arc::new(MockAuthorizationQueries::new()),
        leases: Arc::new(MockRefreshLeases::new()),
        revocations: Arc::new(MockRevocationQueue::new()),
        housekeeping: Arc::new(MockHousekeeping::new()),
        outbox: Arc::new(MockAuditOutbox::new()),
        connectors: Arc::new(MockConnectorStore::new()),
    }
}

/// A system in which only the expected calls may happen.
fn connections(directory: MockDirectory, limiter: MockRateLimiter, store: StorePorts) -> Arc<Connections> {
    let ports = Ports {
        store,
        vault: Arc::new(MockTokenVault::new()),
        provider: Arc::new(MockAuthorizationServer::new()),
        profiles: Arc::new(MockProviderProfiles::new()),
        resource: Arc::new(MockResourceServer::new()),
        directory: Arc::new(directory),
        urls: Arc::new(MockUrls::new()),
        limiter: Arc::new(limiter),
        sink: Arc::new(MockEventSink::new()),
        clock: Arc::new(MockClock::new()),
        random: Arc::new(MockSecureRandom::new()),
        spawner: Arc::new(MockSpawner::new()),
    };
    Connections::new(&ports, Policy::default()).unwrap()
}

fn unavailable_directory() -> MockDirectory {
    let mut directory = MockDirectory::new();
    directory.expect_membership().times(1).returning(|_, _| Err(DirectoryError));
    directory
}

fn drive() -> ConnectorKey {
    connector_key("default", "drive")
}

fn start_request() -> StartRequest {
    StartRequest {
        actor: Actor::Person(user("u_alice")),
        connector: drive(),
        connection: ConnectionName::default(),
        return_path: None,
        allow_account_change: false,
    }
}

fn token_request() -> AccessTokenRequest {
    AccessTokenRequest {
        actor: Actor::Agent("workflows".to_owned()),
        connector: drive(),
        user: user("u_alice"),
        connection: None,
        destination: origin("https://api.example"),
    }
}

#[tokio::test]
async fn r06_an_unavailable_directory_denies_a_start_before_any_other_port_is_called() {
    let node = connections(unavailable_directory(), MockRateLimiter::new(), store_ports());
    let refused = node.start(start_request()).await;
    assert_eq!(refused.err(), Some(StartError::Access(AccessError::DirectoryUnavailable)));
}

#[tokio::test]
async fn r43_an_unavailable_directory_denies_a_token_before_it_is_read() {
    // The refusal is dated for the audit log; no other port of the store is called.
    let mut clock = MockStoreClock::new();
    clock.expect_now().times(1).returning(|| Err(StoreError::Unavailable));
    let store = StorePorts { clock: Arc::new(clock), ..store_ports() };
    let node = connections(unavailable_directory(), MockRateLimiter::new(), store);
    let refused = node.access_token(&token_request()).await;
    assert_eq!(refused.err(), Some(TokenError::Access(AccessError::DirectoryUnavailable)));
}

#[tokio::test]
async fn a_host_replaces_a_single_port_of_the_store() {
    let mut directory = MockDirectory::new();
    directory.expect_membership().times(1).returning(|_, _| {
        Ok(Membership { space_exists: true, user: UserStatus::Active, role: Some(grantry_domain::identity::Role::Viewer) })
    });
    let mut limiter = MockRateLimiter::new();
    let is_status = |who: &str, operation: &grantry_domain::ports::Operation| {
        who == "user:u_alice" && *operation == grantry_domain::ports::Operation::Status
    };
    limiter.expect_take().withf(is_status).times(1).returning(|_, _| Ok(()));
    let mut queries = MockAuthorizationQueries::new();
    queries.expect_access_token_view().times(1).returning(|_, _, _| Ok(None));
    let queries: Arc<dyn AuthorizationQueries> = Arc::new(queries);
    let node = connections(directory, limiter, StorePorts { queries, ..store_ports() });
    let refused = node.set_default_connection(&Actor::Person(user("u_alice")), &drive(), None).await;
    assert_eq!(refused, Err(AccessError::NotFound.into()));
}
