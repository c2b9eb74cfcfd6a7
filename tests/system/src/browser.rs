//! A scripted browser: the cookies of one user, and the headers that real browsers send.
//!
//! Requests to the public address go to the node that the browser is set to, with the public `Host`, as behind a load
//! balancer.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use grantry_domain::encoding::hex;
use reqwest::header::{HeaderMap, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::paths::ConnectorPath;

/// A complete response.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

impl Response {
    async fn read(response: reqwest::Response) -> Result<Self, reqwest::Error> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, body: response.bytes().await?.to_vec() })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header field as text; empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The `code` of a problem; empty if the body is not a problem.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// HTTP status and code, which identify an error.
    pub fn outcome(&self) -> (u16, String) {
        (self.status, self.code())
    }

    /// The target of a redirect.
    pub fn location(&self) -> &str {
        self.header("location")
    }

    /// The code of a callback that did not complete a flow: in the URL of the result page, or on the page itself. Empty for
    /// the result page of a flow, and for any other response.
    pub fn page_code(&self) -> String {
        let is_code = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let text = self.text();
        let name = if let Some((_, name)) = self.location().rsplit_once("/_oauth_callback_result/") {
            name.split_once('?').map_or(name, |(name, _)| name)
        } else {
            let reference = text.rsplit_once("<p class=\"soft\">").map_or("", |(_, rest)| rest);
            reference.split([' ', '<']).next().unwrap_or_default()
        };
        if is_code(name) { name.to_owned() } else { String::new() }
    }

    /// Status, header fields and body as one text.
    pub fn full_text(&self) -> String {
        format!("{} {:?}\n{}", self.status, self.headers, self.text())
    }
}

/// A flow, as the API returns it to the user who started it.
#[derive(Debug, Clone)]
pub struct Flow {
    /// The URL of the authorization request.
    pub authorization_url: String,
    /// The `state` parameter.
    pub state: String,
    /// Its id.
    pub id: String,
}

/// The value of `Sec-Fetch-Site`: what initiated a navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchSite {
    /// The user: the address bar or a bookmark.
    None,
    /// A link or redirect of another site, such as the redirect of a provider.
    CrossSite,
    /// A link of a page of this origin.
    SameOrigin,
}

impl FetchSite {
    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::CrossSite => "cross-site",
            Self::SameOrigin => "same-origin",
        }
    }
}

/// The browser of one user. A clone has the same cookies at that moment, like another tab.
#[derive(Debug, Clone)]
pub struct Browser {
    /// The cookies of the public origin.
    pub cookies: BTreeMap<String, String>,
    http: Client,
    node: SocketAddr,
    public: String,
}

impl Browser {
    /// A browser without cookies, for the deployment with this public base URL, at a node.
    ///
    /// # Panics
    /// If no HTTP client can be built.
    pub fn new(public: &str, node: SocketAddr) -> Self {
        let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        let http = http.expect("an HTTP client");
        Self { cookies: BTreeMap::new(), http, node, public: public.to_owned() }
    }

    /// The same, with a new connection for each request. A browser repeats a request if the server has closed the idle connection
    /// that it was sent on; this client does not.
    ///
    /// # Panics
    /// If no HTTP client can be built.
    #[must_use]
    pub fn without_idle_connections(self) -> Self {
        let http =
            Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).pool_max_idle_per_host(0).build();
        Self { http: http.expect("an HTTP client"), ..self }
    }

    /// Sends the following requests to another node.
    pub fn move_to(&mut self, node: SocketAddr) {
        self.node = node;
    }

    /// A clone at another node.
    #[must_use]
    pub fn at(&self, node: SocketAddr) -> Self {
        Self { node, ..self.clone() }
    }

    /// The `Host` of its requests.
    pub fn host(&self) -> &str {
        origin_and_path(&self.public).0.trim_start_matches("http://")
    }

    /// A request with cookies and `Host` only. `target` is a path below the public base URL, or a URL of the public origin. A
    /// path of the public base URL is sent, as behind a load balancer that keeps it.
    pub fn request(&self, method: Method, target: &str) -> RequestBuilder {
        let (origin, prefix) = origin_and_path(&self.public);
        let host = origin.trim_start_matches("http://");
        let path = match target.strip_prefix(origin) {
            Some(path) => path.to_owned(),
            None => format!("{prefix}{target}"),
        };
        let request = self.http.request(method, format!("http://{}{path}", self.node)).header("host", host);
        if self.cookies.is_empty() {
            return request;
        }
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.header("cookie", cookies.join("; "))
    }

    /// Sends a request and stores the cookies of its response.
    ///
    /// # Panics
    /// Without a response.
    pub async fn send(&mut self, request: RequestBuilder) -> Response {
        let response = self.try_send(request).await;
        response.unwrap_or_else(|error| panic!("no response: {error}"))
    }

    /// Sends a request that may get no response, for example because the node is killed.
    pub async fn try_send(&mut self, request: RequestBuilder) -> Result<Response, reqwest::Error> {
        let response = Response::read(request.send().await?).await?;
        self.store_cookies(&response.headers);
        Ok(response)
    }

    /// Opens a page. Redirects are not followed.
    pub async fn open(&mut self, target: &str, site: FetchSite) -> Response {
        let request = self.navigation(Method::GET, target, site);
        self.send(request).await
    }

    /// A top-level navigation that is not sent yet.
    pub fn navigation(&self, method: Method, target: &str, site: FetchSite) -> RequestBuilder {
        self.request(method, target)
            .header("sec-fetch-site", site.as_str())
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-user", "?1")
            .header("accept", "text/html,application/xhtml+xml")
    }

    /// Calls the API as a script of the console does.
    pub async fn call(&mut self, method: Method, path: &str, body: Option<Value>) -> Response {
        let request = self.fetch(method, path);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        self.send(request).await
    }

    /// A same-origin `fetch` that is not sent yet.
    pub fn fetch(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path)
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-dest", "empty")
            .header("origin", origin_and_path(&self.public).0)
    }

    /// GET as a script.
    pub async fn get(&mut self, path: &str) -> Response {
        self.call(Method::GET, path, None).await
    }

    /// POST of JSON as a script.
    pub async fn post(&mut self, path: &str, body: Value) -> Response {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Logs in.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn log_in(&mut self, name: &str) {
        let password = format!("{name}-pw");
        let response = self.post("/api/session", json!({ "username": name, "password": password })).await;
        assert_eq!(response.status, 200, "{name} logs in: {}", response.text());
    }

    /// Logs out.
    pub async fn log_out(&mut self) -> Response {
        self.call(Method::DELETE, "/api/session", None).await
    }

    /// Opens the confirm page of a connector and starts a flow as its script does.
    ///
    /// # Panics
    /// If either is refused.
    pub async fn start(&mut self, connector: ConnectorPath) -> Flow {
        let page = self.open(&connector.public("/oauth/start"), FetchSite::None).await;
        assert_eq!(page.status, 200, "the confirm page opens: {}", page.text());
        self.start_with(connector, json!({})).await
    }

    /// The same for a connection with this name: the confirm page has it in its query, the flow in its body.
    ///
    /// # Panics
    /// If either is refused.
    pub async fn start_named(&mut self, connector: ConnectorPath, name: &str) -> Flow {
        let page = self.open(&connector.public(&format!("/oauth/start?connection={name}")), FetchSite::None).await;
        assert_eq!(page.status, 200, "the confirm page opens: {}", page.text());
        self.start_with(connector, json!({ "connection": name })).await
    }

    /// Starts a flow with this body.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn start_with(&mut self, connector: ConnectorPath, body: Value) -> Flow {
        let response = self.try_start(connector, body).await;
        assert_eq!(response.status, 200, "a flow starts: {}", response.text());
        let started = response.json();
        let text = |name: &str| started[name].as_str().unwrap_or_default().to_owned();
        Flow { authorization_url: text("authorizationUrl"), state: text("state"), id: text("flowId") }
    }

    /// Requests a flow with this body.
    pub async fn try_start(&mut self, connector: ConnectorPath, body: Value) -> Response {
        self.post(&connector.internal("/_start_oauth_flow"), body).await
    }

    /// Opens the callback as the provider's redirect does. The redirect in the response is not followed.
    pub async fn open_callback(&mut self, callback: &str) -> Response {
        self.open(callback, FetchSite::CrossSite).await
    }

    /// Runs `GET path` at a connector's API, without naming a connection.
    pub async fn execute(&mut self, connector: ConnectorPath, path: &str) -> Response {
        self.post(&connector.public("/_execute"), json!({ "params": { "method": "GET", "path": path } })).await
    }

    /// Runs `GET path` at a connector's API with the connection of this name.
    pub async fn execute_named(&mut self, connector: ConnectorPath, name: &str, path: &str) -> Response {
        let params = json!({ "method": "GET", "path": path });
        self.post(&connector.public("/_execute"), json!({ "params": params, "connection": name })).await
    }

    /// The user's status at a connector, from the response for all connectors; null if the connector is not in it.
    ///
    /// # Panics
    /// If the request is refused.
    pub async fn status(&mut self, connector: ConnectorPath) -> Value {
        let response = self.post(&connector.in_space("/internal/actions/connectors/_me/auth_status"), json!({})).await;
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()[connector.id].clone()
    }

    /// The connection that the status shows; null at a shared connector.
    pub async fn connection(&mut self, connector: ConnectorPath) -> Value {
        self.status(connector).await["connection"].clone()
    }

    /// The connection with this name among all connections of the status; null if it is not listed.
    pub async fn connection_named(&mut self, connector: ConnectorPath, name: &str) -> Value {
        let status = self.status(connector).await;
        let several = status["connections"].as_array().cloned();
        let all = several.unwrap_or_else(|| vec![status["connection"].clone()]);
        all.into_iter().find(|connection| connection["name"] == name).unwrap_or_default()
    }

    /// Status and reason of the shown connection; the reason is empty if there is none.
    pub async fn status_and_reason(&mut self, connector: ConnectorPath) -> (String, String) {
        let status = self.status(connector).await;
        let reason = status["connection"]["reason"].as_str().unwrap_or_default().to_owned();
        (status_name(&status), reason)
    }

    /// The `provider_note` of the shown connection; null if there is none.
    ///
    /// # Panics
    /// If the status has no connection.
    pub async fn provider_note(&mut self, connector: ConnectorPath) -> Value {
        let connection = self.connection(connector).await;
        assert!(connection.is_object(), "a status without a connection");
        connection["provider_note"].clone()
    }

    /// See [`status_name`].
    pub async fn status_name(&mut self, connector: ConnectorPath) -> String {
        status_name(&self.status(connector).await)
    }

    /// Disconnects, without naming a connection.
    pub async fn disconnect(&mut self, connector: ConnectorPath) -> Response {
        self.call(Method::POST, &connector.internal("/_oauth_disconnect"), None).await
    }

    /// Disconnects the connection with this name.
    pub async fn disconnect_named(&mut self, connector: ConnectorPath, name: &str) -> Response {
        self.post(&connector.internal("/_oauth_disconnect"), json!({ "connection": name })).await
    }

    /// Sets the default connection at a connector, or clears it.
    pub async fn set_default_connection(&mut self, connector: ConnectorPath, name: Option<&str>) -> Response {
        let body = json!({ "connection": name });
        self.call(Method::PUT, &connector.internal("/_default_connection"), Some(body)).await
    }

    /// The status of a flow.
    pub async fn flow(&mut self, connector: ConnectorPath, flow: &str) -> Response {
        self.get(&connector.in_space(&format!("/internal/actions/oauth_flow/{flow}"))).await
    }

    /// Status and code of a flow.
    pub async fn flow_result(&mut self, connector: ConnectorPath, flow: &str) -> (String, String) {
        let body = self.flow(connector, flow).await.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (text("status"), text("code"))
    }

    /// Name and value of the cookie that binds a flow to this browser.
    pub fn flow_cookie(&self, flow: &str) -> Option<(&str, &str)> {
        let found = self.cookies.iter().find(|(name, _)| name.contains("_flow_") && name.ends_with(flow));
        found.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Deletes the cookies whose name contains this text.
    pub fn delete_cookies(&mut self, part: &str) {
        self.cookies.retain(|name, _| !name.contains(part));
    }

    fn store_cookies(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap_or_default();
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let Some((name, value)) = pair.split_once('=') else { continue };
            let is_deleted = attributes.split(';').any(|attribute| attribute.trim().eq_ignore_ascii_case("max-age=0"));
            if is_deleted {
                self.cookies.remove(name.trim());
            } else {
                self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }
}

/// Splits a base URL into its origin and its path, which may be empty.
fn origin_and_path(url: &str) -> (&str, &str) {
    let authority = url.find("://").map_or(0, |position| position + 3);
    let end = url[authority..].find('/').map_or(url.len(), |position| authority + position);
    url.split_at(end)
}

/// The status of the shown connection, or `not_applicable`.
///
/// # Panics
/// If `user_auth_status` contradicts the connection: it is `connected` if and only if the shown connection is.
#[track_caller]
pub fn status_name(status: &Value) -> String {
    let user_auth_status = status["user_auth_status"].as_str().unwrap_or_default();
    let Some(connection) = status["connection"]["status"].as_str() else {
        assert_eq!(user_auth_status, "not_applicable", "a status without a connection: {status}");
        return user_auth_status.to_owned();
    };
    let expected = if connection == "connected" { "connected" } else { "not_connected" };
    assert_eq!(user_auth_status, expected, "{status}");
    connection.to_owned()
}

/// A text of 64 characters, for states and codes that do not exist. Texts of different seeds differ.
pub fn unknown_value(seed: u8) -> String {
    hex(&[seed; 32])
}
