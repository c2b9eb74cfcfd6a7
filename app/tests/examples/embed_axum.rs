//! The host with a log-in and spaces, as its users reach it.

#[path = "../../examples/embed_axum.rs"]
pub(crate) mod example;

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use grantry::app::App;
use grantry::jobs::{Jobs, Periods};
use grantry_domain::identity::{SpaceId, UserId};
use grantry_domain::ports::{Directory as _, UserStatus};
use grantry_provider_oauth2::EgressPolicy;
use grantry_testkit::provider::MockProvider;
use serde_json::json;

use crate::browser::{Browser, connector, register};

const HOST: &str = "127.0.0.1:8090";
const CONNECTOR: &str = "/oauth/s/research/api/actions/connector/files";
const INTERNAL: &str = "/oauth/s/research/internal/actions/connector/files";

async fn build(folder: &Path, egress: &[&str]) -> (App, Router) {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let egress = EgressPolicy::new(&["*"], egress).unwrap();
    example::build(folder, &format!("http://{HOST}"), egress).await.unwrap()
}

async fn logged_in(router: &Router, name: &str) -> Browser {
    let mut browser = Browser::new(router, HOST);
    let page = browser.open("/log-in").await;
    assert!(page.body.contains(r#"<form method="post">"#), "{page:?}");
    let response = browser.submit("/log-in", &format!("name={name}&password={name}-pw")).await;
    assert_eq!((response.status, response.location.as_str()), (StatusCode::SEE_OTHER, "/oauth/"), "{response:?}");
    browser
}

#[tokio::test]
async fn a_user_without_a_role_is_not_one_who_was_removed() {
    let host = example::Host::default();
    let space = SpaceId::default_space();
    let found = host.membership(&UserId::new("u_eva").unwrap(), &space).await.unwrap();
    assert_eq!((found.user, found.role), (UserStatus::Active, None));
    let removed = host.membership(&UserId::new("u_zoe").unwrap(), &space).await.unwrap();
    assert_eq!(removed.user, UserStatus::Unknown);
}

#[tokio::test]
async fn users_of_the_host_connect_use_refresh_and_disconnect_in_a_space_of_the_host() {
    let provider = MockProvider::builder().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (app, router) = build(folder.path(), &[&format!("127.0.0.1:{}", provider.port())]).await;
    let jobs = Jobs::spawn(&app, Periods::default());
    let (mut ada, mut ben) = (logged_in(&router, "u_ada").await, logged_in(&router, "u_ben").await);

    let created = ada.post(CONNECTOR, connector(&provider)).await;
    assert_eq!(created.status, StatusCode::OK, "{created:?}");
    register(&provider, &created.text("/redirect_uri"));
    let run = json!({ "params": { "method": "GET", "path": "/me" } });
    let path = format!("{CONNECTOR}/_execute");
    let refused = ben.post(&path, run.clone()).await;
    assert_eq!((refused.status, refused.text("/code")), (StatusCode::CONFLICT, "authorization_required".to_owned()));
    assert!(refused.text("/startUrl").starts_with(&format!("http://{HOST}/oauth/s/research/")), "{refused:?}");

    let start = format!("{INTERNAL}/_start_oauth_flow");
    for (browser, account) in [(&mut ada, "alice"), (&mut ben, "bob")] {
        let page = browser.connect(&start, &provider, account).await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        let response = browser.post(&path, run.clone()).await;
        assert_eq!(response.text("/data/body/user"), format!("{account}@example.test"));
    }

    // The provider rejects the present access tokens, so the next run refreshes.
    provider.expire_access_tokens();
    let refreshed = ben.post(&path, run.clone()).await;
    assert_eq!(refreshed.text("/data/body/user"), "bob@example.test");
    assert_eq!(provider.ledger().refreshes().len(), 1);

    assert_eq!(ben.post(&format!("{INTERNAL}/_oauth_disconnect"), json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(ben.post(&path, run.clone()).await.text("/code"), "authorization_required");
    provider.until(|ledger| ledger.revocations().len() == 2).await;
    assert_eq!(ada.post(&path, run).await.text("/data/body/user"), "alice@example.test");

    app.begin_shutdown();
    assert_eq!(ada.open("/oauth/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.drain(Duration::from_secs(10)).await, 0);
    jobs.stop(Duration::from_secs(10)).await;
    app.close().await;
}

#[tokio::test]
async fn a_page_of_the_host_uses_the_account_of_the_user() {
    let provider = MockProvider::builder().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (app, router) = build(folder.path(), &[&format!("127.0.0.1:{}", provider.port())]).await;
    let mut ada = logged_in(&router, "u_ada").await;
    let missing = ada.open("/account").await;
    assert_eq!(missing.status, StatusCode::BAD_GATEWAY, "{missing:?}");

    let created = ada.post("/oauth/api/actions/connector/files", connector(&provider)).await;
    register(&provider, &created.text("/redirect_uri"));
    let away = ada.open("/account").await;
    assert_eq!(away.status, StatusCode::SEE_OTHER, "{away:?}");
    assert_eq!(away.location, format!("http://{HOST}/oauth/api/actions/connector/files/oauth/start"));
    ada.connect("/oauth/internal/actions/connector/files/_start_oauth_flow", &provider, "alice").await;
    let account = ada.open("/account").await;
    assert!(account.status == StatusCode::OK && account.body.contains("alice@example.test"), "{account:?}");
    app.close().await;
}

#[tokio::test]
async fn a_missing_key_of_an_existing_database_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (app, _) = build(folder.path(), &[]).await;
    app.close().await;
    let key = folder.path().join("primary.key");
    std::fs::remove_file(&key).unwrap();
    let egress = EgressPolicy::new(&["*"], &[]).unwrap();
    let error = example::build(folder.path(), &format!("http://{HOST}"), egress).await.err().unwrap().to_string();
    assert!(error.contains("primary.key") && !key.exists(), "{error}");
}

/// The `main` of the example uses one.
#[tokio::test]
async fn the_folder_of_key_and_database_may_be_relative() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let here = std::env::current_dir().unwrap();
    let up: std::path::PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(folder.path().strip_prefix("/").unwrap());
    assert!(relative.is_relative());
    let (app, _) = build(&relative, &[]).await;
    assert!(folder.path().join("primary.key").exists());
    app.close().await;
}

#[tokio::test]
async fn the_host_signs_its_users_in_and_decides_about_their_spaces() {
    let folder = tempfile::tempdir().unwrap();
    let (app, router) = build(folder.path(), &[]).await;
    let mut stranger = Browser::new(&router, HOST);
    assert_eq!(stranger.open("/").await.body, "the page of the host");
    for fields in ["name=u_ada&password=wrong", "name=u_zoe&password=u_zoe-pw", "name=u_ada", ""] {
        assert_eq!(stranger.submit("/log-in", fields).await.status, StatusCode::UNAUTHORIZED, "{fields}");
    }
    let correct = "name=u_ada&password=u_ada-pw";
    assert_eq!(stranger.submit_from("cross-site", "/log-in", correct).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(stranger.submit_from("same-site", "/log-in", correct).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(stranger.open("/oauth/api/session").await.status, StatusCode::UNAUTHORIZED);
    let signed_out = stranger.open("/oauth/api/session").await;
    assert_eq!(signed_out.status, StatusCode::UNAUTHORIZED);
    assert_eq!(signed_out.text("/identity_mode"), "host");
    assert_eq!(stranger.open("/account").await.status, StatusCode::UNAUTHORIZED);
    let mut ada = logged_in(&router, "u_ada").await;
    let session = ada.open("/oauth/api/session").await;
    assert!(session.status == StatusCode::OK && session.body.contains("research"), "{session:?}");
    assert!(session.body.contains(r#""identity_mode":"host""#), "{session:?}");
    let log_in = ada.post("/oauth/api/session", json!({ "username": "ada", "password": "ada-pw" })).await;
    assert_eq!(log_in.status, StatusCode::NOT_FOUND, "{log_in:?}");
    for path in ["/oauth", "/oauth/", "/oauth/s/default/", "/oauth/readyz"] {
        assert_eq!(ada.open(path).await.status, StatusCode::OK, "{path}");
    }
    let mut ben = logged_in(&router, "u_ben").await;
    assert_eq!(ben.open("/oauth/s/research/api/actions/connectors").await.status, StatusCode::OK);
    assert_eq!(ben.open("/oauth/api/actions/connectors").await.status, StatusCode::NOT_FOUND, "not a member of `default`");
    app.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn r72_a_host_is_not_ready_while_its_database_is_deleted_or_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (app, router) = build(folder.path(), &[]).await;
    let mut browser = Browser::new(&router, HOST);
    let mut ready = async || {
        app.probe_store().await;
        browser.open("/oauth/readyz").await
    };
    let path = |name: &str| folder.path().join(name);
    assert_eq!(ready().await.status, StatusCode::OK);
    std::fs::rename(path("grantry.db"), path("moved.db")).unwrap();
    let missing = ready().await;
    assert_eq!(missing.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(missing.body.contains("store file missing"), "{missing:?}");
    std::fs::rename(path("moved.db"), path("grantry.db")).unwrap();
    assert_eq!(ready().await.status, StatusCode::OK);
    std::fs::copy(path("grantry.db"), path("copy.db")).unwrap();
    std::fs::rename(path("copy.db"), path("grantry.db")).unwrap();
    let replaced = ready().await;
    assert_eq!(replaced.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(replaced.body.contains("store file replaced"), "{replaced:?}");
    app.close().await;
}
