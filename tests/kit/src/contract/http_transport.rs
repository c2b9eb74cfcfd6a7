//! The contract of [`HttpTransport`], over loopback sockets. [`http_transport_contract!`](crate::http_transport_contract)
//! expands to its rules.
//!
//! Names that resolve to an address outside of the policy are not part of it, because no rule can set what a name resolves to.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use grantry_domain::secret::Secret;
use grantry_provider_oauth2::{EgressPolicy, HttpRequest, HttpResponse, HttpTransport, TransportError};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::net::TcpSocket;

use crate::provider::{Call, Endpoint, Fault, Gate, MockProvider, ScriptedResponse};

/// Makes a transport that applies a policy. Its requests end after five seconds at most.
pub type TransportFactory = fn(EgressPolicy) -> Arc<dyn HttpTransport>;

/// Expands to one test for each rule. The factory is a [`TransportFactory`](crate::contract::http_transport::TransportFactory).
#[macro_export]
macro_rules! http_transport_contract {
    ($factory:path) => {
        $crate::port_rules! {
            @factory http_transport $factory;
            a_request_arrives_as_it_is,
            a_response_is_returned_as_it_is,
            a_redirect_is_returned_and_not_followed,
            a_request_is_not_repeated,
            no_cookie_is_kept,
            a_compressed_body_is_decoded,
            a_body_above_the_limit_is_too_large,
            a_url_outside_of_the_policy_is_not_allowed,
            a_request_that_cannot_be_sent_is_not_sent,
            a_response_that_does_not_end_is_cut,
            a_share_leaves_room_for_others,
        }
    };
}

/// The time within which a transport must end a request.
const PATIENCE: Duration = Duration::from_secs(15);

/// More requests of one share than a host has room for.
const MANY: usize = 64;

/// A server, and a transport that may call it.
struct Fixture {
    server: MockProvider,
    transport: Arc<dyn HttpTransport>,
}

impl Fixture {
    async fn new(factory: TransportFactory) -> Self {
        let server = MockProvider::builder().start().await.expect("a loopback port is free");
        let transport = factory(policy(server.port()));
        Self { server, transport }
    }

    fn get(&self) -> HttpRequest {
        request(Method::GET, self.server.url("/api/echo"))
    }

    fn post(&self) -> HttpRequest {
        HttpRequest { body: Some(Secret::from_text("canary")), ..request(Method::POST, self.server.url("/api/echo")) }
    }

    /// The response to the next request.
    fn respond(&self, response: ScriptedResponse) {
        self.fail(vec![Fault::Instead(response)]);
    }

    /// What happens to the next request.
    fn fail(&self, faults: Vec<Fault>) {
        self.server.faults().once(Endpoint::Api, Fault::Several(faults));
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        tokio::time::timeout(PATIENCE, self.transport.send(request)).await.expect("the request ends in time")
    }

    fn received(&self) -> Vec<Call> {
        self.server.ledger().at(Endpoint::Api).into_iter().cloned().collect()
    }
}

fn policy(port: u16) -> EgressPolicy {
    EgressPolicy::new(&[], &[format!("127.0.0.1:{port}")]).expect("a target")
}

fn request(method: Method, url: String) -> HttpRequest {
    HttpRequest { method, url, headers: HeaderMap::new(), authorization: None, body: None, max_body: 64 * 1024, share: None }
}

fn error(sent: Result<HttpResponse, TransportError>) -> Option<TransportError> {
    sent.err()
}

/// Method, URL, header fields, authorization and the bytes of the body.
pub async fn a_request_arrives_as_it_is(factory: TransportFactory) {
    let fixture = Fixture::new(factory).await;
    let page = HeaderName::from_static("x-page");
    let body: &[u8] = b"\0\xff\r\n body";
    for (at, (method, body)) in [
        (Method::GET, None),
        (Method::HEAD, None),
        (Method::OPTIONS, None),
        (Method::DELETE, None),
        (Method::POST, Some(body)),
        (Method::PUT, Some(body)),
        (Method::PATCH, Some(body)),
        (Method::POST, Some(b"")),
    ]
    .into_iter()
    .enumerate()
    {
        fixture.respond(ScriptedResponse::new(200));
        let mut headers = HeaderMap::new();
        headers.append(&page, HeaderValue::from_static("1"));
        headers.append(&page, HeaderValue::from_static("2"));
        let request = HttpRequest {
            headers,
            authorization: Some(Secret::from_text("Bearer canary")),
            body: body.map(|body| Secret::new(body.to_vec())),
            ..request(method.clone(), fixture.server.url("/api/echo/a%2Fb?x=y%20z&x=2"))
        };
        assert_eq!(error(fixture.send(request).await), None, "{method}");
        let received = fixture.received();
        assert_eq!(received.len(), at + 1, "{method}");
        let Call { method: sent, path, query, headers, body: content, .. } = &received[at];
        assert_eq!((sent.as_str(), path.as_str()), (method.as_str(), "/api/echo/a%2Fb"));
        assert_eq!(*query, [("x", "y z"), ("x", "2")].map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(headers.get_all(&page).iter().collect::<Vec<_>>(), ["1", "2"], "{method}");
        assert_eq!(headers.get_all("authorization").iter().collect::<Vec<_>>(), ["Bearer canary"], "{method}");
        assert_eq!(content, body.unwrap_or_default(), "{method}");
    }
}

/// Any status, all header fields and the bytes of the body.
pub async fn a_response_is_returned_as_it_is(factory: TransportFactory) {
    let fixture = Fixture::new(factory).await;
    let page = HeaderName::from_static("x-page");
    for status in [200, 201, 400, 401, 403, 404, 418, 429, 500, 503] {
        let response =
            ScriptedResponse::new(status).header("x-page", "1").header("x-page", "2").header("x-owner", "Zo\u{eb}");
        fixture.respond(response.body(b"\0\xff\r\n body"));
        let response = fixture.send(fixture.post()).await.unwrap_or_else(|error| panic!("{status}: {error}"));
        assert_eq!(response.status.as_u16(), status);
        assert_eq!(response.headers.get_all(&page).iter().collect::<Vec<_>>(), ["1", "2"], "{status}");
        assert_eq!(response.headers["x-owner"].as_bytes(), "Zo\u{eb}".as_bytes(), "{status}");
        assert_eq!(response.body.as_slice(), b"\0\xff\r\n body", "{status}");
    }
    fixture.respond(ScriptedResponse::new(204));
    let response = fixture.send(fixture.get()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((response.status.as_u16(), response.body.is_empty()), (204, true));
}

/// The target of a redirect would get the secrets of the request.
pub async fn a_redirect_is_returned_and_not_followed(factory: TransportFactory) {
    let fixture = Fixture::new(factory).await;
    let target = fixture.server.url("/api/me");
    let statuses = [301, 302, 303, 307, 308];
    for status in statuses {
        for request in [fixture.get(), fixture.post()] {
            fixture.respond(ScriptedResponse::new(status).header("location", target.as_str()));
            let response = fixture.send(request).await.unwrap_or_else(|error| panic!("{status}: {error}"));
            assert_eq!(response.status.as_u16(), status);
            assert_eq!(response.headers["location"], target, "{status}");
        }
    }
    assert_eq!(fixture.received().len(), 2 * statuses.len());
}

/// Neither after a lost connection nor after a status that suggests it: the caller decides.
pub async fn a_request_is_not_repeated(factory: TransportFactory) {
    let fixture = Fixture::new(factory).await;
    let cut = || vec![Fault::Instead(ScriptedResponse::new(200).body("a body")), Fault::CutBody(3)];
    let mut sent = 0;
    for faults in [vec![Fault::DropRequest], vec![Fault::DropResponse], cut()] {
        for request in [fixture.get(), fixture.post()] {
            fixture.fail(faults.clone());
            assert_eq!(error(fixture.send(request).await), Some(TransportError::Cut), "{faults:?}");
            sent += 1;
            assert_eq!(fixture.received().len(), sent, "{faults:?}");
        }
    }
    for status in [408, 425, 429, 503] {
        for request in [fixture.get(), fixture.post()] {
            fixture.respond(ScriptedResponse::new(status).header("retry-after", "0"));
            assert_eq!(error(fixture.send(request).await), None, "{status}");
            sent += 1;
            assert_eq!(fixture.received().len(), sent, "{status}");
        }
    }
}

/// It would connect the requests of different users.
pub async fn no_cookie_is_kept(factory: TransportFactory) {
    let fixture = Fixture::new(factory).await;
    for _ in 0..2 {
        fixture.respond(ScriptedResponse::new(200).header("set-cookie", "a=b; Path=/"));
        assert_eq!(error(fixture.send(fixture.get()).await), None);
    }
    let received = fixture.received();
    assert_eq!(received.len(), 2);
    assert!(received.iter().all(|call| !call.headers.contains_key("cookie")));
}

/// A server compresses although the request does not ask for it. The field that names the encoding does not describe the body
/// that is returned.
pub async fn a_compressed_body_is_decoded(factory: TransportFactory) {
    let fixture = Fixture::new(factory).await;
    fixture.fail(vec![Fault::Instead(ScriptedResponse::new(200).body("a body")), Fault::gzip()]);
    let response = fixture.send(fixture.get()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((response.body.as_slice(), response.headers.get("content-encoding")), (b"a body".as_slice(), None));
    let received = fixture.received();
    let accepted = received[0].header("accept-encoding");
    assert!(accepted.is_none_or(|accepted| accepted == "identity"), "{accepted:?}");
}

/// With a length, without one, and if it is larger only when it is decoded.
pub async fn a_body_above_the_limit_is_too_large(factory: TransportFactory) {
    let fixture = Fixture::new(factory).await;
    let plain = || Fault::Instead(ScriptedResponse::new(200).body("x".repeat(1000)));
    for faults in [vec![plain()], vec![plain(), Fault::gzip()]] {
        for (max_body, expected) in [(1000, None), (999, Some(TransportError::TooLarge))] {
            fixture.fail(faults.clone());
            let sent = fixture.send(HttpRequest { max_body, ..fixture.get() }).await;
            assert_eq!(error(sent), expected, "{max_body}");
        }
    }
    fixture.fail(vec![plain(), Fault::EndlessBody]);
    assert_eq!(error(fixture.send(fixture.get()).await), Some(TransportError::TooLarge), "a body without end");
}

/// Nothing is sent, also if another server listens there.
pub async fn a_url_outside_of_the_policy_is_not_allowed(factory: TransportFactory) {
    let (fixture, other) = (Fixture::new(factory).await, Fixture::new(factory).await);
    let port = fixture.server.port();
    for url in [
        other.server.url("/api/echo"),
        format!("http://localhost:{port}/api/echo"),
        format!("http://127.0.0.2:{port}/api/echo"),
        format!("http://user:password@127.0.0.1:{port}/api/echo"),
        "https://grantry.example/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "/api/echo".to_owned(),
        String::new(),
    ] {
        let sent = fixture.send(request(Method::GET, url.clone())).await;
        assert_eq!(error(sent), Some(TransportError::NotAllowed), "{url}");
    }
    assert!(fixture.received().is_empty() && other.received().is_empty());
}

/// No server listens, or the authorization is no header field.
pub async fn a_request_that_cannot_be_sent_is_not_sent(factory: TransportFactory) {
    // A socket that is bound and does not listen refuses connections, and keeps the port.
    let bound = TcpSocket::new_v4().expect("a socket");
    bound.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a loopback port is free");
    let port = bound.local_addr().expect("an address").port();
    let sent = factory(policy(port)).send(request(Method::POST, format!("http://127.0.0.1:{port}/"))).await;
    assert_eq!(error(sent), Some(TransportError::NotSent));

    let fixture = Fixture::new(factory).await;
    for value in ["Bearer a\r\nx-page: 1", "Bearer a\n", "Bearer \0"] {
        let request = HttpRequest { authorization: Some(Secret::from_text(value)), ..fixture.get() };
        assert_eq!(error(fixture.send(request).await), Some(TransportError::NotSent), "{value:?}");
    }
    assert!(fixture.received().is_empty());
}

/// A server that sends nothing, and one that stops in the middle. Both may have processed the request.
pub async fn a_response_that_does_not_end_is_cut(factory: TransportFactory) {
    let fixture = Fixture::new(factory).await;
    let gate = Gate::closed();
    let stalled = Fault::StallBody { at: 3, gate: gate.clone() };
    for faults in
        [vec![Fault::HoldRequest(gate.clone())], vec![Fault::Instead(ScriptedResponse::new(200).body("a body")), stalled]]
    {
        fixture.fail(faults.clone());
        assert_eq!(error(fixture.send(fixture.post()).await), Some(TransportError::Cut), "{faults:?}");
    }
    gate.open();
    assert_eq!(fixture.received().len(), 2);
}

/// A request of another share is sent while a host holds as many requests of one share as it gets.
pub async fn a_share_leaves_room_for_others(factory: TransportFactory) {
    let fixture = Fixture::new(factory).await;
    let gate = Gate::closed();
    fixture.server.faults().always(Endpoint::Api, Fault::HoldRequest(gate.clone()));
    let of = |share: &str, url: &str| HttpRequest {
        share: Some(share.to_owned()),
        ..request(Method::GET, fixture.server.url(url))
    };
    let mut held = tokio::task::JoinSet::new();
    for _ in 0..MANY {
        let (transport, request) = (fixture.transport.clone(), of("alice", "/api/echo"));
        held.spawn(async move { drop(transport.send(request).await) });
    }
    gate.arrived(1).await;
    let other = fixture.send(of("bob", "/userinfo"));
    tokio::select! {
        biased;
        sent = other => assert_eq!(sent.map(|response| response.status.as_u16()), Ok(401)),
        _ = held.join_next() => panic!("the other share had to wait"),
    }
    gate.open();
}
