//! Redirects, retries, cookies, compression, time and size.

use std::time::{Duration, Instant};

use grantry_domain::secret::Secret;
use grantry_provider_oauth2::{HttpRequest, HttpTransport as _, TransportError};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::raw_server::RawServer;
use super::{fetch, get, refused, transport};
use crate::Limits;

const SHORT: Limits = Limits { total: Duration::from_millis(400), ..Limits::OAUTH };

fn ok(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

fn form(url: &str) -> HttpRequest {
    HttpRequest {
        method: Method::POST,
        headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))]),
        authorization: Some(Secret::from_text("Basic canary")),
        body: Some(Secret::from_text("refresh_token=canary")),
        ..get(url)
    }
}

#[tokio::test]
async fn a_request_and_its_response_are_transferred_unchanged() {
    let server = RawServer::responding(ok("x-a: b\r\n", "hello")).await;
    let response = transport(Limits::OAUTH, &[&server]).send(form(&server.url("/token?x=y"))).await.ok().unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.headers["x-a"], "b");
    assert_eq!(&*response.body, b"hello");
    let received = server.requests();
    assert!(received[0].starts_with("post /token?x=y http/1.1\r\n"), "{received:?}");
    assert!(
        received[0].contains("authorization: basic canary\r\n") && received[0].ends_with("\r\n\r\nrefresh_token=canary")
    );
}

#[tokio::test]
async fn r67_no_redirect_is_followed() {
    for status in [301, 302, 303, 307, 308] {
        let other = RawServer::responding(ok("", "")).await;
        let location = other.url("/");
        let response = format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let server = RawServer::responding(response).await;
        let transport = transport(Limits::OAUTH, &[&server, &other]);
        let response = transport.send(form(&server.url("/token"))).await.ok().unwrap();
        assert_eq!(response.status.as_u16(), status);
        assert!(other.requests().is_empty(), "{status} was followed");
    }
}

#[tokio::test]
async fn r71_a_request_is_never_repeated() {
    let server = RawServer::responding("").await;
    let transport = transport(Limits::OAUTH, &[&server]);
    assert_eq!(refused(transport.send(form(&server.url("/token"))).await), TransportError::Cut);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn r71_a_connection_that_cannot_be_made_sent_nothing() {
    let server = RawServer::responding("").await;
    let transport = transport(Limits::OAUTH, &[&server]);
    let url = server.url("/token");
    drop(server);
    // The port is closed as soon as the accept loop has ended.
    let error = loop {
        match refused(transport.send(form(&url)).await) {
            TransportError::Cut => tokio::task::yield_now().await,
            error @ (TransportError::NotAllowed | TransportError::NotSent | TransportError::TooLarge) => break error,
        }
    };
    assert_eq!(error, TransportError::NotSent);
}

#[tokio::test]
async fn r71_no_cookie_is_kept() {
    let server = RawServer::responding(ok("set-cookie: a=b; Path=/\r\n", "")).await;
    let transport = transport(Limits::API, &[&server]);
    for _ in 0..2 {
        assert!(fetch(&transport, &server.url("/")).await.is_ok());
    }
    assert!(server.requests().iter().all(|request| !request.contains("\r\ncookie:")));
}

#[tokio::test]
async fn r28_compression_is_not_requested_and_decoded_all_the_same() {
    let zipped = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01\x02\0\xfd\xff{}\x43\xbf\xa6\xa3\x02\0\0\0";
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", zipped.len());
    let server = RawServer::responding([head.as_bytes(), zipped].concat()).await;
    let response = fetch(&transport(Limits::OAUTH, &[&server]), &server.url("/")).await.ok().unwrap();
    assert_eq!(&*response.body, b"{}");
    assert!(!response.headers.contains_key("content-encoding") && !response.headers.contains_key("content-length"));
    assert!(server.requests()[0].contains("accept-encoding: identity\r\n"));

    let plain = RawServer::responding(ok("content-encoding: gzip\r\n", "{}")).await;
    let response = fetch(&transport(Limits::OAUTH, &[&plain]), &plain.url("/")).await.ok().unwrap();
    assert_eq!(&*response.body, b"{}", "not compressed, in spite of its header field");
}

#[tokio::test]
async fn r71_a_body_that_grows_beyond_the_limit_when_it_is_decoded_is_refused() {
    let plain = vec![b' '; 200 * 1024];
    let mut zipped = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    zipped.extend(miniz_oxide::deflate::compress_to_vec(&plain, 9));
    zipped.extend([0; 4]);
    zipped.extend(u32::try_from(plain.len()).unwrap().to_le_bytes());
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", zipped.len());
    let server = RawServer::responding([head.into_bytes(), zipped].concat()).await;
    let transport = transport(Limits::OAUTH, &[&server]);
    assert_eq!(refused(fetch(&transport, &server.url("/")).await), TransportError::TooLarge);
    let request = HttpRequest { max_body: plain.len(), ..get(&server.url("/")) };
    assert_eq!(transport.send(request).await.ok().unwrap().body.len(), plain.len());
}

#[tokio::test]
async fn r71_bodies_are_counted_to_the_byte() {
    let body = "x".repeat(1000);
    let plain = RawServer::responding(ok("", &body)).await;
    let chunked = RawServer::responding(format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1f4\r\n{}\r\n1f4\r\n{}\r\n0\r\n\r\n",
        &body[..500],
        &body[500..]
    ))
    .await;
    let transport = transport(Limits::OAUTH, &[&plain, &chunked]);
    for server in [&plain, &chunked] {
        let limited = |max_body| HttpRequest { max_body, ..get(&server.url("/")) };
        assert_eq!(transport.send(limited(1000)).await.ok().unwrap().body.len(), 1000);
        assert_eq!(refused(transport.send(limited(999)).await), TransportError::TooLarge);
    }
}

#[tokio::test]
async fn r71_an_endless_body_ends_at_the_limit() {
    let server = RawServer::with_handler(|mut stream| async move {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await);
        while stream.write_all(b"400\r\n").await.is_ok()
            && stream.write_all(&[b'x'; 0x400]).await.is_ok()
            && stream.write_all(b"\r\n").await.is_ok()
        {}
    })
    .await;
    assert_eq!(refused(fetch(&transport(Limits::OAUTH, &[&server]), &server.url("/")).await), TransportError::TooLarge);
}

#[tokio::test]
async fn r71_a_content_length_above_the_limit_fails_at_once() {
    let server = RawServer::with_handler(|mut stream| async move {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n").await);
        // Sends nothing more and closes the connection when the client does.
        drop(stream.read(&mut [0; 1]).await);
    })
    .await;
    assert_eq!(refused(fetch(&transport(Limits::OAUTH, &[&server]), &server.url("/")).await), TransportError::TooLarge);
}

#[tokio::test]
async fn r71_header_fields_are_counted() {
    let fields = |count: usize| format!("x-abcd: {}\r\n", "y".repeat(994)).repeat(count);
    let fitting = RawServer::responding(ok(&fields(32), "")).await;
    let large = RawServer::responding(ok(&fields(33), "")).await;
    let transport = transport(Limits { max_headers: 32 * 1000 + 15, ..Limits::OAUTH }, &[&fitting, &large]);
    assert!(fetch(&transport, &fitting.url("/")).await.is_ok());
    assert_eq!(refused(fetch(&transport, &large.url("/")).await), TransportError::TooLarge);
}

#[tokio::test]
async fn r71_endless_header_fields_end() {
    let server = RawServer::with_handler(|mut stream| async move {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await);
        while stream.write_all(&[b'y'; 1024]).await.is_ok() {}
    })
    .await;
    let error = refused(fetch(&transport(Limits::OAUTH, &[&server]), &server.url("/")).await);
    assert!(matches!(error, TransportError::Cut | TransportError::TooLarge));
}

#[tokio::test]
async fn r71_a_slow_body_ends_at_the_time_limit() {
    let server = RawServer::with_handler(|mut stream| async move {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n").await);
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        while stream.write_all(b"x").await.is_ok() {
            pace.tick().await;
        }
    })
    .await;
    let started = Instant::now();
    assert_eq!(refused(fetch(&transport(SHORT, &[&server]), &server.url("/")).await), TransportError::Cut);
    assert!(started.elapsed() < Duration::from_secs(10), "the whole body would take ten minutes");
}

#[tokio::test]
async fn r71_a_silent_server_ends_at_the_time_limit() {
    let server = RawServer::with_handler(|mut stream| async move { drop(stream.read(&mut [0; 1]).await) }).await;
    assert_eq!(refused(fetch(&transport(SHORT, &[&server]), &server.url("/")).await), TransportError::Cut);
}

#[tokio::test]
async fn r71_requests_to_one_host_wait_for_a_permit() {
    let server = RawServer::with_handler(|mut stream| async move { drop(stream.read(&mut [0; 1]).await) }).await;
    let limits = Limits { per_host: 1, connect: Duration::from_millis(100), ..SHORT };
    let transport = transport(limits, &[&server]);
    let url = server.url("/");
    let (first, second) = tokio::join!(fetch(&transport, &url), fetch(&transport, &url));
    assert_eq!((refused(first), refused(second)), (TransportError::Cut, TransportError::NotSent));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn r71_the_limits_match_the_requirement() {
    let limits = Limits::OAUTH;
    assert_eq!((limits.connect, limits.total), (Duration::from_secs(5), Duration::from_secs(15)));
    assert_eq!(limits.max_headers, 32 * 1024);
    assert_eq!(Limits::API.total, Duration::from_mins(1));
}
