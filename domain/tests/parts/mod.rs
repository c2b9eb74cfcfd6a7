//! The parts of the system alone, each with just its ports.

mod audit_buffer;
mod client_credentials;
mod refresher;
mod revocation_worker;
mod sealer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, AuthorizationRecord, GrantSecrets, Revision,
};
use grantry_domain::connector::Connector;
use grantry_domain::ports::{
    AuthorizationServer, AuthorizationStore, ClientSecretRecord, Clock, ConnectorStore, ExpectedVersion, PendingLimits,
    WriteOutcome,
};
use grantry_domain::provider::{ProviderSnapshot, Scopes};
use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::Policy;
use grantry_domain::usecase::parts::{
    AuditBuffer, CircuitBreaker, ConnectorSettings, FailureRecorder, Refresher, RefresherPorts, RevocationPorts,
    RevocationWorker, Sealer, SettledClock,
};
use grantry_store_memory::MemoryStore;
use grantry_testkit::doubles::fixtures::{authorization_id, authorization_key_of, authorized, connector, initiated};
use grantry_testkit::doubles::{
    Call, CollectingFailureLog, FaultyStore, PlainVault, ScriptedAuthorizationServer, SeededRandom, TestClock, TestProfiles,
    TestUrls, TokioSpawner,
};

use crate::common::{HOUR, account, text};

/// Doubles for the ports of any part, and the parts that others need. The connector `drive` is stored.
struct TestParts {
    clock: TestClock,
    store: FaultyStore,
    vault: Arc<PlainVault>,
    provider: Arc<ScriptedAuthorizationServer>,
    profiles: Arc<TestProfiles>,
    random: Arc<SeededRandom>,
    spawner: TokioSpawner,
    sealer: Sealer,
    settings: ConnectorSettings,
    audit: AuditBuffer,
    breaker: Arc<CircuitBreaker>,
    failure_log: Arc<CollectingFailureLog>,
    connector: Connector,
    numbers: AtomicU64,
}

impl TestParts {
    async fn new() -> Self {
        let clock = TestClock::default();
        let store = FaultyStore::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))));
        let (vault, profiles) = (Arc::new(PlainVault::default()), Arc::new(TestProfiles::default()));
        let sealer = Sealer::new(vault.clone(), Arc::new(store.clone()), vault.clone());
        let spawner = TokioSpawner::new(clock.clone());
        let audit = AuditBuffer::new(Arc::new(store.clone()), Arc::new(spawner.clone()), Arc::new(clock.clone()));
        let (urls, rows) = (Arc::new(TestUrls), vault.clone());
        let settings = ConnectorSettings::new(profiles.clone(), urls, rows, Arc::new(clock.clone()), audit.clone());
        let parts = Self {
            connector: connector(clock.now()),
            provider: Arc::default(),
            random: Arc::default(),
            audit,
            breaker: Arc::default(),
            failure_log: Arc::default(),
            numbers: AtomicU64::new(1),
            clock,
            store,
            vault,
            profiles,
            spawner,
            sealer,
            settings,
        };
        let created = parts.store.create(parts.connector.clone(), Some(parts.client_secret()), Vec::new()).await;
        assert_eq!(created, Ok(grantry_domain::ports::Created::Done));
        parts
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn client_secret(&self) -> ClientSecretRecord {
        let digest = self.settings.of(&self.connector).unwrap().required.digest;
        self.sealer.seal_client_secret(&self.connector, digest, Secret::from_text("client-secret-1")).unwrap()
    }

    async fn snapshot(&self) -> ProviderSnapshot {
        let settings = self.settings.of(&self.connector).unwrap();
        let redirect_uri = self.settings.redirect_uri(&self.connector, settings.provider.callback);
        self.provider.resolve(&settings.provider, &redirect_uri, "{}").await.unwrap()
    }

    fn owner(&self, who: &str) -> AuthorizationKey {
        let digest = self.settings.of(&self.connector).unwrap().required.digest;
        AuthorizationKey { digest, ..authorization_key_of(&self.connector, who) }
    }

    /// The tokens `access-0` and `refresh-0` with a lifetime of one hour.
    async fn secrets(&self, who: &str) -> GrantSecrets {
        GrantSecrets {
            access_token: Secret::from_text("access-0"),
            refresh_token: Some(Secret::from_text("refresh-0")),
            token_type: "Bearer".to_owned(),
            requested_scopes: Scopes::new(["read", "write"]),
            granted_scopes: Scopes::new(["read", "write"]),
            issued_at: self.now(),
            expires_at: Some(self.now().plus(HOUR)),
            refresh_expires_at: None,
            revision: Revision::FIRST,
            epoch: self.connector.epoch,
            provider: self.snapshot().await,
            account: Some(account(who)),
        }
    }

    fn new_id(&self) -> AuthorizationId {
        authorization_id(self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// A grant with these tokens, which is not stored.
    fn record(&self, owner: AuthorizationKey, secrets: &GrantSecrets) -> AuthorizationRecord {
        let id = self.new_id();
        let tokens = self.sealer.seal_grant(&owner, id, secrets).unwrap();
        AuthorizationRecord {
            sealed: Some(tokens.sealed),
            revision: tokens.revision,
            scopes: tokens.scopes,
            expires_at: tokens.expires_at,
            refreshable: tokens.refreshable,
            account: tokens.account,
            account_tag: tokens.account_tag,
            ..authorized(id, owner, self.now())
        }
    }

    /// A stored grant with the tokens `access-0` and `refresh-0`.
    async fn grant(&self, who: &str) -> Authorization {
        let record = self.record(self.owner(who), &self.secrets(who).await);
        let flow = Authorization::restore(initiated(record.id, record.owner.clone(), self.now())).unwrap();
        let expected = ExpectedVersion::of(&flow);
        let limits = PendingLimits { per_user: 10, deployment: 10 };
        self.store.insert_flow(flow, limits, Vec::new()).await.unwrap();
        let grant = Authorization::restore(record).unwrap();
        assert_eq!(self.store.replace(grant.clone(), expected, Vec::new()).await, Ok(WriteOutcome::Written));
        grant
    }

    /// The access token that is stored in a grant.
    async fn access_token(&self, id: AuthorizationId) -> String {
        let stored = AuthorizationStore::find(&self.store, id).await.unwrap().unwrap();
        text(&self.sealer.open_grant(&stored.value).unwrap().access_token)
    }

    /// The tokens that were revoked, in order.
    fn revoked(&self) -> Vec<String> {
        let calls = self.provider.calls().into_iter();
        calls.filter_map(|call| if let Call::Revoke { token, .. } = call { Some(token) } else { None }).collect()
    }

    fn refresher_ports(&self) -> RefresherPorts {
        RefresherPorts {
            store_clock: Arc::new(self.store.clone()),
            authorizations: Arc::new(self.store.clone()),
            leases: Arc::new(self.store.clone()),
            settled: self.settled(),
            connectors: Arc::new(self.store.clone()),
            provider: self.provider.clone(),
            clock: Arc::new(self.clock.clone()),
            random: self.random.clone(),
            spawner: Arc::new(self.spawner.clone()),
            failures: self.failures(),
        }
    }

    fn refresher(&self) -> Arc<Refresher> {
        self.refresher_with(self.refresher_ports())
    }

    fn refresher_with(&self, ports: RefresherPorts) -> Arc<Refresher> {
        Refresher::new(
            ports,
            Policy::default(),
            self.sealer.clone(),
            self.settings.clone(),
            self.audit.clone(),
            self.revocations_with(self.revocation_ports()),
            self.breaker.clone(),
        )
    }

    fn revocation_ports(&self) -> RevocationPorts {
        RevocationPorts {
            clock: Arc::new(self.clock.clone()),
            settled: self.settled(),
            store_clock: Arc::new(self.store.clone()),
            queue: Arc::new(self.store.clone()),
            outbox: Arc::new(self.store.clone()),
            queries: Arc::new(self.store.clone()),
            provider: self.provider.clone(),
            random: self.random.clone(),
            spawner: Arc::new(self.spawner.clone()),
            failures: self.failures(),
        }
    }

    fn settled(&self) -> Arc<SettledClock> {
        let settled = SettledClock::new(Arc::new(self.store.clone()), Arc::new(self.clock.clone()));
        settled.note(self.clock.now());
        settled
    }

    fn failures(&self) -> FailureRecorder {
        FailureRecorder::new(self.failure_log.clone(), Arc::new(self.store.clone()), Arc::new(self.spawner.clone()))
    }

    fn revocations_with(&self, ports: RevocationPorts) -> Arc<RevocationWorker> {
        RevocationWorker::new(ports, Policy::default(), self.sealer.clone(), self.settings.clone())
    }
}
