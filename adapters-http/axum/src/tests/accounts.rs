//! Another account at the provider than the connected one.

use grantry_domain::provider::Account;
use grantry_testkit::doubles::Call;
use http::StatusCode;
use serde_json::{Value, json};

use super::html;
use super::test_app::{BASE, Browser, StartedFlow, TestApp};

const CONFIRM: &str = "/api/actions/connector/drive/oauth/start";
const START: &str = "/internal/actions/connector/drive/_start_oauth_flow";

fn use_account(app: &TestApp, subject: &str, label: &str) {
    app.provider.set_account(Some(Account { subject: subject.to_owned(), label: label.to_owned() }));
}

/// Alice, connected as `alice@example.test`, after she reconnected with the account of this label.
async fn mismatch(app: &TestApp, label: &str) -> (Browser, StartedFlow) {
    app.connector("default", "drive", ".example").await;
    use_account(app, "1", "alice@example.test");
    let mut alice = app.connected("alice", "drive").await;
    use_account(app, "2", label);
    let flow = alice.start("drive").await;
    alice.finish(&flow).await;
    (alice, flow)
}

async fn page_of(browser: &mut Browser, flow: &StartedFlow) -> String {
    browser.get(&format!("/api/actions/connector/_oauth_callback_result/{}", flow.id)).await.body
}

fn links(page: &str) -> Vec<String> {
    let anchors = html::tags(page).into_iter().filter(|(name, _)| name == "a");
    let hrefs = anchors.flat_map(|(_, attributes)| attributes).filter(|(name, _)| name == "href");
    hrefs.map(|(_, href)| href.replace("&#38;", "&")).collect()
}

/// Login hint and account chooser of the last authorization URL.
fn last_request(app: &TestApp) -> Option<(Option<String>, bool)> {
    app.provider.calls().into_iter().rev().find_map(|call| {
        if let Call::AuthorizationUrl { login_hint, select_account, .. } = call {
            Some((login_hint, select_account))
        } else {
            None
        }
    })
}

#[tokio::test]
async fn the_page_of_a_mismatch_names_both_accounts_and_offers_the_ways_on() {
    let app = TestApp::new();
    let (mut alice, flow) = mismatch(&app, "bob@example.test").await;
    let page = page_of(&mut alice, &flow).await;
    assert!(
        page.contains("You used bob@example.test at the provider, but alice@example.test was last connected here."),
        "{page}"
    );
    let start = format!("{BASE}{CONFIRM}");
    let expected = [format!("{start}?account=select"), format!("{start}?connection=bob"), format!("{start}?account=change")];
    assert_eq!(links(&page), expected);
    let api = alice.get(&format!("/internal/actions/oauth_flow/{}", flow.id)).await.json();
    assert_eq!((&api["status"], &api["code"]), (&json!("failed"), &json!("account_mismatch")));
    assert_eq!((&api["connectedAccount"], &api["usedAccount"]), (&json!("alice@example.test"), &json!("bob@example.test")));
    assert_eq!(api["unusedName"], "bob");
    let status = alice.post_empty("/internal/actions/connectors/_me/auth_status").await.json();
    assert_eq!(status["drive"]["connection"]["account"], "alice@example.test", "nothing was changed");
}

#[tokio::test]
async fn the_connected_account_is_asked_for_with_a_hint_and_the_account_chooser() {
    let app = TestApp::new();
    let (mut alice, _) = mismatch(&app, "bob@example.test").await;
    let page = alice.get(&format!("{CONFIRM}?account=select")).await;
    assert_eq!(html::attribute(&page.body, "data-account").as_deref(), Some("select"));
    use_account(&app, "1", "alice@example.test");
    let flow = alice.start_at(START, &json!({"selectAccount": true})).await;
    let requested = last_request(&app);
    assert_eq!(requested, Some((Some("alice@example.test".to_owned()), true)));
    let launched = alice.get(&format!("/connect/drive?flow={}", flow.id)).await;
    assert_eq!(launched.status, StatusCode::SEE_OTHER);
    let requested = last_request(&app).map(|(_, select_account)| select_account);
    assert_eq!(requested, Some(true), "the launch page asks for it as well");
    alice.finish(&flow).await;
    let api = alice.get(&format!("/internal/actions/oauth_flow/{}", flow.id)).await.json();
    assert_eq!((&api["status"], api.get("usedAccount")), (&json!("authorized"), None));
}

#[tokio::test]
async fn the_used_account_replaces_the_connected_one_only_by_choice() {
    let app = TestApp::new();
    let (mut alice, _) = mismatch(&app, "bob@example.test").await;
    let plain = alice.get(CONFIRM).await;
    let page = alice.get(&format!("{CONFIRM}?account=change")).await;
    assert_eq!(html::attribute(&page.body, "data-account").as_deref(), Some("change"));
    assert!(page.body.contains("replaces the one that was last connected") && !plain.body.contains("replaces"));
    let flow = alice.start_at(START, &json!({"allowAccountChange": true})).await;
    alice.finish(&flow).await;
    let status = alice.post_empty("/internal/actions/connectors/_me/auth_status").await.json();
    assert_eq!(status["drive"]["connection"]["account"], "bob@example.test");
}

#[tokio::test]
async fn the_used_account_becomes_another_connection() {
    let app = TestApp::new();
    let (mut alice, _) = mismatch(&app, "bob@example.test").await;
    let page = alice.get(&format!("{CONFIRM}?connection=bob")).await;
    assert_eq!(html::attribute(&page.body, "data-connection").as_deref(), Some("bob"));
    let flow = alice.start_at(START, &json!({"connection": "bob"})).await;
    alice.finish(&flow).await;
    let accounts = |status: &Value| {
        let connections = status["drive"]["connections"].as_array().unwrap();
        connections.iter().map(|connection| connection["account"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let status = alice.post_empty("/internal/actions/connectors/_me/auth_status").await.json();
    assert_eq!(accounts(&status), ["bob@example.test", "alice@example.test"], "bob, then default");
    // The same account under a third name: the page names it, and offers the account chooser.
    let flow = alice.start_at(START, &json!({"connection": "third"})).await;
    alice.finish(&flow).await;
    let page = page_of(&mut alice, &flow).await;
    assert!(page.contains("You already connected bob@example.test under another name."), "{page}");
    let retry = format!("{BASE}{CONFIRM}?connection=third&account=select");
    assert_eq!(links(&page), [retry, format!("{BASE}/")]);
}

#[tokio::test]
async fn r31_no_label_of_an_account_changes_the_elements_of_the_page() {
    let plain = {
        let app = TestApp::new();
        let (mut alice, flow) = mismatch(&app, "bob").await;
        html::names(&page_of(&mut alice, &flow).await)
    };
    for hostile in
        ["<script>alert(1)</script>", "\"><img src=x>", "'\"`", "{connected}{used}", "</main>", "&lt;b&gt;", "\u{202e}<b>"]
    {
        let app = TestApp::new();
        let (mut alice, flow) = mismatch(&app, hostile).await;
        assert_eq!(html::names(&page_of(&mut alice, &flow).await), plain, "{hostile}");
    }
}
