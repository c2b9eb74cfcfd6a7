//! The authorization URL.

use std::collections::BTreeMap;

use grantry_domain::ports::{AuthorizationRequest, AuthorizationServer as _, ProviderErrorKind, ProviderProfiles as _};
use grantry_domain::provider::{ProviderSnapshot, Scopes};
use grantry_domain::secret::Secret;
use proptest::prelude::*;
use url::Url;

use super::{BY_HAND, by_hand};
use crate::fake_transport::{REDIRECT_URI, TestServer, client, connector_config, text};
use crate::{EgressPolicy, ProfileOptions};

fn request(scopes: &[&str]) -> AuthorizationRequest {
    AuthorizationRequest {
        state: Secret::from_text("state-1"),
        code_challenge: "challenge-1".to_owned(),
        scopes: Scopes::new(scopes.iter().copied()),
        nonce: None,
        login_hint: None,
        select_account: false,
    }
}

async fn built(test: &TestServer, provider: &ProviderSnapshot, request: AuthorizationRequest) -> Url {
    let url = test.server.authorization_url(provider, &client(), request).await.unwrap();
    Url::parse(text(&url)).unwrap()
}

fn params(url: &Url) -> BTreeMap<String, String> {
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let params: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(params.len(), pairs.len(), "a parameter occurs twice in {url}");
    params
}

#[tokio::test]
async fn r02_the_challenge_is_sent_with_s256_and_nothing_else() {
    let test = TestServer::new();
    let provider = test.provider(".oauth2", BY_HAND).await;
    let url = built(&test, &provider, request(&["b", "a"])).await;
    assert_eq!(url.origin().ascii_serialization() + url.path(), "https://as.example/authorize");
    assert!(url.fragment().is_none());
    let expected = [
        ("response_type", "code"),
        ("client_id", "client-1"),
        ("redirect_uri", REDIRECT_URI),
        ("scope", "a b"),
        ("state", "state-1"),
        ("code_challenge", "challenge-1"),
        ("code_challenge_method", "S256"),
    ];
    assert_eq!(params(&url), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

#[tokio::test]
async fn r02_pkce_is_left_out_only_for_hosts_that_the_operator_lists() {
    let options = ProfileOptions { pkce_off_hosts: vec!["as.example".to_owned()], ..ProfileOptions::default() };
    let test = TestServer::with(EgressPolicy::new(&["*"], &[]).unwrap(), options);
    let provider = test.provider(".oauth2", &by_hand(r#""pkce":"off""#)).await;
    let params = params(&built(&test, &provider, request(&[])).await);
    assert!(!params.contains_key("code_challenge") && !params.contains_key("code_challenge_method"));

    let strict = TestServer::new();
    let refused = strict.profiles.settings(&connector_config(".oauth2", &by_hand(r#""pkce":"off""#))).unwrap_err();
    assert_eq!(refused.field, "config.pkce");
    let url = strict.server.authorization_url(&provider, &client(), request(&[])).await;
    assert_eq!(url.err().map(|error| error.kind), Some(ProviderErrorKind::NotAllowed), "the host is no longer listed");
}

#[tokio::test]
async fn r15_resource_nonce_and_hint_are_sent_if_present() {
    let test = TestServer::new();
    let mut provider = test.provider(".oauth2", BY_HAND).await;
    provider.resources = vec!["https://api.example/".to_owned()];
    let request = AuthorizationRequest {
        nonce: Some("nonce-1".to_owned()),
        login_hint: Some("alice & bob".to_owned()),
        select_account: false,
        ..request(&[])
    };
    let params = params(&built(&test, &provider, request).await);
    assert_eq!(params["resource"], "https://api.example/");
    assert_eq!(params["nonce"], "nonce-1");
    assert_eq!(params["login_hint"], "alice & bob");
    assert!(!params.contains_key("scope"), "no scope, no parameter");
}

#[tokio::test]
async fn an_account_chooser_is_requested_beside_the_configured_prompt() {
    let test = TestServer::new();
    for (configured, expected) in [
        (None, "select_account"),
        (Some("consent"), "consent select_account"),
        (Some("login consent"), "login consent select_account"),
        (Some("select_account"), "select_account"),
        (Some("consent select_account"), "consent select_account"),
        (Some("none"), "select_account"),
    ] {
        let config = configured.map_or(BY_HAND.to_owned(), |prompt| {
            by_hand(&format!(r#""extraAuthorizationParameters":{{"prompt":"{prompt}"}}"#))
        });
        let provider = test.provider(".oauth2", &config).await;
        let url = built(&test, &provider, AuthorizationRequest { select_account: true, ..request(&[]) }).await;
        assert_eq!(params(&url)["prompt"], expected, "{configured:?}");
        let plain = params(&built(&test, &provider, request(&[])).await);
        assert_eq!(plain.get("prompt").map(String::as_str), configured, "only on request");
    }
}

#[tokio::test]
async fn the_scope_parameter_is_named_and_joined_as_configured() {
    let test = TestServer::new();
    let config =
        by_hand(r#""scopeParameter":"user_scope","scopeSeparator":",","extraAuthorizationParameters":{"prompt":"consent"}"#);
    let provider = test.provider(".oauth2", &config).await;
    let params = params(&built(&test, &provider, request(&["a", "b"])).await);
    assert_eq!(params["user_scope"], "a,b");
    assert_eq!(params["prompt"], "consent");
    assert!(!params.contains_key("scope"));
}

#[tokio::test]
async fn the_query_of_an_endpoint_is_kept() {
    let test = TestServer::new();
    let config = BY_HAND.replace("/authorize", "/authorize?tenant=1");
    let provider = test.provider(".oauth2", &config).await;
    let params = params(&built(&test, &provider, request(&[])).await);
    assert_eq!((params["tenant"].as_str(), params["state"].as_str()), ("1", "state-1"));
}

#[tokio::test]
async fn r12_an_endpoint_with_reserved_parameters_is_refused() {
    let test = TestServer::new();
    for query in [
        "redirect_uri=https://evil.test/",
        "state=x",
        "STATE=x",
        "a=1&scope=admin",
        "response_mode=fragment",
        "request_uri=x",
    ] {
        let config = BY_HAND.replace("/authorize", &format!("/authorize?{query}"));
        let refused = test.profiles.settings(&connector_config(".oauth2", &config)).unwrap_err();
        assert_eq!(refused.field, "config.authorizationUrl", "{query}");
        let mut provider = test.provider(".oauth2", BY_HAND).await;
        provider.endpoints.authorization = format!("https://as.example/authorize?{query}");
        let url = test.server.authorization_url(&provider, &client(), request(&[])).await;
        assert_eq!(url.err().map(|error| error.kind), Some(ProviderErrorKind::NotAllowed), "{query}");
    }
}

#[tokio::test]
async fn r11_a_scheme_that_a_browser_must_not_follow_is_refused() {
    let test = TestServer::new();
    for scheme in [
        "javascript:alert(1)//",
        "data:text/html,",
        "file:///",
        "vbscript:x",
        "intent://x",
        "http://as.example/",
        "//as.example/",
        "blob:https://as.example/",
    ] {
        let config = BY_HAND.replace("https://as.example/authorize", scheme);
        assert_eq!(
            test.profiles.settings(&connector_config(".oauth2", &config)).unwrap_err().field,
            "config.authorizationUrl"
        );
        let mut provider = test.provider(".oauth2", BY_HAND).await;
        scheme.clone_into(&mut provider.endpoints.authorization);
        let url = test.server.authorization_url(&provider, &client(), request(&[])).await;
        assert_eq!(url.err().map(|error| error.kind), Some(ProviderErrorKind::NotAllowed), "{scheme}");
    }
}

const RESERVED: [&str; 5] = ["client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"];

proptest! {
    /// For every accepted configuration, each reserved parameter occurs once in the URL, with the value of the flow.
    #[test]
    fn r12_no_configuration_overrides_a_reserved_parameter(
        extra in proptest::collection::btree_map("[a-zA-Z_.\\[\\]&=%# -]{0,12}|state|scope|redirect_uri|State|client_id|code_challenge|response_type|redirect\\.uri", ".{0,10}", 0..4),
        parameter in "scope|user_scope|state|scope\\[\\]|[a-z_]{1,6}",
        separator in " |,|;|\\+|&",
        query in "|a=b|state=x|redirect%5Furi=x|a=b&code_challenge=x",
        scopes in proptest::collection::vec("[a-z:/.&=#]{1,8}", 0..3),
    ) {
        let members: Vec<String> = extra.iter().map(|(name, value)| format!("{}:{}", quoted(name), quoted(value))).collect();
        let config = by_hand(&format!(
            r#""extraAuthorizationParameters":{{{}}},"scopeParameter":{},"scopeSeparator":{}"#,
            members.join(","), quoted(&parameter), quoted(&separator),
        )).replace("/authorize\"", &format!("/authorize?{query}\""));
        let test = TestServer::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        if test.profiles.settings(&connector_config(".oauth2", &config)).is_ok() {
            let url = runtime.block_on(async {
                let provider = test.provider(".oauth2", &config).await;
                let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
                built(&test, &provider, request(&scopes)).await
            });
            let pairs: Vec<_> = url.query_pairs().into_owned().collect();
            let values = |wanted: &str| pairs.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str()).collect::<Vec<_>>();
            let expected = ["client-1", REDIRECT_URI, "state-1", "challenge-1", "S256"];
            for (name, value) in RESERVED.into_iter().zip(expected) {
                prop_assert_eq!(values(name), [value]);
            }
            prop_assert_eq!(values("response_type"), ["code"]);
            prop_assert!(values("scope").len() <= 1);
            prop_assert!(url.fragment().is_none());
            prop_assert_eq!(url.host_str(), Some("as.example"));
        }
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let units: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    format!("\"{}\"", units.concat())
}
