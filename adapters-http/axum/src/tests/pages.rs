//! Pages: fixed texts, escaping, policies.

use grantry_domain::connector::{AuthMode, ConnectorConfig, ConnectorName, ProfileId};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuthorizationServer as _, ProviderErrorKind, ProviderProfiles as _};
use grantry_domain::provider::{BindingKind, ClientAuthentication, Endpoints};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::ConnectorDraft;
use grantry_testkit::doubles::fixtures;
use http::{Method, StatusCode};
use proptest::prelude::*;
use serde_json::json;

use super::html;
use super::test_app::{BASE, Options, TestApp};

#[tokio::test]
async fn r30_the_callback_policy_is_a_fixed_string() {
    let golden = |base: &str| {
        format!(
            "default-src 'none'; script-src {base}/api/actions/connector/_oauth_callback_script; \
             style-src {base}/api/actions/connector/_oauth_callback_style; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'"
        )
    };
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    let flow = alice.start("drive").await;
    let end = alice.finish(&flow).await;
    let pages = [
        alice.get(end.location().strip_prefix(BASE).unwrap()).await,
        alice.get("/api/actions/connector/_oauth_callback_result/user_mismatch").await,
        app.browser().callback("code=c&state=s").await,
        alice.get("/api/actions/connector/_oauth_callback_result/nonsense").await,
    ];
    for page in pages {
        assert_eq!(page.header("content-security-policy"), golden(BASE));
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    }
    let mounted = TestApp::with(Options { public: "https://connect.example/oauth", ..Options::default() });
    let mut browser = mounted.browser().also("host", "connect.example");
    let page = browser.get("/api/actions/connector/_oauth_callback_result/user_mismatch").await;
    assert_eq!(page.header("content-security-policy"), golden("https://connect.example/oauth"));
}

#[tokio::test]
async fn r30_scripts_and_style_sheet_match_the_policy_and_are_cached() {
    let app = TestApp::new();
    let mut browser = app.browser();
    let result = browser.get("/api/actions/connector/_oauth_callback_result/user_mismatch").await;
    let login = browser.get("/login").await;
    for page in [&result.body, &login.body] {
        for (name, attributes) in html::tags(page) {
            let wanted = match name.as_str() {
                "script" => "src",
                "link" => "href",
                _ => continue,
            };
            let url = &attributes.iter().find(|(key, _)| key == wanted).unwrap().1;
            let response = browser.get(url.strip_prefix(BASE).unwrap()).await;
            assert_eq!(response.header("cache-control"), "public, max-age=31536000, immutable", "{url}");
            assert!(response.header("content-type").ends_with("; charset=utf-8"));
            let (bare, _) = url.strip_prefix(BASE).unwrap().split_once('?').unwrap();
            let bare_response = browser.get(bare).await;
            assert_eq!((bare_response.header("cache-control"), &bare_response.body), ("public, no-cache", &response.body));
            let etag = bare_response.header("etag").to_owned();
            let known = browser.send(Method::GET, bare, &[("if-none-match", &etag)], None).await;
            assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
        }
    }
}

#[tokio::test]
async fn r19_the_confirm_page_names_the_provider_and_warns_if_it_is_not_approved() {
    let app = TestApp::with_drive().await;
    app.connector("marketing", "custom", ".oauth2").await;
    let mut alice = app.signed_in("alice").await;
    for (path, space, warns) in [
        ("/api/actions/connector/drive/oauth/start", "Default", false),
        ("/s/marketing/api/actions/connector/custom/oauth/start", "marketing", true),
        ("/connect/drive", "Default", false),
        ("/s/marketing/connect/custom", "marketing", true),
    ] {
        let page = alice.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        for fact in ["Connector ", space, "alice", "as.example", "<li>read</li>", "<li>write</li>", "<li>api.example: "] {
            assert!(page.body.contains(fact), "{path}: {fact}\n{}", page.body);
        }
        assert_eq!(page.body.contains("Check the provider."), warns, "{path}");
        assert!(page.header("content-security-policy").contains("connect-src 'self'"));
    }
}

#[tokio::test]
async fn r19_the_consent_names_the_domains_in_which_a_grant_names_its_api() {
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
    for (domain, warns) in [("as.example", false), ("honest.example", true), ("example", false)] {
        app.profiles.set("{}", move |settings| {
            settings.base_url = None;
            settings.destinations.clear();
            settings.api_domains = vec![domain.to_owned()];
        });
        let page = alice.get("/api/actions/connector/drive/oauth/start").await;
        assert!(page.body.contains(&format!("<li>*.{domain}: ")), "{}", page.body);
        assert_eq!(page.body.contains("Check the hosts."), warns, "{domain}");
        let consent = alice.get("/internal/actions/connector/drive/_consent").await.json();
        assert_eq!(consent["destination_hosts"], serde_json::json!([format!("*.{domain}")]));
    }
}

#[tokio::test]
async fn r19_the_consent_names_every_host_that_receives_something_and_warns_of_other_sites() {
    let app = TestApp::with_drive().await;
    let endpoints = |log_in: &str, token: &str, userinfo: &str, revocation: &str| Endpoints {
        authorization: format!("https://{log_in}/authorize"),
        token: format!("https://{token}/token"),
        refresh: (token == "evil.example").then(|| "https://refresh.example/token".to_owned()),
        userinfo: Some(format!("https://{userinfo}/me")),
        revocation: Some(format!("https://{revocation}/revoke")),
        jwks: None,
    };
    let cases = [
        ("one_site", Some(endpoints("login.honest.example", "id.honest.example", "login.honest.example", "honest.example"))),
        ("other_sites", Some(endpoints("login.honest.example", "evil.example", "me.example:8443", "evil.example"))),
        ("issuer", None),
    ];
    let mut alice = app.signed_in("alice").await;
    for (name, endpoints) in cases {
        let warns = name == "other_sites";
        app.profiles.set("{}", move |settings| {
            settings.endpoints.clone_from(&endpoints);
            settings.kind = if endpoints.is_some() { BindingKind::Pinned } else { BindingKind::Issuer };
            settings.issuer = Some("https://login.honest.example/tenant".to_owned());
            settings.destinations =
                ["https://api.honest.example", "https://login.honest.example"].map(fixtures::origin).into();
        });
        for (language, warning) in [("en", "Check the hosts."), ("de", "Prüfen Sie die Hosts.")] {
            let path = "/api/actions/connector/drive/oauth/start";
            let page = alice.send(Method::GET, path, &[("accept-language", language)], None).await;
            let launch = alice.send(Method::GET, "/connect/drive", &[("accept-language", language)], None).await;
            let consent = |page: &str| {
                let (_, rest) = page.split_once("<dl").unwrap();
                rest.split_once("<p id=\"status\"").unwrap().0.to_owned()
            };
            assert_eq!(consent(&page.body), consent(&launch.body), "both pages show the same");
            assert_eq!(page.body.contains(warning), warns, "{name}: {}", page.body);
            insta::assert_snapshot!(format!("consent_{name}_{language}"), consent(&page.body));
        }
        let connector = alice.get("/api/actions/connector/drive").await.json();
        insta::assert_json_snapshot!(format!("consent_{name}"), connector["consent"]);
        let consent = alice.get("/internal/actions/connector/drive/_consent").await.json();
        if name == "issuer" {
            insta::assert_json_snapshot!(format!("consent_{name}_discovered"), consent);
        } else {
            assert_eq!(consent, connector["consent"]);
        }
        let listed = alice.get("/api/actions/connectors").await.json();
        assert_eq!(listed[0]["consent"], connector["consent"]);
    }
}

#[tokio::test]
async fn r19_the_consent_warns_of_hosts_that_the_metadata_of_an_issuer_names() {
    let app = TestApp::with_drive().await;
    app.profiles.set("{}", |settings| {
        (settings.kind, settings.endpoints) = (BindingKind::Issuer, None);
        settings.authentication = ClientAuthentication::None;
        settings.issuer = Some("https://login.honest.example".to_owned());
        settings.destinations = [fixtures::origin("https://api.honest.example")].into();
    });
    let settings = app.profiles.settings(&ConnectorConfig {
        profile: ProfileId::new(".example").unwrap(),
        settings: "{}".to_owned(),
        client_id: None,
    });
    let mut discovered = app.provider.resolve(&settings.unwrap(), "https://host.example/callback", "{}").await.unwrap();
    discovered.endpoints.token = "https://evil.example/token".to_owned();
    let mut alice = app.signed_in("alice").await;
    let mut get = async |path: &str| {
        app.provider.respond_to_resolve(Ok(discovered.clone()));
        alice.get(path).await
    };
    let page = get("/api/actions/connector/drive/oauth/start").await;
    assert!(page.body.contains("Check the hosts.") && page.body.contains("evil.example"), "{}", page.body);
    let consent = get("/internal/actions/connector/drive/_consent").await.json();
    assert_eq!(
        consent["receivers"][1],
        json!({"host": "evil.example", "receives": ["code_and_tokens"], "other_site": true}),
        "{consent}"
    );
    let start = "/internal/actions/connector/drive/_start_oauth_flow";
    let shown = json!({"consentVersion": consent["version"]});
    let refused = alice.post(start, &shown).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "connector_changed"), "the metadata changed");
    app.provider.respond_to_resolve(Ok(discovered.clone()));
    assert_eq!(alice.post(start, &shown).await.status, StatusCode::OK);

    for path in ["/internal/actions/connector/drive/_consent", "/api/actions/connector/drive/oauth/start"] {
        app.provider.respond_to_resolve(Err(ProviderErrorKind::NoResponse));
        assert_eq!(alice.get(path).await.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
}

#[tokio::test]
async fn r04_the_confirm_page_requires_log_in_and_returns_to_itself() {
    let app = TestApp::new();
    app.connector("marketing", "drive", ".example").await;
    let path = "/s/marketing/api/actions/connector/drive/oauth/start";
    let response = app.browser().get(path).await;
    assert_eq!(response.status, StatusCode::SEE_OTHER);
    let log_in = response.location().strip_prefix(BASE).unwrap().to_owned();
    let page = app.browser().get(&log_in).await;
    assert_eq!(html::attribute(&page.body, "data-next").unwrap(), format!("{BASE}{path}"));
    // Without access to the space the connector looks missing.
    let mut dave = app.signed_in("dave").await;
    for path in [path, "/s/nowhere/api/actions/connector/drive/oauth/start", "/api/actions/connector/missing/oauth/start"] {
        assert_eq!(dave.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn without_a_console_the_connectors_are_listed_with_their_start_links() {
    let app = TestApp::with_drive().await;
    app.connector("marketing", "mail", ".example").await;
    let mut alice = app.connected("alice", "drive").await;
    let page = alice.get("/").await;
    assert!(page.body.contains("Connected") && page.body.contains("Reconnect"), "{}", page.body);
    assert!(page.body.contains(&format!("href=\"{BASE}/s/marketing/\"")));
    assert!(page.body.contains(&format!("data-disconnect=\"{BASE}/internal/actions/connector/drive/_oauth_disconnect\"")));
    let page = alice.get("/s/marketing/").await;
    assert!(
        page.body.contains(&format!("href=\"{BASE}/s/marketing/api/actions/connector/mail/oauth/start\"")),
        "{}",
        page.body
    );
    assert_eq!(alice.get("/s/marketing").await.location(), format!("{BASE}/s/marketing/"));
    assert_eq!(alice.get("/s/nowhere/").await.status, StatusCode::NOT_FOUND);
    assert_eq!(app.browser().get("/s/marketing/").await.location(), format!("{BASE}/login?next=%2Fs%2Fmarketing%2F"));
    assert!(html::names(&page.body).contains(&"nav".to_owned()), "the spaces are linked");
}

#[tokio::test]
async fn r31_the_result_pages_are_a_fixed_set() {
    let app = TestApp::new();
    let mut browser = app.browser();
    let mut headings = std::collections::BTreeMap::new();
    for code in crate::Code::ALL {
        let page = browser.get(&format!("/api/actions/connector/_oauth_callback_result/{}", code.as_str())).await;
        assert_eq!(page.status, StatusCode::OK);
        let heading = page.body.split("<h1>").nth(1).unwrap().split("</h1>").next().unwrap().to_owned();
        headings.entry(heading).or_insert_with(Vec::new).push(code.as_str());
    }
    insta::assert_json_snapshot!("result_pages", headings);
    let page = browser.get("/api/actions/connector/_oauth_callback_result/%3Cscript%3E").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
}

/// The elements of every page that shows the name of a connector.
fn element_sets(name: &str) -> Vec<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let app = TestApp::new();
        let draft = ConnectorDraft {
            // A name with a character that changes the direction is refused; a label is not.
            name: ConnectorName::new(name.replace('\u{202e}', "")).unwrap(),
            profile: ProfileId::new(".oauth2").unwrap(),
            auth_mode: AuthMode::PerUser,
            settings: "{}".to_owned(),
            client_id: Some("client-1".to_owned()),
            client_secret: Some(Secret::from_text("s")),
        };
        let id = Some(fixtures::connector_id("drive"));
        app.connections.install_connector(&Actor::System, &fixtures::space("default"), id, draft).await.unwrap();
        app.provider
            .set_account(Some(grantry_domain::provider::Account { subject: "1".to_owned(), label: name.to_owned() }));
        let mut alice = app.signed_in("alice").await;
        let uri = alice.get("/api/actions/connector/drive").await.json()["redirect_uri"].as_str().unwrap().to_owned();
        let flow = alice.start("drive").await;
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("code", "c")
            .append_pair("state", &flow.state)
            .append_pair("error_description", name)
            .finish();
        let end = alice.arrive(&format!("{}?{query}", uri.strip_prefix(BASE).unwrap())).await.location().to_owned();
        let mut sets = Vec::new();
        for path in ["/", "/api/actions/connector/drive/oauth/start", "/connect/drive", end.strip_prefix(BASE).unwrap()] {
            let page = alice.get(path).await;
            assert_eq!(page.status, StatusCode::OK, "{path}");
            sets.push(html::names(&page.body));
        }
        sets
    })
}

#[test]
fn r31_no_name_or_label_changes_the_elements_of_a_page() {
    let plain = element_sets("Drive");
    for hostile in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'\"`",
        "</main></body>",
        "<!--",
        "{{ page }}",
        "&lt;b&gt;",
        "\" autofocus onfocus=\"alert(1)",
        "</h1><h1>",
        "javascript:alert(1)",
        "]]>",
        "\u{202e}<b>",
    ] {
        assert_eq!(element_sets(hostile), plain, "{hostile}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn r31_fuzzed_names_never_change_the_elements_of_a_page(name in "[<>\"'&/=a-z!\\-{}% ]{1,40}") {
        prop_assume!(!name.trim().is_empty());
        prop_assert_eq!(element_sets(&name), element_sets("Drive"));
    }
}
