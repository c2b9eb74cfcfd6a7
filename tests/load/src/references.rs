//! The programs that the server is compared with: as little as the same protocol allows.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::any;
use tokio::net::TcpListener;

use crate::Result;

/// Reads the body of every request and returns the same JSON.
pub async fn bare(listener: TcpListener, response: Bytes) -> Result {
    let handler = async move |_body: Bytes| ([(header::CONTENT_TYPE, "application/json")], response.clone());
    Ok(axum::serve(listener, Router::new().fallback(any(handler))).await?)
}

/// What the plain proxy needs.
#[derive(Clone)]
struct Upstream {
    http: reqwest::Client,
    origin: String,
}

/// Forwards every GET to an origin with a bearer token, and returns status, type and body.
pub async fn proxy(listener: TcpListener, upstream: SocketAddr) -> Result {
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
    let upstream = Upstream { http, origin: format!("http://{upstream}") };
    Ok(axum::serve(listener, Router::new().fallback(any(forward)).with_state(upstream)).await?)
}

async fn forward(
    State(upstream): State<Upstream>,
    OriginalUri(uri): OriginalUri,
) -> std::result::Result<(HeaderMap, Bytes), StatusCode> {
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let request = upstream.http.get(format!("{}{path}", upstream.origin)).bearer_auth("token");
    let response = request.send().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let mut headers = HeaderMap::new();
    if let Some(kind) = response.headers().get(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, kind.clone());
    }
    let body = response.bytes().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok((headers, body))
}
