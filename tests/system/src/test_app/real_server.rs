//! The fixture with a real authorization server, whose clock cannot be moved.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::{DRIVE, MARKETING_DRIVE, TestApp};
use crate::authorization_server::{Consent, Kind, RealServer};
use crate::browser::{Browser, Flow};
use crate::deployment::Deployment;
use crate::paths::{ConnectorPath, Draft};
use crate::users::AGENT_KEY;

/// Lifetime of access tokens at the server, in seconds: longer than a test takes, because the server uses its real clock.
const ACCESS_TTL: &str = "600";
/// How far the clock of the deployment moves to expire an access token.
const PAST_EXPIRY: Duration = Duration::from_secs(601);

impl TestApp<RealServer> {
    /// With a real server. Both connectors use the shared callback, so that one redirect URI is enough.
    ///
    /// # Panics
    /// If the server or the node does not start, or a connector is refused.
    pub async fn with_real_server(kind: Kind) -> Self {
        let mut deployment = Deployment::new().await.expect("a folder and a port");
        let server = RealServer::start(kind, &deployment.shared_callback(), &[("ACCESS_TTL", ACCESS_TTL)]).await;
        let server = server.unwrap_or_else(|error| panic!("the server starts: {error}"));
        deployment.allow(server.port());
        let host = deployment.host().await.unwrap_or_else(|error| panic!("the node starts: {error}"));
        let app = Self { provider: server, deployment, host };
        let draft = app.real_draft().await;
        for connector in [DRIVE, MARKETING_DRIVE] {
            let created = app.create(connector, &draft).await;
            assert_eq!(created["redirect_uri"], app.deployment.shared_callback());
        }
        app
    }

    async fn real_draft(&self) -> Draft {
        let metadata = http().get(self.provider.endpoint("metadata")).send().await.expect("metadata");
        let metadata: Value = metadata.json().await.expect("metadata is JSON");
        let extra: serde_json::Map<_, _> =
            self.provider.extra_parameters().into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        Draft::issuer(metadata["issuer"].as_str().expect("an issuer"), &self.provider.issuer())
            .config("scope", self.provider.scope())
            .config("extraAuthorizationParameters", extra)
    }

    /// Starts a flow and consents to it at the server. Returns the flow and the callback URL, which is not opened.
    ///
    /// # Panics
    /// If the server does not redirect to the callback.
    pub async fn consent(&self, browser: &mut Browser, connector: ConnectorPath, account: &str) -> (Flow, String) {
        self.pause_between_tokens().await;
        let flow = browser.start(connector).await;
        let callback = self.provider.login(&flow.authorization_url, account, Consent::Allow).await;
        (flow, callback.unwrap_or_else(|error| panic!("the server redirects to the callback: {error}")))
    }

    /// Connects a browser to an account of the server.
    ///
    /// # Panics
    /// If the flow fails.
    pub async fn connect(&self, browser: &mut Browser, connector: ConnectorPath, account: &str) {
        let (flow, callback) = self.consent(browser, connector, account).await;
        let response = browser.open_callback(&callback).await;
        let result = browser.flow_result(connector, &flow.id).await;
        assert_eq!(result.0, "authorized", "{result:?} {}", response.full_text());
    }

    /// The path of the server's userinfo endpoint, which serves as the API.
    ///
    /// # Panics
    /// If the endpoint is not a URL.
    pub fn userinfo_path(&self) -> String {
        Url::parse(&self.provider.endpoint("userinfo")).expect("a URL").path().to_owned()
    }

    /// The account that userinfo returns for the user's access token.
    ///
    /// # Panics
    /// If the response contains no account.
    pub async fn account_of(&self, browser: &mut Browser, connector: ConnectorPath) -> String {
        let response = browser.execute(connector, &self.userinfo_path()).await;
        match response.json()["data"]["body"]["sub"].as_str() {
            Some(user) => user.to_owned(),
            None => panic!("no user in {}", response.text()),
        }
    }

    /// One of the servers cannot issue two tokens to a user within a second.
    async fn pause_between_tokens(&self) {
        tokio::time::sleep(self.provider.min_interval()).await;
    }

    /// Moves the clock of the deployment past the expiry of every access token issued so far.
    ///
    /// # Panics
    /// If the clock cannot be moved.
    pub async fn expire_access_tokens(&self) {
        self.deployment.clock().set_forward(PAST_EXPIRY).expect("the clock moves");
        self.pause_between_tokens().await;
    }

    /// Undoes [`expire_access_tokens`](Self::expire_access_tokens), because ID tokens are checked against the clock.
    ///
    /// # Panics
    /// If the clock cannot be moved.
    pub fn set_clock_back(&self) {
        self.deployment.clock().set_back(PAST_EXPIRY).expect("the clock moves");
    }

    /// Alice's access token at `drive`, as a back end gets it.
    ///
    /// # Panics
    /// If none is issued.
    pub async fn access_token(&self) -> String {
        let mut agent = self.anonymous_browser();
        let body = json!({ "user": "u_alice", "destination": self.provider.issuer() });
        let request = agent.request(Method::POST, &DRIVE.internal("/_access_token"));
        let response = agent.send(request.bearer_auth(AGENT_KEY).json(&body)).await;
        response.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", response.text())).to_owned()
    }

    /// Whether the server accepts a token at userinfo, and whether it is active by introspection (RFC 7662 §2.2).
    ///
    /// # Panics
    /// If the server does not respond.
    pub async fn accepts(&self, token: &str) -> (bool, bool) {
        let http = http();
        let userinfo = http.get(self.provider.endpoint("userinfo")).bearer_auth(token).send().await.expect("userinfo");
        let introspection = http.post(self.provider.endpoint("introspect")).basic_auth("demo", Some("demo-secret"));
        let introspected = introspection.form(&[("token", token)]).send().await.expect("introspection");
        let introspected: Value = introspected.json().await.expect("JSON");
        (userinfo.status().is_success(), introspected["active"] == true)
    }

    /// The number of refreshes in the audit log.
    ///
    /// # Panics
    /// If the events cannot be delivered.
    pub async fn refresh_count(&self) -> usize {
        self.host.connections.deliver_events().await.expect("events are delivered");
        self.host.sink.events().iter().filter(|event| event.kind.as_str() == "refreshed").count()
    }
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("an HTTP client")
}
