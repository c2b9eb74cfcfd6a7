//! Mounted under a path of an https origin, inside the router of a host.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use serde_json::json;

use super::html;
use super::test_app::{Options, TestApp, plain_asset};
use crate::host::{ConsoleAsset, ConsoleAssets};

const PUBLIC: &str = "https://connect.example/oauth";

#[tokio::test]
async fn a_flow_below_a_hosts_path_over_https() {
    let mut app = TestApp::with(Options { public: PUBLIC, ..Options::default() });
    app.router = Router::new().route("/", get(|| async { "the host's own page" })).nest("/oauth", app.router.clone());
    app.connector("marketing", "drive", ".example").await;
    let mut alice = app.browser().also("host", "connect.example");

    let confirm = "/oauth/s/marketing/api/actions/connector/drive/oauth/start";
    let log_in = alice.get(confirm).await.location().strip_prefix("https://connect.example").unwrap().to_owned();
    let page = alice.get(&log_in).await;
    assert_eq!(html::attribute(&page.body, "data-next").unwrap(), format!("https://connect.example{confirm}"));
    let session = html::attribute(&page.body, "data-session").unwrap();
    assert_eq!(session, format!("{PUBLIC}/api/session"));
    let response = alice.post("/oauth/api/session", &json!({"username": "alice", "password": "alice"})).await;
    assert!(response.set_cookies[0].starts_with("__Host-grantry_session="), "{}", response.set_cookies[0]);
    assert!(response.set_cookies[0].contains("; Path=/;") && response.set_cookies[0].ends_with("; Secure"));

    let page = alice.get(confirm).await;
    let start = html::attribute(&page.body, "data-start").unwrap();
    let flow = alice.start_at(start.strip_prefix("https://connect.example").unwrap(), &json!({"returnUrl": "/"})).await;
    assert!(alice.cookies.contains_key(&format!("__Host-grantry_flow_{}", flow.id)));
    let launch = html::attribute(&page.body, "data-launch").unwrap();
    let there = alice.get(&format!("{}?flow={}", launch.strip_prefix("https://connect.example").unwrap(), flow.id)).await;
    assert!(there.location().starts_with("https://as.example/authorize"), "{} {}", there.status, there.body);

    // A return URL is a path of the origin, not of the mount.
    let back =
        alice.arrive(&format!("/oauth/api/actions/connector/_oauth_profile_callback?code=c&state={}", flow.state)).await;
    assert_eq!(back.location(), "https://connect.example/?oauth_authorization=success&connector_id=drive&status_code=200");
    let left: Vec<_> = alice.cookies.keys().collect();
    assert_eq!(left, ["__Host-grantry_device", "__Host-grantry_session"], "the flow's cookie is gone");

    let page = alice.get("/oauth/s/marketing/").await;
    assert!(page.body.contains(&format!("href=\"{PUBLIC}/s/marketing/api/actions/connector/drive/oauth/start\"")));
    assert_eq!(alice.get("/").await.body, "the host's own page");
    assert_eq!(alice.get("/oauth/nowhere").await.code(), "not_found");
    assert!(page.body.contains(&format!("href=\"{PUBLIC}\"")), "the default space: {}", page.body);
    assert_eq!(alice.get("/oauth").await.status, StatusCode::OK);
    assert_eq!(alice.get("/oauth/api/session").await.json()["user"]["id"], "u_alice");
    let sheet = html::attribute(&page.body, "href").unwrap();
    assert_eq!(alice.get(sheet.strip_prefix("https://connect.example").unwrap()).await.status, StatusCode::OK);
}

/// An orchestrator asks by the address of a container.
#[tokio::test]
async fn health_responds_under_any_host_below_a_hosts_path() {
    for is_service in [false, true] {
        let app = TestApp::with(Options { public: PUBLIC, ..Options::default() });
        let host = Router::new().route("/", get(|| async { "the host's own page" }));
        let mut below = TestApp::with(Options { public: PUBLIC, ..Options::default() });
        let router = app.router.clone();
        below.router = if is_service { host.nest_service("/oauth", router) } else { host.nest("/oauth", router) };
        let mut probe = below.browser().also("host", "10.0.0.7:4000");
        for path in ["/oauth/livez", "/oauth/readyz"] {
            assert_eq!(probe.get(path).await.status, StatusCode::OK, "{path} {is_service}");
        }
        assert_eq!(probe.get("/oauth/api/session").await.code(), "wrong_host");
    }
}

/// A console with a page and a script.
struct SmallConsole;

impl ConsoleAssets for SmallConsole {
    fn get(&self, path: &str) -> Option<ConsoleAsset> {
        let (content_type, content) = match path {
            "index.html" | "connect.html" => {
                ("text/html; charset=utf-8", "<link href=\"/assets/a.css\"><script src=\"/assets/a.js\"></script>")
            }
            "assets/a.js" => ("text/javascript; charset=utf-8", "1"),
            _ => return None,
        };
        Some(plain_asset(content, content_type))
    }
}

#[tokio::test]
async fn the_console_is_served_with_and_without_the_prefix() {
    let console = Some(Arc::new(SmallConsole) as Arc<dyn ConsoleAssets>);
    let app = TestApp::with(Options { public: PUBLIC, console: console.clone(), ..Options::default() });
    let mut browser = app.browser().also("host", "connect.example");
    for path in ["/", "/oauth", "/oauth/", "/s/marketing/", "/oauth/s/marketing/", "/oauth/connect/drive", "/connect/drive"]
    {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let expected = "<link href=\"/oauth/assets/a.css\"><script src=\"/oauth/assets/a.js\"></script>";
        assert_eq!(page.body, expected, "{path}");
    }
    for path in ["/oauth/assets/a.js", "/assets/a.js"] {
        assert_eq!(browser.get(path).await.body, "1", "{path}");
    }
    assert_eq!(browser.get("/oauth/s/marketing").await.location(), format!("{PUBLIC}/s/marketing/"));
    let at_root = TestApp::with(Options { console, ..Options::default() });
    assert!(at_root.browser().get("/").await.body.contains("src=\"/assets/a.js\""));
}

#[tokio::test]
async fn pages_continue_to_the_public_path_if_the_prefix_was_removed() {
    let app = TestApp::with(Options { public: PUBLIC, ..Options::default() });
    app.connector("default", "drive", ".example").await;
    for prefix in ["", "/oauth"] {
        let mut browser = app.browser().also("host", "connect.example");
        for page in ["/api/actions/connector/drive/oauth/start?connection=work", "/connect/drive?connection=work"] {
            let log_in = browser.get(&format!("{prefix}{page}")).await.location().to_owned();
            let page = browser.get(log_in.strip_prefix("https://connect.example").unwrap()).await;
            let next = html::attribute(&page.body, "data-next").unwrap();
            assert!(next.starts_with(&format!("{PUBLIC}/")) && next.ends_with("?connection=work"), "{prefix} {next}");
            assert_eq!(next.matches("/oauth/").count() - usize::from(next.contains("/oauth/start")), 1, "{next}");
        }
    }
}
