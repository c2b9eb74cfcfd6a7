//! Running a connector.

use std::time::Duration;

use grantry_domain::authorization::{Reason, StatusKind};
use grantry_domain::ports::{ApiError, ApiQuery, ApiRequestRefused, ApiResponse, ProviderErrorKind, TokenResponse};
use grantry_domain::provider::ApiBase;
use grantry_domain::usecase::{AccessError, ExecuteError, Execution, TokenError};
use grantry_testkit::doubles::fixtures::{connector_key, origin, space, user};
use grantry_testkit::doubles::{Fault, Method, tokens};

use crate::common::{HOUR, TestApp, agent, authorization_required, draft, drive, execution, person};

async fn run(app: &TestApp, who: &str) -> Result<u16, ExecuteError> {
    app.node.execute(execution(who, "/files")).await.map(|response| response.status)
}

fn used(app: &TestApp) -> Vec<String> {
    app.resource.requests().into_iter().map(|request| request.token).collect()
}

#[tokio::test]
async fn a_run_sends_the_token_of_its_user_to_the_api_of_the_connector() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.connect("bob").await;
    let body = ApiResponse { status: 201, headers: Vec::new(), body: b"created".to_vec() };
    app.resource.respond(Ok(body));
    let execution = Execution {
        method: "POST".to_owned(),
        query: ApiQuery::Pairs(vec![("q".to_owned(), "1".to_owned())]),
        headers: vec![("x-test".to_owned(), "yes".to_owned())],
        body: Some(b"{}".to_vec()),
        ..execution("bob", "/files")
    };
    let response = app.node.execute(execution).await.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (201, b"created".as_slice()));
    let request = app.resource.requests().pop().unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://api.example/files?q=1"));
    assert_eq!((request.token.as_str(), request.body.as_deref()), ("access-2", Some(b"{}".as_slice())));
    assert_eq!(request.headers, [("x-test".to_owned(), "yes".to_owned())]);
    assert_eq!(run(&app, "alice").await, Ok(200));
    assert_eq!(used(&app), ["access-2", "access-1"]);
}

fn api_at(host: &str) -> ApiBase {
    ApiBase { url: format!("https://{host}/v1"), origin: origin(&format!("https://{host}")) }
}

/// A connection whose provider named `one.vendor.example` at the consent, and names `refreshed` at each refresh.
async fn with_named_api(refreshed: &'static str) -> TestApp {
    let app = TestApp::without_connector();
    app.profiles.set("{}", |settings| {
        settings.base_url = None;
        settings.destinations.clear();
        settings.api_domains = vec!["vendor.example".to_owned()];
    });
    app.create_connector(&drive(), draft("{}")).await;
    app.provider.respond_to_exchange(Ok(TokenResponse {
        api_base: Some(api_at("one.vendor.example")),
        ..tokens("first", Some("r1"))
    }));
    app.connect("alice").await;
    app.provider.respond_to_refresh(Ok(TokenResponse { api_base: Some(api_at(refreshed)), ..tokens("second", Some("r2")) }));
    app
}

#[tokio::test]
async fn r43_a_new_token_goes_to_the_api_that_its_refresh_named() {
    let app = with_named_api("two.vendor.example").await;
    assert_eq!(run(&app, "alice").await, Ok(200));
    app.resource.reject_token("first");
    assert_eq!(run(&app, "alice").await, Ok(200));
    let sent: Vec<_> = app.resource.requests().into_iter().map(|sent| (sent.url, sent.token)).collect();
    let to = |host: &str, token: &str| (format!("https://{host}.vendor.example/v1/files"), token.to_owned());
    assert_eq!(sent, [to("one", "first"), to("one", "first"), to("two", "second")]);
}

#[tokio::test]
async fn r43_no_token_goes_to_an_api_outside_of_the_domains() {
    for outside in ["evil.example", "evilvendor.example", "vendor.example.evil.example"] {
        let app = with_named_api(outside).await;
        app.resource.reject_token("first");
        assert_eq!(run(&app, "alice").await, Err(TokenError::DestinationRefused.into()), "{outside}");
        assert_eq!(used(&app), ["first"]);
    }
}

#[tokio::test]
async fn lesson_15_a_retried_run_sends_the_new_token_and_a_second_401_is_final() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.resource.reject_token("access-1");
    assert_eq!(run(&app, "alice").await, Ok(200));
    assert_eq!(used(&app), ["access-1", "access-2"]);
    app.resource.reject_token("access-2");
    app.resource.reject_token("access-3");
    app.clock.advance(Duration::from_mins(1));
    let refused = run(&app, "alice").await.unwrap_err();
    assert_eq!(refused, authorization_required(Reason::TokenRejected).into());
    assert_eq!(refused.code(), "authorization_required");
    assert_eq!(used(&app)[2..], ["access-2", "access-3"]);
    assert_eq!((app.refreshes(), app.kind("alice").await), (2, StatusKind::Connected));
}

#[tokio::test]
async fn r47_runs_against_an_api_that_rejects_every_token_refresh_rarely() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.resource.reject_all_tokens();
    for _ in 0..50 {
        assert!(run(&app, "alice").await.is_err());
    }
    assert_eq!(app.refreshes(), 1);
    assert!(used(&app).len() <= 51, "the request is not repeated with a token that was just rejected");
}

#[tokio::test]
async fn a_failed_refresh_after_a_401_is_reported() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.resource.reject_token("access-1");
    app.provider.respond_to_refresh(Err(ProviderErrorKind::NotSent));
    let refused = run(&app, "alice").await.unwrap_err();
    assert_eq!(refused.code(), "provider_unavailable");
    app.clock.advance(Duration::from_mins(1));
    app.provider.respond_to_refresh(Err(ProviderErrorKind::InvalidGrant));
    let refused = run(&app, "alice").await.unwrap_err();
    assert_eq!(refused, authorization_required(Reason::RefreshRejected).into());
}

#[tokio::test]
async fn r43_nothing_is_sent_to_a_destination_that_was_not_consented_to() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    for path in ["files", "/../other", "//evil.example/x/.."] {
        let refused = app.node.execute(execution("alice", path)).await.map(drop).unwrap_err();
        assert!(matches!(refused, ExecuteError::Api(ApiError::Refused(ApiRequestRefused { field: "params.path", .. }))));
        assert_eq!(refused.code(), "invalid_request");
    }
    // Only the base URL was changed, which the binding digest does not contain.
    app.profiles.set("{}", |settings| settings.base_url = Some("https://evil.example".to_owned()));
    let refused = run(&app, "alice").await.unwrap_err();
    assert_eq!((&refused, refused.code()), (&TokenError::DestinationRefused.into(), "destination_refused"));
    app.profiles.set("{}", |settings| {
        settings.base_url = Some("https://evil.example".to_owned());
        settings.destinations = vec![origin("https://evil.example")];
    });
    let refused = run(&app, "alice").await.unwrap_err();
    assert_eq!(refused, authorization_required(Reason::ConnectorChanged).into());
    assert!(app.resource.requests().is_empty());
}

#[tokio::test]
async fn a_caller_without_access_is_refused_before_anything_is_sent() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    let refused = async |execution| app.node.execute(execution).await.map(drop).unwrap_err();
    let as_alice = Execution { actor: person("bob"), ..execution("alice", "/files") };
    assert_eq!(refused(as_alice).await, TokenError::from(AccessError::Forbidden).into());
    assert_eq!(refused(execution("stranger", "/files")).await, TokenError::from(AccessError::NotFound).into());
    let missing = Execution { connector: connector_key("default", "other"), ..execution("alice", "/files") };
    assert_eq!(refused(missing).await, TokenError::from(AccessError::NotFound).into());
    assert_eq!(refused(execution("bob", "/files")).await, authorization_required(Reason::NotConnected).into());
    app.directory.remove_role(&user("alice"), &space("default"));
    assert_eq!(refused(execution("alice", "/files")).await, TokenError::from(AccessError::NotFound).into());
    app.directory.set_unavailable(true);
    let unavailable = refused(execution("alice", "/files")).await;
    assert_eq!(unavailable, TokenError::from(AccessError::DirectoryUnavailable).into());
    assert!(app.resource.requests().is_empty());
}

#[tokio::test]
async fn users_run_as_themselves_and_agents_as_the_user_they_name() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    for actor in [person("alice"), agent()] {
        let response = app.node.execute(Execution { actor, ..execution("alice", "/files") }).await.unwrap();
        assert_eq!(response.status, 200);
    }
}

#[tokio::test]
async fn a_run_reads_once() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    let reads = || [Method::AccessTokenView, Method::GetConnector, Method::Find].map(|method| app.store.count(method));
    let (before, lookups) = (reads(), app.directory.lookups());
    run(&app, "alice").await.unwrap();
    assert_eq!((reads(), app.directory.lookups()), ([before[0] + 1, before[1], before[2]], lookups + 1));
}

#[tokio::test]
async fn errors_and_statuses_of_the_api_are_returned() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    let errors = [
        (ApiError::NotAllowed, "destination_refused"),
        (ApiError::Unreachable, "api_unreachable"),
        (ApiError::TooLarge, "response_too_large"),
    ];
    for (error, code) in errors {
        app.resource.respond(Err(error));
        let refused = run(&app, "alice").await.unwrap_err();
        assert_eq!((&refused, refused.code()), (&ExecuteError::Api(error), code));
    }
    for status in [204, 301, 403, 404, 500] {
        app.resource.respond_with_status(status);
        assert_eq!(run(&app, "alice").await, Ok(status));
    }
    assert_eq!(app.refreshes(), 0, "only a 401 forces a refresh");
    app.store.fail_next(Method::AccessTokenView, Fault::UNAVAILABLE);
    assert_eq!(run(&app, "alice").await.unwrap_err().code(), "store_unavailable");
    app.profiles.refuse("{}", "config.baseUrl", "must be https");
    assert_eq!(run(&app, "alice").await.unwrap_err().code(), "provider_misconfigured");
}

#[tokio::test]
async fn an_expired_token_is_refreshed_before_the_run() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.clock.advance(HOUR);
    assert_eq!(run(&app, "alice").await, Ok(200));
    assert_eq!(used(&app), ["access-2"]);
}
