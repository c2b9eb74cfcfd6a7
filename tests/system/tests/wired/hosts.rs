//! Below a path behind proxies, with the headers that browsers and orchestrators send.

use std::net::SocketAddr;

use grantry_system_tests::browser::{Browser, FetchSite, Response};
use grantry_system_tests::paths::ConnectorPath;
use grantry_system_tests::test_app::{DRIVE, MARKETING_DRIVE, TestApp, account_of};
use grantry_testkit::provider::{Client, MockProvider};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// The path of the public base URL.
const PREFIX: &str = "/apps/oauth";

/// What a proxy does with the path of the public base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    Kept,
    Removed,
}

/// Starts a proxy in front of a node. It passes everything else on unchanged, as `proxy_set_header Host $http_host` does.
async fn proxy(node: SocketAddr, prefix: Prefix) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((browser, _)) = listener.accept().await {
            tokio::spawn(forward(browser, node, prefix));
        }
    });
    address
}

/// Forwards one request of a connection.
async fn forward(mut browser: TcpStream, node: SocketAddr, prefix: Prefix) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if browser.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let text = String::from_utf8(head).unwrap();
    let (line, rest) = text.split_once("\r\n").unwrap();
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let below = target.strip_prefix(PREFIX).unwrap_or_else(|| panic!("{target} is outside {PREFIX}"));
    let target = match prefix {
        Prefix::Kept => target,
        // As nginx does for `location /apps/oauth/` and `proxy_pass` with a slash at its end.
        Prefix::Removed if below.is_empty() => "/",
        Prefix::Removed => below,
    };
    let mut upstream = TcpStream::connect(node).await.unwrap();
    let head = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n{rest}");
    upstream.write_all(head.as_bytes()).await.unwrap();
    drop(copy_bidirectional(&mut browser, &mut upstream).await);
}

/// A deployment whose public base URL has a path.
async fn below_a_path() -> TestApp {
    let app = TestApp::with(MockProvider::builder(), |settings| settings.public.push_str(PREFIX)).await;
    let client = Client::new("demo", "demo-secret").redirect_uri(app.deployment.shared_callback());
    app.provider.register(client);
    app
}

fn links<'p>(page: &'p Response, attribute: &str) -> Vec<&'p str> {
    let text = std::str::from_utf8(&page.body).unwrap();
    let start = format!("{attribute}=\"");
    text.split(start.as_str()).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[tokio::test]
async fn a_flow_below_a_path_whether_the_proxy_keeps_the_path_or_removes_it() {
    let app = below_a_path().await;
    let public = app.deployment.settings.public.clone();
    for (prefix, name) in [(Prefix::Kept, "alice"), (Prefix::Removed, "bob")] {
        let mut browser = app.anonymous_browser().at(proxy(app.host.address, prefix).await);
        for connector in [DRIVE, MARKETING_DRIVE] {
            // Signed out, the confirm page leads to the log-in and from there back to itself.
            let confirm = connector.public("/oauth/start");
            browser.cookies.clear();
            let log_in = browser.open(&confirm, FetchSite::None).await.location().to_owned();
            assert!(log_in.starts_with(&format!("{public}/login?next=%2Fapps%2Foauth%2F")), "{prefix:?} {log_in}");
            let page = browser.open(&log_in, FetchSite::SameOrigin).await;
            assert_eq!(links(&page, "data-next"), [format!("{public}{confirm}")], "{prefix:?}");
            browser.log_in(name).await;
            connect_below_a_path(&app, &mut browser, connector, name, &public).await;
        }
        let home = browser.open("", FetchSite::None).await;
        assert_eq!(home.status, 200, "{prefix:?} {}", home.text());
        let all = [links(&home, "href"), links(&home, "src"), links(&home, "data-disconnect")].concat();
        assert!(all.len() > 4 && all.iter().all(|link| link.starts_with(&public)), "{prefix:?} {all:?}");
        for link in all.iter().filter(|link| !link.contains("_oauth_disconnect")) {
            assert_eq!(browser.open(link, FetchSite::SameOrigin).await.status, 200, "{prefix:?} {link}");
        }
        assert_eq!(browser.open("/", FetchSite::None).await.status, 200, "{prefix:?}");
        let without_slash = browser.open("/s/marketing", FetchSite::None).await;
        assert_eq!(without_slash.location(), format!("{public}/s/marketing/"));
        assert_eq!(browser.open("/nowhere", FetchSite::None).await.status, 404);
    }
}

async fn connect_below_a_path(app: &TestApp, browser: &mut Browser, connector: ConnectorPath, name: &str, public: &str) {
    let (flow, callback) = app.consent(browser, connector, name).await;
    let redirect_uri: String = url::form_urlencoded::byte_serialize(app.deployment.shared_callback().as_bytes()).collect();
    assert!(flow.authorization_url.contains(&format!("redirect_uri={redirect_uri}")), "{}", flow.authorization_url);
    assert!(callback.starts_with(&format!("{public}/api/actions/connector/_oauth_callback?")), "{callback}");
    let response = browser.open_callback(&callback).await;
    let result = format!("{public}/api/actions/connector/_oauth_callback_result/{}", flow.id);
    assert_eq!((response.status, response.location()), (303, result.as_str()));
    assert!(response.header("set-cookie").contains("; Path=/; Max-Age=0"), "{}", response.header("set-cookie"));
    let page = browser.open(&result, FetchSite::CrossSite).await;
    assert!(page.text().contains("<h1>Connected</h1>"), "{}", page.text());
    let (script, style) = (links(&page, "src")[0].to_owned(), links(&page, "href")[0].to_owned());
    for asset in [&script, &style] {
        assert!(asset.starts_with(public), "{asset}");
        let policy = page.header("content-security-policy");
        assert!(policy.contains(asset.split('?').next().unwrap()), "{policy}");
        assert_eq!(browser.open(asset, FetchSite::SameOrigin).await.status, 200, "{asset}");
    }
    assert_eq!(browser.status_name(connector).await, "connected");
    assert_eq!(account_of(&browser.execute(connector, "/me").await), format!("{name}@example.test"));
}

#[tokio::test]
async fn a_return_url_below_the_path_is_kept() {
    let app = below_a_path().await;
    let public = app.deployment.settings.public.clone();
    let mut browser = app.anonymous_browser().at(proxy(app.host.address, Prefix::Removed).await);
    browser.log_in("alice").await;
    let flow = browser.start_with(DRIVE, json!({ "returnUrl": format!("{PREFIX}/?view=connectors") })).await;
    let callback = app.provider.approve(&flow.authorization_url, "alice").await.unwrap().to_string();
    let location = browser.open_callback(&callback).await.location().to_owned();
    assert!(location.starts_with(&format!("{public}/?view=connectors&oauth_authorization=success")), "{location}");
}

#[tokio::test]
async fn a_callback_with_the_cookies_of_other_applications_completes() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    for number in 0..17 {
        alice.cookies.insert(format!("other_{number}"), "x".repeat(1024));
    }
    assert_eq!(alice.open_callback(&callback).await.status, 303);
    assert_eq!(alice.status_name(DRIVE).await, "connected");
}

#[tokio::test]
async fn r58_more_cookies_than_the_limit_are_refused_as_a_page_or_as_a_problem() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    let cookies = alice.cookies.clone();
    for number in 0..33 {
        alice.cookies.insert(format!("other_{number}"), "x".repeat(1024));
    }
    for page in [callback.as_str(), "/", "/login", "/connect/drive"] {
        let response = alice.open(page, FetchSite::CrossSite).await;
        assert_eq!((response.status, response.header("content-type")), (431, "text/html; charset=utf-8"), "{page}");
        assert!(response.text().contains("Too many cookies"), "{}", response.text());
    }
    let request = alice.fetch(Method::GET, "/api/session");
    assert_eq!(alice.send(request).await.outcome(), (431, "headers_too_large".to_owned()));
    let request = alice.fetch(Method::POST, &DRIVE.public("/_execute")).json(&json!({})).header("accept", "*/*");
    assert_eq!(alice.send(request).await.outcome(), (431, "headers_too_large".to_owned()));
    // The flow was not consumed.
    alice.cookies = cookies;
    assert_eq!(alice.open_callback(&callback).await.status, 303);
}

/// Sends these bytes and returns the first line of the response.
async fn raw(node: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(node).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    String::from_utf8_lossy(&response).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn health_responds_under_any_host_and_without_one() {
    let app = TestApp::new().await;
    for path in ["/livez", "/readyz"] {
        for host in ["10.244.1.7:8080", "localhost", "[fd00::7]:8080", "grantry.default.svc.cluster.local", ""] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            assert_eq!(raw(app.host.address, &request).await, "HTTP/1.1 200 OK", "{path} {host}");
        }
        assert_eq!(raw(app.host.address, &format!("GET {path} HTTP/1.0\r\n\r\n")).await, "HTTP/1.0 200 OK", "{path}");
    }
    let session = "GET /api/session HTTP/1.0\r\n\r\n";
    assert!(raw(app.host.address, session).await.starts_with("HTTP/1.0 421"), "everything else names its host");
    let forged = "GET /api/session HTTP/1.1\r\nHost: 10.244.1.7:8080\r\nConnection: close\r\n\r\n";
    assert!(raw(app.host.address, forged).await.starts_with("HTTP/1.1 421"));
    // Also below a path, kept or removed.
    let app = below_a_path().await;
    for path in ["/livez", "/apps/oauth/livez"] {
        assert_eq!(raw(app.host.address, &format!("GET {path} HTTP/1.0\r\n\r\n")).await, "HTTP/1.0 200 OK", "{path}");
    }
    // Without a token, metrics are not served where users reach the server.
    for path in ["/metrics", "/apps/oauth/metrics"] {
        let found = raw(app.host.address, &format!("GET {path} HTTP/1.0\r\n\r\n")).await;
        assert_eq!(found, "HTTP/1.0 404 Not Found", "{path}");
    }
}
