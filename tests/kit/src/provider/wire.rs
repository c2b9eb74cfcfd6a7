//! A minimal HTTP client that acts as a browser: one request per connection, no redirects, no cookies.

use axum::body::{Body, Bytes};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

/// The request failed: no connection, or the connection ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WireError;

/// Sends one request to `url` (http only) and reads the complete response.
pub(super) async fn send(
    method: &str,
    url: &Url,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Result<Response<Bytes>, WireError> {
    let host = url.host_str().ok_or(WireError)?;
    let port = url.port_or_known_default().ok_or(WireError)?;
    let stream = TcpStream::connect((host, port)).await.map_err(|_| WireError)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| WireError)?;
    let connection = tokio::spawn(connection);

    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut request = Request::builder().method(method).uri(target).header("host", format!("{host}:{port}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.into()).map_err(|_| WireError)?;
    let (head, body) = sender.send_request(request).await.map_err(|_| WireError)?.into_parts();
    let body = body.collect().await.map_err(|_| WireError)?.to_bytes();
    connection.abort();
    Ok(Response::from_parts(head, body))
}
