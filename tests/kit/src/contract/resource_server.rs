//! The contract of [`ResourceServer`]. [`resource_server_contract!`](crate::resource_server_contract) expands to its rules.

use std::sync::Arc;

use grantry_domain::ports::{ApiQuery, ApiRequest, ResourceServer};
use grantry_domain::secret::Secret;

use crate::doubles::{SentRequest, fixtures};

/// A caller of APIs under test, which may call `https://api.example.com`.
pub struct ResourceBackend {
    /// The caller.
    pub server: Arc<dyn ResourceServer>,
    /// Queues a response of the API with this status.
    pub respond: Box<dyn Fn(u16) + Send + Sync>,
    /// The requests that the API has received, in order.
    pub received: Box<dyn Fn() -> Vec<SentRequest> + Send + Sync>,
}

/// Expands to one test for each rule. The factory is an `async fn() -> ResourceBackend`.
#[macro_export]
macro_rules! resource_server_contract {
    ($factory:path) => {
        $crate::port_rules! {
            @pure resource_server $factory;
            a_path_is_joined_below_the_base_url,
            a_path_cannot_leave_the_base_url,
            a_query_keeps_its_order_and_repetitions,
            the_query_of_a_path_comes_first,
            escapes_of_a_path_are_kept,
        }
        $crate::port_rules! {
            resource_server $factory;
            a_request_is_sent_once_with_its_token,
            every_status_is_a_response,
        }
    };
}

const BASE: &str = "https://api.example.com/v1";

fn joined(backend: &ResourceBackend, path: &str, query: &ApiQuery) -> String {
    backend.server.join(BASE, path, query).expect("the path may be called").0
}

fn pairs(pairs: &[(&str, &str)]) -> ApiQuery {
    ApiQuery::Pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

/// With one slash between both, and with the origin of the base URL.
pub fn a_path_is_joined_below_the_base_url(backend: &ResourceBackend) {
    for base in [BASE, "https://api.example.com/v1/"] {
        let (url, origin) = backend.server.join(base, "/files/1", &ApiQuery::default()).expect("the path may be called");
        assert_eq!((url.as_str(), origin.as_str()), ("https://api.example.com/v1/files/1", "https://api.example.com"));
    }
}

/// A path with a dot segment is refused with the field that contains it.
pub fn a_path_cannot_leave_the_base_url(backend: &ResourceBackend) {
    for path in ["/..", "/../x", "/a/../../x", "/a/../b"] {
        let refused = backend.server.join(BASE, path, &ApiQuery::default()).map_err(|refused| refused.field);
        assert_eq!(refused, Err("params.path"), "{path}");
    }
}

/// Names may occur several times, and an encoded query stays as it is.
pub fn a_query_keeps_its_order_and_repetitions(backend: &ResourceBackend) {
    for (query, expected) in [
        (ApiQuery::default(), ""),
        (pairs(&[("b", "1"), ("a", "2"), ("b", "3")]), "?b=1&a=2&b=3"),
        (ApiQuery::Encoded("q=a%20b&q=c".to_owned()), "?q=a%20b&q=c"),
    ] {
        assert_eq!(joined(backend, "/files", &query), format!("{BASE}/files{expected}"));
    }
}

/// That of the request follows it.
pub fn the_query_of_a_path_comes_first(backend: &ResourceBackend) {
    let url = joined(backend, "/files?a=1", &pairs(&[("b", "2")]));
    assert_eq!(url, format!("{BASE}/files?a=1&b=2"));
}

/// An escaped slash is part of a segment.
pub fn escapes_of_a_path_are_kept(backend: &ResourceBackend) {
    assert_eq!(joined(backend, "/groups/a%2Fb", &ApiQuery::default()), format!("{BASE}/groups/a%2Fb"));
}

fn request(method: &str, body: Option<&[u8]>) -> ApiRequest {
    ApiRequest {
        method: method.to_owned(),
        url: format!("{BASE}/files"),
        headers: Vec::new(),
        body: body.map(<[u8]>::to_vec),
        user: fixtures::user("u_alice"),
    }
}

/// Method, URL and body are those of the request.
pub async fn a_request_is_sent_once_with_its_token(backend: ResourceBackend) {
    for (at, (method, body, token)) in
        [("GET", None, "token-1"), ("POST", Some(b"{}".as_slice()), "token-2")].into_iter().enumerate()
    {
        (backend.respond)(200);
        let sent = backend.server.send(&request(method, body), &Secret::from_text(token)).await;
        assert_eq!(sent.map(|response| response.status), Ok(200));
        let received = (backend.received)();
        assert_eq!(received.len(), at + 1);
        let SentRequest { method: sent, url, body: content, token: with, .. } = &received[at];
        assert_eq!((sent.as_str(), url.as_str(), with.as_str()), (method, format!("{BASE}/files").as_str(), token));
        assert_eq!(content.as_deref().unwrap_or_default(), body.unwrap_or_default());
    }
}

/// No redirect is followed and no request is repeated.
pub async fn every_status_is_a_response(backend: ResourceBackend) {
    let statuses = [200, 204, 301, 307, 401, 404, 429, 500, 503];
    for status in statuses {
        (backend.respond)(status);
        let response = backend.server.send(&request("GET", None), &Secret::from_text("token")).await;
        assert_eq!(response.map(|response| response.status), Ok(status));
    }
    assert_eq!((backend.received)().len(), statuses.len());
}
