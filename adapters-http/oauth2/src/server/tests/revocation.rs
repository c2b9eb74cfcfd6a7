//! Revocation.

use std::time::Duration;

use grantry_domain::ports::{AuthorizationServer as _, ProviderErrorKind, RevocationResponse, TokenKind};
use grantry_domain::secret::Secret;

use super::{BY_HAND, by_hand};
use crate::TransportError;
use crate::fake_transport::{TestServer, client};

async fn revoked(
    test: &TestServer,
    profile: &str,
    config: &str,
    kind: TokenKind,
) -> Result<RevocationResponse, ProviderErrorKind> {
    let provider = test.provider(profile, config).await;
    test.server.revoke(&provider, &client(), &Secret::from_text("token/1"), kind).await.map_err(|error| error.kind)
}

#[tokio::test]
async fn r50_the_hint_matches_the_type_of_the_token() {
    let test = TestServer::new();
    for (kind, hint) in [(TokenKind::Refresh, "refresh_token"), (TokenKind::Access, "access_token")] {
        test.transport.respond(200, "");
        assert_eq!(revoked(&test, ".oauth2", BY_HAND, kind).await, Ok(RevocationResponse::Done));
        let sent = test.transport.last();
        assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", "https://as.example/revoke"));
        assert_eq!(sent.param("token").as_deref(), Some("token/1"));
        assert_eq!(sent.param("token_type_hint").as_deref(), Some(hint));
        assert!(sent.authorization.is_some());
    }
}

#[tokio::test]
async fn r50_the_refresh_token_is_revoked_first() {
    let test = TestServer::new();
    let order = |provider| test.server.revocation_order(&provider);
    assert_eq!(order(test.provider(".oauth2", BY_HAND).await), [TokenKind::Refresh, TokenKind::Access]);
    assert_eq!(order(test.provider(".github", "{}").await), [TokenKind::Access]);
}

#[tokio::test]
async fn r50_responses_of_the_revocation_endpoint() {
    let test = TestServer::new();
    let throttled = |seconds, unprocessed| {
        Err(ProviderErrorKind::Throttled { retry_after: Some(Duration::from_secs(seconds)), unprocessed })
    };
    for (status, retry_after, body, expected) in [
        (200, None, "", Ok(RevocationResponse::Done)),
        (200, None, "not JSON at all", Ok(RevocationResponse::Done)),
        (204, None, "", Ok(RevocationResponse::Done)),
        (202, None, "{}", Ok(RevocationResponse::Done)),
        (400, None, r#"{"error":"unsupported_token_type"}"#, Ok(RevocationResponse::NotSupported)),
        (400, None, r#"{"error":"invalid_token"}"#, Ok(RevocationResponse::Done)),
        (400, None, r#"{"error":"Token_Not_Found"}"#, Ok(RevocationResponse::Done)),
        (400, None, r#"{"error":"invalid_grant","x":1,"x":2}"#, Ok(RevocationResponse::Done)),
        (400, None, r#"{"error_code":"refresh_token_not_found"}"#, Ok(RevocationResponse::Done)),
        (400, None, r#"{"error":{"code":"token_expired"}}"#, Ok(RevocationResponse::Done)),
        (404, None, r#"{"error":"unknown_token"}"#, Ok(RevocationResponse::Done)),
        (404, None, "", Err(ProviderErrorKind::Refused)),
        (401, None, r#"{"error":"invalid_token"}"#, Err(ProviderErrorKind::OtherOauthError)),
        (400, None, r#"{"error":"invalid_request"}"#, Err(ProviderErrorKind::OtherOauthError)),
        (401, None, r#"{"error":"invalid_client"}"#, Err(ProviderErrorKind::ClientRefused)),
        (403, None, "", Err(ProviderErrorKind::Refused)),
        (302, None, "", Err(ProviderErrorKind::Malformed)),
        (429, Some("3"), "", throttled(3, true)),
        (503, Some("9"), "", throttled(9, false)),
        (503, None, "", Err(ProviderErrorKind::NoResponse)),
    ] {
        let headers: Vec<_> = retry_after.map(|value| ("retry-after", value)).into_iter().collect();
        test.transport.respond_with(status, &headers, body);
        assert_eq!(revoked(&test, ".oauth2", BY_HAND, TokenKind::Refresh).await, expected, "{status} {body}");
    }
    test.transport.fail(TransportError::Cut);
    assert_eq!(revoked(&test, ".oauth2", BY_HAND, TokenKind::Refresh).await, Err(ProviderErrorKind::NoResponse));
}

#[tokio::test]
async fn a_provider_without_a_revocation_endpoint_receives_no_request() {
    let test = TestServer::new();
    let config = BY_HAND.replace(r#""revocationUrl":"https://as.example/revoke","#, "");
    assert_eq!(revoked(&test, ".oauth2", &config, TokenKind::Refresh).await, Ok(RevocationResponse::NotSupported));
    assert!(test.transport.sent().is_empty());
}

#[tokio::test]
async fn r50_a_public_client_revokes_with_its_id() {
    let test = TestServer::new();
    test.transport.respond(200, "");
    let config = by_hand(r#""clientAuth":"none""#);
    assert_eq!(revoked(&test, ".oauth2", &config, TokenKind::Access).await, Ok(RevocationResponse::Done));
    assert_eq!(test.transport.last().param("client_id").as_deref(), Some("client-1"));
}

#[tokio::test]
async fn r50_github_has_a_vendor_specific_request() {
    let test = TestServer::new();
    for (status, expected) in [
        (204, Ok(RevocationResponse::Done)),
        (404, Ok(RevocationResponse::Done)),
        (401, Err(ProviderErrorKind::ClientRefused)),
        (422, Err(ProviderErrorKind::Refused)),
        (500, Err(ProviderErrorKind::NoResponse)),
    ] {
        test.transport.respond(status, "");
        let provider = test.provider(".github", "{}").await;
        let token = Secret::from_text("gho_\"x\\");
        assert_eq!(
            test.server.revoke(&provider, &client(), &token, TokenKind::Access).await.map_err(|error| error.kind),
            expected,
            "{status}"
        );
    }
    let sent = test.transport.last();
    assert_eq!((sent.method.as_str(), sent.url.as_str()), ("DELETE", "https://api.github.com/applications/client-1/token"));
    assert_eq!(sent.body, r#"{"access_token":"gho_\"x\\"}"#);
    assert_eq!(sent.headers["content-type"], "application/json");
    assert_eq!(sent.authorization.as_deref(), Some("Basic Y2xpZW50LTE6Y2xpZW50LXNlY3JldC1jYW5hcnk="));
    let before = test.transport.sent().len();
    assert_eq!(revoked(&test, ".github", "{}", TokenKind::Refresh).await, Ok(RevocationResponse::NotSupported));
    assert_eq!(test.transport.sent().len(), before);
}
