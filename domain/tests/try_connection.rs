//! Trying a connection with the request of the profile.

use grantry_domain::authorization::Reason;
use grantry_domain::connector::AuthMode;
use grantry_domain::ports::{ApiError, ApiResponse, AuditKind, Probe};
use grantry_domain::usecase::{AccessError, ConnectorDraft, ExecuteError, TokenError, TriedConnection};
use grantry_testkit::doubles::fixtures::{connection, connector_key, origin};

use crate::common::{API, TestApp, account, agent, authorization_required, draft, drive, person};

fn probe_at(origin_text: &str) -> Probe {
    let headers = vec![("accept".to_owned(), "application/json".to_owned())];
    Probe { url: format!("{origin_text}/me"), origin: origin(origin_text), headers }
}

async fn app_with_probe() -> TestApp {
    let app = TestApp::new().await;
    app.profiles.offer_probe(probe_at(API));
    app
}

async fn tried(app: &TestApp, who: &str) -> Result<TriedConnection, ExecuteError> {
    app.node.try_connection(&person(who), drive(), None).await
}

fn is_not_possible(result: &Result<TriedConnection, ExecuteError>) -> bool {
    matches!(result, Err(ExecuteError::Api(ApiError::Refused(refused))) if refused.field == "connector_type_id")
}

#[tokio::test]
async fn a_user_sees_the_status_of_the_api_and_the_account() {
    let app = app_with_probe().await;
    app.provider.set_account(Some(account("alice")));
    app.connect("alice").await;
    let body = ApiResponse { status: 403, headers: Vec::new(), body: b"SECRET-CANARY".to_vec() };
    app.resource.respond(Ok(body));
    let result = tried(&app, "alice").await.unwrap();
    let account = Some("alice@provider.example".to_owned());
    assert_eq!(result, TriedConnection { http_status: 403, connection: connection("default"), account });
    let sent = app.resource.requests().pop().unwrap();
    assert_eq!(
        (sent.method.as_str(), sent.url.as_str(), sent.token.as_str()),
        ("GET", "https://api.example/me", "access-1")
    );
    assert_eq!((sent.headers, sent.body), (vec![("accept".to_owned(), "application/json".to_owned())], None));
}

#[tokio::test]
async fn it_is_recorded_as_a_run_is() {
    let app = app_with_probe().await;
    assert_eq!(tried(&app, "alice").await, Err(authorization_required(Reason::NotConnected).into()));
    app.connect("alice").await;
    tried(&app, "alice").await.unwrap();
    assert_eq!(app.outcomes(AuditKind::AccessTokenRefused).await, ["authorization_required"]);
    assert_eq!(app.outcomes(AuditKind::AccessTokenIssued).await.len(), 1);
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once() {
    let app = app_with_probe().await;
    app.connect("alice").await;
    app.resource.reject_token("access-1");
    assert_eq!(tried(&app, "alice").await.unwrap().http_status, 200);
    app.resource.reject_all_tokens();
    assert_eq!(tried(&app, "alice").await, Err(authorization_required(Reason::TokenRejected).into()));
}

#[tokio::test]
async fn without_a_request_that_may_receive_the_token_none_is_issued() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    assert!(is_not_possible(&tried(&app, "alice").await), "the profile has no such request");
    app.profiles.offer_probe(probe_at("https://elsewhere.example"));
    assert!(is_not_possible(&tried(&app, "alice").await), "the user did not consent to this origin");
    let shared = connector_key("default", "shared");
    app.create_connector(&shared, ConnectorDraft { auth_mode: AuthMode::Shared, ..draft("{}") }).await;
    app.profiles.offer_probe(probe_at(API));
    assert!(is_not_possible(&app.node.try_connection(&person("alice"), shared, None).await), "the account is no user's");
    assert!(app.resource.requests().is_empty());
    assert!(app.outcomes(AuditKind::AccessTokenIssued).await.is_empty());
}

#[tokio::test]
async fn an_origin_that_the_grant_does_not_contain_is_refused() {
    let app = app_with_probe().await;
    app.connect("alice").await;
    // The destinations are a part of the digest, so the connection needs a new consent.
    app.profiles.set("{}", |settings| settings.destinations.push(origin("https://more.example")));
    app.profiles.offer_probe(probe_at("https://more.example"));
    assert_eq!(tried(&app, "alice").await, Err(authorization_required(Reason::ConnectorChanged).into()));
    assert!(app.resource.requests().is_empty());
}

#[tokio::test]
async fn r60_users_try_their_own_connections_only() {
    let app = app_with_probe().await;
    app.connect("alice").await;
    let denied = |error: AccessError| Err(ExecuteError::Token(TokenError::Access(error)));
    assert_eq!(app.node.try_connection(&agent(), drive(), None).await, denied(AccessError::Forbidden));
    assert_eq!(tried(&app, "stranger").await, denied(AccessError::NotFound));
    let other = connector_key("marketing", "drive");
    assert_eq!(app.node.try_connection(&person("alice"), other, None).await, denied(AccessError::NotFound));
    assert_eq!(tried(&app, "bob").await, Err(authorization_required(Reason::NotConnected).into()));
    assert!(app.resource.requests().is_empty());
}

#[tokio::test]
async fn one_of_several_connections_is_named() {
    let app = app_with_probe().await;
    app.connect_named("alice", "work").await;
    app.connect_named("alice", "home").await;
    assert_eq!(tried(&app, "alice").await.unwrap_err().code(), "connection_ambiguous");
    let result = app.node.try_connection(&person("alice"), drive(), Some(connection("home"))).await.unwrap();
    assert_eq!((result.connection, result.account.as_deref()), (connection("home"), Some("alice.home@provider.example")));
}
