//! Issuer mode.

use grantry_domain::ports::{AuthorizationServer as _, ProviderErrorKind, ProviderProfiles as _};
use grantry_domain::provider::{BindingKind, CallbackPath, ProviderSnapshot};

use super::BY_HAND;
use crate::fake_transport::{REDIRECT_URI, TestServer, connector_config};
use crate::{EgressPolicy, ProfileOptions, TransportError};

const ISSUER: &str = "https://as.example/tenant";
const CONFIG: &str = r#"{"issuer":"https://as.example/tenant","scope":"openid files","baseUrl":"https://api.example"}"#;

fn document(edit: impl Fn(&str) -> String) -> String {
    edit(
        r#"{"issuer":"https://as.example/tenant","authorization_endpoint":"https://as.example/authorize",
            "token_endpoint":"https://as.example/token","revocation_endpoint":"https://as.example/revoke",
            "userinfo_endpoint":"https://as.example/userinfo","jwks_uri":"https://as.example/jwks",
            "authorization_response_iss_parameter_supported":true,"scopes_supported":["openid"]}"#,
    )
}

fn valid() -> String {
    document(str::to_owned)
}

async fn resolve(test: &TestServer, config: &str) -> Result<ProviderSnapshot, ProviderErrorKind> {
    let settings = test.profiles.settings(&connector_config(".oauth2", config)).unwrap();
    test.server.resolve(&settings, REDIRECT_URI, config).await.map_err(|error| error.kind)
}

#[tokio::test]
async fn r11_metadata_is_frozen_into_the_provider() {
    let test = TestServer::new();
    let settings = test.profiles.settings(&connector_config(".oauth2", CONFIG)).unwrap();
    assert_eq!((settings.kind, settings.callback), (BindingKind::Issuer, CallbackPath::Issuers));
    assert!(settings.endpoints.is_none());
    test.transport.respond(200, valid());
    let provider = resolve(&test, CONFIG).await.unwrap();
    assert_eq!(test.transport.last().url, "https://as.example/.well-known/oauth-authorization-server/tenant");
    assert_eq!(provider.issuer.as_deref(), Some(ISSUER));
    assert!(provider.issuer_in_response);
    assert_eq!(provider.endpoints.token, "https://as.example/token");
    assert_eq!(provider.endpoints.jwks.as_deref(), Some("https://as.example/jwks"));
    assert_eq!((provider.redirect_uri.as_str(), provider.config.as_str()), (REDIRECT_URI, CONFIG));

    assert!(resolve(&test, CONFIG).await.is_ok());
    assert_eq!(test.transport.sent().len(), 1, "metadata is cached");
}

#[tokio::test]
async fn r11_the_second_url_is_requested_if_the_first_has_no_document() {
    for (status, body) in [(404, ""), (200, "<!doctype html>"), (500, ""), (302, "")] {
        let test = TestServer::new();
        test.transport.respond(status, body).respond(200, valid());
        assert!(resolve(&test, CONFIG).await.is_ok(), "{status}");
        assert_eq!(test.transport.last().url, "https://as.example/tenant/.well-known/openid-configuration");
    }
}

#[tokio::test]
async fn r11_an_issuer_that_differs_in_any_character_is_refused() {
    for other in [
        "https://as.example/Tenant",
        "https://as.example/tenant/",
        "https://as.example/tenant2",
        "https://as.example",
        "https://as.example:443/tenant",
        "HTTPS://as.example/tenant",
        "http://as.example/tenant",
        "https://evil.test/tenant",
        "",
    ] {
        let test = TestServer::new();
        let issuer = format!("\"issuer\":\"{other}\"");
        test.transport.respond(200, document(|text| text.replacen(&format!("\"issuer\":\"{ISSUER}\""), &issuer, 1)));
        assert_eq!(resolve(&test, CONFIG).await, Err(ProviderErrorKind::BadMetadata), "{other}");
        assert_eq!(test.transport.sent().len(), 1, "an invalid document ends the search");
    }
}

/// The problem in the diagnosis of a document that is not accepted.
async fn problem_of(document: String) -> String {
    let test = TestServer::new();
    test.transport.respond(200, document.clone()).respond(200, document);
    let settings = test.profiles.settings(&connector_config(".oauth2", CONFIG)).unwrap();
    let error = test.server.resolve(&settings, REDIRECT_URI, CONFIG).await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::BadMetadata);
    error.diagnosis.problem.unwrap().into_owned()
}

#[tokio::test]
async fn r11_a_refused_document_is_diagnosed_with_what_differs_and_what_to_do() {
    let with_issuer = |other: &str| document(|text| text.replacen(ISSUER, other, 1));
    for (document, parts) in [
        (with_issuer("https://as.example/tenant/"), ["ends with a slash", "add the slash"]),
        (with_issuer("https://as.example/Tenant"), ["upper and lower case", "exact spelling"]),
        (with_issuer("https://as.example/{tenant}/v2"), ["another path", "configure the endpoints"]),
        (with_issuer("https://other.example/tenant"), ["another host", "configure the endpoints"]),
        (document(|text| text.replace("\"issuer\"", "\"x\"")), ["issuer is missing", "configure the endpoints"]),
        (
            document(|text| text.replace("iss_parameter_supported\":true", "iss_parameter_supported\":false")),
            ["authorization_response_iss_parameter_supported", "configure the endpoints"],
        ),
        (
            document(|text| text.replace("https://as.example/revoke", "http://as.example/revoke")),
            ["revocation_endpoint", "must start with https://"],
        ),
        (
            document(|text| text.replace("https://as.example/token", "https://AS.example/token?key=example")),
            ["token_endpoint", "normalised form; configure the endpoints instead"],
        ),
        (
            document(|text| text.replace("https://as.example/jwks", "https://as.example:8443/jwks")),
            ["jwks_uri", "allow its host and port"],
        ),
        (document(|text| text.replacen('{', "{\"jwks_uri\":\"https://x.example/\",", 1)), ["jwks_uri", "more than once"]),
    ] {
        let problem = problem_of(document).await;
        assert!(parts.iter().all(|part| problem.contains(part)), "{parts:?}: {problem}");
        assert!(!problem.contains("example"), "no text of the provider: {problem}");
        assert_eq!(problem.contains("allow its host"), parts[1].contains("allow its host"), "{problem}");
    }
    let test = TestServer::new();
    test.transport.respond(200, valid());
    let config = CONFIG.replace("/tenant", "/tenant/");
    let settings = test.profiles.settings(&connector_config(".oauth2", &config)).unwrap();
    let error = test.server.resolve(&settings, REDIRECT_URI, &config).await.unwrap_err();
    assert!(error.diagnosis.problem.unwrap().contains("remove the slash"));
}

#[tokio::test]
async fn r70_the_accepted_form_of_an_endpoint_in_metadata_is_quoted() {
    for (written, accepted) in [
        ("https://AS.example:443/a/../token", Some("https://as.example/token")),
        ("https://as.example", Some("https://as.example/")),
        ("https://AS.example/token?key=value", None),
        ("https://AS.example:8443/token", None),
        ("https://as.example/token#x", None),
    ] {
        let problem = problem_of(document(|text| text.replace("https://as.example/token", written))).await;
        let quoted = accepted.map(|form| format!("this one as {form}"));
        assert_eq!(problem.contains("https://as"), quoted.is_some(), "{problem}");
        assert!(quoted.is_none_or(|form| problem.ends_with(&form)), "{written}: {problem}");
        assert!(!problem.contains("allow its host"), "{written}: {problem}");
    }
}

#[tokio::test]
async fn r28_a_document_with_a_byte_order_mark_and_a_repeated_unknown_member_is_accepted() {
    let test = TestServer::new();
    let odd = document(|text| format!("\u{feff}{}", text.replacen('{', "{\"x\":1,\"x\":2,", 1)));
    test.transport.respond(200, odd);
    assert!(resolve(&test, CONFIG).await.is_ok());
}

#[tokio::test]
async fn r11_every_endpoint_passes_the_policy() {
    for name in ["authorize", "token", "revoke", "userinfo", "jwks"] {
        for bad in [
            "http://as.example/x",
            "javascript:alert(1)",
            "https://127.0.0.1/x",
            "https://169.254.169.254/x",
            "https://as.example:8443/x",
            "https://as.example/x#y",
            "https://a@as.example/x",
            "https://AS.example/x",
            "/x",
            "",
        ] {
            let test = TestServer::new();
            test.transport.respond(200, document(|text| text.replace(&format!("https://as.example/{name}"), bad)));
            assert_eq!(resolve(&test, CONFIG).await, Err(ProviderErrorKind::BadMetadata), "{name} {bad}");
        }
    }
}

#[tokio::test]
async fn r11_incomplete_and_invalid_documents_are_refused() {
    let edits: [(&str, &str); 6] = [
        (r#""authorization_endpoint":"https://as.example/authorize","#, ""),
        (r#""token_endpoint":"https://as.example/token","#, ""),
        (r#""token_endpoint":"https://as.example/token""#, r#""token_endpoint":7"#),
        (r#""issuer":"#, r#""issuer":"https://as.example/tenant","issuer":"#),
        ("https://as.example/authorize", "https://as.example/authorize?redirect_uri=https://evil.test/"),
        (r#""scopes_supported""#, r#""require_pushed_authorization_requests":true,"scopes_supported""#),
    ];
    for (from, to) in edits {
        let test = TestServer::new();
        let broken = document(|text| text.replacen(from, to, 1));
        assert_ne!(broken, valid());
        test.transport.respond(200, broken.clone()).respond(200, broken);
        assert_eq!(resolve(&test, CONFIG).await, Err(ProviderErrorKind::BadMetadata), "{to}");
    }
}

/// Connectors in issuer mode share one redirect URI. That is safe only if every response contains `iss`: without it an
/// attacker's issuer could collect codes of another provider.
#[tokio::test]
async fn r10_an_issuer_that_does_not_announce_iss_is_refused() {
    for value in ["false", "null", "\"true\"", "1"] {
        let test = TestServer::new();
        test.transport.respond(200, document(|text| text.replace("supported\":true", &format!("supported\":{value}"))));
        assert_eq!(resolve(&test, CONFIG).await, Err(ProviderErrorKind::BadMetadata), "{value}");
    }
}

#[tokio::test]
async fn errors_are_distinguished_and_not_cached() {
    let test = TestServer::new();
    test.transport.fail(TransportError::NotSent);
    assert_eq!(resolve(&test, CONFIG).await, Err(ProviderErrorKind::NotSent));
    test.transport.respond(503, "").respond(503, "");
    assert_eq!(resolve(&test, CONFIG).await, Err(ProviderErrorKind::NoResponse));
    test.transport.respond(404, "").respond(404, "");
    assert_eq!(resolve(&test, CONFIG).await, Err(ProviderErrorKind::BadMetadata));
    test.transport.respond(200, valid());
    assert!(resolve(&test, CONFIG).await.is_ok());
}

#[tokio::test]
async fn concurrent_callers_share_one_request() {
    let test = TestServer::new();
    test.transport.respond(200, valid());
    let (one, two, three) = tokio::join!(resolve(&test, CONFIG), resolve(&test, CONFIG), resolve(&test, CONFIG));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(test.transport.sent().len(), 1);
}

#[tokio::test]
async fn lesson_25_configured_endpoints_are_checked_again_at_start() {
    let wide = TestServer::new();
    let settings = wide.profiles.settings(&connector_config(".oauth2", BY_HAND)).unwrap();
    for allowed in [["as.example"], ["api.example"], ["other.example"]] {
        let narrow = TestServer::with(EgressPolicy::new(&allowed, &[]).unwrap(), ProfileOptions::default());
        let resolved = narrow.server.resolve(&settings, REDIRECT_URI, BY_HAND).await;
        assert_eq!(resolved.map_err(|error| error.kind), Err(ProviderErrorKind::NotAllowed), "{allowed:?}");
    }
    assert!(wide.server.resolve(&settings, REDIRECT_URI, BY_HAND).await.is_ok());
    assert!(wide.transport.sent().is_empty(), "configured endpoints need no request");
}

#[tokio::test]
async fn lesson_25_no_request_goes_to_an_issuer_outside_the_policy() {
    let wide = TestServer::new();
    let settings = wide.profiles.settings(&connector_config(".oauth2", CONFIG)).unwrap();
    let narrow = TestServer::with(EgressPolicy::new(&["api.example"], &[]).unwrap(), ProfileOptions::default());
    assert_eq!(
        narrow.server.resolve(&settings, REDIRECT_URI, CONFIG).await.map_err(|error| error.kind),
        Err(ProviderErrorKind::NotAllowed)
    );
    assert!(narrow.transport.sent().is_empty());
}
