//! Requests whose bodies are passed on while they arrive.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use grantry_domain::ports::{BodyCut, StreamedBody};
use grantry_domain::secret::Secret;
use grantry_provider_oauth2::{EgressPolicy, HttpTransport as _, StreamRequest, StreamResponse, TransportError};
use http::header::{CONTENT_ENCODING, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::raw_server::RawServer;
use super::{refused, transport};
use crate::{Limits, ReqwestTransport};

type Parts = mpsc::UnboundedSender<Result<Bytes, BodyCut>>;

/// A body without a known length whose parts the test sends.
fn arriving() -> (Parts, StreamedBody) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let parts: BoxStream<'static, _> = stream::poll_fn(move |context| receiver.poll_recv(context)).boxed();
    (sender, StreamedBody { length: None, parts })
}

fn request(url: &str, body: Option<StreamedBody>) -> StreamRequest {
    StreamRequest {
        method: if body.is_some() { Method::POST } else { Method::GET },
        url: url.to_owned(),
        headers: HeaderMap::new(),
        authorization: Some(Secret::from_text("Bearer canary")),
        body,
        share: None,
    }
}

/// A server whose connections the test reads and writes.
struct Server(TcpListener);

impl Server {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn url(&self) -> String {
        format!("http://{}/", self.0.local_addr().unwrap())
    }

    fn transport(&self, limits: Limits) -> ReqwestTransport {
        ReqwestTransport::new(EgressPolicy::new(&[], &[self.0.local_addr().unwrap().to_string()]).unwrap(), limits).unwrap()
    }

    async fn accept(&self) -> Connection {
        Connection { stream: self.0.accept().await.unwrap().0, received: String::new() }
    }
}

struct Connection {
    stream: TcpStream,
    received: String,
}

impl Connection {
    /// Reads until this text has arrived.
    async fn receive(&mut self, text: &str) {
        let mut chunk = [0; 4096];
        while !self.received.contains(text) {
            let read = self.stream.read(&mut chunk).await.unwrap();
            assert_ne!(read, 0, "the connection ended after {:?}", self.received);
            self.received.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
        }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Whether the other side closes the connection.
    async fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; 64]).await, Ok(0) | Err(_))
    }
}

async fn next(response: &mut StreamResponse) -> Option<Result<Bytes, BodyCut>> {
    response.body.parts.next().await
}

/// The next part, which must be there.
async fn part(response: &mut StreamResponse) -> String {
    String::from_utf8(next(response).await.unwrap().unwrap().to_vec()).unwrap()
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn each_part_of_a_request_arrives_before_the_next_one_exists() {
    let server = Server::new().await;
    let transport = server.transport(Limits::API);
    let (parts, body) = arriving();
    let api = async {
        let mut connection = server.accept().await;
        for text in ["first", "second"] {
            parts.send(Ok(Bytes::from(text))).unwrap();
            connection.receive(text).await;
        }
        drop(parts);
        connection.receive("0\r\n\r\n").await;
        let head = connection.received.to_ascii_lowercase();
        assert!(head.contains("transfer-encoding: chunked") && head.contains("authorization: bearer canary"), "{head}");
        connection.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    };
    let (response, ()) = tokio::join!(transport.open(request(&server.url(), Some(body))), api);
    assert_eq!(response.ok().unwrap().status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn each_part_of_a_response_arrives_before_the_next_one_is_sent() {
    let server = Server::new().await;
    let transport = server.transport(Limits::API);
    let api = async {
        let mut connection = server.accept().await;
        connection.receive("\r\n\r\n").await;
        connection.send(CHUNKED).await;
        connection
    };
    let (response, mut connection) = tokio::join!(transport.open(request(&server.url(), None)), api);
    let mut response = response.ok().unwrap();
    assert_eq!(response.body.length, None);
    for text in ["first", "other"] {
        connection.send(&format!("5\r\n{text}\r\n")).await;
        assert_eq!(part(&mut response).await, text);
    }
    connection.send("0\r\n\r\n").await;
    assert_eq!(next(&mut response).await, None);
}

#[tokio::test]
async fn a_response_arrives_while_the_request_is_still_sent() {
    let server = Server::new().await;
    let transport = server.transport(Limits::API);
    let (parts, body) = arriving();
    let api = async {
        let mut connection = server.accept().await;
        parts.send(Ok(Bytes::from("question"))).unwrap();
        connection.receive("question").await;
        connection.send(CHUNKED).await;
        connection
    };
    let (response, mut connection) = tokio::join!(transport.open(request(&server.url(), Some(body))), api);
    let mut response = response.ok().unwrap();
    connection.send("6\r\nanswer\r\n").await;
    assert_eq!(part(&mut response).await, "answer");
    parts.send(Ok(Bytes::from("more"))).unwrap();
    connection.receive("more").await;
    drop(response);
    drop(parts);
}

#[tokio::test]
async fn a_known_length_is_sent_and_returned() {
    let server = RawServer::responding("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody").await;
    let parts = stream::iter(["ab", "c"]).map(|part| Ok(Bytes::from(part))).boxed();
    let body = StreamedBody { length: Some(3), parts };
    let transport = transport(Limits::API, &[&server]);
    let mut response = transport.open(request(&server.url("/x?y"), Some(body))).await.ok().unwrap();
    assert_eq!((response.status, response.body.length), (StatusCode::OK, Some(4)));
    assert_eq!(part(&mut response).await, "body");
    let received = server.requests();
    assert!(received[0].starts_with("post /x?y http/1.1\r\n") && received[0].ends_with("\r\n\r\nabc"), "{received:?}");
    assert!(received[0].contains("content-length: 3\r\n") && !received[0].contains("transfer-encoding"), "{received:?}");
}

#[tokio::test]
async fn r67_redirects_are_returned_and_compressed_bodies_stay_as_they_are() {
    let server = RawServer::responding(
        "HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nzip",
    )
    .await;
    let transport = transport(Limits::API, &[&server]);
    let mut response = transport.open(request(&server.url("/"), None)).await.ok().unwrap();
    assert_eq!(response.status, StatusCode::FOUND);
    assert_eq!(
        (&response.headers[LOCATION], &response.headers[CONTENT_ENCODING]),
        (&"/other".parse().unwrap(), &"gzip".parse().unwrap())
    );
    assert_eq!(part(&mut response).await, "zip");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_response_that_breaks_off_does_not_end_like_a_whole_one() {
    let server = RawServer::responding("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    let transport = transport(Limits::API, &[&server]);
    let mut response = transport.open(request(&server.url("/"), None)).await.ok().unwrap();
    assert_eq!(part(&mut response).await, "half");
    assert_eq!(next(&mut response).await, Some(Err(BodyCut)));
    assert_eq!(next(&mut response).await, None);
}

#[tokio::test]
async fn a_request_that_breaks_off_does_not_end_like_a_whole_one() {
    let server = Server::new().await;
    let transport = server.transport(Limits::API);
    let (parts, body) = arriving();
    let api = async {
        let mut connection = server.accept().await;
        parts.send(Ok(Bytes::from("half"))).unwrap();
        connection.receive("half").await;
        parts.send(Err(BodyCut)).unwrap();
        assert!(connection.is_closed().await);
    };
    let (response, ()) = tokio::join!(transport.open(request(&server.url(), Some(body))), api);
    assert_eq!(refused(response), TransportError::Cut);
}

#[tokio::test]
async fn dropping_a_response_cancels_the_request() {
    let server = Server::new().await;
    let transport = server.transport(Limits::API);
    let api = async {
        let mut connection = server.accept().await;
        connection.receive("\r\n\r\n").await;
        connection.send(CHUNKED).await;
        connection
    };
    let (response, mut connection) = tokio::join!(transport.open(request(&server.url(), None)), api);
    drop(response);
    assert!(connection.is_closed().await);
}

const IDLE: Limits = Limits { stream_idle: Duration::from_millis(200), ..Limits::API };

#[tokio::test]
async fn an_exchange_without_a_byte_in_either_direction_is_cut_off() {
    let server = Server::new().await;
    let transport = server.transport(IDLE);
    let silent = async {
        let mut connection = server.accept().await;
        connection.receive("\r\n\r\n").await;
        assert!(connection.is_closed().await);
    };
    let (response, ()) = tokio::join!(transport.open(request(&server.url(), None)), silent);
    assert_eq!(refused(response), TransportError::Cut);

    let api = async {
        let mut connection = server.accept().await;
        connection.receive("\r\n\r\n").await;
        connection.send(CHUNKED).await;
        connection.send("5\r\nfirst\r\n").await;
        connection
    };
    let (response, mut connection) = tokio::join!(transport.open(request(&server.url(), None)), api);
    let mut response = response.ok().unwrap();
    assert_eq!(part(&mut response).await, "first");
    assert_eq!(next(&mut response).await, Some(Err(BodyCut)));
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn a_stream_has_a_place_until_its_response_ends_or_is_not_read() {
    // One place for each share.
    let limits = Limits { streams: 8, connect: Duration::from_millis(300), ..Limits::API };
    let server = RawServer::with_handler(|mut stream| async move {
        drop(stream.write_all(CHUNKED.as_bytes()).await);
        drop(stream.read(&mut [0; 1]).await);
    })
    .await;
    let first = transport(limits, &[&server]);
    let of = |share: &str| StreamRequest { share: Some(share.to_owned()), ..request(&server.url("/"), None) };
    let held = first.open(of("alice")).await.ok().unwrap();
    assert_eq!(refused(first.open(of("alice")).await), TransportError::NotSent);
    assert!(first.open(of("bob")).await.is_ok());
    drop(held);
    let held = first.open(of("alice")).await;
    assert!(held.is_ok());

    let unread = transport(Limits { connect: Duration::from_secs(30), stream_idle: IDLE.stream_idle, ..limits }, &[&server]);
    let held = unread.open(of("alice")).await;
    assert!(unread.open(of("alice")).await.is_ok(), "the place of a response that is not read becomes free");
    drop(held);
}

#[tokio::test]
async fn a_response_that_arrived_with_its_head_has_no_place_while_it_is_not_read() {
    let limits = Limits { streams: 8, connect: Duration::from_millis(300), ..Limits::API };
    let server = RawServer::responding("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody").await;
    let transport = transport(limits, &[&server]);
    let of_alice = || StreamRequest { share: Some("alice".to_owned()), ..request(&server.url("/"), None) };
    let mut unread = transport.open(of_alice()).await.ok().unwrap();
    assert!(transport.open(of_alice()).await.is_ok());
    assert_eq!(part(&mut unread).await, "body");
    assert_eq!(next(&mut unread).await, None);
}
