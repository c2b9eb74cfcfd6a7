//! The language and the colours of the pages.

use std::sync::Arc;

use http::Method;
use serde_json::json;

use super::html;
use super::test_app::{Browser, Options, TestApp, TestResponse, plain_asset};
use crate::host::{ConsoleAsset, ConsoleAssets};

const RESULT: &str = "/api/actions/connector/_oauth_callback_result";

async fn get(browser: &mut Browser, path: &str, language: &str) -> TestResponse {
    browser.send(Method::GET, path, &[("accept-language", language), ("sec-fetch-dest", "document")], None).await
}

fn assert_language(page: &TestResponse, language: &str) {
    assert_eq!(html::attribute(&page.body, "lang").as_deref(), Some(language), "{}", page.body);
    assert_eq!(page.header("content-language"), language);
    assert_eq!(page.header("vary"), "accept-language, cookie");
}

#[tokio::test]
async fn every_page_is_in_the_preferred_language() {
    let app = TestApp::new();
    app.connector("default", "drive", ".oauth2").await;
    let mut alice = app.signed_in("alice").await;
    let start = "/internal/actions/connector/drive/_start_oauth_flow";
    let cancelled = alice.start_at(start, &json!({})).await;
    alice.post("/internal/actions/connector/drive/_oauth_cancel", &json!({"flowId": cancelled.id})).await;
    let flow = format!("{RESULT}/{}", cancelled.id);
    let pages = [
        ("/api/actions/connector/drive/oauth/start", "Connect Connector drive", "Connector drive verbinden"),
        ("/connect/drive", "Check the provider.", "Prüfen Sie den Anbieter."),
        ("/", "Not connected", "Nicht verbunden"),
        (flow.as_str(), "<h1>Cancelled</h1>", "<h1>Abgebrochen</h1>"),
        ("/api/actions/connector/none/oauth/start", "<h1>Not found</h1>", "<h1>Nicht gefunden</h1>"),
        ("/connect/drive?flow=nonsense", "<h1>Not found</h1>", "<h1>Nicht gefunden</h1>"),
    ];
    for (path, english, german) in pages {
        let (en, de) = (get(&mut alice, path, "en-GB,de;q=0.5").await, get(&mut alice, path, "de-AT,en;q=0.5").await);
        assert!(en.body.contains(english), "{path}: {}", en.body);
        assert!(de.body.contains(german) && !de.body.contains(english), "{path}: {}", de.body);
        assert_language(&en, "en");
        assert_language(&de, "de");
        assert_eq!(html::names(&en.body), html::names(&de.body), "{path}");
        assert_eq!(en.status, de.status);
    }
    let mut browser = app.browser();
    let log_in = get(&mut browser, "/login", "de").await;
    assert!(log_in.body.contains("Benutzername") && log_in.body.contains("<h1>Anmelden</h1>"), "{}", log_in.body);
    assert_language(&log_in, "de");
    let callback = get(&mut browser, "/api/actions/connector/_oauth_profile_callback?code=c&state=s", "de").await;
    assert!(callback.body.contains("Melden Sie sich an"), "{}", callback.body);
    assert_language(&callback, "de");
}

#[tokio::test]
async fn every_code_has_a_page_in_every_language() {
    let app = TestApp::new();
    let mut browser = app.browser();
    for code in crate::Code::ALL {
        let path = format!("{RESULT}/{}", code.as_str());
        let (en, de) = (get(&mut browser, &path, "en").await, get(&mut browser, &path, "de").await);
        let heading =
            |page: &TestResponse| page.body.split("<h1>").nth(1).unwrap().split("</h1>").next().unwrap().to_owned();
        assert_ne!(heading(&en), heading(&de), "{}", code.as_str());
    }
}

#[tokio::test]
async fn scripts_get_their_texts_from_the_page_in_its_language() {
    let app = TestApp::new();
    let mut browser = app.browser();
    let page = get(&mut browser, "/login", "de").await;
    let errors = html::attribute(&page.body, "data-errors").unwrap().replace("&#34;", "\"").replace("&#38;", "&");
    let errors: serde_json::Value = serde_json::from_str(&errors).unwrap();
    assert_eq!(errors["not_signed_in"], "Benutzername oder Passwort ist falsch.");
    assert_eq!(errors.as_object().unwrap().len(), crate::Code::ALL.len());
    let page = get(&mut browser, &format!("{RESULT}/access_denied"), "de").await;
    assert_eq!(
        html::attribute(&page.body, "data-closes-in").as_deref(),
        Some("Dieser Tab schließt sich in {seconds} Sekunden.")
    );
    for path in ["_oauth_callback_script", "_page_script"] {
        let script = browser.get(&format!("/api/actions/connector/{path}")).await;
        for text in ["This tab", "The server did", "Opening the", "The request"] {
            assert!(!script.body.contains(text), "{path} contains {text:?}");
        }
    }
}

#[tokio::test]
async fn the_choices_of_the_console_take_precedence_and_are_in_the_page_before_its_style_sheet() {
    let app = TestApp::new();
    for (theme, scheme) in [("dark", "dark"), ("light", "light"), ("system", "light dark"), ("odd", "light dark")] {
        let mut browser = app.browser();
        browser.cookies.insert("grantry_theme".to_owned(), theme.to_owned());
        browser.cookies.insert("grantry_language".to_owned(), "de".to_owned());
        for path in ["/login", "/api/actions/connector/_oauth_callback_result/access_denied"] {
            let page = get(&mut browser, path, "en").await;
            assert_language(&page, "de");
            let meta = format!("<meta name=\"color-scheme\" content=\"{scheme}\">");
            let (before, _) = page.body.split_once("<link rel=\"stylesheet\"").unwrap();
            assert!(before.contains(&meta), "{theme}: {before}");
            let expected = if theme == "odd" { "system" } else { theme };
            assert_eq!(html::attribute(&page.body, "data-theme").as_deref(), Some(expected));
            assert!(!page.header("content-security-policy").contains("unsafe"));
        }
    }
}

struct Built;

impl ConsoleAssets for Built {
    fn get(&self, path: &str) -> Option<ConsoleAsset> {
        let html =
            "<!doctype html><html lang=\"en\"><head><meta name=\"color-scheme\" content=\"light dark\"></head></html>";
        let is_page = matches!(path, "index.html" | "connect.html");
        is_page.then(|| plain_asset(html, "text/html; charset=utf-8"))
    }
}

#[tokio::test]
async fn the_pages_of_the_console_have_the_chosen_language_and_colours() {
    let app = TestApp::with(Options { console: Some(Arc::new(Built)), ..Options::default() });
    let mut browser = app.browser();
    browser.cookies.insert("grantry_theme".to_owned(), "dark".to_owned());
    for path in ["/", "/s/marketing/", "/connect/drive"] {
        let page = get(&mut browser, path, "de").await;
        assert!(page.body.contains("<html lang=\"de\" data-theme=\"dark\">"), "{path}: {}", page.body);
        assert!(page.body.contains("<meta name=\"color-scheme\" content=\"dark\">"), "{path}: {}", page.body);
    }
}
