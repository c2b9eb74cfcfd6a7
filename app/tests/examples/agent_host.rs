//! The host of agents: a task pauses until the user has consented.

#[path = "../../examples/agent_host.rs"]
pub(crate) mod example;

use std::time::Duration;

use axum::http::StatusCode;
use grantry_domain::identity::UserId;
use grantry_testkit::provider::MockProvider;
use serde_json::{Value, json};

use crate::browser::Browser;

const HOST: &str = "127.0.0.1:8091";
const INTERNAL: &str = "/internal/actions/connector/files";

#[tokio::test]
async fn a_task_pauses_without_consent_and_resumes_after_it() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let provider = MockProvider::builder().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (agents, key, mut inbox) = example::build(folder.path(), &format!("http://{HOST}"), &provider).await.unwrap();
    let user = UserId::new("u_ada").unwrap();
    let task = || {
        let (agents, user, key) = (agents.clone(), user.clone(), key.clone());
        tokio::spawn(async move { agents.read(&user, &key, "/me").await })
    };
    let account = |body: Vec<u8>| serde_json::from_slice::<Value>(&body).unwrap()["user"].clone();

    let paused = task();
    let (to, link) = inbox.recv().await.unwrap();
    assert_eq!((to, link.as_str()), (user.clone(), "http://127.0.0.1:8091/api/actions/connector/files/oauth/start"));
    assert_eq!(provider.ledger().api_calls().len(), 0);

    // The user opens the link, logs in on a page of Grantry, and consents at the provider.
    let mut ada = Browser::new(&agents.app.router(), HOST);
    let log_in = ada.post("/api/session", json!({ "username": "ada", "password": "ada-pw" })).await;
    assert_eq!(log_in.status, StatusCode::OK, "{log_in:?}");
    assert_eq!(ada.open(&link).await.status, StatusCode::OK);
    let page = ada.connect(&format!("{INTERNAL}/_start_oauth_flow"), &provider, "alice").await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert!(!paused.is_finished(), "the event was not delivered yet");

    // The job of the host delivers the event of the consent; the task sees it.
    agents.app.connections().deliver_events().await.unwrap();
    let response = paused.await.unwrap().unwrap();
    assert_eq!(account(response.body), "alice@example.test");

    // A task that starts later does not pause, also when the token has to be refreshed.
    provider.expire_access_tokens();
    assert_eq!(account(task().await.unwrap().unwrap().body), "alice@example.test");
    assert_eq!(provider.ledger().refreshes().len(), 1);
    assert!(inbox.try_recv().is_err(), "no second message");

    let ended = ada.post(&format!("{INTERNAL}/_oauth_disconnect"), json!({})).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT, "{ended:?}");
    provider.until(|ledger| ledger.revocations().len() == 2).await;
    let paused = task();
    assert_eq!(inbox.recv().await.unwrap().1, link, "the next task pauses again");
    paused.abort();

    assert_eq!(agents.app.drain(Duration::from_secs(10)).await, 0);
    agents.app.close().await;
}
