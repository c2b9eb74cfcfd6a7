//! A user of one connection whose state is always known to the test.

use std::time::Duration;

use grantry_system_tests::browser::{Browser, FetchSite, Response};
use grantry_system_tests::paths::ConnectorPath;
use grantry_system_tests::test_app::TestApp;
use grantry_system_tests::users::AGENT_KEY;
use grantry_testkit::provider::GrantEnd;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::counts::Counts;
use crate::nodes::Addresses;
use crate::random::Random;

/// How long a response may take: a stopped node responds after it was continued. A run may wait for a refresh and for the API
/// twice, and the API alone may take a minute.
const PATIENCE: Duration = Duration::from_mins(4);
/// How often a request is repeated that must succeed on one of the nodes.
const REPEATS: usize = 2000;

/// A flow and its code.
#[derive(Debug, Clone)]
pub(crate) struct Consent {
    pub(crate) flow: String,
    pub(crate) code: String,
}

/// The connection of a user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    /// The log-in name.
    pub(crate) user: &'static str,
    pub(crate) connector: ConnectorPath,
    /// The name of the connection.
    pub(crate) name: &'static str,
    /// The account at the provider; no other connection has it.
    pub(crate) account: &'static str,
}

impl Seat {
    fn run(self, browser: &Browser) -> RequestBuilder {
        let body = json!({ "params": { "method": "GET", "path": "/me" }, "connection": self.name });
        browser.fetch(Method::POST, &self.connector.public("/_execute")).json(&body)
    }
}

/// What a run or a request for an access token showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Issued,
    ConsentRequired,
    Later,
}

/// A user, and what the API confirmed to the user.
pub(crate) struct User<'a> {
    app: &'a TestApp,
    addresses: &'a Addresses,
    seat: Seat,
    browser: Browser,
    agent: Browser,
    random: Random,
    /// Whether the provider ends a grant whose refresh token is used twice.
    is_strict: bool,
    /// The consent of the connected grant.
    pub(crate) held: Option<Consent>,
    /// Flows whose end is not known yet.
    pub(crate) open: Vec<Consent>,
    /// Consents of grants that were connected, and then disconnected or replaced.
    pub(crate) ended: Vec<Consent>,
    /// Flows that ended without a grant, or that a disconnect ended, and grants that ended in doubt.
    pub(crate) others: Vec<Consent>,
    pub(crate) counts: Counts,
}

impl<'a> User<'a> {
    pub(crate) async fn new(
        app: &'a TestApp,
        addresses: &'a Addresses,
        seat: Seat,
        random: Random,
        is_strict: bool,
    ) -> Self {
        Self {
            app,
            addresses,
            seat,
            browser: app.browser(seat.user).await,
            agent: app.anonymous_browser(),
            random,
            is_strict,
            held: None,
            open: Vec::new(),
            ended: Vec::new(),
            others: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// All consents, with the authorization of each.
    pub(crate) fn consents(&self) -> impl Iterator<Item = &Consent> {
        self.held.iter().chain(&self.open).chain(&self.ended).chain(&self.others)
    }

    /// Something a user does.
    pub(crate) async fn act(&mut self) {
        let dice = self.random.below(100);
        if self.held.is_some() {
            match dice {
                0..=49 => drop(self.run().await),
                50..=64 => drop(self.token().await),
                65..=79 => self.run_in_two_tabs().await,
                80..=89 => self.connect(true).await,
                _ => self.disconnect().await,
            }
        } else {
            match dice {
                0..=14 => drop(self.run().await),
                15..=19 => drop(self.token().await),
                20..=29 => self.connect(false).await,
                30..=34 => self.disconnect().await,
                _ => self.connect(true).await,
            }
        }
    }

    /// Sends a request to one of the nodes. `None` without a response.
    async fn send(&mut self, request: impl FnOnce(&Browser) -> RequestBuilder) -> Option<Response> {
        let node = self.addresses.of(self.random.node());
        self.browser.move_to(node);
        let request = request(&self.browser);
        let sent = request.try_clone().and_then(|request| request.build().ok());
        let response = tokio::time::timeout(PATIENCE, self.browser.try_send(request)).await;
        let response = response.unwrap_or_else(|_| {
            let sent = sent.map(|request| format!("{} {}", request.method(), request.url()));
            panic!("{:?}: the node at {node} neither responds to {sent:?} nor ends", self.seat)
        });
        let response = response.ok();
        if response.is_none() {
            self.counts.later += 1;
        }
        response
    }

    /// Runs the connector.
    pub(crate) async fn run(&mut self) -> Answer {
        let seat = self.seat;
        match self.send(|browser| seat.run(browser)).await {
            Some(response) => self.judge_run(&response).await,
            None => Answer::Later,
        }
    }

    /// Runs it twice at the same time, once on each node.
    async fn run_in_two_tabs(&mut self) {
        let [mut one, mut other] = [0, 1].map(|node| self.browser.at(self.addresses.of(node)));
        let requests = (self.seat.run(&one), self.seat.run(&other));
        let both = async { tokio::join!(one.try_send(requests.0), other.try_send(requests.1)) };
        let (one, other) = tokio::time::timeout(PATIENCE, both).await.expect("a node responds or ends");
        for response in [one, other].into_iter().flatten() {
            self.judge_run(&response).await;
        }
    }

    async fn judge_run(&mut self, response: &Response) -> Answer {
        if response.status != 200 {
            return self.judge_refusal(response).await;
        }
        let body = response.json();
        let expected = format!("{}@example.test", self.seat.account);
        assert_eq!(body["data"]["body"]["user"], expected.as_str(), "the account of {:?}: {body}", self.seat);
        self.must_be_connected("a run").await;
        self.counts.runs += 1;
        Answer::Issued
    }

    /// Requests the access token as a back end, which has access to the default space.
    async fn token(&mut self) -> Answer {
        if self.seat.connector.space != "default" {
            return self.run().await;
        }
        let body = json!({ "user": format!("u_{}", self.seat.user), "destination": self.app.provider.base_url(),
            "connection": self.seat.name });
        let path = self.seat.connector.internal("/_access_token");
        self.agent.move_to(self.addresses.of(self.random.node()));
        let request = self.agent.request(Method::POST, &path).bearer_auth(AGENT_KEY).json(&body);
        let sent = tokio::time::timeout(PATIENCE, self.agent.try_send(request)).await;
        let Ok(response) = sent.expect("a node responds or ends") else {
            self.counts.later += 1;
            return Answer::Later;
        };
        if response.status != 200 {
            return self.judge_refusal(&response).await;
        }
        let token = response.json()["access_token"].as_str().unwrap_or_default().to_owned();
        let (number, grant) = self.app.provider.grant_of(&token).expect("a token that the provider issued");
        assert_eq!(grant.username.as_deref(), Some(self.seat.account), "the token of {:?}", self.seat);
        self.must_be_connected("a token").await;
        let of_consent = |consent: &Consent| self.app.provider.grant_of(&consent.code).map(|(number, _)| number);
        if self.held.as_ref().and_then(of_consent) != Some(number) {
            self.settle().await;
        }
        let held = self.held.as_ref().and_then(of_consent);
        assert_eq!(held, Some(number), "{:?}: a token of a grant that was disconnected or replaced", self.seat);
        self.counts.tokens += 1;
        Answer::Issued
    }

    async fn must_be_connected(&mut self, what: &str) {
        if self.held.is_none() {
            self.settle().await;
        }
        assert!(self.held.is_some(), "{what} of {:?} after its disconnect: {:?}", self.seat, self.ended.last());
    }

    async fn judge_refusal(&mut self, response: &Response) -> Answer {
        let (code, reason) = (response.code(), response.json()["reason"].as_str().unwrap_or_default().to_owned());
        match (response.status, code.as_str()) {
            (409, "authorization_required") => {}
            (503, _) => {
                self.counts.later += 1;
                return Answer::Later;
            }
            _ => panic!("{:?}: {}", self.seat, response.text()),
        }
        if self.held.is_none() {
            return Answer::ConsentRequired;
        }
        // The API refused two tokens in a row. The grant is kept, and a later run uses another token.
        if reason == "token_rejected" {
            self.counts.later += 1;
            return Answer::Later;
        }
        self.settle().await;
        let held = self.held.take().expect("a settled flow keeps or replaces the grant");
        let grant = self.app.provider.grant_of(&held.code).map(|(_, grant)| grant);
        let ended = grant.as_ref().and_then(|grant| grant.ended);
        assert_eq!(
            (self.is_strict, reason.as_str(), ended),
            (true, "refresh_rejected", Some(GrantEnd::RefreshTokenReused)),
            "a grant is lost: {:?} {held:?} {grant:?} {}",
            self.seat,
            response.text()
        );
        self.counts.ended_in_doubt += 1;
        self.others.push(held);
        Answer::ConsentRequired
    }

    /// Starts a flow, and completes it unless it is to be left open.
    async fn connect(&mut self, completes: bool) {
        self.browser.delete_cookies("_flow_");
        let path = self.seat.connector.internal("/_start_oauth_flow");
        let body = json!({ "connection": self.seat.name });
        let started = self.until_status(200, |browser| browser.fetch(Method::POST, &path).json(&body)).await.json();
        self.counts.flows += 1;
        if !completes {
            return;
        }
        let url = started["authorizationUrl"].as_str().unwrap_or_default();
        let callback = self.app.provider.approve(url, self.seat.account).await.expect("the provider redirects");
        let code = callback.query_pairs().find(|(name, _)| name == "code").map(|(_, code)| code.into_owned());
        let flow = started["flowId"].as_str().unwrap_or_default().to_owned();
        self.open.push(Consent { flow: flow.clone(), code: code.expect("a code") });
        for _ in 0..5 {
            let tabs = if self.random.percent(25) { vec![0, 1] } else { vec![self.random.node()] };
            let mut browsers: Vec<_> = tabs.into_iter().map(|node| self.browser.at(self.addresses.of(node))).collect();
            let opened = browsers.iter_mut().map(|tab| {
                let request = tab.navigation(Method::GET, callback.as_str(), FetchSite::CrossSite);
                tab.try_send(request)
            });
            let opened = tokio::time::timeout(PATIENCE, futures_util::future::join_all(opened)).await;
            drop(opened.expect("a node responds or ends"));
            self.settle().await;
            if self.open.iter().all(|consent| consent.flow != flow) {
                return;
            }
            tokio::time::sleep(self.random.millis(40)).await;
        }
    }

    /// Reads the flows whose end is not known, in the order of their start.
    pub(crate) async fn settle(&mut self) {
        for consent in std::mem::take(&mut self.open) {
            let path = self.seat.connector.in_space(&format!("/internal/actions/oauth_flow/{}", consent.flow));
            let flow = self.until_status(200, |browser| browser.fetch(Method::GET, &path)).await.json();
            match flow["status"].as_str() {
                Some("awaiting") => self.open.push(consent),
                Some("authorized") => {
                    self.counts.connected += 1;
                    self.ended.extend(self.held.replace(consent));
                }
                Some("failed" | "cancelled" | "expired") => self.others.push(consent),
                _ => panic!("{:?}: {flow}", self.seat),
            }
        }
    }

    /// Disconnects, and repeats that until it is confirmed.
    async fn disconnect(&mut self) {
        let path = self.seat.connector.internal("/_oauth_disconnect");
        let body = json!({ "connection": self.seat.name });
        self.until_status(204, |browser| browser.fetch(Method::POST, &path).json(&body)).await;
        self.counts.disconnects += 1;
        self.ended.extend(self.held.take());
        self.others.append(&mut self.open);
    }

    /// Repeats a request until its response has this status.
    async fn until_status(&mut self, status: u16, request: impl Fn(&Browser) -> RequestBuilder) -> Response {
        for _ in 0..REPEATS {
            match self.send(&request).await {
                Some(response) if response.status == status => return response,
                Some(response) => {
                    self.counts.later += 1;
                    assert!(matches!(response.status, 429 | 503), "{:?}: {}", self.seat, response.text());
                }
                None => {}
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}: never the status {status}", self.seat);
    }
}
