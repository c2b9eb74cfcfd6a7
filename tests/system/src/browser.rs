//! A scripted browser: one person's cookies, and the headers real browsers send.
//!
//! It is its own load balancer: whatever is asked at the public address goes to the node it is at, under the public `Host`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use grantry_domain::encoding::hex;
use reqwest::header::{HeaderMap, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::place::Place;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    async fn read(response: reqwest::Response) -> Result<Self, reqwest::Error> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, body: response.bytes().await?.to_vec() })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header field as text; empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The `code` of a problem; empty if it is none.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Status and code: what an error is told apart by.
    pub fn outcome(&self) -> (u16, String) {
        (self.status, self.code())
    }

    /// Where a redirect leads.
    pub fn location(&self) -> &str {
        self.header("location")
    }

    /// The code by which the callback tells that it finished nothing: in the address of the page it leads to, or on the
    /// page itself. Empty for the page of a flow, and for what is no page.
    pub fn page_code(&self) -> String {
        let is_code = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let text = self.text();
        let named = if let Some((_, name)) = self.location().rsplit_once("/_oauth_callback_result/") {
            name
        } else {
            let reference = text.rsplit_once("<p class=\"soft\">").map_or("", |(_, rest)| rest);
            reference.split_once(" · ").map_or("", |(code, _)| code)
        };
        if is_code(named) { named.to_owned() } else { String::new() }
    }

    /// All of it as one text: status line, header fields, body.
    pub fn everything(&self) -> String {
        format!("{} {:?}\n{}", self.status, self.headers, self.text())
    }
}

/// A flow as the API told it to its starter.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Where the browser goes.
    pub authorization_url: String,
    /// The `state`.
    pub state: String,
    /// Its id.
    pub id: String,
}

/// How a navigation came about, which browsers tell in `Sec-Fetch-Site`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The person typed the address, or used a bookmark.
    Nowhere,
    /// A link or redirect of another site, as the way back from the provider.
    AnotherSite,
    /// A link of our own pages.
    OurPages,
}

impl From {
    const fn site(self) -> &'static str {
        match self {
            Self::Nowhere => "none",
            Self::AnotherSite => "cross-site",
            Self::OurPages => "same-origin",
        }
    }
}

/// One person's browser. A clone is the same browser at that moment: another tab, with the same cookies.
#[derive(Debug, Clone)]
pub struct Browser {
    /// Its cookies at the public origin.
    pub cookies: BTreeMap<String, String>,
    http: Client,
    node: SocketAddr,
    public: String,
}

impl Browser {
    /// A fresh browser that reaches the deployment with this public base URL at a node.
    ///
    /// # Panics
    /// If HTTP cannot be spoken at all.
    pub fn new(public: &str, node: SocketAddr) -> Self {
        let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        let http = http.expect("an HTTP client");
        Self { cookies: BTreeMap::new(), http, node, public: public.to_owned() }
    }

    /// Goes on at another node, with the same cookies.
    pub fn move_to(&mut self, node: SocketAddr) {
        self.node = node;
    }

    /// The same browser at another node.
    #[must_use]
    pub fn at(&self, node: SocketAddr) -> Self {
        Self { node, ..self.clone() }
    }

    /// A request with cookies and `Host`, and nothing else. `target` is a path or a URL of the public origin.
    pub fn request(&self, method: Method, target: &str) -> RequestBuilder {
        let path = target.strip_prefix(self.public.as_str()).unwrap_or(target);
        let host = self.public.trim_start_matches("http://");
        let request = self.http.request(method, format!("http://{}{path}", self.node)).header("host", host);
        if self.cookies.is_empty() {
            return request;
        }
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.header("cookie", cookies.join("; "))
    }

    /// Sends a request and keeps the cookies of its answer.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn send(&mut self, request: RequestBuilder) -> Answer {
        let answer = self.try_send(request).await;
        answer.unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Sends a request that may get no answer, as when the node dies.
    pub async fn try_send(&mut self, request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let answer = Answer::read(request.send().await?).await?;
        self.keep_cookies(&answer.headers);
        Ok(answer)
    }

    /// Opens a page, as the address bar or a link does. Redirects are not followed.
    pub async fn open(&mut self, target: &str, from: From) -> Answer {
        let request = self.navigation(Method::GET, target, from);
        self.send(request).await
    }

    /// A top-level navigation, to be changed before it is sent.
    pub fn navigation(&self, method: Method, target: &str, from: From) -> RequestBuilder {
        self.request(method, target)
            .header("sec-fetch-site", from.site())
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-user", "?1")
            .header("accept", "text/html,application/xhtml+xml")
    }

    /// Calls the API as a script of our own pages does.
    pub async fn call(&mut self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.fetch(method, path);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        self.send(request).await
    }

    /// A same-origin `fetch`, to be changed before it is sent.
    pub fn fetch(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path)
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-dest", "empty")
            .header("origin", &self.public)
    }

    /// GET by a script.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// POST of JSON by a script.
    pub async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Logs in.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn log_in(&mut self, name: &str) {
        let password = format!("{name}-pw");
        let answer = self.post("/api/session", json!({ "username": name, "password": password })).await;
        assert_eq!(answer.status, 200, "{name} logs in: {}", answer.text());
    }

    /// Logs out.
    pub async fn log_out(&mut self) -> Answer {
        self.call(Method::DELETE, "/api/session", None).await
    }

    /// Presses the button of a connector's confirm page: opens the page, then POSTs as its script does.
    ///
    /// # Panics
    /// If either is refused.
    pub async fn start(&mut self, place: Place) -> Flow {
        let page = self.open(&place.public("/oauth/start"), From::Nowhere).await;
        assert_eq!(page.status, 200, "the confirm page opens: {}", page.text());
        self.start_with(place, json!({})).await
    }

    /// Starts a flow with a body of one's own.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn start_with(&mut self, place: Place, body: Value) -> Flow {
        let answer = self.try_start(place, body).await;
        assert_eq!(answer.status, 200, "a flow starts: {}", answer.text());
        let told = answer.json();
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        Flow { authorization_url: text("authorizationUrl"), state: text("state"), id: text("flowId") }
    }

    /// Asks for a flow.
    pub async fn try_start(&mut self, place: Place, body: Value) -> Answer {
        self.post(&place.internal("/_start_oauth_flow"), body).await
    }

    /// Comes back from the provider, and does not follow the redirect.
    pub async fn come_back(&mut self, callback: &str) -> Answer {
        self.open(callback, From::AnotherSite).await
    }

    /// Runs `GET path` at a connector's API as oneself.
    pub async fn execute(&mut self, place: Place, path: &str) -> Answer {
        self.post(&place.public("/_execute"), json!({ "params": { "method": "GET", "path": path } })).await
    }

    /// One's own status at a connector, from the bulk answer; null if it is not in it.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn status(&mut self, place: Place) -> Value {
        let answer = self.post(&place.in_space("/internal/actions/connectors/_me/auth_status"), json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()[place.connector].clone()
    }

    /// The status alone.
    pub async fn status_name(&mut self, place: Place) -> String {
        self.status(place).await["user_auth_status"].as_str().unwrap_or_default().to_owned()
    }

    /// Disconnects oneself.
    pub async fn disconnect(&mut self, place: Place) -> Answer {
        self.call(Method::POST, &place.internal("/_oauth_disconnect"), None).await
    }

    /// Where a flow stands.
    pub async fn flow(&mut self, place: Place, flow: &str) -> Answer {
        self.get(&place.in_space(&format!("/internal/actions/oauth_flow/{flow}"))).await
    }

    /// How a flow ended: its status and its code.
    pub async fn flow_end(&mut self, place: Place, flow: &str) -> (String, String) {
        let told = self.flow(place, flow).await.json();
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        (text("status"), text("code"))
    }

    /// Name and value of the cookie that binds a flow to this browser.
    pub fn flow_cookie(&self, flow: &str) -> Option<(&str, &str)> {
        let found = self.cookies.iter().find(|(name, _)| name.contains("_flow_") && name.ends_with(flow));
        found.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Loses the cookies whose name contains this.
    pub fn forget(&mut self, part: &str) {
        self.cookies.retain(|name, _| !name.contains(part));
    }

    fn keep_cookies(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap_or_default();
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let Some((name, value)) = pair.split_once('=') else { continue };
            let is_over = attributes.split(';').any(|attribute| attribute.trim().eq_ignore_ascii_case("max-age=0"));
            if is_over {
                self.cookies.remove(name.trim());
            } else {
                self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }
}

/// Some text that nobody has used before, for states and codes that must not exist.
pub fn made_up(seed: u8) -> String {
    hex(&[seed; 32])
}
