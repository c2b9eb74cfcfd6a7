//! The contract of [`ResourceServer`]. [`resource_server_contract!`](crate::resource_server_contract) expands to its rules.

use std::sync::Arc;

use grantry_domain::ports::{ApiError, ApiQuery, ApiRequest, ApiRequestRefused, ApiResponse, ResourceServer};
use grantry_domain::secret::Secret;
use url::Url;

use crate::doubles::{SentRequest, fixtures};

/// A caller of APIs under test, which may call `https://api.example.com`.
pub struct ResourceBackend {
    /// The caller.
    pub server: Arc<dyn ResourceServer>,
    /// Queues a response of the API.
    pub respond: Box<dyn Fn(ApiResponse) + Send + Sync>,
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
            a_path_with_a_dot_segment_is_refused,
            a_path_cannot_leave_the_base_url,
            what_no_path_or_query_contains_is_refused,
            a_query_keeps_its_order_and_repetitions,
            names_and_values_of_a_query_are_encoded,
            the_query_of_a_path_comes_first,
            escapes_of_a_path_are_kept,
        }
        $crate::port_rules! {
            resource_server $factory;
            a_request_is_sent_once_with_its_token,
            headers_of_the_caller_are_sent,
            headers_that_a_caller_must_not_set_are_refused,
            a_method_that_is_not_one_of_apis_is_refused,
            every_status_is_a_response,
            a_response_has_no_fields_of_the_connection_and_no_cookies,
        }
        $crate::port_rules! {
            resource_streams $factory;
            a_streamed_request_is_sent_once_with_its_token_and_body,
            a_streamed_request_that_may_not_be_sent_is_refused_unread,
            a_streamed_response_is_that_of_the_api,
            a_location_of_a_streamed_response_is_absolute,
        }
    };
}

const ORIGIN: &str = "https://api.example.com";
const BASE: &str = "https://api.example.com/v1";

fn joined(backend: &ResourceBackend, path: &str, query: &ApiQuery) -> String {
    backend.server.join(BASE, path, query).expect("the path may be called").0
}

fn refused_field(backend: &ResourceBackend, path: &str, query: &ApiQuery) -> Option<&'static str> {
    backend.server.join(BASE, path, query).err().map(|refused| refused.field)
}

fn pairs(pairs: &[(&str, &str)]) -> ApiQuery {
    ApiQuery::Pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

/// With one slash between both, and with the origin of the base URL.
pub fn a_path_is_joined_below_the_base_url(backend: &ResourceBackend) {
    for base in [BASE, "https://api.example.com/v1/"] {
        let (url, origin) = backend.server.join(base, "/files/1", &ApiQuery::default()).expect("the path may be called");
        assert_eq!((url.as_str(), origin.as_str()), ("https://api.example.com/v1/files/1", ORIGIN));
    }
}

/// Also if the dots or the slash before them are escaped: a server can decode them before it looks for segments.
pub fn a_path_with_a_dot_segment_is_refused(backend: &ResourceBackend) {
    for path in [
        "/..",
        "/../x",
        "/a/../../x",
        "/a/../b",
        "/./a",
        "/a/.",
        "/..?a=b",
        "/%2e%2e",
        "/%2e%2e/x",
        "/%2E%2E/x",
        "/.%2e/x",
        "/%2E./x",
        "/a/%2e",
        "/a%2f..%2fb",
        "/a%2F%2e%2E%2Fb",
    ] {
        assert_eq!(refused_field(backend, path, &ApiQuery::default()), Some("params.path"), "{path}");
    }
}

/// A path that could be read as another host is refused, or is a path below the base URL.
pub fn a_path_cannot_leave_the_base_url(backend: &ResourceBackend) {
    for base in ["https://api.example.com", BASE] {
        let prefix = Url::parse(base).expect("a URL").path().trim_end_matches('/').to_owned();
        for path in
            ["//evil.example/x", "https://evil.example/x", "@evil.example/x", ".evil.example/x", ":8443/x", "?a=b", "", "x"]
        {
            let (url, origin) = match backend.server.join(base, path, &ApiQuery::default()) {
                Ok(joined) => joined,
                Err(ApiRequestRefused { field, .. }) => {
                    assert_eq!(field, "params.path", "{base} {path}");
                    continue;
                }
            };
            let url = Url::parse(&url).expect("a URL");
            assert_eq!((url.origin().ascii_serialization().as_str(), origin.as_str()), (ORIGIN, ORIGIN), "{base} {path}");
            assert!(url.username().is_empty() && url.password().is_none(), "{base} {path}");
            let below = url.path().strip_prefix(&prefix);
            assert!(below.is_some_and(|below| below.is_empty() || below.starts_with('/')), "{base} {path}: {url}");
        }
    }
}

/// A fragment would not be sent, a control character could end the request line, and URL libraries read a backslash as a slash.
pub fn what_no_path_or_query_contains_is_refused(backend: &ResourceBackend) {
    for path in ["/a#b", "/a?b#c", "/a\r\nb", "/a\0", "/a?b\nc", "/\\evil.example", "/a\\..\\b"] {
        assert_eq!(refused_field(backend, path, &ApiQuery::default()), Some("params.path"), "{path:?}");
    }
    for query in ["a#b", "a=\r\nb", "a=\0"] {
        let encoded = ApiQuery::Encoded(query.to_owned());
        assert_eq!(refused_field(backend, "/files", &encoded), Some("params.query"), "{query:?}");
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

/// A server that decodes the query gets the pairs of the caller, with `+` or `%20` for a blank.
pub fn names_and_values_of_a_query_are_encoded(backend: &ResourceBackend) {
    let given = [("q", "a&b=c"), ("a b", "1+1 %41"), ("#?", "\u{e4}/\r\n"), ("empty", "")];
    let url = Url::parse(&joined(backend, "/files", &pairs(&given))).expect("a URL");
    let decoded: Vec<_> = url.query_pairs().collect();
    assert_eq!(decoded, given.map(|(name, value)| (name.into(), value.into())));
    assert_eq!((url.path(), url.fragment()), ("/v1/files", None));
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

fn request(method: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> ApiRequest {
    ApiRequest {
        method: method.to_owned(),
        url: format!("{BASE}/files"),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.map(<[u8]>::to_vec),
        user: fixtures::user("u_alice"),
    }
}

fn response(status: u16, headers: &[(&str, &[u8])]) -> ApiResponse {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
    ApiResponse { status, headers, body: b"{}".to_vec() }
}

async fn send(backend: &ResourceBackend, request: &ApiRequest, token: &str) -> Result<ApiResponse, ApiError> {
    backend.server.send(request, &Secret::from_text(token)).await
}

/// The field of the refusal; nothing was sent.
async fn refused(backend: &ResourceBackend, request: &ApiRequest) -> Option<&'static str> {
    let sent = send(backend, request, "token").await.map(|response| response.status);
    assert!((backend.received)().is_empty(), "{} {:?} was sent", request.method, request.headers);
    match sent {
        Err(ApiError::Refused(refused)) => Some(refused.field),
        Ok(_) | Err(_) => None,
    }
}

/// Method, URL and body are those of the request.
pub async fn a_request_is_sent_once_with_its_token(backend: ResourceBackend) {
    for (at, (method, body, token)) in
        [("GET", None, "token-1"), ("POST", Some(b"{}".as_slice()), "token-2")].into_iter().enumerate()
    {
        (backend.respond)(response(200, &[]));
        let sent = send(&backend, &request(method, &[], body), token).await;
        assert_eq!(sent.map(|response| response.status), Ok(200));
        let received = (backend.received)();
        assert_eq!(received.len(), at + 1);
        let SentRequest { method: sent, url, body: content, token: with, .. } = &received[at];
        assert_eq!((sent.as_str(), url.as_str(), with.as_str()), (method, format!("{BASE}/files").as_str(), token));
        assert_eq!(content.as_deref().unwrap_or_default(), body.unwrap_or_default());
    }
}

/// A name may occur several times. The adapter may add fields of other names.
pub async fn headers_of_the_caller_are_sent(backend: ResourceBackend) {
    let headers = [("accept", "text/plain"), ("x-page", "1"), ("x-page", "2")];
    (backend.respond)(response(200, &[]));
    assert!(send(&backend, &request("GET", &headers, None), "token").await.is_ok());
    let received = (backend.received)();
    let SentRequest { headers: sent, .. } = &received[0];
    for name in ["accept", "x-page"] {
        let of_name = |(known, value): &(String, String)| known.eq_ignore_ascii_case(name).then(|| value.clone());
        let expected = headers.iter().filter(|(known, _)| *known == name).map(|(_, value)| *value);
        assert_eq!(sent.iter().filter_map(of_name).collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{name}");
    }
}

/// A caller could send another token, the cookies of a user, a second request or a request to another host.
pub async fn headers_that_a_caller_must_not_set_are_refused(backend: ResourceBackend) {
    for name in [
        "Authorization",
        "connection",
        "content-length",
        "Cookie",
        "cookie2",
        "expect",
        "HOST",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "Proxy-Authorization",
        "proxy-connection",
        "set-cookie",
        "TE",
        "trailer",
        "Transfer-Encoding",
        "upgrade",
        "",
        "a b",
        "a:b",
        "x\r\ny",
    ] {
        assert_eq!(refused(&backend, &request("GET", &[(name, "x")], None)).await, Some("params.headers"), "{name:?}");
    }
    for value in ["a\r\nb: c", "a\nb", "a\0"] {
        assert_eq!(refused(&backend, &request("GET", &[("x", value)], None)).await, Some("params.headers"), "{value:?}");
    }
}

/// A tunnel or a trace is no call of an API, and a method is written as it is sent.
pub async fn a_method_that_is_not_one_of_apis_is_refused(backend: ResourceBackend) {
    for method in ["CONNECT", "TRACE", "get", "", "GET /x HTTP/1.1\r\n"] {
        assert_eq!(refused(&backend, &request(method, &[], None)).await, Some("params.method"), "{method:?}");
    }
}

/// No redirect is followed and no request is repeated.
pub async fn every_status_is_a_response(backend: ResourceBackend) {
    let statuses = [200, 204, 301, 307, 401, 404, 429, 500, 503];
    for status in statuses {
        (backend.respond)(response(status, &[("location", b"https://api.example.com/v1/other")]));
        let response = send(&backend, &request("GET", &[], None), "token").await;
        assert_eq!(response.map(|response| response.status), Ok(status));
    }
    assert_eq!((backend.received)().len(), statuses.len());
}

/// The other fields and the body are those of the API. A value need not be UTF-8.
pub async fn a_response_has_no_fields_of_the_connection_and_no_cookies(backend: ResourceBackend) {
    let kept: [(&str, &[u8]); 3] = [("content-type", b"application/json"), ("x-owner", b"Zo\xeb"), ("x-rate", b"9")];
    let removed: [(&str, &[u8]); 8] = [
        ("connection", b"x-hop, close"),
        ("x-hop", b"1"),
        ("keep-alive", b"timeout=5"),
        ("proxy-authenticate", b"Basic"),
        ("trailer", b"x-rate"),
        ("upgrade", b"h2c"),
        ("set-cookie", b"a=b"),
        ("set-cookie2", b"c=d"),
    ];
    (backend.respond)(response(200, &[kept.as_slice(), &removed].concat()));
    let received = send(&backend, &request("GET", &[], None), "token").await.expect("a response");
    assert_eq!(received.body, b"{}");
    for (name, value) in kept {
        assert!(received.headers.iter().any(|(known, sent)| known == name && sent == value), "{name} is missing");
    }
    for (name, _) in removed {
        assert!(!received.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)), "{name} was passed on");
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use async_trait::async_trait;
    use grantry_domain::ports::{StreamedRequest, StreamedResponse};
    use grantry_domain::provider::Origin;

    use super::*;
    use crate::contract::rejects;
    use crate::doubles::ScriptedResourceServer;

    fn scripted() -> ResourceBackend {
        let server = Arc::new(ScriptedResourceServer::default());
        let (queue, read) = (server.clone(), server.clone());
        ResourceBackend {
            server,
            respond: Box::new(move |response| queue.respond(Ok(response))),
            received: Box::new(move || read.requests()),
        }
    }

    mod of_the_double {
        use super::*;

        fn server() -> Ready<ResourceBackend> {
            ready(scripted())
        }

        crate::resource_server_contract!(server);
    }

    /// What is wrong with a caller of APIs.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Flaw {
        AllowsDots,
        AllowsEscapedDots,
        AllowsFragments,
        ConcatenatesHosts,
        EncodesNothing,
        DropsHeaders,
        AllowsHeaders,
        AllowsMethods,
        PassesOnCookies,
        SendsTwice,
        KeepsBothSlashes,
        SortsQueries,
        DropsTheQueryOfAPath,
        DecodesPaths,
    }

    /// Refuses less than a correct one, or changes what it sends and returns.
    struct Flawed(Arc<dyn ResourceServer>, Flaw);

    #[async_trait]
    impl ResourceServer for Flawed {
        fn join(&self, base_url: &str, path: &str, query: &ApiQuery) -> Result<(String, Origin), ApiRequestRefused> {
            if self.1 == Flaw::DropsTheQueryOfAPath {
                return self.0.join(base_url, path.split('?').next().unwrap_or(path), query);
            }
            if self.1 == Flaw::DecodesPaths {
                return self.0.join(base_url, &path.replace("%2F", "/"), query);
            }
            if let (Flaw::SortsQueries, ApiQuery::Pairs(pairs)) = (self.1, query) {
                let mut pairs = pairs.clone();
                pairs.sort();
                return self.0.join(base_url, path, &ApiQuery::Pairs(pairs));
            }
            let unchecked = match self.1 {
                Flaw::KeepsBothSlashes => base_url.ends_with('/'),
                Flaw::AllowsDots => path.contains(".."),
                Flaw::AllowsEscapedDots => path.contains("%2e"),
                Flaw::AllowsFragments => path.contains('#'),
                Flaw::ConcatenatesHosts => path.starts_with(['.', '@', ':']),
                Flaw::EncodesNothing => *query != ApiQuery::default(),
                Flaw::DropsHeaders
                | Flaw::AllowsHeaders
                | Flaw::AllowsMethods
                | Flaw::PassesOnCookies
                | Flaw::SendsTwice
                | Flaw::SortsQueries
                | Flaw::DropsTheQueryOfAPath
                | Flaw::DecodesPaths => false,
            };
            if !unchecked {
                return self.0.join(base_url, path, query);
            }
            let query = match query {
                ApiQuery::Encoded(text) => text.clone(),
                ApiQuery::Pairs(pairs) => {
                    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
                }
            };
            let mark = if query.is_empty() { "" } else { "?" };
            Ok((format!("{base_url}{path}{mark}{query}"), Origin::new(ORIGIN).expect("an origin")))
        }

        async fn send(&self, request: &ApiRequest, token: &Secret) -> Result<ApiResponse, ApiError> {
            let mut request = copy(request);
            match self.1 {
                Flaw::DropsHeaders | Flaw::AllowsHeaders => request.headers.clear(),
                Flaw::AllowsMethods => "GET".clone_into(&mut request.method),
                Flaw::SendsTwice => drop(self.0.send(&request, token).await),
                Flaw::AllowsDots
                | Flaw::AllowsEscapedDots
                | Flaw::AllowsFragments
                | Flaw::ConcatenatesHosts
                | Flaw::EncodesNothing
                | Flaw::PassesOnCookies
                | Flaw::KeepsBothSlashes
                | Flaw::SortsQueries
                | Flaw::DropsTheQueryOfAPath
                | Flaw::DecodesPaths => {}
            }
            let mut response = self.0.send(&request, token).await?;
            if self.1 == Flaw::PassesOnCookies {
                response.headers.push(("set-cookie".to_owned(), b"a=b".to_vec()));
            }
            Ok(response)
        }

        async fn open(&self, request: StreamedRequest, token: &Secret) -> Result<StreamedResponse, ApiError> {
            self.0.open(request, token).await
        }
    }

    fn copy(request: &ApiRequest) -> ApiRequest {
        ApiRequest {
            method: request.method.clone(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            user: request.user.clone(),
        }
    }

    fn flawed(flaw: Flaw) -> ResourceBackend {
        let backend = scripted();
        ResourceBackend { server: Arc::new(Flawed(backend.server.clone(), flaw)), ..backend }
    }

    #[tokio::test]
    async fn a_caller_that_joins_what_it_must_refuse_is_rejected() {
        let rejected = |flaw, rule: fn(&ResourceBackend)| rejects(async move { rule(&flawed(flaw)) });
        assert!(rejected(Flaw::AllowsDots, a_path_with_a_dot_segment_is_refused).await);
        assert!(rejected(Flaw::AllowsEscapedDots, a_path_with_a_dot_segment_is_refused).await);
        assert!(rejected(Flaw::AllowsFragments, what_no_path_or_query_contains_is_refused).await);
        assert!(rejected(Flaw::ConcatenatesHosts, a_path_cannot_leave_the_base_url).await);
        assert!(rejected(Flaw::KeepsBothSlashes, a_path_is_joined_below_the_base_url).await);
        assert!(rejected(Flaw::SortsQueries, a_query_keeps_its_order_and_repetitions).await);
        assert!(rejected(Flaw::DropsTheQueryOfAPath, the_query_of_a_path_comes_first).await);
        assert!(rejected(Flaw::DecodesPaths, escapes_of_a_path_are_kept).await);
        assert!(rejected(Flaw::EncodesNothing, names_and_values_of_a_query_are_encoded).await);
    }

    #[tokio::test]
    async fn a_caller_that_sends_or_returns_something_else_is_rejected() {
        assert!(rejects(headers_of_the_caller_are_sent(flawed(Flaw::DropsHeaders))).await);
        assert!(rejects(headers_that_a_caller_must_not_set_are_refused(flawed(Flaw::AllowsHeaders))).await);
        assert!(rejects(a_method_that_is_not_one_of_apis_is_refused(flawed(Flaw::AllowsMethods))).await);
        let returned = a_response_has_no_fields_of_the_connection_and_no_cookies(flawed(Flaw::PassesOnCookies));
        assert!(rejects(returned).await);
        assert!(rejects(every_status_is_a_response(flawed(Flaw::SendsTwice))).await);
        assert!(rejects(a_request_is_sent_once_with_its_token(flawed(Flaw::SendsTwice))).await);
    }
}
