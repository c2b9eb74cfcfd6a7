//! Relaying requests with bodies that are passed on while they arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use grantry_domain::authorization::Reason;
use grantry_domain::connector::ConnectorKey;
use grantry_domain::identity::UserId;
use grantry_domain::ports::{
    ApiError, ApiRequestRefused, ApiResponse, AuditKind, ProviderErrorKind, StreamedBody, StreamedResponse, TokenResponse,
};
use grantry_domain::provider::ApiBase;
use grantry_domain::usecase::{AccessError, ExecuteError, Relay, TokenError};
use grantry_testkit::doubles::fixtures::{connector_key, origin};
use grantry_testkit::doubles::{Method, tokens};

use crate::common::{TestApp, agent, authorization_required, draft, drive, person};

const KIB: usize = 1024;

fn relay(who: &str, path: &str) -> Relay {
    Relay {
        actor: agent(),
        connector: drive(),
        user: UserId::new(who).unwrap(),
        connection: None,
        method: "GET".to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: None,
    }
}

/// An upload of parts of one KiB, and how many of them were read.
fn upload(parts: usize) -> (Relay, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    let counter = read.clone();
    let part = move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(Bytes::from(vec![b'x'; KIB]))
    };
    let body = StreamedBody { length: Some((parts * KIB) as u64), parts: stream::iter(0..parts).map(part).boxed() };
    (Relay { method: "POST".to_owned(), body: Some(body), ..relay("alice", "/files") }, read)
}

async fn content(response: StreamedResponse) -> Vec<u8> {
    let parts: Vec<_> = response.body.parts.collect().await;
    parts.into_iter().map(|part| part.unwrap()).collect::<Vec<_>>().concat()
}

fn used(app: &TestApp) -> Vec<String> {
    app.resource.requests().into_iter().map(|request| request.token).collect()
}

#[tokio::test]
async fn a_relayed_request_reads_once() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    let reads = || [Method::AccessTokenView, Method::GetConnector, Method::Find].map(|method| app.store.count(method));
    let (before, lookups) = (reads(), app.directory.lookups());
    app.node.relay(relay("alice", "/files")).await.unwrap();
    assert_eq!((reads(), app.directory.lookups()), ([before[0] + 1, before[1], before[2]], lookups + 1));
}

#[tokio::test]
async fn r43_a_request_is_sent_again_to_the_api_that_the_refresh_named() {
    let app = TestApp::without_connector();
    app.profiles.set("{}", |settings| {
        settings.base_url = None;
        settings.api_domains = vec!["vendor.example".to_owned()];
    });
    app.create_connector(&drive(), draft("{}")).await;
    let named = |host: &str, token: &str| {
        let api = ApiBase {
            url: format!("https://{host}.vendor.example"),
            origin: origin(&format!("https://{host}.vendor.example")),
        };
        Ok(TokenResponse { api_base: Some(api), ..tokens(token, Some("refresh")) })
    };
    app.provider.respond_to_exchange(named("one", "first"));
    app.provider.respond_to_refresh(named("two", "second"));
    app.connect("alice").await;
    app.resource.reject_token("first");
    let (upload, _) = upload(2);
    assert_eq!(app.node.relay(upload).await.unwrap().status, 200);
    let sent: Vec<_> = app.resource.requests().into_iter().map(|sent| (sent.url, sent.token)).collect();
    let to = |host: &str, token: &str| (format!("https://{host}.vendor.example/files"), token.to_owned());
    assert_eq!(sent, [to("one", "first"), to("two", "second")]);
}

#[tokio::test]
async fn a_relay_sends_the_token_of_its_user_and_returns_head_and_body() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.connect("bob").await;
    let headers = vec![("x-a".to_owned(), b"\xe4".to_vec())];
    app.resource.respond(Ok(ApiResponse { status: 302, headers: headers.clone(), body: b"moved".to_vec() }));
    let request = Relay { headers: vec![("x-test".to_owned(), b"yes".to_vec())], ..relay("bob", "/files?q=1") };
    let response = app.node.relay(request).await.unwrap();
    assert_eq!((response.status, &response.headers, response.body.length), (302, &headers, Some(5)));
    assert_eq!(content(response).await, b"moved");
    let request = app.resource.requests().pop().unwrap();
    assert_eq!((request.url.as_str(), request.token.as_str()), ("https://api.example/files?q=1", "access-2"));
    assert_eq!(request.headers, [("x-test".to_owned(), "yes".to_owned())]);
    assert_eq!(app.outcomes(AuditKind::AccessTokenIssued).await.len(), 1);
}

#[tokio::test]
async fn a_401_is_retried_once_with_a_new_token_and_the_same_body() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.resource.reject_token("access-1");
    let (request, read) = upload(64);
    assert_eq!(app.node.relay(request).await.unwrap().status, 200);
    assert_eq!(used(&app), ["access-1", "access-2"]);
    assert_eq!(read.load(Ordering::SeqCst), 64, "the caller sends its body once");
    let bodies: Vec<_> = app.resource.requests().into_iter().map(|request| request.body.unwrap()).collect();
    assert_eq!(bodies[0].len(), 64 * KIB);
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(app.refreshes(), 1);
}

#[tokio::test]
async fn a_401_without_a_body_is_retried_and_a_second_one_is_final() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.resource.reject_all_tokens();
    let refused = app.node.relay(relay("alice", "/files")).await.unwrap_err();
    assert_eq!(refused, authorization_required(Reason::TokenRejected).into());
    assert_eq!(used(&app), ["access-1", "access-2"]);
    assert_eq!(app.refreshes(), 1);
}

#[tokio::test]
async fn a_401_is_retried_if_only_the_beginning_of_a_large_body_was_sent() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.resource.reject_token("access-1");
    app.resource.respond_after(KIB);
    let (request, read) = upload(1024);
    assert_eq!(app.node.relay(request).await.unwrap().status, 200);
    assert_eq!(used(&app), ["access-1", "access-2"]);
    assert_eq!(read.load(Ordering::SeqCst), 1, "the retry begins with what was kept");
}

#[tokio::test]
async fn a_large_body_is_not_repeated_and_the_next_request_has_a_new_token() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.resource.reject_token("access-1");
    let (request, read) = upload(65);
    let response = app.node.relay(request).await.unwrap();
    assert_eq!((response.status, read.load(Ordering::SeqCst)), (401, 65));
    assert_eq!(used(&app), ["access-1"]);
    let (request, _) = upload(65);
    assert_eq!(app.node.relay(request).await.unwrap().status, 200);
    assert_eq!(used(&app), ["access-1", "access-2"]);
    assert_eq!(app.refreshes(), 1);
}

#[tokio::test]
async fn a_failed_refresh_after_a_401_is_reported() {
    for parts in [1, 65] {
        let app = TestApp::new().await;
        app.connect("alice").await;
        app.resource.reject_token("access-1");
        app.provider.respond_to_refresh(Err(ProviderErrorKind::NotSent));
        assert_eq!(app.node.relay(upload(parts).0).await.unwrap_err().code(), "provider_unavailable");
        app.clock.advance(Duration::from_mins(1));
        app.provider.respond_to_refresh(Err(ProviderErrorKind::InvalidGrant));
        let refused = app.node.relay(upload(parts).0).await.unwrap_err();
        assert_eq!(refused, authorization_required(Reason::RefreshRejected).into());
    }
}

#[tokio::test]
async fn a_refused_relay_reads_no_body_and_needs_no_token() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    let refused = async |change: &dyn Fn(Relay) -> Relay| {
        let (request, read) = upload(1);
        let error = app.node.relay(change(request)).await.unwrap_err();
        assert_eq!(read.load(Ordering::SeqCst), 0);
        error
    };
    let of_path = refused(&|request| Relay { path: "/../x".to_owned(), ..request }).await;
    let is_path = |refused: &ApiRequestRefused| refused.field == "params.path";
    assert!(matches!(of_path, ExecuteError::Api(ApiError::Refused(refused)) if is_path(&refused)));
    let others = refused(&|request| Relay { actor: person("bob"), ..request }).await;
    assert_eq!(others, TokenError::from(AccessError::Forbidden).into());
    let key: ConnectorKey = connector_key("default", "other");
    let missing = refused(&|request| Relay { connector: key.clone(), ..request }).await;
    assert_eq!(missing, TokenError::from(AccessError::NotFound).into());
    let not_connected = refused(&|request| Relay { user: UserId::new("bob").unwrap(), ..request }).await;
    assert_eq!(not_connected, authorization_required(Reason::NotConnected).into());
    assert!(app.resource.requests().is_empty());
}

#[tokio::test]
async fn errors_of_the_api_are_returned() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    for (error, code) in [(ApiError::NotAllowed, "destination_refused"), (ApiError::Unreachable, "api_unreachable")] {
        app.resource.respond(Err(error));
        assert_eq!(app.node.relay(relay("alice", "/files")).await.unwrap_err().code(), code);
    }
    assert_eq!(app.refreshes(), 0);
}
