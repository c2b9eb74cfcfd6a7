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
    caller().1.join(base, path, &[]).map(|(url, _)| url)
}

fn request(method: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> ApiRequest {
    ApiRequest {
        method: method.to_owned(),
        url: format!("{BASE}/me"),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.map(<[u8]>::to_vec),
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
        (BASE, "/a%20b", "https://api.example.com/v1/a%20b"),
        (BASE, "/a:b@c/...", "https://api.example.com/v1/a:b@c/..."),
        (BASE, "https://evil.example/", "https://api.example.com/v1/https://evil.example/"),
    ] {
        let expected = if path.contains("//") { None } else { Some(url) };
        assert_eq!(joined(base, path).ok().as_deref(), expected, "{base} {path}");
    }
    let (url, origin) = caller().1.join(BASE, "/s", &[("q".to_owned(), "a&b=c #\u{e4}".to_owned())]).unwrap();
    assert_eq!(url, "https://api.example.com/v1/s?q=a%26b%3Dc+%23%C3%A4");
    assert_eq!(origin.as_str(), "https://api.example.com");
}

#[test]
fn r43_a_path_cannot_leave_the_base_url() {
    for path in [
        "..",
        "/..",
        "/../x",
        "/a/../b",
        "/a/..",
        "/./a",
        "/%2e%2e/x",
        "/%2E./x",
        "/a%2fb",
        "/a%2F..%2Fb",
        "/%5c..",
        "/\\x",
        "\\\\evil.example",
        "//evil.example/x",
        "/a//b",
        "/a?b",
        "/a#b",
        "/a\r\nb",
        "/a\tb",
        "/a\u{0}",
        "/%00",
        "/%",
        "/%4",
        "/%zz",
        "https://evil.example/",
        "/.\u{9}./x",
    ] {
        let refused = joined(BASE, path).expect_err(path);
        assert_eq!(refused.field, "params.path", "{path}");
    }
    for base in ["http://api.example.com/", "https://evil.test/", "https://api.example.com/?a=b", "not a url"] {
        assert_eq!(joined(base, "/me").unwrap_err().field, "config.baseUrl", "{base}");
    }
}

proptest! {
    #[test]
    fn r43_any_joined_url_stays_below_the_base_url(path in "[ -~\u{e4}\t]{0,40}", name in ".{0,8}", value in ".{0,8}") {
        if let Ok((url, origin)) = caller().1.join(BASE, &path, &[(name, value)]) {
            let url = url::Url::parse(&url).unwrap();
            prop_assert_eq!(url.host_str(), Some("api.example.com"));
            prop_assert!(url.path() == "/v1" || url.path().starts_with("/v1/"));
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
