//! The transport over real loopback sockets.

mod addresses;
mod contract;
mod encryption;
mod environment;
mod limits;
#[cfg(target_os = "linux")]
mod memory;
mod provider;
mod raw_server;
mod streams;

use grantry_provider_oauth2::{EgressPolicy, HttpRequest, HttpResponse, HttpTransport as _, TransportError};
use http::{HeaderMap, Method};

use self::raw_server::RawServer;
use crate::{Limits, ReqwestTransport};

/// A transport that may call these servers by plain http.
fn transport(limits: Limits, servers: &[&RawServer]) -> ReqwestTransport {
    let allow: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
    ReqwestTransport::new(EgressPolicy::new(&[], &allow).unwrap(), limits).unwrap()
}

fn get(url: &str) -> HttpRequest {
    HttpRequest {
        method: Method::GET,
        url: url.to_owned(),
        headers: HeaderMap::new(),
        authorization: None,
        body: None,
        max_body: 64 * 1024,
        share: None,
    }
}

async fn fetch(transport: &ReqwestTransport, url: &str) -> Result<HttpResponse, TransportError> {
    transport.send(get(url)).await
}

fn refused<T>(result: Result<T, TransportError>) -> TransportError {
    result.err().expect("an error")
}
