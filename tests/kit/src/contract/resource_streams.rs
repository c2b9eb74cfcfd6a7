//! The rules of [`ResourceServer::open`](grantry_domain::ports::ResourceServer::open), which are part of the contract of resource
//! servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use grantry_domain::ports::{ApiError, ApiResponse, StreamedBody, StreamedRequest, StreamedResponse};
use grantry_domain::secret::Secret;

use super::resource_server::ResourceBackend;
use crate::doubles::{SentRequest, fixtures};

const URL: &str = "https://api.example.com/v1/files";

/// A request, and how many parts of its body were read.
fn request(method: &str, headers: &[(&str, &[u8])], parts: &'static [&'static str]) -> (StreamedRequest, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    let counter = read.clone();
    let next = move |part: &'static str| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(Bytes::from_static(part.as_bytes()))
    };
    let length = parts.iter().map(|part| part.len() as u64).sum();
    let body = StreamedBody { length: Some(length), parts: stream::iter(parts).map(|part| *part).map(next).boxed() };
    let request = StreamedRequest {
        method: method.to_owned(),
        url: URL.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect(),
        body: (!parts.is_empty()).then_some(body),
        user: fixtures::user("u_alice"),
    };
    (request, read)
}

fn response(status: u16, headers: &[(&str, &[u8])], body: &str) -> ApiResponse {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
    ApiResponse { status, headers, body: body.as_bytes().to_vec() }
}

async fn open(backend: &ResourceBackend, request: StreamedRequest) -> Result<StreamedResponse, ApiError> {
    backend.server.open(request, &Secret::from_text("token")).await
}

async fn content(response: StreamedResponse) -> Vec<u8> {
    let parts: Vec<_> = response.body.parts.collect().await;
    parts.into_iter().map(|part| part.expect("the body arrives whole")).collect::<Vec<_>>().concat()
}

/// The field of the refusal; nothing was sent and no part of the body was read.
async fn refused(backend: &ResourceBackend, method: &str, headers: &[(&str, &[u8])]) -> Option<&'static str> {
    let (request, read) = request(method, headers, &["a"]);
    let opened = open(backend, request).await;
    assert!((backend.received)().is_empty(), "{method} {headers:?} was sent");
    assert_eq!(read.load(Ordering::SeqCst), 0, "the body of {method} {headers:?} was read");
    match opened {
        Err(ApiError::Refused(refused)) => Some(refused.field),
        Ok(_) | Err(_) => None,
    }
}

/// Method, URL, headers and all parts of the body are those of the request.
pub async fn a_streamed_request_is_sent_once_with_its_token_and_body(backend: ResourceBackend) {
    for (at, (method, parts, body)) in
        [("GET", &[][..], ""), ("POST", &["a", "", "b\n"][..], "ab\n")].into_iter().enumerate()
    {
        (backend.respond)(response(200, &[], ""));
        let (request, read) = request(method, &[("x-page", b"1"), ("x-page", b"2")], parts);
        assert_eq!(open(&backend, request).await.map(|response| response.status), Ok(200));
        assert_eq!(read.load(Ordering::SeqCst), parts.len());
        let received = (backend.received)();
        assert_eq!(received.len(), at + 1);
        let SentRequest { method: sent, url, headers, body: content, token } = &received[at];
        assert_eq!((sent.as_str(), url.as_str(), token.as_str()), (method, URL, "token"));
        assert_eq!(content.as_deref().unwrap_or_default(), body.as_bytes());
        let pages = headers.iter().filter(|(name, _)| name == "x-page").map(|(_, value)| value.as_str());
        assert_eq!(pages.collect::<Vec<_>>(), ["1", "2"]);
    }
}

/// The same requests as without streaming are refused, before a part of the body is read.
pub async fn a_streamed_request_that_may_not_be_sent_is_refused_unread(backend: ResourceBackend) {
    for name in ["Authorization", "connection", "content-length", "Cookie", "expect", "HOST", "Transfer-Encoding", "a b", ""]
    {
        assert_eq!(refused(&backend, "POST", &[(name, b"x")]).await, Some("params.headers"), "{name:?}");
    }
    assert_eq!(refused(&backend, "POST", &[("x", b"a\r\nb: c")]).await, Some("params.headers"));
    for method in ["CONNECT", "TRACE", "post", ""] {
        assert_eq!(refused(&backend, method, &[]).await, Some("params.method"), "{method:?}");
    }
}

/// With any status; no redirect is followed. Fields of the connection and cookies are removed.
pub async fn a_streamed_response_is_that_of_the_api(backend: ResourceBackend) {
    let statuses = [200, 302, 401, 404, 503];
    for status in statuses {
        let fields: [(&str, &[u8]); 5] = [
            ("content-type", b"text/plain"),
            ("x-owner", b"Zo\xeb"),
            ("connection", b"x-hop"),
            ("x-hop", b"1"),
            ("set-cookie", b"a=b"),
        ];
        (backend.respond)(response(status, &fields, "content"));
        let opened = open(&backend, request("GET", &[], &[]).0).await.expect("a response");
        assert_eq!(opened.status, status);
        let of = |name: &str| opened.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice());
        assert_eq!((of("content-type"), of("x-owner")), (Some(&b"text/plain"[..]), Some(&b"Zo\xeb"[..])));
        assert_eq!((of("connection"), of("x-hop"), of("set-cookie")), (None, None, None));
        assert_eq!(content(opened).await, b"content");
    }
    assert_eq!((backend.received)().len(), statuses.len());
}

/// A relative one would lead the caller to a path of its origin.
pub async fn a_location_of_a_streamed_response_is_absolute(backend: ResourceBackend) {
    for (given, expected) in [
        ("/v2?a=b", "https://api.example.com/v2?a=b"),
        ("other", "https://api.example.com/v1/other"),
        ("//other.example/", "https://other.example/"),
        ("https://other.example/x", "https://other.example/x"),
    ] {
        (backend.respond)(response(302, &[("location", given.as_bytes())], ""));
        let opened = open(&backend, request("GET", &[], &[]).0).await.expect("a response");
        let location = opened.headers.iter().find(|(name, _)| name == "location").map(|(_, value)| value.as_slice());
        assert_eq!(location, Some(expected.as_bytes()), "{given}");
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use grantry_domain::ports::{ApiQuery, ApiRequest, ApiRequestRefused, ResourceServer};
    use grantry_domain::provider::Origin;

    use super::*;
    use crate::contract::rejects;
    use crate::doubles::ScriptedResourceServer;

    /// What is wrong with a caller of APIs.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Flaw {
        AllowsHeaders,
        AllowsMethods,
        DropsBodies,
        KeepsLocations,
        PassesOnCookies,
        ReadsFirst,
        SendsTwice,
    }

    struct Flawed(Arc<ScriptedResourceServer>, Flaw);

    #[async_trait]
    impl ResourceServer for Flawed {
        fn join(&self, base_url: &str, path: &str, query: &ApiQuery) -> Result<(String, Origin), ApiRequestRefused> {
            self.0.join(base_url, path, query)
        }

        async fn send(&self, request: &ApiRequest, token: &Secret) -> Result<ApiResponse, ApiError> {
            self.0.send(request, token).await
        }

        async fn open(&self, mut request: StreamedRequest, token: &Secret) -> Result<StreamedResponse, ApiError> {
            match self.1 {
                Flaw::AllowsHeaders => request.headers.clear(),
                Flaw::AllowsMethods => "GET".clone_into(&mut request.method),
                Flaw::DropsBodies => request.body = None,
                Flaw::ReadsFirst => {
                    if let Some(body) = request.body.take() {
                        drop(body.parts.collect::<Vec<_>>().await);
                    }
                }
                Flaw::SendsTwice => drop(self.0.open(super::request("GET", &[], &[]).0, token).await),
                Flaw::KeepsLocations | Flaw::PassesOnCookies => {}
            }
            let mut response = self.0.open(request, token).await?;
            if self.1 == Flaw::PassesOnCookies {
                response.headers.push(("set-cookie".to_owned(), b"a=b".to_vec()));
            }
            if self.1 == Flaw::KeepsLocations {
                response.headers.retain(|(name, _)| name != "location");
                response.headers.push(("location".to_owned(), b"/v2?a=b".to_vec()));
            }
            Ok(response)
        }
    }

    fn flawed(flaw: Flaw) -> ResourceBackend {
        let server = Arc::new(ScriptedResourceServer::default());
        let (queue, read) = (server.clone(), server.clone());
        ResourceBackend {
            server: Arc::new(Flawed(server, flaw)),
            respond: Box::new(move |response| queue.respond(Ok(response))),
            received: Box::new(move || read.requests()),
        }
    }

    #[tokio::test]
    async fn a_caller_that_streams_something_else_is_rejected() {
        for flaw in [Flaw::AllowsHeaders, Flaw::AllowsMethods, Flaw::ReadsFirst] {
            assert!(rejects(a_streamed_request_that_may_not_be_sent_is_refused_unread(flawed(flaw))).await);
        }
        for flaw in [Flaw::AllowsHeaders, Flaw::AllowsMethods, Flaw::DropsBodies, Flaw::SendsTwice] {
            assert!(rejects(a_streamed_request_is_sent_once_with_its_token_and_body(flawed(flaw))).await);
        }
        assert!(rejects(a_streamed_response_is_that_of_the_api(flawed(Flaw::PassesOnCookies))).await);
        assert!(rejects(a_streamed_response_is_that_of_the_api(flawed(Flaw::SendsTwice))).await);
        assert!(rejects(a_location_of_a_streamed_response_is_absolute(flawed(Flaw::KeepsLocations))).await);
    }
}
