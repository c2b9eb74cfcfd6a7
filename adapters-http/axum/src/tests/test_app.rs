//! One deployment with its users, and browsers that keep cookies.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use grantry_domain::connector::{AuthMode, ConnectorName, ProfileId};
use grantry_domain::identity::{Actor, Role, SpaceId, UserId};
use grantry_domain::ports::{DirectoryError, SessionStore, StorePorts};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{Connections, ConnectorDraft, Policy, Ports};
use grantry_store_memory::MemoryStore;
use grantry_testkit::doubles::{
    CollectingFailureLog, CollectingSink, PlainVault, ScriptedAuthorizationServer, ScriptedRate, ScriptedResourceServer,
    SeededRandom, TestClock, TestDirectory, TestProfiles, TokioSpawner, fixtures,
};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use crate::auth::{
    Accounts, AgentKey, AgentKeys, AgentPrincipal, AuthenticationError, PasswordVerifier, SpaceView, UserDirectory, UserView,
};
use crate::connector_types::{AuthModeName, ConnectorType, ConnectorTypeField, FieldKind};
use crate::host::{Api, ConsoleAsset, ConsoleAssets, IdentityMode, Limits, Readiness};
use crate::metrics_access::MetricsAccess;
use crate::public_url::PublicBaseUrl;

pub(super) const BASE: &str = "http://127.0.0.1:8080";
pub(super) const HOST: &str = "127.0.0.1:8080";

/// Users: name, role in `default`, role in `marketing`.
const USERS: [(&str, Role, Option<Role>); 4] = [
    ("alice", Role::Editor, Some(Role::Viewer)),
    ("bob", Role::Viewer, Some(Role::Viewer)),
    ("carol", Role::Admin, Some(Role::Admin)),
    ("dave", Role::Admin, None),
];

pub(super) struct TestApp {
    pub(super) router: Router,
    pub(super) clock: TestClock,
    pub(super) store: MemoryStore,
    pub(super) provider: Arc<ScriptedAuthorizationServer>,
    pub(super) resource: Arc<ScriptedResourceServer>,
    pub(super) profiles: Arc<TestProfiles>,
    pub(super) directory: Arc<TestDirectory>,
    pub(super) rate: Arc<ScriptedRate>,
    pub(super) tasks: TokioSpawner,
    pub(super) connections: Arc<Connections>,
}

/// Options of a test.
pub(super) struct Options {
    pub(super) public: &'static str,
    pub(super) additional_hosts: Vec<String>,
    pub(super) limits: Limits,
    pub(super) console: Option<Arc<dyn ConsoleAssets>>,
    pub(super) external_log_in: bool,
    pub(super) serves_operations: bool,
    pub(super) metrics_access: MetricsAccess,
    pub(super) types: Vec<ConnectorType>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            public: BASE,
            additional_hosts: Vec::new(),
            limits: Limits::default(),
            console: None,
            external_log_in: false,
            serves_operations: true,
            metrics_access: MetricsAccess::Open,
            types: vec![example_type()],
        }
    }
}

impl TestApp {
    pub(super) fn new() -> Self {
        Self::with(Options::default())
    }

    /// With a connector `drive` in the default space.
    pub(super) async fn with_drive() -> Self {
        let app = Self::new();
        app.connector("default", "drive", ".example").await;
        app
    }

    pub(super) fn with(options: Options) -> Self {
        let clock = TestClock::default();
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let tasks = TokioSpawner::new(clock.clone());
        let (provider, resource) = (Arc::<ScriptedAuthorizationServer>::default(), Arc::<ScriptedResourceServer>::default());
        let (profiles, directory) = (Arc::<TestProfiles>::default(), Arc::<TestDirectory>::default());
        let rate = Arc::<ScriptedRate>::default();
        let random = Arc::new(SeededRandom::default());
        for (name, role, in_marketing) in USERS {
            directory.set_role(&id_of(name), &SpaceId::default_space(), role);
            if let Some(role) = in_marketing {
                directory.set_role(&id_of(name), &fixtures::space("marketing"), role);
            }
        }
        let public = PublicBaseUrl::new(options.public).unwrap();
        let vault = Arc::<PlainVault>::default();
        let ports = Ports {
            store: StorePorts::of(Arc::new(store.clone())),
            vault: Arc::clone(&vault) as _,
            rows: Arc::clone(&vault) as _,
            provider: Arc::clone(&provider) as _,
            profiles: Arc::clone(&profiles) as _,
            resource: Arc::clone(&resource) as _,
            directory: Arc::clone(&directory) as _,
            urls: Arc::new(crate::urls(&public)),
            limiter: Arc::clone(&rate) as _,
            sink: Arc::new(CollectingSink::default()),
            failures: Arc::new(CollectingFailureLog::default()),
            clock: Arc::new(clock.clone()),
            random: Arc::clone(&random) as _,
            spawner: Arc::new(tasks.clone()),
        };
        let connections = Connections::new(&ports, Policy::default()).unwrap();
        let sessions: Arc<dyn SessionStore> = Arc::new(store.clone());
        let accounts = Arc::new(Accounts::new(
            Arc::new(NameIsPassword),
            sessions,
            vault,
            Arc::clone(&rate) as _,
            Arc::new(clock.clone()),
            Arc::clone(&random) as _,
            &public,
        ));
        let agent = |name: &str, access_tokens| AgentKey {
            key_sha256: Sha256::digest(format!("gak_{name}")).into(),
            agent: AgentPrincipal { name: name.to_owned(), spaces: vec![SpaceId::default_space()], access_tokens },
        };
        let keys = vec![agent("runner", false), agent("fetcher", true)];
        let authenticator = AgentKeys::new(keys, Arc::clone(&accounts) as _);
        let identity = if options.external_log_in { IdentityMode::ProxyHeader } else { IdentityMode::Accounts(accounts) };
        let api = Api {
            connections: Arc::clone(&connections),
            authenticator: Arc::new(authenticator),
            identity,
            users: Arc::new(TestUsers),
            public,
            additional_hosts: options.additional_hosts,
            trusted_proxies: Vec::new(),
            limits: options.limits,
            connector_types: options.types,
            clock: Arc::new(clock.clone()),
            readiness: Arc::new(Ready),
            metrics: Arc::new(|| "# no metrics\n".to_owned()),
            metrics_access: options.metrics_access,
            serves_operations: options.serves_operations,
            console: options.console,
        };
        let router = crate::router(api, &*random);
        Self { router, clock, store, provider, resource, profiles, directory, rate, tasks, connections }
    }

    /// Installs a connector with a client secret.
    pub(super) async fn connector(&self, space: &str, id: &str, profile: &str) {
        let draft = ConnectorDraft {
            name: ConnectorName::new(format!("Connector {id}")).unwrap(),
            profile: ProfileId::new(profile).unwrap(),
            auth_mode: AuthMode::PerUser,
            settings: "{}".to_owned(),
            client_id: Some("client-1".to_owned()),
            client_secret: Some(Secret::from_text("CLIENT-SECRET-CANARY")),
        };
        let id = fixtures::connector_id(id);
        self.connections.install_connector(&Actor::System, &fixtures::space(space), Some(id), draft).await.unwrap();
    }

    /// A browser without cookies.
    pub(super) fn browser(&self) -> Browser {
        Browser { router: self.router.clone(), cookies: BTreeMap::new(), additional: Vec::new() }
    }

    /// A browser with a signed-in user.
    pub(super) async fn signed_in(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        let response = browser.post("/api/session", &serde_json::json!({"username": name, "password": name})).await;
        assert_eq!(response.status, StatusCode::OK, "{}", response.body);
        browser
    }

    /// A browser with a signed-in user who is connected to a connector of the default space.
    pub(super) async fn connected(&self, name: &str, connector: &str) -> Browser {
        let mut browser = self.signed_in(name).await;
        let flow = browser.start(connector).await;
        let response = browser.finish(&flow).await;
        assert!(response.location().contains("_oauth_callback_result/"), "{}", response.location());
        browser
    }
}

/// Headers of one request.
pub(super) type Headers<'h> = &'h [(&'h str, &'h str)];

/// A started flow, as its browser received it.
pub(super) struct StartedFlow {
    pub(super) id: String,
    pub(super) state: String,
}

/// A browser: it keeps cookies and sends `Sec-Fetch-*`.
#[derive(Clone)]
pub(super) struct Browser {
    router: Router,
    pub(super) cookies: BTreeMap<String, String>,
    additional: Vec<(&'static str, String)>,
}

impl Browser {
    /// The same browser with one more header.
    pub(super) fn also(&self, name: &'static str, value: impl Into<String>) -> Self {
        let mut browser = self.clone();
        browser.additional.push((name, value.into()));
        browser
    }

    pub(super) async fn get(&mut self, path: &str) -> TestResponse {
        let navigation = [("sec-fetch-site", "none"), ("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate")];
        self.send(Method::GET, path, &navigation, None).await
    }

    pub(super) async fn post(&mut self, path: &str, body: &Value) -> TestResponse {
        self.send(Method::POST, path, &SAME_ORIGIN_JSON, Some(body.to_string())).await
    }

    pub(super) async fn put(&mut self, path: &str, body: &Value) -> TestResponse {
        self.send(Method::PUT, path, &SAME_ORIGIN_JSON, Some(body.to_string())).await
    }

    pub(super) async fn post_empty(&mut self, path: &str) -> TestResponse {
        self.send(Method::POST, path, &[("sec-fetch-site", "same-origin")], None).await
    }

    pub(super) async fn delete(&mut self, path: &str) -> TestResponse {
        self.send(Method::DELETE, path, &[("sec-fetch-site", "same-origin")], None).await
    }

    /// Starts a flow at a connector of the default space.
    pub(super) async fn start(&mut self, connector: &str) -> StartedFlow {
        self.start_at(&format!("/internal/actions/connector/{connector}/_start_oauth_flow"), &serde_json::json!({})).await
    }

    pub(super) async fn start_at(&mut self, path: &str, body: &Value) -> StartedFlow {
        let response = self.post(path, body).await;
        assert_eq!(response.status, StatusCode::OK, "{}", response.body);
        let json = response.json();
        let text = |name: &str| json[name].as_str().unwrap().to_owned();
        StartedFlow { id: text("flowId"), state: text("state") }
    }

    /// Returns from the provider with a code.
    pub(super) async fn finish(&mut self, flow: &StartedFlow) -> TestResponse {
        self.callback(&format!("code=CODE-CANARY&state={}", flow.state)).await
    }

    /// Returns to the shared callback, from the site of the provider.
    pub(super) async fn callback(&mut self, query: &str) -> TestResponse {
        self.arrive(&format!("/api/actions/connector/_oauth_profile_callback?{query}")).await
    }

    pub(super) async fn arrive(&mut self, path: &str) -> TestResponse {
        let navigation = [("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate")];
        self.send(Method::GET, path, &navigation, None).await
    }

    /// Sends a request with only these headers, `Host` and cookies.
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> TestResponse {
        let mut request =
            Request::builder().method(method).uri(path).body(body.map_or_else(Body::empty, Body::from)).unwrap();
        let additional = self.additional.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in headers.iter().copied().chain(additional) {
            request.headers_mut().insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        if !request.headers().contains_key(header::HOST) {
            request.headers_mut().insert(header::HOST, HOST.parse().unwrap());
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request.headers_mut().insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        }
        self.exchange(request).await
    }

    pub(super) async fn exchange(&mut self, mut request: Request<Body>) -> TestResponse {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([203, 0, 113, 7], 40000))));
        let response = TestResponse::of(self.router.clone().oneshot(request).await.unwrap()).await;
        for cookie in &response.set_cookies {
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if cookie.contains("Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }
}

pub(super) const SAME_ORIGIN_JSON: [(&str, &str); 2] =
    [("content-type", "application/json"), ("sec-fetch-site", "same-origin")];

/// A response with its whole body.
pub(super) struct TestResponse {
    pub(super) status: StatusCode,
    pub(super) headers: http::HeaderMap,
    pub(super) body: String,
    pub(super) bytes: Vec<u8>,
    pub(super) set_cookies: Vec<String>,
}

impl TestResponse {
    async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        let body = String::from_utf8_lossy(&bytes).into_owned();
        let set_cookies = parts.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap().to_owned());
        Self { status: parts.status, set_cookies: set_cookies.collect(), headers: parts.headers, body, bytes }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn location(&self) -> &str {
        self.header("location")
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} is not JSON: {}", self.status, self.body))
    }

    /// The code of a problem.
    pub(super) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{} {}", self.status, self.body);
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

pub(super) fn id_of(name: &str) -> UserId {
    fixtures::user(&format!("u_{name}"))
}

/// A file of a console, not compressed.
pub(super) fn plain_asset(content: &'static str, content_type: &'static str) -> ConsoleAsset {
    let etag = format!("e{}", content.len());
    let content = Bytes::from_static(content.as_bytes());
    ConsoleAsset { content, brotli: None, gzip: None, content_type, etag, immutable: false }
}

pub(super) fn example_type() -> ConnectorType {
    ConnectorType {
        id: ".example".to_owned(),
        name: "Example".to_owned(),
        docs_url: None,
        redirect_uri: Some(format!("{BASE}/api/actions/connector/_oauth_profile_callback")),
        auth_modes: vec![AuthModeName::PerUser],
        fields: vec![ConnectorTypeField {
            name: "tenantId".to_owned(),
            label: "Tenant".to_owned(),
            hint: None,
            kind: FieldKind::Text,
            required: true,
            default: None,
            pattern: None,
            options: Vec::new(),
        }],
        sunset: None,
        setup: None,
        notes: Vec::new(),
    }
}

struct NameIsPassword;

#[async_trait]
impl PasswordVerifier for NameIsPassword {
    async fn verify(&self, username: &str, password: &Secret) -> Result<Option<UserId>, AuthenticationError> {
        let exists = USERS.iter().any(|(name, ..)| *name == username);
        Ok((exists && password.expose() == username.as_bytes()).then(|| id_of(username)))
    }
}

struct TestUsers;

#[async_trait]
impl UserDirectory for TestUsers {
    async fn describe(&self, user: &UserId) -> Result<Option<UserView>, DirectoryError> {
        Ok(USERS.iter().find(|(name, ..)| id_of(name) == *user).map(|(name, role, in_marketing)| {
            let default = SpaceView { id: SpaceId::default_space(), name: Some("Default".to_owned()), role: *role };
            let marketing = in_marketing.map(|role| SpaceView { id: fixtures::space("marketing"), name: None, role });
            UserView {
                username: Some((*name).to_owned()),
                display_name: None,
                spaces: [default].into_iter().chain(marketing).collect(),
            }
        }))
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>, DirectoryError> {
        Ok(vec![SpaceId::default_space(), fixtures::space("marketing")])
    }
}

struct Ready;

#[async_trait]
impl Readiness for Ready {
    async fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}
