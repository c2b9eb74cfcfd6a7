//! The unit test of a host: a use case with mocks of the ports. A call that was not expected fails the test.

use std::sync::Arc;

use grantry_domain::authorization::Envelope;
use grantry_domain::connector::{ConnectorKey, Incarnation};
use grantry_domain::identity::{Actor, ConnectionName, Role};
use grantry_domain::ports::{
    AssociatedData, AuditKind, AuthenticatedRow, Created, DirectoryError, Membership, MockAuditOutbox,
    MockAuthorizationQueries, MockAuthorizationServer, MockAuthorizationStore, MockClock, MockConnectorDiagnostics,
    MockConnectorStore, MockDirectory, MockEventSink, MockFailureLog, MockHousekeeping, MockProviderProfiles,
    MockRateLimiter, MockRefreshLeases, MockResourceServer, MockRevocationQueue, MockRowAuthenticator, MockSecureRandom,
    MockSpawner, MockStoreClock, MockTokenVault, MockUrls, MockUserStore, Operation, RowTag, StoreError, StorePorts,
    UserStatus,
};
use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::{
    AccessError, AccessTokenRequest, Connections, ConnectorError, Policy, Ports, StartError, StartRequest, TokenError,
};
use grantry_testkit::doubles::TestProfiles;
use grantry_testkit::doubles::fixtures::{connector_key, origin, user};

use crate::common::draft;

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
        users: Arc::new(MockUserStore::new()),
        diagnostics: Arc::new(MockConnectorDiagnostics::new()),
    }
}

/// The ports of a host, none of which may be called.
fn ports() -> Ports {
    Ports {
        store: store_ports(),
        vault: Arc::new(MockTokenVault::new()),
        rows: Arc::new(MockRowAuthenticator::new()),
        provider: Arc::new(MockAuthorizationServer::new()),
        profiles: Arc::new(MockProviderProfiles::new()),
        resource: Arc::new(MockResourceServer::new()),
        directory: Arc::new(MockDirectory::new()),
        urls: Arc::new(MockUrls::new()),
        limiter: Arc::new(MockRateLimiter::new()),
        sink: Arc::new(MockEventSink::new()),
        failures: Arc::new(MockFailureLog::new()),
        clock: Arc::new(MockClock::new()),
        random: Arc::new(MockSecureRandom::new()),
        spawner: Arc::new(MockSpawner::new()),
    }
}

/// A system in which only the expected calls may happen.
fn connections(ports: &Ports) -> Arc<Connections> {
    Connections::new(ports, Policy::default()).unwrap()
}

/// A directory that is asked once, and returns this role.
fn directory_with(role: Role) -> Arc<MockDirectory> {
    let mut directory = MockDirectory::new();
    let membership = Membership { space_exists: true, user: UserStatus::Active, role: Some(role) };
    directory.expect_membership().times(1).returning(move |_, _| Ok(membership));
    Arc::new(directory)
}

/// A clock of the store that stands still.
fn store_clock() -> Arc<MockStoreClock> {
    let mut clock = MockStoreClock::new();
    clock.expect_now().returning(|| Ok(Timestamp::from_millis(1_000_000)));
    Arc::new(clock)
}

fn unavailable_directory() -> Arc<MockDirectory> {
    let mut directory = MockDirectory::new();
    directory.expect_membership().times(1).returning(|_, _| Err(DirectoryError));
    Arc::new(directory)
}

fn drive() -> ConnectorKey {
    connector_key("default", "drive")
}

fn start_request() -> StartRequest {
    StartRequest {
        shown: None,
        actor: Actor::Person(user("u_alice")),
        connector: drive(),
        connection: ConnectionName::default(),
        return_path: None,
        allow_account_change: false,
        select_account: false,
    }
}

fn token_request() -> AccessTokenRequest {
    AccessTokenRequest {
        actor: Actor::Agent("workflows".to_owned()),
        connector: drive(),
        user: user("u_alice"),
        connection: None,
        destination: Some(origin("https://api.example")),
    }
}

#[tokio::test]
async fn r06_an_unavailable_directory_denies_a_start_before_any_other_port_is_called() {
    let node = connections(&Ports { directory: unavailable_directory(), ..ports() });
    let refused = node.start(start_request()).await;
    assert_eq!(refused.err(), Some(StartError::Access(AccessError::DirectoryUnavailable)));
}

#[tokio::test]
async fn r43_an_unavailable_directory_denies_a_token_before_it_is_read() {
    // The refusal is dated for the audit log; no other port of the store is called.
    let mut clock = MockStoreClock::new();
    clock.expect_now().times(1).returning(|| Err(StoreError::Unavailable));
    let store = StorePorts { clock: Arc::new(clock), ..store_ports() };
    let node = connections(&Ports { directory: unavailable_directory(), store, ..ports() });
    let refused = node.access_token(&token_request()).await;
    assert_eq!(refused.err(), Some(TokenError::Access(AccessError::DirectoryUnavailable)));
}

#[tokio::test]
async fn a_host_replaces_single_ports_of_the_store() {
    let mut limiter = MockRateLimiter::new();
    let is_disconnect = |who: &str, operation: &Operation| who == "user:u_alice" && *operation == Operation::Disconnect;
    limiter.expect_take().withf(is_disconnect).times(1).returning(|_, _| Ok(()));
    let mut queries = MockAuthorizationQueries::new();
    queries.expect_access_token_view().times(1).returning(|_, _, _| Ok(None));
    let store = StorePorts { queries: Arc::new(queries), ..store_ports() };
    let (directory, limiter) = (directory_with(Role::Viewer), Arc::new(limiter));
    let node = connections(&Ports { directory, limiter, store, ..ports() });
    let refused = node.set_default_connection(&Actor::Person(user("u_alice")), &drive(), None).await;
    assert_eq!(refused, Err(AccessError::NotFound.into()));
}

#[tokio::test]
async fn r64_an_installed_connector_is_written_with_its_sealed_secret_and_one_event() {
    let mut random = MockSecureRandom::new();
    random.expect_fill().times(2).returning(|bytes| {
        bytes.fill(7);
        Ok(())
    });
    let mut vault = MockTokenVault::new();
    let for_a_secret = |associated: &AssociatedData, _: &u16, _: &Secret| {
        matches!(associated, AssociatedData::ClientSecret { incarnation: Incarnation([7, ..]), .. })
    };
    vault.expect_seal().withf(for_a_secret).times(1).returning(|_, _, _| Ok(Envelope(vec![1])));
    let tag = RowTag([9; 40]);
    let mut rows = MockRowAuthenticator::new();
    rows.expect_tag().withf(|row| matches!(row, AuthenticatedRow::Connector(_))).times(1).return_const(tag);
    let mut connectors = MockConnectorStore::new();
    connectors
        .expect_create()
        .withf(move |connector, secret, audit| {
            let sealed = secret.as_ref().map(|secret| secret.sealed.clone());
            connector.key == drive()
                && connector.tag == tag
                && connector.has_client_secret
                && sealed == Some(Envelope(vec![1]))
                && audit.iter().map(|event| event.kind).eq([AuditKind::ConnectorCreated])
        })
        .times(1)
        .returning(|_, _, _| Ok(Created::Taken));
    let store = StorePorts { clock: store_clock(), connectors: Arc::new(connectors), ..store_ports() };
    let profiles = Arc::new(TestProfiles::default());
    let (random, vault, rows) = (Arc::new(random), Arc::new(vault), Arc::new(rows));
    let ports = Ports { random, vault, rows, profiles, store, ..ports() };
    let ConnectorKey { space, id } = drive();
    let installed = connections(&ports).install_connector(&Actor::System, &space, Some(id), draft("{}")).await;
    assert_eq!(installed, Err(ConnectorError::IdTaken));
}

#[tokio::test]
async fn deleting_a_connector_starts_revocations_only_if_grants_ended() {
    let cases = [(Some(0), 0, Ok(0)), (Some(3), 1, Ok(3)), (None, 0, Err(AccessError::NotFound.into()))];
    for (ended, rounds, expected) in cases {
        let mut connectors = MockConnectorStore::new();
        connectors.expect_delete().times(1).returning(move |_, _, _| Ok(ended));
        let mut spawner = MockSpawner::new();
        spawner.expect_spawn().times(rounds).returning(drop);
        let store = StorePorts { clock: store_clock(), connectors: Arc::new(connectors), ..store_ports() };
        let ports = Ports { directory: directory_with(Role::Editor), spawner: Arc::new(spawner), store, ..ports() };
        let deleted = connections(&ports).delete_connector(&Actor::Person(user("u_ed")), &drive()).await;
        assert_eq!(deleted, expected);
    }
}

#[tokio::test]
async fn an_edit_by_a_viewer_reads_nothing() {
    let node = connections(&Ports { directory: directory_with(Role::Viewer), ..ports() });
    let refused = node.update_connector(&Actor::Person(user("u_alice")), &drive(), draft("{}"), None, false).await;
    assert_eq!(refused.map(drop), Err(AccessError::Forbidden.into()));
}
