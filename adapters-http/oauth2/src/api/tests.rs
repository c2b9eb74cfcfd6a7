//! Joining, header rules and limits over a scripted transport.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::fake_transport::FakeTransport;

const BASE: &str = "https://api.example.com/v1";

fn caller() -> (Arc<FakeTransport>, ApiCaller) {
    let transport = Arc::new(FakeTransport::default());
    let policy = EgressPolicy::new(&["*.example.com"], &[]).unwrap();
    let caller = ApiCaller::new(Arc::clone(&transport) as _, policy, 16);
    (transport, caller)
}

fn joined(base: &str, path: &str) -> Result<String, ApiRequestRefused> {
    caller().1.join(base, path, &ApiQuery::default()).map(|(url, _)| url)
}

fn request(method: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> ApiRequest {
    ApiRequest {
        method: method.to_owned(),
        url: format!("{BASE}/me"),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.map(<[u8]>::to_vec),
        user: grantry_domain::identity::UserId::new("u_alice").unwrap(),
    }
}

#[test]
fn r43_a_path_is_joined_below_the_base_url() {
    for (base, path, url) in [
        (BASE, "/me", "https://api.example.com/v1/me"),
        (BASE, "me", "https://api.example.com/v1/me"),
        ("https://api.example.com/v1/", "/me", "https://api.example.com/v1/me"),
        ("https://api.example.com", "/me/", "https://api.example.com/me/"),
        ("https://api.example.com", "", "https://api.example.com/"),
        (BASE, "", BASE),
        (BASE, "/", BASE),
        (BASE, "/a b/\u{fc}", "https://api.example.com/v1/a%20b/%C3%BC"),
        (BASE, "/a:b@c/...", "https://api.example.com/v1/a:b@c/..."),
        (BASE, "/a//b", "https://api.example.com/v1/a//b"),
        (BASE, "/web/https://example.com/", "https://api.example.com/v1/web/https://example.com/"),
    ] {
        assert_eq!(joined(base, path).as_deref(), Ok(url), "{base} {path}");
    }
    assert_eq!(caller().1.join(BASE, "/s", &ApiQuery::default()).unwrap().1.as_str(), "https://api.example.com");
}

#[test]
fn escapes_of_a_path_are_kept() {
    for path in [
        "/projects/group%2Fproject",
        "/projects/group%2fsub%2Fproject/files/src%2Fmain.rs",
        "/sites/https%3A%2F%2Fwww.example.com%2F/searchAnalytics/query",
        "/users/john%2Edoe",
        "/files/%2Egitignore",
        "/files/%2E%2E%2E",
        "/files/a..b/..c/d../v1.",
        "/a%20b/%C3%BC/%E4/%ff",
        "/a%3Fb%23c%25d%26e%2Be",
        "/a%252Fb",
        "/drive/root:/a%3Bb:/children;v=1",
        "/a+b/!$&'()*,;=:@~_-",
        "/%41%7e",
    ] {
        assert_eq!(joined(BASE, path), Ok(format!("{BASE}{path}")), "{path}");
    }
}

#[test]
fn r43_a_path_cannot_leave_the_base_url() {
    let dots = [
        "..",
        "/..",
        "/../x",
        "/a/../b",
        "/a/..",
        "/./a",
        "/a/.",
        "/%2e%2e/x",
        "/%2E./x",
        "/.%2e",
        "/%2e",
        "/a%2F..%2Fb",
        "/a%2f%2e%2e",
        "/..%2Fb",
        "/%252e%252e/x",
        "/%25252e%25252e/x",
        "/.%252e%252fx",
        "/..;/x",
        "/..;a=b/x",
        "/.;/x",
        "/%2e%2e%3b/x",
        "/..%3Bx",
        "/..%20/x",
        "/.. /x",
        "/%c0%ae%c0%ae/x",
        "/%C0%AE./x",
        "/a%c0%af..%c0%afb",
        "/%e0%80%ae%e0%80%ae/x",
        "/..%255cx",
        "/a/..;",
        "/a/..;/",
        "/a/..;;/x",
        "/a/..;%2fx",
        "/a/..%253b/x",
        "/a/ ..;/x",
        "/a/..%20;/x",
        "/a/.;a=b/..;c=d/x",
        "/..%3fx",
        "/..%23x",
        "/..%253f/x",
        "/%ef%bc%8e%ef%bc%8e/x",
        "/\u{ff0e}\u{ff0e}/x",
        "/a%ef%bc%8f..%ef%bc%8fx",
        "/a%ef%bc%bc..",
        "..?a=b",
        "/%f0%80%80%ae%f0%80%80%ae/x",
        "/..%f0%80%80%afx",
        "/%f8%80%80%80%ae./x",
        "/%fc%80%80%80%80%ae./x",
        "/%c0%2e%c0%2e/x",
        "/..%2500/x",
        "/%e2%80%a5/x",
        "/\u{2024}./x",
        "/\u{fe52}\u{fe52}/x",
        "/a\u{fe68}..",
        "/..\u{a0}/x",
        "/.\u{200b}./x",
        "/..%ef%bb%bf/x",
        "/a\u{2215}..\u{2044}b",
    ];
    for path in dots {
        let refused = joined(BASE, path).expect_err(path);
        assert_eq!((refused.field, refused.problem), ("params.path", "must not contain dot segments"), "{path}");
    }
    for path in [
        "/%5c..",
        "/a%5Cb",
        "/\\x",
        "\\\\evil.example",
        "//evil.example/x",
        "///evil.example/x",
        "/a#b",
        "/a?b#c",
        "/a?b\r\nc",
        "/a?b=%",
        "/a\r\nb",
        "/a\tb",
        "/a\u{0}",
        "/a\u{7f}",
        "/a\u{85}",
        "/%00",
        "/a%0d%0ab",
        "/%7F",
        "/%",
        "/%4",
        "/%zz",
        "https://evil.example/",
        "HTTPS://evil.example/",
        "/.\u{9}./x",
        "/%25252525252525252541",
    ] {
        assert_eq!(joined(BASE, path).expect_err(path).field, "params.path", "{path}");
    }
    for base in ["http://api.example.com/", "https://evil.test/", "https://api.example.com/?a=b", "not a url"] {
        assert_eq!(joined(base, "/me").unwrap_err().field, "config.baseUrl", "{base}");
    }
}

#[test]
fn the_query_of_the_path_and_the_query_are_joined() {
    let pairs = |pairs: &[(&str, &str)]| {
        ApiQuery::Pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    };
    let text = |text: &str| ApiQuery::Encoded(text.to_owned());
    for (path, query, expected) in [
        ("/s", pairs(&[("q", "a&b=c #\u{e4}+1")]), "/s?q=a%26b%3Dc%20%23%C3%A4%2B1"),
        ("/s", pairs(&[("role", "admin"), ("x", ""), ("role", "editor")]), "/s?role=admin&x=&role=editor"),
        ("/s?limit=5", pairs(&[]), "/s?limit=5"),
        ("/s?limit=5&a=b%20c", pairs(&[("d e", "f")]), "/s?limit=5&a=b%20c&d%20e=f"),
        ("/s?", text("a=1"), "/s?a=1"),
        ("?a=1", text(""), "?a=1"),
        ("/s?q=a b\u{e4}", text("$filter=name eq 2&x[]=1+2&y=%2f"), "/s?q=a%20b%C3%A4&$filter=name%20eq%202&x[]=1+2&y=%2f"),
        ("/s?where=is?/it", text("flag"), "/s?where=is?/it&flag"),
    ] {
        let joined = caller().1.join(BASE, path, &query).map(|(url, _)| url);
        assert_eq!(joined, Ok(format!("{BASE}{expected}")), "{path} {query:?}");
    }
    for query in ["a#b", "a=\n", "a=\u{0}", "a=%", "a=%4", "a=\u{9b}"] {
        assert_eq!(caller().1.join(BASE, "/s", &text(query)).unwrap_err().field, "params.query", "{query:?}");
    }
}

proptest! {
    #[test]
    fn r43_any_joined_url_stays_below_the_base_url(path in "([ -~\u{e4}\t]|\\.|/|%2[eEfF5]|%5c|;|\\?){0,40}", name in ".{0,8}", value in ".{0,8}") {
        if let Ok((url, origin)) = caller().1.join(BASE, &path, &ApiQuery::Pairs(vec![(name, value)])) {
            let url = url::Url::parse(&url).unwrap();
            prop_assert_eq!(url.host_str(), Some("api.example.com"));
            prop_assert!(url.path() == "/v1" || url.path().starts_with("/v1/"));
            let mut path = url.path().to_owned();
            for _ in 0..3 {
                path = percent_encoding::percent_decode_str(&path).decode_utf8_lossy().into_owned();
                prop_assert!(!path.split('/').any(|segment| segment == ".."));
            }
            prop_assert!(url.fragment().is_none() && url.username().is_empty());
            prop_assert_eq!(origin.as_str(), "https://api.example.com");
        }
    }
}

#[tokio::test]
async fn r43_the_token_is_sent_and_hop_by_hop_fields_and_cookies_are_removed() {
    let (transport, caller) = caller();
    let headers = [
        ("content-type", "application/json"),
        ("connection", "x-hop, close"),
        ("x-hop", "1"),
        ("keep-alive", "1"),
        ("transfer-encoding", "chunked"),
        ("set-cookie", "a=b"),
        ("x-rate", "9"),
    ];
    transport.respond_with(404, &headers, "{}");
    let token = Secret::from_text("at-1");
    let response = caller.send(&request("GET", &[("accept", "text/plain")], None), &token).await.ok().unwrap();
    let mut names: Vec<_> = response.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-type", "x-rate"]);
    assert_eq!((response.status, response.body.as_slice()), (404, &b"{}"[..]));
    let sent = transport.last();
    assert_eq!(sent.authorization.as_deref(), Some("Bearer at-1"));
    assert_eq!(sent.headers["accept"], "text/plain");
    assert!(sent.headers["user-agent"].to_str().unwrap().starts_with("grantry/"));
}

#[tokio::test]
async fn header_fields_that_a_caller_must_not_set_are_refused() {
    let (transport, caller) = caller();
    let token = Secret::from_text("at-1");
    for name in [
        "Authorization",
        "cookie",
        "Cookie2",
        "Set-Cookie",
        "HOST",
        "Content-Length",
        "connection",
        "Keep-Alive",
        "Proxy-Authorization",
        "proxy-connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Expect",
        "",
        "a b",
        "a:b",
        "\u{e4}",
    ] {
        let refused = caller.send(&request("GET", &[(name, "x")], None), &token).await.err();
        assert!(matches!(refused, Some(ApiError::Refused(refused)) if refused.field == "params.headers"), "{name}");
    }
    let refused = caller.send(&request("GET", &[("x", "a\r\nb: c")], None), &token).await.err();
    assert!(matches!(refused, Some(ApiError::Refused(_))));
    for method in ["CONNECT", "TRACE", "get", "", "GET /"] {
        let refused = caller.send(&request(method, &[], None), &token).await.err();
        assert!(matches!(refused, Some(ApiError::Refused(refused)) if refused.field == "params.method"), "{method}");
    }
    let refused = caller.send(&request("POST", &[], Some(&[0; 17])), &token).await.err();
    assert!(matches!(refused, Some(ApiError::Refused(refused)) if refused.field == "params.body"));
    assert!(transport.sent().is_empty());
}

#[tokio::test]
async fn r67_a_call_outside_the_policy_is_not_sent_and_errors_are_distinguished() {
    let (transport, caller) = caller();
    let token = Secret::from_text("at-1");
    let outside = ApiRequest { url: "https://evil.test/".to_owned(), ..request("GET", &[], None) };
    assert_eq!(caller.send(&outside, &token).await.err(), Some(ApiError::NotAllowed));
    assert!(transport.sent().is_empty());
    for (error, expected) in [
        (TransportError::NotAllowed, ApiError::NotAllowed),
        (TransportError::NotSent, ApiError::Unreachable),
        (TransportError::Cut, ApiError::Unreachable),
        (TransportError::TooLarge, ApiError::TooLarge),
    ] {
        transport.fail(error);
        assert_eq!(caller.send(&request("POST", &[], Some(b"{}")), &token).await.err(), Some(expected));
    }
    assert_eq!(transport.sent().len(), 4, "no request is retried");
}

#[tokio::test]
async fn an_empty_body_has_a_length_where_a_body_is_expected() {
    let (transport, caller) = caller();
    let token = Secret::from_text("at-1");
    for (method, body, length) in [
        ("POST", None, Some("0")),
        ("PUT", None, Some("0")),
        ("PATCH", Some(&b""[..]), Some("0")),
        ("POST", Some(&b"{}"[..]), None),
        ("GET", None, None),
        ("DELETE", None, None),
    ] {
        transport.respond_with(200, &[], "");
        drop(caller.send(&request(method, &[], body), &token).await);
        let sent = transport.last();
        assert_eq!(sent.headers.get("content-length").map(|value| value.to_str().unwrap()), length, "{method}");
    }
}

#[test]
fn header_values_that_are_not_utf_8_keep_their_bytes() {
    let headers = http::HeaderMap::from_iter([(
        http::HeaderName::from_static("x-owner"),
        http::HeaderValue::from_bytes(b"Zo\xeb").unwrap(),
    )]);
    assert_eq!(headers::response_headers(&headers), [("x-owner".to_owned(), b"Zo\xeb".to_vec())]);
}

mod contract {
    use std::future::{Ready, ready};

    use grantry_testkit::contract::resource_server::ResourceBackend;
    use grantry_testkit::doubles::SentRequest;
    use http::{HeaderMap, HeaderName, StatusCode};
    use zeroize::Zeroizing;

    use super::*;
    use crate::HttpResponse;

    fn server() -> Ready<ResourceBackend> {
        let (transport, caller) = caller();
        let scripted = Arc::clone(&transport);
        let received = move || {
            let field = |(name, value): (&HeaderName, &HeaderValue)| (name.to_string(), value.to_str().unwrap().to_owned());
            let requests = transport.sent().into_iter().map(|sent| SentRequest {
                method: sent.method,
                url: sent.url,
                headers: sent.headers.iter().map(field).collect(),
                body: Some(sent.body.into_bytes()),
                token: sent.authorization.unwrap().strip_prefix("Bearer ").unwrap().to_owned(),
            });
            requests.collect::<Vec<_>>()
        };
        let respond = move |response: ApiResponse| {
            let field = |(name, value): &(String, Vec<u8>)| (name.parse().unwrap(), HeaderValue::from_bytes(value).unwrap());
            scripted.queue(Ok(HttpResponse {
                status: StatusCode::from_u16(response.status).unwrap(),
                headers: response.headers.iter().map(field).collect::<HeaderMap>(),
                body: Zeroizing::new(response.body),
            }));
        };
        ready(ResourceBackend { server: Arc::new(caller), respond: Box::new(respond), received: Box::new(received) })
    }

    grantry_testkit::resource_server_contract!(server);
}
