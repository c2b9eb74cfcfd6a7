//! The addresses that connections are made to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use grantry_provider_oauth2::{EgressPolicy, HttpRequest, HttpTransport as _, TransportError};

use super::encryption::{Authority, TlsServer};
use super::raw_server::RawServer;
use super::{fetch, get, refused};
use crate::resolver::{NameLookup, SHARE};
use crate::{Limits, ReqwestTransport, tls};

/// Returns the given address lists in turn, then always the last one.
struct FakeLookup {
    responses: Mutex<Vec<Vec<IpAddr>>>,
    calls: AtomicUsize,
    /// The share of the last request.
    share: Mutex<Option<String>>,
}

impl FakeLookup {
    fn new(responses: &[&[&str]]) -> Arc<Self> {
        let parse = |response: &&[&str]| response.iter().map(|text| text.parse().unwrap()).collect();
        let responses = Mutex::new(responses.iter().map(parse).collect());
        Arc::new(Self { responses, calls: AtomicUsize::new(0), share: Mutex::default() })
    }
}

#[async_trait]
impl NameLookup for FakeLookup {
    async fn lookup(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        *self.share.lock().unwrap() = SHARE.get();
        let mut responses = self.responses.lock().unwrap();
        Ok(if responses.len() > 1 { responses.remove(0) } else { responses[0].clone() })
    }
}

fn transport(allow: &[String], lookup: &Arc<FakeLookup>, authority: &Authority) -> ReqwestTransport {
    let any = ["*".to_owned()];
    let policy = EgressPolicy::new(&any, allow).unwrap();
    let roots = authority.roots();
    let lookup: Arc<dyn NameLookup> = Arc::clone(lookup) as _;
    ReqwestTransport::build(policy, Limits::OAUTH, &lookup, |builder, protocols| tls::with_roots(builder, protocols, &roots))
        .unwrap()
}

#[tokio::test]
async fn r69_a_public_name_that_points_inside_is_refused() {
    let authority = Authority::new();
    for inside in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1"] {
        let lookup = FakeLookup::new(&[&[inside]]);
        let transport = transport(&[], &lookup, &authority);
        assert_eq!(refused(fetch(&transport, "https://public.test/").await), TransportError::NotAllowed, "{inside}");
        assert_eq!(lookup.calls.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn r71_a_look_up_counts_for_the_share_of_its_request() {
    let lookup = FakeLookup::new(&[&["127.0.0.1"]]);
    let transport = transport(&[], &lookup, &Authority::new());
    let request = HttpRequest { share: Some("alice".to_owned()), ..get("https://public.test/") };
    assert_eq!(refused(transport.send(request).await), TransportError::NotAllowed);
    assert_eq!(lookup.share.lock().unwrap().as_deref(), Some("alice"));
}

#[tokio::test]
async fn r69_the_connection_goes_to_the_address_that_was_checked() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "listed.test").await;
    // A second look-up would return an address without a server.
    let lookup = FakeLookup::new(&[&["127.0.0.1"], &["127.0.0.9"]]);
    let transport = transport(&[format!("listed.test:{}", server.port())], &lookup, &authority);
    assert!(fetch(&transport, &format!("https://listed.test:{}/", server.port())).await.is_ok());
    assert_eq!(lookup.calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn r69_every_look_up_of_a_name_is_checked() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "listed.test").await;
    let lookup = FakeLookup::new(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let port = server.port();
    // Plain http to a listed loopback name must stay on this machine even if the name resolves elsewhere later.
    let transport = transport(&[format!("localhost:{port}")], &lookup, &authority);
    assert_eq!(
        refused(fetch(&transport, &format!("http://localhost:{port}/")).await),
        TransportError::Cut,
        "the server expects TLS"
    );
    assert_eq!(refused(fetch(&transport, &format!("http://localhost:{port}/")).await), TransportError::NotAllowed);
}

#[tokio::test]
async fn r69_address_literals_are_checked_without_the_resolver() {
    let authority = Authority::new();
    let server = RawServer::responding("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let lookup = FakeLookup::new(&[&["127.0.0.1"]]);
    let transport = transport(&[], &lookup, &authority);
    let port = server.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
    ] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{port}/");
            assert_eq!(refused(fetch(&transport, &url).await), TransportError::NotAllowed, "{url}");
        }
    }
    assert!(server.requests().is_empty());
    assert_eq!(lookup.calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn r70_a_url_outside_the_policy_is_not_looked_up() {
    let authority = Authority::new();
    let lookup = FakeLookup::new(&[&["1.1.1.1"]]);
    let transport = transport(&[], &lookup, &authority);
    for url in [
        "http://public.test/",
        "https://public.test:8443/",
        "https://user@public.test/",
        "file:///etc/passwd",
        "https://Public.test/",
    ] {
        assert_eq!(refused(fetch(&transport, url).await), TransportError::NotAllowed, "{url}");
    }
    assert_eq!(lookup.calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn r69_the_peer_of_the_connection_is_checked() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "public.test").await;
    // Simulates a resolver that fails to filter: this address bypasses it.
    let inside = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let lookup: Arc<dyn NameLookup> = FakeLookup::new(&[&["1.1.1.1"]]);
    let policy = EgressPolicy::new(&["*"], &[]).unwrap();
    let bypassing_the_resolver =
        |builder, protocols| Ok(tls::with_roots(builder, protocols, &authority.roots())?.resolve("public.test", inside));
    let transport = ReqwestTransport::build(policy, Limits::OAUTH, &lookup, bypassing_the_resolver).unwrap();
    assert_eq!(refused(fetch(&transport, "https://public.test/").await), TransportError::Cut);
}
