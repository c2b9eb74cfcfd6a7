//! The token of a shared connector: client credentials, in memory only.

use std::time::Duration;

use grantry_domain::authorization::Reason;
use grantry_domain::connector::AuthMode;
use grantry_domain::ports::{AuditKind, ProviderErrorKind};
use grantry_domain::provider::ClientAuthentication;
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{AccessError, AccessTokenRequest, ConnectorDraft, TokenError};
use grantry_testkit::doubles::fixtures::{origin, space, user};
use grantry_testkit::doubles::{Call, Fault, Method, Operation};

use crate::common::{
    HOUR, PROVIDER_ERRORS, TestApp, authorization_required, draft, drive, person, quiet, text, token_from, token_request,
    tokens_for,
};

fn shared(config: &str) -> ConnectorDraft {
    ConnectorDraft { auth_mode: AuthMode::Shared, ..draft(config) }
}

/// A deployment whose connector is shared.
async fn shared_app() -> TestApp {
    let app = TestApp::without_connector();
    app.create_connector(&drive(), shared("{}")).await;
    app
}

fn requests(app: &TestApp) -> usize {
    app.provider.count(Operation::ClientCredentials)
}

#[tokio::test(start_paused = true)]
async fn fifty_callers_cause_one_token_request_and_the_token_is_never_stored() {
    let app = shared_app().await;
    let usage = app.stored.housekeeping.key_usage().await.unwrap();
    let gate = app.provider.hold(Operation::ClientCredentials);
    let callers: Vec<_> = (0..50)
        .map(|n| {
            let node = app.node.clone();
            let who = if n % 2 == 0 { "alice" } else { "bob" };
            tokio::spawn(async move { token_from(&node, &token_request(who)).await })
        })
        .collect();
    gate.arrived(1).await;
    quiet().await;
    gate.open();
    for caller in callers {
        assert_eq!(caller.await.unwrap().as_deref(), Ok("access-1"));
    }
    assert_eq!(requests(&app), 1);
    assert_eq!(app.stored.housekeeping.key_usage().await.unwrap(), usage, "nothing was sealed");
    let Some(Call::ClientCredentials { endpoint, client_secret, .. }) = app.token_calls().pop() else {
        panic!("a token request")
    };
    assert_eq!((endpoint.as_str(), client_secret.as_deref()), ("https://as.example/token", Some("client-secret-1")));
    assert_eq!(app.outcomes(AuditKind::AccessTokenIssued).await, vec!["shared"; 50]);
}

#[tokio::test]
async fn a_shared_token_is_replaced_before_its_expiry() {
    let app = shared_app().await;
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
    app.clock.advance(HOUR - Duration::from_secs(31));
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"));
}

#[tokio::test]
async fn a_short_lived_shared_token_is_used_for_half_its_lifetime() {
    let app = shared_app().await;
    app.provider.respond_to_client_credentials(Ok(tokens_for("short", None, Duration::from_secs(20))));
    assert_eq!(app.token("alice").await.as_deref(), Ok("short"));
    app.clock.advance(Duration::from_secs(9));
    assert_eq!(app.token("alice").await.as_deref(), Ok("short"));
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
    app.provider.respond_to_client_credentials(Ok(tokens_for("expired", None, Duration::ZERO)));
    app.clock.advance(HOUR);
    assert!(matches!(app.token("alice").await, Err(TokenError::Unavailable { .. })));
}

#[tokio::test]
async fn r43_access_and_destination_are_checked_for_shared_tokens_too() {
    let app = shared_app().await;
    assert!(app.token("alice").await.is_ok());
    let evil = AccessTokenRequest { destination: Some(origin("https://evil.example")), ..token_request("alice") };
    assert_eq!(token_from(&app.node, &evil).await, Err(TokenError::DestinationRefused));
    app.directory.remove_role(&user("alice"), &space("default"));
    assert_eq!(app.token("alice").await, Err(AccessError::NotFound.into()));
}

#[tokio::test]
async fn an_edited_or_recreated_connector_has_another_token() {
    let app = shared_app().await;
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
    let rotated = ConnectorDraft { client_secret: Some(Secret::from_text("client-secret-2")), ..shared("{}") };
    app.edit(rotated).await;
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"));
    app.profiles.set("moved", |settings| settings.client_id = "client-2".to_owned());
    app.edit(shared("moved")).await;
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-3"));
    app.node.delete_connector(&person("ed"), &drive()).await.unwrap();
    assert_eq!(app.token("alice").await, Err(AccessError::NotFound.into()));
    app.create_connector(&drive(), shared("{}")).await;
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-4"), "another incarnation");
}

#[tokio::test]
async fn r47_a_rejected_shared_token_is_replaced_once() {
    let app = shared_app().await;
    let issued = app.node.access_token(&token_request("alice")).await.unwrap();
    for _ in 0..3 {
        let again = app.node.report_unauthorized(&token_request("alice"), issued.sha256()).await.unwrap();
        assert_eq!(text(&again.token), "access-2");
    }
    assert_eq!(requests(&app), 2);
    for _ in 0..3 {
        app.provider.respond_to_client_credentials(Ok(tokens_for("access-2", None, HOUR)));
        let rejected = app.node.access_token(&token_request("alice")).await.unwrap().sha256();
        let again = app.node.report_unauthorized(&token_request("alice"), rejected).await.map(drop);
        assert_eq!(again, Err(authorization_required(Reason::TokenRejected)));
    }
    assert_eq!(requests(&app), 3, "the same token issued again causes no other request");
    let issued = app.outcomes(AuditKind::AccessTokenIssued).await.len();
    assert_eq!(issued, 1 + 3 + 3, "refused requests are not audited as issued tokens");
}

#[tokio::test]
async fn every_failure_has_its_error_and_a_refused_client_opens_the_circuit() {
    for error in PROVIDER_ERRORS.iter().copied() {
        let app = shared_app().await;
        app.provider.respond_to_client_credentials(Err(error));
        let refused = app.token("alice").await.unwrap_err();
        let transient = matches!(refused, TokenError::Unavailable { .. });
        let of_operator = error.is_misconfiguration()
            || matches!(error, ProviderErrorKind::InvalidGrant | ProviderErrorKind::OtherOauthError);
        assert_eq!((refused == TokenError::Misconfigured, transient), (of_operator, !of_operator), "{error:?}");
        let again = app.token("alice").await;
        let open = matches!(error, ProviderErrorKind::ClientRefused | ProviderErrorKind::GrantTypeRefused);
        assert_eq!(again == Err(TokenError::Misconfigured), open, "{error:?}");
        assert_eq!(requests(&app), if open { 1 } else { 2 });
        app.clock.advance(Duration::from_mins(1));
        assert!(app.token("alice").await.is_ok());
    }
    let app = shared_app().await;
    let requested = Duration::from_secs(77);
    app.provider.respond_to_client_credentials(Err(ProviderErrorKind::Throttled {
        retry_after: Some(requested),
        unprocessed: true,
    }));
    assert_eq!(app.token("alice").await, Err(TokenError::Unavailable { retry_after: requested }));
    app.provider.respond_to_resolve(Err(ProviderErrorKind::NotSent));
    assert!(matches!(app.token("alice").await, Err(TokenError::Unavailable { .. })));
    app.store.fail_next(Method::ClientSecret, Fault::UNAVAILABLE);
    assert!(matches!(app.token("alice").await, Err(TokenError::Store(_))));
}

#[tokio::test]
async fn a_shared_connector_without_its_secret_is_misconfigured() {
    let app = TestApp::without_connector();
    app.create_connector(&drive(), ConnectorDraft { client_secret: None, ..shared("{}") }).await;
    assert_eq!(app.token("alice").await, Err(TokenError::Misconfigured));
    assert_eq!(requests(&app), 0);
    app.profiles.refuse("{}", "config.tokenUrl", "must be https");
    assert_eq!(app.token("alice").await, Err(TokenError::Misconfigured));
    app.profiles.set("{}", |settings| settings.authentication = ClientAuthentication::None);
    assert!(app.token("alice").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_token_request_without_a_response_is_abandoned() {
    let app = shared_app().await;
    let _gate = app.provider.hold(Operation::ClientCredentials);
    let started = app.now();
    let refused = app.drive(app.token("alice")).await;
    assert!(matches!(refused, Err(TokenError::Unavailable { .. })), "{refused:?}");
    assert!(app.now().since(started) < Duration::from_secs(20));
}
