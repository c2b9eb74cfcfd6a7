//! One deployment for a test: nodes on one store, people, spaces, a connector, and a provider that answers from a script.
//!
//! Tests that let time pass run on tokio's paused clock (`start_paused`): a timer of it fires only when no task can go on, and
//! so [`quiet`] tells that everything has come to rest. The time the use cases see is the [`TestClock`]'s.

pub(crate) mod gate;
pub(crate) mod ledger;
pub(crate) mod store;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use grantry_domain::authorization::{AuthStatus, AuthorizationId, AuthorizationRecord, StatusKind};
use grantry_domain::connector::{AuthMode, ConnectorKey, ConnectorName, ProfileId};
use grantry_domain::identity::{Actor, Role};
use grantry_domain::ports::{
    AuditEvent, AuditKind, AuthorizationServer, AuthorizationStore, ConnectorStore, ProviderError, TokenResponse,
};
use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::{
    AccessTokenRequest, AuthorizationResponse, CallbackRequest, Completed, Connections, ConnectorDraft, ConnectorView,
    Execution, IssuedAccessToken, Outcome, Policy, Ports, PublicBaseUrl, StartError, StartRequest, Started, TokenError,
};
use grantry_store_memory::MemoryStore;
use grantry_testkit::doubles::fixtures::{connector_id, connector_key, origin, space, user};
use grantry_testkit::doubles::{
    Call, CollectingSink, Operation, PlainVault, ScriptedAuthorizationServer, ScriptedRate, ScriptedResourceServer,
    SeededRandom, TestClock, TestDirectory, TestProfiles, TokioSpawner,
};

use ledger::{Ledger, Reuse};
use store::FaultyStore;

/// Spaces of every world.
pub(crate) const SPACES: [&str; 2] = ["default", "marketing"];
/// The connector of every world, in space `default`.
pub(crate) const DRIVE: &str = "drive";
/// The API that its tokens may be sent to.
pub(crate) const API: &str = "https://api.example";
/// A life of an access token as the scripted provider gives it.
pub(crate) const HOUR: Duration = Duration::from_hours(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// One deployment. People: alice and bob are viewers in both spaces, ed is an editor, ada an administrator.
pub(crate) struct World {
    pub(crate) clock: TestClock,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) provider: Arc<ScriptedAuthorizationServer>,
    pub(crate) profiles: Arc<TestProfiles>,
    pub(crate) resource: Arc<ScriptedResourceServer>,
    pub(crate) directory: Arc<TestDirectory>,
    pub(crate) limiter: Arc<ScriptedRate>,
    pub(crate) sink: Arc<CollectingSink>,
    pub(crate) vault: Arc<PlainVault>,
    pub(crate) random: Arc<SeededRandom>,
    pub(crate) spawner: TokioSpawner,
    /// The first node.
    pub(crate) node: Arc<Connections>,
    seeds: AtomicU32,
}

pub(crate) fn person(id: &str) -> Actor {
    Actor::Person(user(id))
}

pub(crate) fn agent() -> Actor {
    Actor::Agent("runner".to_owned())
}

pub(crate) fn text(secret: &Secret) -> String {
    secret.expose_text().expect("test secrets are text").to_owned()
}

/// Returns when no task can go on by itself: a timer of the paused clock fires only then.
pub(crate) async fn quiet() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

pub(crate) fn policy() -> Policy {
    Policy::new(PublicBaseUrl::new("https://connect.example").expect("a base URL"))
}

/// What an editor sends for the connectors of these tests.
pub(crate) fn draft(config: &str) -> ConnectorDraft {
    ConnectorDraft {
        name: ConnectorName::new("Drive").expect("a name"),
        profile: ProfileId::new(".example").expect("a profile"),
        auth_mode: AuthMode::PerUser,
        config: config.to_owned(),
        client_id: Some("client-1".to_owned()),
        client_secret: Some(Secret::from_text("client-secret-1")),
    }
}

/// The same without the client secret, as a form sends it whose user did not type it again.
pub(crate) fn draft_without_secret(config: &str) -> ConnectorDraft {
    ConnectorDraft { client_secret: None, ..draft(config) }
}

pub(crate) fn drive() -> ConnectorKey {
    connector_key("default", DRIVE)
}

/// A wish to connect.
pub(crate) fn request(who: &str, connector: &ConnectorKey) -> StartRequest {
    StartRequest {
        actor: person(who),
        space: connector.space.clone(),
        connector: connector.id.clone(),
        return_path: None,
        allow_account_change: false,
    }
}

/// The provider's redirect in the browser the flow was started in.
pub(crate) fn came_back(started: &Started, who: &str) -> CallbackRequest {
    CallbackRequest {
        user: user(who),
        address: None,
        flow_cookies: vec![started.flow_cookie.clone_secret()],
        callback_id: None,
        state: started.state.clone_secret(),
        issuer: None,
        answer: AuthorizationResponse::Code(Secret::from_text("code-1")),
    }
}

/// A back end asks for a user's token for the connector `drive`.
pub(crate) fn demand(who: &str) -> AccessTokenRequest {
    demand_for(who, drive())
}

pub(crate) fn demand_for(who: &str, connector: ConnectorKey) -> AccessTokenRequest {
    AccessTokenRequest { actor: agent(), connector, user: user(who), destination: origin(API) }
}

/// A run of the connector `drive` as a user.
pub(crate) fn execution(who: &str, path: &str) -> Execution {
    Execution {
        actor: agent(),
        connector: drive(),
        user: user(who),
        method: "GET".to_owned(),
        path: path.to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
    }
}

impl World {
    /// A deployment with one node and one connector.
    pub(crate) async fn new() -> Self {
        let world = Self::without_connector();
        world.create_connector(&drive(), draft("{}")).await;
        world
    }

    /// The same with a provider that keeps books.
    pub(crate) async fn on_ledger(reuse: Reuse) -> (Self, Arc<Ledger>) {
        let mut world = Self::without_connector();
        let ledger = Arc::new(Ledger::new(reuse));
        world.node = world.node_on(&world.store, ledger.clone());
        world.create_connector(&drive(), draft("{}")).await;
        (world, ledger)
    }

    pub(crate) fn without_connector() -> Self {
        Self::with(policy())
    }

    pub(crate) fn with(policy: Policy) -> Self {
        let clock = TestClock::default();
        let memory = MemoryStore::new(Arc::new(clock.clone()));
        let store = Arc::new(FaultyStore::new(memory));
        let provider = Arc::new(ScriptedAuthorizationServer::default());
        let (random, spawner) = (Arc::new(SeededRandom::default()), TokioSpawner::new(clock.clone()));
        let parts = Parts {
            profiles: Arc::default(),
            resource: Arc::default(),
            directory: Arc::default(),
            limiter: Arc::default(),
            sink: Arc::default(),
            vault: Arc::default(),
        };
        let ports = parts.ports(&clock, &store, provider.clone(), &random, &spawner);
        let node = Connections::new(ports, policy).expect("a good policy");
        let Parts { profiles, resource, directory, limiter, sink, vault } = parts;
        let people = [("alice", Role::Viewer), ("bob", Role::Viewer), ("ed", Role::Editor), ("ada", Role::Admin)];
        for (who, role) in people {
            for place in SPACES {
                directory.authorize(&user(who), &space(place), role);
            }
        }
        let seeds = AtomicU32::new(1);
        Self { clock, store, provider, profiles, resource, directory, limiter, sink, vault, random, spawner, node, seeds }
    }

    /// Another process of the deployment, on the same store.
    pub(crate) fn another_node(&self) -> Arc<Connections> {
        self.node_on(&self.store, self.provider.clone())
    }

    /// Another process with its own way to the store, and to a provider.
    pub(crate) fn node_on(&self, store: &Arc<FaultyStore>, provider: Arc<dyn AuthorizationServer>) -> Arc<Connections> {
        self.node_with(&self.clock, &self.spawner, store, provider)
    }

    /// A process that stands still while its own clock does, as one that was stopped by a signal. The store goes on.
    pub(crate) fn stopped_node(&self, provider: Arc<dyn AuthorizationServer>) -> (Arc<Connections>, TestClock) {
        let clock = TestClock::default();
        (self.node_with(&clock, &TokioSpawner::new(clock.clone()), &self.store, provider), clock)
    }

    fn node_with(
        &self,
        clock: &TestClock,
        spawner: &TokioSpawner,
        store: &Arc<FaultyStore>,
        provider: Arc<dyn AuthorizationServer>,
    ) -> Arc<Connections> {
        let parts = Parts {
            profiles: self.profiles.clone(),
            resource: self.resource.clone(),
            directory: self.directory.clone(),
            limiter: self.limiter.clone(),
            sink: self.sink.clone(),
            vault: self.vault.clone(),
        };
        let random = Arc::new(SeededRandom::new(self.seeds.fetch_add(1, Ordering::Relaxed)));
        let ports = parts.ports(clock, store, provider, &random, spawner);
        Connections::new(ports, self.node.policy().clone()).expect("a good policy")
    }

    pub(crate) async fn create_connector(&self, key: &ConnectorKey, draft: ConnectorDraft) -> ConnectorView {
        let id = Some(key.id.clone());
        self.node.create_connector(&person("ed"), &key.space, id, draft).await.expect("the connector is created")
    }

    /// Edits the connector `drive`; answers how many people that disconnected.
    pub(crate) async fn edit(&self, draft: ConnectorDraft) -> u64 {
        let edited = self.node.update_connector(&person("ed"), &drive(), draft, None, false).await;
        edited.expect("the connector is edited").disconnected_users
    }

    pub(crate) async fn start(&self, who: &str, connector: &ConnectorKey) -> Started {
        self.try_start(request(who, connector)).await.expect("the flow starts")
    }

    pub(crate) async fn try_start(&self, request: StartRequest) -> Result<Started, StartError> {
        self.node.start(request).await
    }

    /// Starts and finishes a flow for the connector `drive`.
    pub(crate) async fn connect(&self, who: &str) -> AuthorizationId {
        self.connect_to(who, &drive()).await
    }

    pub(crate) async fn connect_to(&self, who: &str, connector: &ConnectorKey) -> AuthorizationId {
        let started = self.start(who, connector).await;
        let completed = self.complete(came_back(&started, who)).await;
        assert_eq!(completed.outcome, Outcome::Connected);
        completed.flow_id
    }

    pub(crate) async fn complete(&self, callback: CallbackRequest) -> Completed {
        self.node.complete(callback).await.expect("the callback is this flow's")
    }

    /// The token a user's run gets.
    pub(crate) async fn token(&self, who: &str) -> Result<String, TokenError> {
        token_from(&self.node, &demand(who)).await
    }

    pub(crate) async fn status(&self, who: &str) -> AuthStatus {
        let view = self.node.connector(&person(who), &drive()).await;
        view.expect("the connector is shown").status
    }

    pub(crate) async fn kind(&self, who: &str) -> StatusKind {
        self.status(who).await.kind
    }

    /// The record as it is stored.
    pub(crate) async fn row(&self, id: AuthorizationId) -> AuthorizationRecord {
        self.store.inner().find(id).await.expect("the store answers").expect("the record is there")
    }

    /// Changes a stored connector as somebody does who writes to the database.
    pub(crate) async fn stored_connector(&self, key: &ConnectorKey) -> grantry_domain::connector::Connector {
        self.store.inner().get(key).await.expect("the store answers").expect("the connector is there")
    }

    /// Every audit event so far, in order, notes included.
    pub(crate) async fn events(&self) -> Vec<AuditEvent> {
        self.node.write_notes().await.expect("the store answers");
        let recorded = self.store.inner().pending_events(u32::MAX).await.expect("the store answers");
        recorded.into_iter().map(|recorded| recorded.event).collect()
    }

    /// Events of a kind, with their outcomes.
    pub(crate) async fn outcomes(&self, kind: AuditKind) -> Vec<String> {
        let events = self.events().await.into_iter();
        events.filter(|event| event.kind == kind).map(|event| event.outcome).collect()
    }

    /// Calls that carried a code or a token.
    pub(crate) fn token_calls(&self) -> Vec<Call> {
        let carries = |call: &Call| match call {
            Call::Resolve { .. } | Call::AuthorizationUrl { .. } => false,
            Call::Exchange { .. }
            | Call::Refresh { .. }
            | Call::Revoke { .. }
            | Call::ClientCredentials { .. }
            | Call::Identify { .. } => true,
        };
        self.provider.calls().into_iter().filter(carries).collect()
    }

    pub(crate) fn refreshes(&self) -> usize {
        self.provider.count(Operation::Refresh)
    }

    /// The tokens that were revoked at the provider, in order.
    pub(crate) fn revoked(&self) -> Vec<String> {
        let calls = self.provider.calls().into_iter();
        let tokens = calls.filter_map(|call| match call {
            Call::Revoke { token, .. } => Some(token),
            Call::Resolve { .. }
            | Call::AuthorizationUrl { .. }
            | Call::Exchange { .. }
            | Call::Refresh { .. }
            | Call::ClientCredentials { .. }
            | Call::Identify { .. } => None,
        });
        tokens.collect()
    }

    pub(crate) fn now(&self) -> Timestamp {
        use grantry_domain::ports::Clock;
        self.clock.now()
    }

    /// Lets time pass at once, and everything come to rest after it.
    pub(crate) async fn pass(&self, span: Duration) {
        quiet().await;
        self.clock.advance(span);
        quiet().await;
    }

    /// Runs work to its end, letting time pass in small steps whenever nothing else can go on.
    pub(crate) async fn drive<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = quiet() => self.clock.advance(Duration::from_millis(50)),
            }
        }
    }
}

/// The doubles that nodes share.
struct Parts {
    profiles: Arc<TestProfiles>,
    resource: Arc<ScriptedResourceServer>,
    directory: Arc<TestDirectory>,
    limiter: Arc<ScriptedRate>,
    sink: Arc<CollectingSink>,
    vault: Arc<PlainVault>,
}

impl Parts {
    fn ports(
        &self,
        clock: &TestClock,
        store: &Arc<FaultyStore>,
        provider: Arc<dyn AuthorizationServer>,
        random: &Arc<SeededRandom>,
        spawner: &TokioSpawner,
    ) -> Ports {
        Ports {
            authorizations: store.clone(),
            connectors: store.clone(),
            vault: self.vault.clone(),
            provider,
            profiles: self.profiles.clone(),
            resource: self.resource.clone(),
            directory: self.directory.clone(),
            limiter: self.limiter.clone(),
            sink: self.sink.clone(),
            clock: Arc::new(clock.clone()),
            random: random.clone(),
            spawner: Arc::new(spawner.clone()),
        }
    }
}

pub(crate) async fn token_from(node: &Arc<Connections>, demand: &AccessTokenRequest) -> Result<String, TokenError> {
    node.access_token(demand).await.map(|given: IssuedAccessToken| text(&given.token))
}

/// Tokens with another life than an hour.
pub(crate) fn tokens_for(access: &str, refresh: Option<&str>, life: Duration) -> TokenResponse {
    use grantry_domain::ports::Lifetime;
    TokenResponse { lifetime: Lifetime::For(life), ..grantry_testkit::doubles::tokens(access, refresh) }
}

/// Every way a provider can fail, for tests that go through all of them.
pub(crate) const PROVIDER_ERRORS: &[ProviderError] = &[
    ProviderError::InvalidGrant,
    ProviderError::ClientRefused,
    ProviderError::OtherOauthError,
    ProviderError::Throttled { retry_after: None, unprocessed: true },
    ProviderError::Throttled { retry_after: None, unprocessed: false },
    ProviderError::NotAllowed,
    ProviderError::NotSent,
    ProviderError::NoResponse,
    ProviderError::Malformed,
    ProviderError::BadMetadata,
];

/// A connector in another space.
pub(crate) fn elsewhere() -> ConnectorKey {
    ConnectorKey { space: space("marketing"), id: connector_id(DRIVE) }
}
