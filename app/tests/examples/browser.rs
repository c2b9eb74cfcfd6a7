//! A browser in this process: it passes requests to a router and stores the cookies of the responses.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use grantry_testkit::provider::{Client, MockProvider};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// Status, redirect target and body of a response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) location: String,
    pub(crate) body: String,
}

impl Response {
    /// The body as JSON; null if it is not JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The string at a JSON pointer (RFC 6901).
    #[track_caller]
    pub(crate) fn text(&self, pointer: &str) -> String {
        let found = self.json().pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        found.unwrap_or_else(|| panic!("no {pointer} in {self:?}"))
    }
}

/// The browser of one user, at a router whose public origin is `http://{host}`.
pub(crate) struct Browser {
    router: Router,
    host: String,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) fn new(router: &Router, host: &str) -> Self {
        Self { router: router.clone(), host: host.to_owned(), cookies: BTreeMap::new() }
    }

    /// Opens a page, from the address bar or as the redirect of a provider. Redirects are not followed.
    pub(crate) async fn open(&mut self, url: &str) -> Response {
        self.send(Method::GET, url, "navigate", None).await
    }

    /// Calls the API as a script of a page does.
    pub(crate) async fn call(&mut self, method: Method, path: &str, body: Value) -> Response {
        self.send(method, path, "cors", Some(("application/json", body.to_string()))).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: Value) -> Response {
        self.call(Method::POST, path, body).await
    }

    /// Sends a form of a page of the host.
    pub(crate) async fn submit(&mut self, path: &str, fields: &str) -> Response {
        self.submit_from("same-origin", path, fields).await
    }

    /// Sends a form of a page of this site (Fetch Metadata, `Sec-Fetch-Site`).
    pub(crate) async fn submit_from(&mut self, site: &str, path: &str, fields: &str) -> Response {
        let body = ("application/x-www-form-urlencoded", fields.to_owned());
        self.send_from(site, Method::POST, path, "navigate", Some(body)).await
    }

    async fn send(&mut self, method: Method, url: &str, mode: &str, body: Option<(&str, String)>) -> Response {
        let site = if body.is_some() { "same-origin" } else { "cross-site" };
        self.send_from(site, method, url, mode, body).await
    }

    async fn send_from(
        &mut self,
        site: &str,
        method: Method,
        url: &str,
        mode: &str,
        body: Option<(&str, String)>,
    ) -> Response {
        let origin = format!("http://{}", self.host);
        let path = url.strip_prefix(&origin).unwrap_or(url);
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.host);
        request = request.header("sec-fetch-mode", mode).header(header::COOKIE, cookies.join("; "));
        request = request.header("sec-fetch-site", site);
        let body = if let Some((media_type, body)) = body {
            let sender = if site == "same-origin" { origin } else { "https://other.example".to_owned() };
            request = request.header(header::ORIGIN, sender).header(header::CONTENT_TYPE, media_type);
            Body::from(body)
        } else {
            request = request.header("sec-fetch-dest", "document");
            Body::empty()
        };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = response.headers().get(header::LOCATION).map(|value| value.to_str().unwrap().to_owned());
        let (status, location) = (response.status(), location.unwrap_or_default());
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Response { status, location, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// Connects the user to an account of the provider: starts a flow at `start`, consents, and opens the callback. Returns
    /// the page that the callback redirects to.
    pub(crate) async fn connect(&mut self, start: &str, provider: &MockProvider, account: &str) -> Response {
        let started = self.post(start, json!({})).await;
        assert_eq!(started.status, StatusCode::OK, "{started:?}");
        let callback = provider.approve(&started.text("/authorizationUrl"), account).await.unwrap();
        let finished = self.open(callback.as_str()).await;
        assert_eq!(finished.status, StatusCode::SEE_OTHER, "{finished:?}");
        let location = finished.location;
        self.open(&location).await
    }
}

/// The body that creates a connector to the API of the mock provider.
pub(crate) fn connector(provider: &MockProvider) -> Value {
    json!({
        "name": "Files",
        "connector_type_id": ".oauth2",
        "config": { "issuer": provider.base_url(), "baseUrl": provider.url("/api"), "scope": "files.read" },
        "secrets": { "clientId": "files", "clientSecret": "files-secret" },
    })
}

/// Registers the client of [`connector`] at the provider.
pub(crate) fn register(provider: &MockProvider, redirect_uri: &str) {
    provider.register(Client::new("files", "files-secret").redirect_uri(redirect_uri));
}
