//! The usual surroundings of a wired test: a mock provider, a deployment with one node, and the connectors `drive` in both
//! spaces, in issuer mode.

use std::time::Duration;

use grantry_testkit::provider::{Client, Grant, MockProvider, MockProviderBuilder};
use reqwest::Method;

use crate::browser::{Answer, Browser, Flow};
use crate::deployment::{Deployment, Settings};
use crate::host::Host;
use crate::place::{Draft, Place};

/// The connector of the default space.
pub const DRIVE: Place = Place::of("drive");
/// Its namesake in `marketing`.
pub const MARKETING_DRIVE: Place = DRIVE.in_other_space("marketing");

/// Life of the mock's access tokens.
pub const ACCESS_TTL: Duration = Duration::from_mins(5);

/// A deployment with everything it talks to.
pub struct World {
    /// The provider and the API behind it.
    pub provider: MockProvider,
    /// The deployment.
    pub deployment: Deployment,
    /// Its first node.
    pub host: Host,
}

impl World {
    /// The usual one.
    pub async fn new() -> Self {
        Self::with(MockProvider::builder(), |_| {}).await
    }

    /// With a provider and settings of one's own.
    ///
    /// # Panics
    /// If anything of it does not start.
    pub async fn with(provider: MockProviderBuilder, change: impl FnOnce(&mut Settings)) -> Self {
        let mut deployment = Deployment::new().expect("a folder and a port");
        let provider = provider.access_ttl(ACCESS_TTL).start().await.expect("the provider starts");
        provider.register(Client::new("demo", "demo-secret").redirect_uri(deployment.shared_callback()));
        deployment.allow(provider.port());
        change(&mut deployment.settings);
        let host = deployment.host().await.unwrap_or_else(|error| panic!("the node starts: {error}"));
        let world = Self { provider, deployment, host };
        let draft = Draft::issuer(world.provider.base_url(), &world.provider.url("/api"));
        for place in [DRIVE, MARKETING_DRIVE] {
            world.create(place, &draft).await;
        }
        world
    }

    /// A fresh browser at the first node.
    pub fn stranger(&self) -> Browser {
        Browser::new(&self.deployment.settings.public, self.host.address)
    }

    /// A browser in which somebody is logged in.
    pub async fn browser(&self, name: &str) -> Browser {
        let mut browser = self.stranger();
        browser.log_in(name).await;
        browser
    }

    /// Carol creates a connector; answers it.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn create(&self, place: Place, draft: &Draft) -> serde_json::Value {
        let answer = self.browser("carol").await.post(&place.public(""), draft.body.clone()).await;
        assert_eq!(answer.status, 200, "a connector is created: {}", answer.text());
        answer.json()
    }

    /// Carol creates a connector with hand-written endpoints and registers its callback at the provider.
    pub async fn create_pinned(&self, place: Place, draft: &Draft, provider: &MockProvider) -> serde_json::Value {
        let connector = self.create(place, draft).await;
        let redirect_uri = connector["redirect_uri"].as_str().unwrap_or_default();
        let client = Client::new("demo", "demo-secret").redirect_uri(redirect_uri);
        provider.register(client.redirect_uri(self.deployment.shared_callback()));
        connector
    }

    /// Carol edits a connector.
    pub async fn edit(&self, place: Place, draft: &Draft) -> Answer {
        self.browser("carol").await.call(Method::PUT, &place.public(""), Some(draft.body.clone())).await
    }

    /// Carol deletes a connector.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn delete(&self, place: Place) {
        let answer = self.browser("carol").await.call(Method::DELETE, &place.public(""), None).await;
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    /// Starts a flow and consents to it at the provider; the callback has not been called.
    ///
    /// # Panics
    /// If the provider does not send the person back.
    pub async fn consent(&self, browser: &mut Browser, place: Place, username: &str) -> (Flow, String) {
        let flow = browser.start(place).await;
        let callback = self.provider.approve(&flow.authorization_url, username).await;
        (flow, callback.expect("the provider sends the person back").into())
    }

    /// Connects; answers the callback's own answer, a redirect.
    pub async fn connect(&self, browser: &mut Browser, place: Place, username: &str) -> Answer {
        let (_, callback) = self.consent(browser, place, username).await;
        browser.come_back(&callback).await
    }

    /// A browser in which somebody is logged in and connected, under the same name at the provider.
    ///
    /// # Panics
    /// If it is not connected in the end.
    pub async fn connected(&self, name: &str, place: Place) -> Browser {
        let mut browser = self.browser(name).await;
        let answer = self.connect(&mut browser, place, name).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        assert_eq!(browser.status_name(place).await, "connected");
        browser
    }

    /// Time passes, here and at the provider.
    ///
    /// # Panics
    /// If the clock cannot be moved.
    pub fn advance(&self, by: Duration) {
        self.provider.advance(by);
        self.deployment.clock().advance(by).expect("the clock moves");
    }

    /// Every access token given so far has lapsed, and both sides know it.
    pub fn expire_access_tokens(&self) {
        self.advance(ACCESS_TTL + Duration::from_secs(1));
    }

    /// What is alive at the provider.
    pub fn alive(&self) -> Vec<Grant> {
        self.provider.grants().into_iter().filter(|grant| grant.ended.is_none()).collect()
    }

    /// The newest access token that the provider's API has seen.
    ///
    /// # Panics
    /// If there is none.
    pub fn last_token(&self) -> String {
        let ledger = self.provider.ledger();
        let call = ledger.api_calls().last().copied().cloned();
        call.and_then(|call| call.bearer_token().map(str::to_owned)).expect("a token reached the API")
    }
}

/// Whose account the API saw, in the answer to an execution of `GET /me`.
///
/// # Panics
/// If the answer is another one.
#[track_caller]
pub fn whose(answer: &Answer) -> String {
    let told = answer.json();
    match told["data"]["body"]["user"].as_str() {
        Some(user) => user.to_owned(),
        None => panic!("no user in {}", answer.text()),
    }
}
