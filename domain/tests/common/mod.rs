//! One deployment for a test: nodes on one store, users, spaces, a connector, and a provider that responds from a script.
//!
//! Tests in which time passes run on tokio's paused clock (`start_paused`): its timers fire only when no task can make
//! progress, so [`quiet`] returns when all tasks are idle. The time of the use cases is that of the [`TestClock`].

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationRecord, ConnectionStatus, ConnectorStatus, FailureCode, Reason,
    RevokedCause, StatusKind, TerminalCause, TerminationCause,
};
use grantry_domain::connector::{AuthMode, Connector, ConnectorKey, ConnectorName, ProfileId};
use grantry_domain::identity::{Actor, ConnectionName, Role};
use grantry_domain::ports::{
    ApiQuery, AuditEvent, AuditKind, AuthorizationServer, Clock, ExpectedVersion, Lifetime, ProviderErrorKind, StorePorts,
    TokenResponse,
};
use grantry_domain::provider::{Account, Callback};
use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::{
    AccessTokenRequest, AuthorizationResponse, CallbackRequest, Completed, Connections, ConnectorDraft, ConnectorView,
    Execution, Outcome, Policy, Ports, StartError, StartRequest, Started, TokenError,
};
use grantry_store_memory::MemoryStore;
use grantry_testkit::doubles::fixtures::{authorization, connection, connector_key, origin, space, user};
use grantry_testkit::doubles::{
    Call, CollectingFailureLog, CollectingSink, FaultyStore, Operation, PlainVault, Reuse, RotatingAuthorizationServer,
    ScriptedAuthorizationServer, ScriptedRate, ScriptedResourceServer, SeededRandom, TestClock, TestDirectory, TestProfiles,
    TestUrls, TokioSpawner, tokens,
};

/// The spaces of a [`TestApp`].
pub(crate) const SPACES: [&str; 2] = ["default", "marketing"];
/// The id of its connector, in space `default`.
pub(crate) const DRIVE: &str = "drive";
/// The API that its tokens may be sent to.
pub(crate) const API: &str = "https://api.example";
/// The lifetime of an access token of the scripted provider.
pub(crate) const HOUR: Duration = Duration::from_hours(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// One deployment. Users: alice and bob are viewers in both spaces, ed is an editor, ada an administrator.
pub(crate) struct TestApp {
    pub(crate) clock: TestClock,
    /// The store of the first node, with faults.
    pub(crate) store: FaultyStore,
    /// The same store without faults: for assertions, and for changes behind the domain's back.
    pub(crate) stored: StorePorts,
    pub(crate) provider: Arc<ScriptedAuthorizationServer>,
    pub(crate) profiles: Arc<TestProfiles>,
    pub(crate) resource: Arc<ScriptedResourceServer>,
    pub(crate) directory: Arc<TestDirectory>,
    pub(crate) limiter: Arc<ScriptedRate>,
    pub(crate) sink: Arc<CollectingSink>,
    pub(crate) failures: Arc<CollectingFailureLog>,
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

/// Returns when no task can make progress: only then does a timer of the paused clock fire.
pub(crate) async fn quiet() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// What an editor sends for the connectors of these tests.
pub(crate) fn draft(settings: &str) -> ConnectorDraft {
    ConnectorDraft {
        name: ConnectorName::new("Drive").expect("a name"),
        profile: ProfileId::new(".example").expect("a profile"),
        auth_mode: AuthMode::PerUser,
        settings: settings.to_owned(),
        client_id: Some("client-1".to_owned()),
        client_secret: Some(Secret::from_text("client-secret-1")),
    }
}

/// The same without the client secret, as a form sends it whose user did not enter it again.
pub(crate) fn draft_without_secret(settings: &str) -> ConnectorDraft {
    ConnectorDraft { client_secret: None, ..draft(settings) }
}

pub(crate) fn drive() -> ConnectorKey {
    connector_key("default", DRIVE)
}

/// The connector with the same id in the other space.
pub(crate) fn elsewhere() -> ConnectorKey {
    connector_key("marketing", DRIVE)
}

/// A request to connect, with the default name.
pub(crate) fn request(who: &str, connector: &ConnectorKey) -> StartRequest {
    StartRequest {
        shown: None,
        actor: person(who),
        connector: connector.clone(),
        connection: ConnectionName::default(),
        return_path: None,
        allow_account_change: false,
        select_account: false,
    }
}

/// A request to connect a connection of this name at the connector `drive`.
pub(crate) fn request_named(who: &str, name: &str) -> StartRequest {
    StartRequest { connection: connection(name), ..request(who, &drive()) }
}

/// A provider account with this subject.
pub(crate) fn account(subject: &str) -> Account {
    Account { subject: subject.to_owned(), label: format!("{subject}@provider.example") }
}

/// The provider's redirect in the browser the flow was started in.
pub(crate) fn callback_of(started: &Started, who: &str) -> CallbackRequest {
    CallbackRequest {
        user: user(who),
        flow_cookies: vec![started.flow_cookie.clone_secret()],
        callback: Callback::Profiles,
        state: started.state.clone_secret(),
        issuer: None,
        response: AuthorizationResponse::Code(Secret::from_text("code-1")),
        parameters: Vec::new(),
    }
}

/// The same redirect with an error in place of the code.
pub(crate) fn error_callback_of(started: &Started, who: &str, denied: bool) -> CallbackRequest {
    CallbackRequest { response: AuthorizationResponse::Error { denied }, ..callback_of(started, who) }
}

/// A back end requests a user's token for the connector `drive`.
pub(crate) fn token_request(who: &str) -> AccessTokenRequest {
    token_request_for(who, drive())
}

pub(crate) fn token_request_for(who: &str, connector: ConnectorKey) -> AccessTokenRequest {
    AccessTokenRequest { actor: agent(), connector, user: user(who), connection: None, destination: Some(origin(API)) }
}

/// A request for the token of one connection at the connector `drive`.
pub(crate) fn token_request_named(who: &str, name: &str) -> AccessTokenRequest {
    AccessTokenRequest { connection: Some(connection(name)), ..token_request(who) }
}

/// A run of the connector `drive` as a user.
pub(crate) fn execution(who: &str, path: &str) -> Execution {
    Execution {
        actor: agent(),
        connector: drive(),
        user: user(who),
        connection: None,
        method: "GET".to_owned(),
        path: path.to_owned(),
        query: ApiQuery::default(),
        headers: Vec::new(),
        body: None,
    }
}

/// A node as a host starts it.
fn started(ports: &Ports, policy: Policy) -> Arc<Connections> {
    let node = Connections::new(ports, policy).expect("a valid policy");
    // The store of the tests yields to other tasks before it responds.
    let mut observed = Box::pin(node.observe_clock());
    while observed.as_mut().now_or_never().is_none() {}
    drop(observed);
    node
}

impl TestApp {
    /// A deployment with one node and one connector.
    pub(crate) async fn new() -> Self {
        let app = Self::without_connector();
        app.create_connector(&drive(), draft("{}")).await;
        app
    }

    /// The same with a provider that rotates refresh tokens and records which tokens are valid.
    pub(crate) async fn with_rotation(reuse: Reuse) -> (Self, Arc<RotatingAuthorizationServer>) {
        let mut app = Self::without_connector();
        let provider = Arc::new(RotatingAuthorizationServer::new(reuse));
        app.node = app.node_on(&app.store, provider.clone());
        app.create_connector(&drive(), draft("{}")).await;
        (app, provider)
    }

    pub(crate) fn without_connector() -> Self {
        Self::with(Policy::default())
    }

    pub(crate) fn with(policy: Policy) -> Self {
        let clock = TestClock::default();
        let store = FaultyStore::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))));
        let provider = Arc::new(ScriptedAuthorizationServer::default());
        let (random, spawner) = (Arc::new(SeededRandom::default()), TokioSpawner::new(clock.clone()));
        let doubles = Doubles::default();
        let ports = doubles.ports(&clock, &store, provider.clone(), &random, &spawner);
        let node = started(&ports, policy);
        let Doubles { profiles, resource, directory, limiter, sink, failures, vault } = doubles;
        let users = [("alice", Role::Viewer), ("bob", Role::Viewer), ("ed", Role::Editor), ("ada", Role::Admin)];
        for (who, role) in users {
            for id in SPACES {
                directory.set_role(&user(who), &space(id), role);
            }
        }
        let (stored, seeds) = (StorePorts::of(store.inner().clone()), AtomicU32::new(1));
        Self {
            clock,
            store,
            stored,
            provider,
            profiles,
            resource,
            directory,
            limiter,
            sink,
            failures,
            vault,
            random,
            spawner,
            node,
            seeds,
        }
    }

    /// Another process of the deployment, on the same store.
    pub(crate) fn another_node(&self) -> Arc<Connections> {
        self.node_on(&self.store, self.provider.clone())
    }

    /// Another process with other faults of the store, and another provider.
    pub(crate) fn node_on(&self, store: &FaultyStore, provider: Arc<dyn AuthorizationServer>) -> Arc<Connections> {
        self.node_with(&self.clock, &self.spawner, store, provider)
    }

    /// A process with a clock that stands still, like one that was stopped by a signal. The clock of the store goes on.
    pub(crate) fn stopped_node(&self, provider: Arc<dyn AuthorizationServer>) -> (Arc<Connections>, TestClock) {
        let clock = TestClock::default();
        (self.node_with(&clock, &TokioSpawner::new(clock.clone()), &self.store, provider), clock)
    }

    fn node_with(
        &self,
        clock: &TestClock,
        spawner: &TokioSpawner,
        store: &FaultyStore,
        provider: Arc<dyn AuthorizationServer>,
    ) -> Arc<Connections> {
        let doubles = Doubles {
            profiles: self.profiles.clone(),
            resource: self.resource.clone(),
            directory: self.directory.clone(),
            limiter: self.limiter.clone(),
            sink: self.sink.clone(),
            failures: self.failures.clone(),
            vault: self.vault.clone(),
        };
        let random = Arc::new(SeededRandom::new(self.seeds.fetch_add(1, Ordering::Relaxed)));
        let ports = doubles.ports(clock, store, provider, &random, spawner);
        started(&ports, self.node.policy().clone())
    }

    pub(crate) async fn create_connector(&self, key: &ConnectorKey, draft: ConnectorDraft) -> ConnectorView {
        let id = Some(key.id.clone());
        self.node.create_connector(&person("ed"), &key.space, id, draft).await.expect("the connector is created")
    }

    /// Edits the connector `drive`; returns how many users that disconnected.
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

    /// Starts and completes a flow for the connector `drive`.
    pub(crate) async fn connect(&self, who: &str) -> AuthorizationId {
        self.connect_to(who, &drive()).await
    }

    pub(crate) async fn connect_to(&self, who: &str, connector: &ConnectorKey) -> AuthorizationId {
        self.connect_with(request(who, connector), who).await
    }

    /// Connects a connection of this name at the connector `drive` with an account of its name.
    pub(crate) async fn connect_named(&self, who: &str, name: &str) -> AuthorizationId {
        self.provider.set_account(Some(account(&format!("{who}.{name}"))));
        self.connect_with(request_named(who, name), who).await
    }

    async fn connect_with(&self, request: StartRequest, who: &str) -> AuthorizationId {
        let started = self.try_start(request).await.expect("the flow starts");
        let completed = self.complete(callback_of(&started, who)).await;
        assert_eq!(completed.outcome, Outcome::Connected);
        completed.flow_id
    }

    pub(crate) async fn complete(&self, callback: CallbackRequest) -> Completed {
        self.node.complete(callback).await.expect("the callback belongs to this flow")
    }

    /// The token that a run of a user gets.
    pub(crate) async fn token(&self, who: &str) -> Result<String, TokenError> {
        token_from(&self.node, &token_request(who)).await
    }

    /// The status at the connector `drive`, with all connections.
    pub(crate) async fn connector_status(&self, who: &str) -> ConnectorStatus {
        let view = self.node.connector(&person(who), &drive()).await;
        view.expect("the connector is shown").status
    }

    /// The status of the connection that is shown first.
    pub(crate) async fn status(&self, who: &str) -> ConnectionStatus {
        self.connector_status(who).await.shown()
    }

    pub(crate) async fn kind(&self, who: &str) -> StatusKind {
        self.status(who).await.kind
    }

    /// The authorization as it is stored.
    pub(crate) async fn record(&self, id: AuthorizationId) -> AuthorizationRecord {
        self.find(id).await.expect("the authorization is stored").to_record()
    }

    pub(crate) async fn find(&self, id: AuthorizationId) -> Option<Authorization> {
        let stored = self.stored.authorizations.find(id).await.expect("the store responds");
        stored.map(|stored| stored.value)
    }

    /// Changes a stored authorization like a process that writes to the database.
    pub(crate) async fn tamper(&self, record: AuthorizationRecord) {
        let stored = self.find(record.id).await.expect("the authorization is stored");
        let (next, expected) = (authorization(&record), ExpectedVersion::of(&stored));
        self.stored.authorizations.replace(next, expected, Vec::new()).await.expect("the store responds");
    }

    /// A connector as it is stored.
    pub(crate) async fn stored_connector(&self, key: &ConnectorKey) -> Connector {
        self.stored.connectors.get(key).await.expect("the store responds").expect("the connector is stored")
    }

    /// Every audit event so far, in order, with the buffered ones.
    pub(crate) async fn events(&self) -> Vec<AuditEvent> {
        self.node.flush_audit().await.expect("the store responds");
        let recorded = self.stored.outbox.pending_events(u32::MAX).await.expect("the store responds");
        recorded.into_iter().map(|recorded| recorded.event).collect()
    }

    /// The outcomes of all events of a kind.
    pub(crate) async fn outcomes(&self, kind: AuditKind) -> Vec<&'static str> {
        let events = self.events().await.into_iter();
        events.filter(|event| event.kind == kind).map(|event| event.outcome.as_str()).collect()
    }

    /// Calls that contained a code or a token.
    pub(crate) fn token_calls(&self) -> Vec<Call> {
        let with_token = |call: &Call| match call {
            Call::Resolve { .. } | Call::AuthorizationUrl { .. } => false,
            Call::Exchange { .. }
            | Call::Refresh { .. }
            | Call::Revoke { .. }
            | Call::ClientCredentials { .. }
            | Call::Identify { .. } => true,
        };
        self.provider.calls().into_iter().filter(with_token).collect()
    }

    pub(crate) fn refreshes(&self) -> usize {
        self.provider.count(Operation::Refresh)
    }

    /// The tokens that were revoked at the provider, in order.
    pub(crate) fn revoked(&self) -> Vec<String> {
        let calls = self.provider.calls().into_iter();
        calls.filter_map(|call| if let Call::Revoke { token, .. } = call { Some(token) } else { None }).collect()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Advances the clock in one step, and lets all tasks become idle before and after it.
    pub(crate) async fn pass(&self, span: Duration) {
        quiet().await;
        self.clock.advance(span);
        quiet().await;
    }

    /// Runs work to its end and advances the clock in small steps whenever no task can make progress.
    pub(crate) async fn drive<T>(&self, work: impl Future<Output = T>) -> T {
        advancing(&self.clock, work).await
    }
}

/// Runs work to its end and advances a clock in small steps whenever no task can make progress.
pub(crate) async fn advancing<T>(clock: &TestClock, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = quiet() => clock.advance(Duration::from_millis(50)),
        }
    }
}

/// The doubles that all nodes of a deployment share.
#[derive(Default)]
struct Doubles {
    profiles: Arc<TestProfiles>,
    resource: Arc<ScriptedResourceServer>,
    directory: Arc<TestDirectory>,
    limiter: Arc<ScriptedRate>,
    sink: Arc<CollectingSink>,
    failures: Arc<CollectingFailureLog>,
    vault: Arc<PlainVault>,
}

impl Doubles {
    fn ports(
        &self,
        clock: &TestClock,
        store: &FaultyStore,
        provider: Arc<dyn AuthorizationServer>,
        random: &Arc<SeededRandom>,
        spawner: &TokioSpawner,
    ) -> Ports {
        Ports {
            store: StorePorts::of(Arc::new(store.clone())),
            vault: self.vault.clone(),
            rows: self.vault.clone(),
            provider,
            profiles: self.profiles.clone(),
            resource: self.resource.clone(),
            directory: self.directory.clone(),
            urls: Arc::new(TestUrls),
            limiter: self.limiter.clone(),
            sink: self.sink.clone(),
            failures: self.failures.clone(),
            clock: Arc::new(clock.clone()),
            random: random.clone(),
            spawner: Arc::new(spawner.clone()),
        }
    }
}

pub(crate) async fn token_from(node: &Arc<Connections>, request: &AccessTokenRequest) -> Result<String, TokenError> {
    node.access_token(request).await.map(|issued| text(&issued.token))
}

/// The cause in the record of an authorization that was terminated.
pub(crate) fn terminated(cause: TerminationCause) -> TerminalCause {
    TerminalCause::Revoked(RevokedCause::Terminated(cause))
}

/// The cause in the record of a flow that failed.
pub(crate) fn flow_failed(code: FailureCode) -> TerminalCause {
    TerminalCause::Revoked(RevokedCause::Failed(code))
}

/// The refusal of a user who has to connect the default connection.
pub(crate) fn authorization_required(reason: Reason) -> TokenError {
    TokenError::AuthorizationRequired { reason, connection: ConnectionName::default() }
}

/// Tokens with this lifetime.
pub(crate) fn tokens_for(access: &str, refresh: Option<&str>, lifetime: Duration) -> TokenResponse {
    TokenResponse { lifetime: Lifetime::For(lifetime), ..tokens(access, refresh) }
}

/// Every error of a provider.
pub(crate) const PROVIDER_ERRORS: &[ProviderErrorKind] = &[
    ProviderErrorKind::InvalidGrant,
    ProviderErrorKind::ClientRefused,
    ProviderErrorKind::GrantTypeRefused,
    ProviderErrorKind::Refused,
    ProviderErrorKind::OtherOauthError,
    ProviderErrorKind::Throttled { retry_after: None, unprocessed: true },
    ProviderErrorKind::Throttled { retry_after: None, unprocessed: false },
    ProviderErrorKind::NotAllowed,
    ProviderErrorKind::NotSent,
    ProviderErrorKind::NoResponse,
    ProviderErrorKind::Malformed,
    ProviderErrorKind::BadMetadata,
];
