//! Requests to the token endpoint.

use grantry_domain::ports::{
    AuthorizationRequest, AuthorizationServer as _, ClientCredentials, ProviderErrorKind, TokenKind,
};
use grantry_domain::provider::Scopes;
use grantry_domain::secret::Secret;

use super::{BY_HAND, by_hand};
use crate::fake_transport::{REDIRECT_URI, TestServer, client, code_exchange, text};
use crate::{EgressPolicy, ProfileOptions, TransportError};

const RESPONSE: &str = r#"{"access_token":"at-1","token_type":"Bearer","refresh_token":"rt-2","expires_in":60}"#;

fn secret(value: &str) -> Secret {
    Secret::from_text(value)
}

#[tokio::test]
async fn r07_the_code_is_exchanged_with_the_same_redirect_uri() {
    let test = TestServer::new();
    let provider = test.provider(".oauth2", BY_HAND).await;
    test.transport.respond(200, RESPONSE);
    let response = test.server.exchange(&provider, &client(), &code_exchange("c/1", "verifier")).await.ok().unwrap();
    assert_eq!(text(&response.access_token), "at-1");
    let sent = test.transport.last();
    assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", "https://as.example/token"));
    assert_eq!(sent.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(sent.headers["accept"], "application/json");
    let expected = [
        ("grant_type", "authorization_code"),
        ("code", "c/1"),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", "verifier"),
    ];
    assert_eq!(sent.form(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(sent.authorization.unwrap().starts_with("Basic "));
}

#[tokio::test]
async fn r16_the_client_authenticates_in_one_way_only() {
    let test = TestServer::new();
    for (setting, basic, id, in_body) in [
        (r#""clientAuth":"basic""#, true, None, None),
        (r#""useBasicAuth":true"#, true, None, None),
        (r#""clientAuth":"post""#, false, Some("client-1"), Some("client-secret-canary")),
        (r#""useBasicAuth":false"#, false, Some("client-1"), Some("client-secret-canary")),
        (r#""clientAuth":"none""#, false, Some("client-1"), None),
    ] {
        let provider = test.provider(".oauth2", &by_hand(setting)).await;
        test.transport.respond(200, RESPONSE);
        assert!(test.server.refresh(&provider, &client(), &secret("rt-1"), &Scopes::default()).await.is_ok());
        let sent = test.transport.last();
        assert_eq!(sent.authorization.is_some(), basic, "{setting}");
        assert_eq!(sent.param("client_id").as_deref(), id, "{setting}");
        assert_eq!(sent.param("client_secret").as_deref(), in_body, "{setting}");
        assert!(sent.param("client_assertion").is_none());
    }
}

#[tokio::test]
async fn r71_every_request_for_a_user_counts_for_its_share() {
    let test = TestServer::new();
    let provider = test.provider(".oauth2", BY_HAND).await;
    let (server, client) = (&test.server, client());
    test.transport.respond(200, RESPONSE).respond(200, RESPONSE).respond(200, "{}").respond(200, "").respond(200, RESPONSE);
    let tokens = server.exchange(&provider, &client, &code_exchange("c", "v")).await.ok().unwrap();
    assert!(server.refresh(&provider, &client, &secret("rt-1"), &Scopes::default()).await.is_ok());
    assert!(server.identify(&provider, &client, &tokens, None).await.is_ok());
    assert!(server.revoke(&provider, &client, &secret("rt-1"), TokenKind::Refresh).await.is_ok());
    let shares: Vec<_> = test.transport.sent().into_iter().map(|sent| sent.share).collect();
    assert_eq!(shares, vec![Some("alice".to_owned()); 4]);
    let without_user = ClientCredentials { user: None, ..client };
    assert!(server.client_credentials(&provider, &without_user, &Scopes::default()).await.is_ok());
    assert_eq!(test.transport.last().share, None);
}

#[tokio::test]
async fn a_client_without_its_secret_sends_no_request() {
    let test = TestServer::new();
    for setting in [r#""clientAuth":"basic""#, r#""clientAuth":"post""#] {
        let provider = test.provider(".oauth2", &by_hand(setting)).await;
        let bare = ClientCredentials { secret: None, user: None };
        let response = test.server.refresh(&provider, &bare, &secret("rt-1"), &Scopes::default()).await;
        assert_eq!(response.err().map(|error| error.kind), Some(ProviderErrorKind::ClientRefused));
    }
    assert!(test.transport.sent().is_empty());
}

#[tokio::test]
async fn r13_a_refresh_requests_no_scope_or_exactly_the_granted_ones() {
    let test = TestServer::new();
    let provider = test.provider(".oauth2", &by_hand(r#""scope":"a b c d""#)).await;
    test.transport.respond(200, RESPONSE).respond(200, RESPONSE);
    assert!(test.server.refresh(&provider, &client(), &secret("rt-1"), &Scopes::new(["a", "b"])).await.is_ok());
    let sent = test.transport.last();
    let expected = [("grant_type", "refresh_token"), ("refresh_token", "rt-1")];
    assert_eq!(sent.form(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));

    let repeating = TestServer::with(
        EgressPolicy::new(&["*"], &[]).unwrap(),
        profile("[wire.refresh]\ntokens = \"kept\"\nsend_scope = true\nsend_redirect_uri = true"),
    );
    let provider = repeating.provider(".test", "{}").await;
    repeating.transport.respond(200, RESPONSE);
    assert!(repeating.server.refresh(&provider, &client(), &secret("rt-1"), &Scopes::new(["b", "a"])).await.is_ok());
    let sent = repeating.transport.last();
    assert_eq!(sent.param("scope").as_deref(), Some("a b"));
    assert_eq!(sent.param("redirect_uri").as_deref(), Some(REDIRECT_URI));
}

fn profile(rules: &str) -> ProfileOptions {
    let text = format!(
        r#"
        id = ".test"
        title = "Test"
        verified_on = "2026-01-31"
        source = "https://docs.example/"
        [setup]
        console_url = "https://console.example/"
        steps = ["Enter {{redirect_uri}}."]
        [endpoints]
        authorization = "https://as.example/authorize"
        token = "https://as.example/token"
        [client]
        authentication = "basic"
        [api]
        base_url = "https://api.example"
        {rules}"#
    );
    ProfileOptions { additional: vec![("test.toml".to_owned(), text)], ..ProfileOptions::default() }
}

#[tokio::test]
async fn a_renamed_client_id_and_a_dropped_response_type_are_data() {
    let rules = "[wire.authorize]\nclient_id_parameter = \"client_key\"\ndrop_response_type = true\n[wire.refresh]\ntokens = \"kept\"";
    let test = TestServer::with(EgressPolicy::new(&["*"], &[]).unwrap(), profile(rules));
    let mut provider = test.provider(".test", "{}").await;
    provider.authentication = grantry_domain::provider::ClientAuthentication::Post;
    test.transport.respond(200, RESPONSE);
    assert!(test.server.exchange(&provider, &client(), &code_exchange("c", "v")).await.is_ok());
    let sent = test.transport.last();
    assert_eq!(sent.param("client_key").as_deref(), Some("client-1"));
    assert!(sent.param("client_id").is_none());

    let request = AuthorizationRequest {
        state: secret("state-1"),
        code_challenge: "challenge-1".to_owned(),
        scopes: Scopes::default(),
        nonce: None,
        login_hint: None,
        select_account: false,
    };
    let url = test.server.authorization_url(&provider, &client(), request).await.ok().unwrap();
    assert!(text(&url).contains("client_key=client-1"));
    assert!(!text(&url).contains("client_id=") && !text(&url).contains("response_type="));
}

#[tokio::test]
async fn r13_a_connector_can_send_its_scopes_on_a_refresh() {
    let test = TestServer::new();
    let provider = test.provider(".oauth2", &by_hand(r#""scope":"a b","sendScopeOnRefresh":true"#)).await;
    test.transport.respond(200, RESPONSE);
    assert!(test.server.refresh(&provider, &client(), &secret("rt-1"), &Scopes::new(["a"])).await.is_ok());
    assert_eq!(test.transport.last().param("scope").as_deref(), Some("a"), "never more than was granted");
}

#[tokio::test]
async fn r15_resources_are_sent_in_token_requests() {
    let test = TestServer::new();
    let provider = test.provider(".oauth2", &by_hand(r#""resource":"https://api.example/""#)).await;
    test.transport.respond(200, RESPONSE).respond(200, RESPONSE).respond(200, RESPONSE);
    assert!(test.server.exchange(&provider, &client(), &code_exchange("c", "v")).await.is_ok());
    assert!(test.server.refresh(&provider, &client(), &secret("rt-1"), &Scopes::default()).await.is_ok());
    assert!(test.server.client_credentials(&provider, &client(), &Scopes::default()).await.is_ok());
    assert!(test.transport.sent().iter().all(|sent| sent.param("resource").as_deref() == Some("https://api.example/")));
}

#[tokio::test]
async fn the_client_credentials_grant_returns_a_token() {
    let test = TestServer::new();
    let provider = test.provider(".oauth2", &by_hand(r#""scopeSeparator":",""#)).await;
    test.transport.respond(200, RESPONSE);
    assert!(test.server.client_credentials(&provider, &client(), &Scopes::new(["a", "b"])).await.is_ok());
    let expected = [("grant_type", "client_credentials"), ("scope", "a,b")];
    assert_eq!(test.transport.last().form(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn r40_no_request_is_retried_after_any_error() {
    let test = TestServer::new();
    let provider = test.provider(".oauth2", BY_HAND).await;
    for (error, expected) in [
        (TransportError::NotAllowed, ProviderErrorKind::NotAllowed),
        (TransportError::NotSent, ProviderErrorKind::NotSent),
        (TransportError::Cut, ProviderErrorKind::NoResponse),
        (TransportError::TooLarge, ProviderErrorKind::Malformed),
    ] {
        let before = test.transport.sent().len();
        test.transport.fail(error);
        let response = test.server.refresh(&provider, &client(), &secret("rt-1"), &Scopes::default()).await;
        assert_eq!(response.err().map(|error| error.kind), Some(expected));
        assert_eq!(test.transport.sent().len(), before + 1);
    }
}

#[tokio::test]
async fn lesson_25_endpoints_that_are_no_longer_allowed_are_not_called() {
    let wide = TestServer::new();
    let provider = wide.provider(".oauth2", BY_HAND).await;
    let narrow = TestServer::with(EgressPolicy::new(&["api.example"], &[]).unwrap(), ProfileOptions::default());
    let server = &narrow.server;
    let (code, token) = (code_exchange("c", "v"), secret("t"));
    assert_eq!(
        server.exchange(&provider, &client(), &code).await.err().map(|error| error.kind),
        Some(ProviderErrorKind::NotAllowed)
    );
    assert_eq!(
        server.refresh(&provider, &client(), &token, &Scopes::default()).await.err().map(|error| error.kind),
        Some(ProviderErrorKind::NotAllowed)
    );
    let kind = grantry_domain::ports::TokenKind::Refresh;
    assert_eq!(
        server.revoke(&provider, &client(), &token, kind).await.err().map(|error| error.kind),
        Some(ProviderErrorKind::NotAllowed)
    );
    assert!(narrow.transport.sent().is_empty());
}

#[tokio::test]
async fn lesson_25_a_single_endpoint_outside_the_policy_is_not_called() {
    let test = TestServer::new();
    let mut provider = test.provider(".oauth2", BY_HAND).await;
    provider.endpoints.token = "https://127.0.0.1/token".to_owned();
    provider.endpoints.revocation = Some("http://as.example/revoke".to_owned());
    let token = secret("t");
    let refreshed = test.server.refresh(&provider, &client(), &token, &Scopes::default()).await;
    assert_eq!(refreshed.err().map(|error| error.kind), Some(ProviderErrorKind::NotAllowed));
    let kind = grantry_domain::ports::TokenKind::Access;
    assert_eq!(
        test.server.revoke(&provider, &client(), &token, kind).await.err().map(|error| error.kind),
        Some(ProviderErrorKind::NotAllowed)
    );
    assert!(test.transport.sent().is_empty());
}

#[tokio::test]
async fn github_responses_are_read_by_the_rules_of_its_profile() {
    let test = TestServer::new();
    let provider = test.provider(".github", r#"{"scope":"repo read:user"}"#).await;
    let exchange = || async { test.server.exchange(&provider, &client(), &code_exchange("c", "v")).await };
    test.transport.respond_with(
        200,
        &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
        "access_token=gho_16C7e42F292c6912E7710c838347Ae178B4a&scope=repo%2Cread%3Auser&token_type=bearer",
    );
    let response = exchange().await.ok().unwrap();
    assert_eq!(response.lifetime, grantry_domain::ports::Lifetime::Never);
    let scopes = response.scopes.unwrap();
    assert!(scopes.contains("repo") && scopes.contains("public_repo") && scopes.contains("read:user"));
    let sent = test.transport.last();
    assert_eq!(sent.param("client_secret").as_deref(), Some("client-secret-canary"));
    assert!(sent.param("code_verifier").is_some(), "PKCE is used with GitHub too");

    for (code, meaning) in [
        ("bad_verification_code", ProviderErrorKind::InvalidGrant),
        ("incorrect_client_credentials", ProviderErrorKind::ClientRefused),
        ("redirect_uri_mismatch", ProviderErrorKind::OtherOauthError),
    ] {
        test.transport.respond(200, format!(r#"{{"error":"{code}","error_description":"x","error_uri":"y"}}"#));
        assert_eq!(exchange().await.err().map(|error| error.kind), Some(meaning), "{code}");
    }
}
