//! The fixture of the wired tests: a deployment with one node, a provider, and the connectors `drive` in both spaces.

mod real_server;

use std::time::Duration;

use grantry_testkit::provider::{Client, Grant, MockProvider, MockProviderBuilder};
use reqwest::Method;

use crate::browser::{Browser, Flow, Response};
use crate::deployment::{Deployment, Settings};
use crate::host::Host;
use crate::paths::{ConnectorPath, Draft};

/// The connector of the default space.
pub const DRIVE: ConnectorPath = ConnectorPath::of("drive");
/// The connector with the same id in the space `marketing`.
pub const MARKETING_DRIVE: ConnectorPath = DRIVE.in_other_space("marketing");

/// Lifetime of the access tokens of the mock provider, unless its builder sets another one.
pub const ACCESS_TTL: Duration = Duration::from_mins(5);

/// A deployment and its provider. Both connectors discover their endpoints from the provider's issuer.
pub struct TestApp<P = MockProvider> {
    /// The provider, and the API behind it.
    pub provider: P,
    /// The deployment.
    pub deployment: Deployment,
    /// Its first node.
    pub host: Host,
}

impl<P> TestApp<P> {
    /// A browser without cookies, at the first node.
    pub fn anonymous_browser(&self) -> Browser {
        Browser::new(&self.deployment.settings.public, self.host.address)
    }

    /// A browser of this user, logged in at the first node.
    pub async fn browser(&self, name: &str) -> Browser {
        let mut browser = self.anonymous_browser();
        browser.log_in(name).await;
        browser
    }

    /// Allows calls to this port of the machine. A new node replaces the first one.
    ///
    /// # Panics
    /// If the node does not start.
    pub async fn allow(&mut self, port: u16) {
        self.deployment.allow(port);
        self.restart().await;
    }

    /// Stops the first node and starts it with the present settings.
    ///
    /// # Panics
    /// If the node does not start.
    pub async fn restart(&mut self) {
        let host = self.deployment.host().await.unwrap_or_else(|error| panic!("the node starts: {error}"));
        std::mem::replace(&mut self.host, host).stop().await;
    }

    /// Creates a connector as carol and returns it.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn create(&self, connector: ConnectorPath, draft: &Draft) -> serde_json::Value {
        let response = self.browser("carol").await.post(&connector.public(""), draft.body.clone()).await;
        assert_eq!(response.status, 200, "a connector is created: {}", response.text());
        response.json()
    }

    /// Edits a connector as carol.
    pub async fn edit(&self, connector: ConnectorPath, draft: &Draft) -> Response {
        self.browser("carol").await.call(Method::PUT, &connector.public(""), Some(draft.body.clone())).await
    }

    /// Deletes a connector as carol.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn delete(&self, connector: ConnectorPath) {
        let response = self.browser("carol").await.call(Method::DELETE, &connector.public(""), None).await;
        assert_eq!(response.status, 204, "{}", response.text());
    }
}

impl TestApp {
    /// With the default provider and settings.
    pub async fn new() -> Self {
        Self::with(MockProvider::builder(), |_| {}).await
    }

    /// With another provider, and with settings changed by `change`.
    ///
    /// # Panics
    /// If the provider or the node does not start, or a connector is refused.
    pub async fn with(provider: MockProviderBuilder, change: impl FnOnce(&mut Settings)) -> Self {
        let mut deployment = Deployment::new().await.expect("a folder and a port");
        let provider = provider.start().await.expect("the provider starts");
        provider.register(Client::new("demo", "demo-secret").redirect_uri(deployment.shared_callback()));
        deployment.allow(provider.port());
        change(&mut deployment.settings);
        let host = deployment.host().await.unwrap_or_else(|error| panic!("the node starts: {error}"));
        let app = Self { provider, deployment, host };
        for connector in [DRIVE, MARKETING_DRIVE] {
            app.create(connector, &app.draft()).await;
        }
        app
    }

    /// The draft of the connectors `drive`.
    pub fn draft(&self) -> Draft {
        Draft::issuer(self.provider.base_url(), &self.provider.url("/api"))
    }

    /// Creates a connector with entered endpoints as carol, and registers its callback at the provider.
    pub async fn create_with_endpoints(
        &self,
        connector: ConnectorPath,
        draft: &Draft,
        provider: &MockProvider,
    ) -> serde_json::Value {
        let created = self.create(connector, draft).await;
        let redirect_uri = created["redirect_uri"].as_str().unwrap_or_default();
        let client = Client::new("demo", "demo-secret").redirect_uri(redirect_uri);
        provider.register(client.redirect_uri(self.deployment.shared_callback()));
        created
    }

    /// Starts a flow and consents to it at the provider. Returns the flow and the callback URL, which is not opened.
    ///
    /// # Panics
    /// If the provider does not redirect to the callback.
    pub async fn consent(&self, browser: &mut Browser, connector: ConnectorPath, account: &str) -> (Flow, String) {
        let flow = browser.start(connector).await;
        let callback = self.approve(&flow, account).await;
        (flow, callback)
    }

    /// The same for a connection with this name.
    ///
    /// # Panics
    /// See [`consent`](Self::consent).
    pub async fn consent_named(
        &self,
        browser: &mut Browser,
        connector: ConnectorPath,
        name: &str,
        account: &str,
    ) -> (Flow, String) {
        let flow = browser.start_named(connector, name).await;
        let callback = self.approve(&flow, account).await;
        (flow, callback)
    }

    async fn approve(&self, flow: &Flow, account: &str) -> String {
        let callback = self.provider.approve(&flow.authorization_url, account).await;
        callback.expect("the provider redirects to the callback").into()
    }

    /// Connects a browser to an account of the provider. Returns the response of the callback.
    pub async fn connect(&self, browser: &mut Browser, connector: ConnectorPath, account: &str) -> Response {
        let (_, callback) = self.consent(browser, connector, account).await;
        browser.open_callback(&callback).await
    }

    /// The same for a connection with this name.
    ///
    /// # Panics
    /// If the connection is not connected afterwards.
    pub async fn connect_named(&self, browser: &mut Browser, connector: ConnectorPath, name: &str, account: &str) {
        let (_, callback) = self.consent_named(browser, connector, name, account).await;
        browser.open_callback(&callback).await;
        let connection = browser.connection_named(connector, name).await;
        assert_eq!(connection["status"], "connected", "{connection}");
    }

    /// A browser of this user, logged in and connected to the provider's account of the same name.
    ///
    /// # Panics
    /// If it is not connected afterwards.
    pub async fn connected(&self, name: &str, connector: ConnectorPath) -> Browser {
        let mut browser = self.browser(name).await;
        let response = self.connect(&mut browser, connector, name).await;
        assert_eq!(response.status, 303, "{}", response.text());
        assert_eq!(browser.status_name(connector).await, "connected");
        browser
    }

    /// Moves the clocks of the deployment and of the provider forward.
    ///
    /// # Panics
    /// If the clock cannot be moved.
    pub fn advance(&self, by: Duration) {
        self.provider.advance(by);
        self.deployment.clock().advance(by).expect("the clock moves");
    }

    /// Moves both clocks past the expiry of every access token issued so far.
    pub fn expire_access_tokens(&self) {
        self.advance(ACCESS_TTL + Duration::from_secs(1));
    }

    /// The grants at the provider that have not ended.
    pub fn live_grants(&self) -> Vec<Grant> {
        self.provider.grants().into_iter().filter(|grant| grant.ended.is_none()).collect()
    }

    /// The access token of the newest request to the provider's API.
    ///
    /// # Panics
    /// If there was no such request.
    pub fn last_access_token(&self) -> String {
        let ledger = self.provider.ledger();
        let call = ledger.api_calls().last().copied().cloned();
        call.and_then(|call| call.bearer_token().map(str::to_owned)).expect("a token reached the API")
    }
}

/// The account of the access token that the API received, from the response to an execution of `GET /me`.
///
/// # Panics
/// If the response contains no account.
#[track_caller]
pub fn account_of(response: &Response) -> String {
    match response.json()["data"]["body"]["user"].as_str() {
        Some(user) => user.to_owned(),
        None => panic!("no user in {}", response.text()),
    }
}
