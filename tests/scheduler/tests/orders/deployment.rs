//! A deployment whose nodes share a store and a provider that rotates refresh tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use grantry_domain::connector::{AuthMode, ConnectorKey, ConnectorName, ProfileId};
use grantry_domain::identity::{Actor, ConnectionName, Role};
use grantry_domain::ports::StorePorts;
use grantry_domain::provider::Callback;
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{
    AccessTokenRequest, AuthorizationResponse, CallbackRequest, Connections, ConnectorDraft, IssuedAccessToken, Outcome,
    Policy, Ports, StartRequest, TokenError,
};
use grantry_store_memory::MemoryStore;
use grantry_testkit::doubles::fixtures::{connector_key, origin, space, user};
use grantry_testkit::doubles::{
    CollectingFailureLog, CollectingSink, FaultyStore, PlainVault, Reuse, RotatingAuthorizationServer, ScriptedRate,
    ScriptedResourceServer, SeededRandom, TestClock, TestDirectory, TestProfiles, TestUrls,
};

use crate::node::{Deadlines, Process, Work};

/// The lifetime of an access token of the provider.
const HOUR: Duration = Duration::from_hours(1);

/// What all nodes share.
pub(crate) struct Deployment {
    pub(crate) clock: TestClock,
    pub(crate) provider: Arc<RotatingAuthorizationServer>,
    store: FaultyStore,
    vault: Arc<PlainVault>,
    profiles: Arc<TestProfiles>,
    directory: Arc<TestDirectory>,
    deadlines: Deadlines,
    seeds: AtomicU32,
}

/// One process.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) connections: Arc<Connections>,
    pub(crate) process: Process,
}

impl Deployment {
    /// A deployment with one connector, at which alice has a connection. Its access token has expired.
    pub(crate) async fn expired(reuse: Reuse, deadlines: Deadlines) -> Self {
        let (clock, directory) = (TestClock::default(), Arc::new(TestDirectory::default()));
        for (who, role) in [("alice", Role::Viewer), ("ed", Role::Editor)] {
            directory.set_role(&user(who), &space("default"), role);
        }
        let deployment = Self {
            store: FaultyStore::new(Arc::new(MemoryStore::new(Arc::new(clock.clone())))),
            provider: Arc::new(RotatingAuthorizationServer::new(reuse)),
            vault: Arc::default(),
            profiles: Arc::default(),
            clock,
            directory,
            deadlines,
            seeds: AtomicU32::new(1),
        };
        deployment.connect().await;
        deployment.clock.advance(HOUR);
        deployment
    }

    async fn connect(&self) {
        let Node { connections, .. } = self.node().await;
        let draft = ConnectorDraft {
            name: ConnectorName::new("Drive").expect("a name"),
            profile: ProfileId::new(".example").expect("a profile"),
            auth_mode: AuthMode::PerUser,
            settings: "{}".to_owned(),
            client_id: Some("client-1".to_owned()),
            client_secret: Some(Secret::from_text("client-secret-1")),
        };
        let editor = Actor::Person(user("ed"));
        connections.create_connector(&editor, &space("default"), Some(drive().id), draft).await.expect("a connector");
        let request = StartRequest {
            shown: None,
            actor: alice(),
            connector: drive(),
            connection: ConnectionName::default(),
            return_path: None,
            allow_account_change: false,
            select_account: false,
        };
        let started = connections.start(request).await.expect("the flow starts");
        let callback = CallbackRequest {
            user: user("alice"),
            flow_cookies: vec![started.flow_cookie.clone_secret()],
            callback: Callback::Profiles,
            state: started.state.clone_secret(),
            issuer: None,
            response: AuthorizationResponse::Code(Secret::from_text("code-1")),
            parameters: Vec::new(),
        };
        let completed = connections.complete(callback).await.expect("the callback belongs to this flow");
        assert_eq!(completed.outcome, Outcome::Connected);
    }

    /// Starts a node.
    pub(crate) async fn node(&self) -> Node {
        self.node_with(StorePorts::of(Arc::new(self.store.clone()))).await
    }

    /// Starts a node with other ports of the same store.
    pub(crate) async fn node_with(&self, store: StorePorts) -> Node {
        let process = Process::new(self.clock.clone(), self.deadlines);
        let ports = Ports {
            store,
            vault: self.vault.clone(),
            rows: self.vault.clone(),
            provider: self.provider.clone(),
            profiles: self.profiles.clone(),
            resource: Arc::new(ScriptedResourceServer::default()),
            directory: self.directory.clone(),
            urls: Arc::new(TestUrls),
            limiter: Arc::new(ScriptedRate::default()),
            sink: Arc::new(CollectingSink::default()),
            failures: Arc::new(CollectingFailureLog::default()),
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(SeededRandom::new(self.seeds.fetch_add(1, Ordering::Relaxed))),
            spawner: Arc::new(process.clone()),
        };
        let connections = Connections::new(&ports, Policy::default()).expect("a valid policy");
        connections.observe_clock().await.expect("the store responds");
        Node { connections, process }
    }

    /// The store that the nodes share.
    pub(crate) fn store(&self) -> StorePorts {
        StorePorts::of(Arc::new(self.store.clone()))
    }

    /// Carries out what is left to be revoked, until nothing is due.
    pub(crate) async fn revoke_all(&self, node: &Node) {
        for _ in 0..20 {
            node.connections.revoke_due().await.expect("the store responds");
            self.clock.advance(HOUR);
        }
    }
}

impl Node {
    /// A caller that needs alice's token.
    pub(crate) fn token(&self) -> Work<Result<IssuedAccessToken, TokenError>> {
        let connections = self.connections.clone();
        self.process.run(async move { connections.access_token(&token_request()).await })
    }

    /// The same, and the caller is gone after an arbitrary time.
    pub(crate) fn token_or_drop(&self) -> Work<Result<IssuedAccessToken, TokenError>> {
        let connections = self.connections.clone();
        self.process.run_or_drop(async move { connections.access_token(&token_request()).await })
    }
}

pub(crate) fn alice() -> Actor {
    Actor::Person(user("alice"))
}

pub(crate) fn drive() -> ConnectorKey {
    connector_key("default", "drive")
}

fn token_request() -> AccessTokenRequest {
    AccessTokenRequest {
        actor: Actor::Agent("runner".to_owned()),
        connector: drive(),
        user: user("alice"),
        connection: None,
        destination: Some(origin("https://api.example")),
    }
}
