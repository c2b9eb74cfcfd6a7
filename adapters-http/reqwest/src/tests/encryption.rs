//! TLS: which certificates are accepted, and that no request is sent before.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use grantry_provider_oauth2::{EgressPolicy, TransportError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::{fetch, refused};
use crate::resolver::{NameLookup, SystemLookup};
use crate::{Limits, ReqwestTransport, tls};

/// The certificate authority of one test.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    fn server(&self, name: &str, expired: bool) -> ServerConfig {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        if expired {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap()
    }
}

/// A TLS server that returns 200 to every request and records what it received.
pub(super) struct TlsServer {
    port: u16,
    received: Arc<Mutex<Vec<u8>>>,
    accepting: JoinHandle<()>,
}

impl TlsServer {
    pub(super) async fn start(authority: &Authority, name: &str) -> Self {
        Self::with(authority.server(name, false)).await
    }

    async fn with(config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let received = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&received);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut chunk = [0; 4096];
                let count = stream.read(&mut chunk).await.unwrap_or(0);
                record.lock().unwrap().extend_from_slice(&chunk[..count]);
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await);
                drop(stream.shutdown().await);
            }
        });
        Self { port, received, accepting }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    fn received_nothing(&self) -> bool {
        self.received.lock().unwrap().is_empty()
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn policy(server: &TlsServer) -> EgressPolicy {
    EgressPolicy::new(&[], &[format!("localhost:{}", server.port())]).unwrap()
}

async fn outcome(server: &TlsServer, roots: &RootCertStore) -> Result<(), TransportError> {
    let build = |builder, protocols| tls::with_roots(builder, protocols, roots);
    let lookup: Arc<dyn NameLookup> = Arc::new(SystemLookup::new());
    let transport = ReqwestTransport::build(policy(server), Limits::OAUTH, &lookup, build).unwrap();
    fetch(&transport, &format!("https://localhost:{}/", server.port())).await.map(drop)
}

#[tokio::test]
async fn r66_a_certificate_of_a_known_root_is_accepted() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "localhost").await;
    assert_eq!(outcome(&server, &authority.roots()).await, Ok(()));
    assert!(!server.received_nothing());
}

#[tokio::test]
async fn r66_no_byte_is_sent_to_a_server_without_a_valid_certificate() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let unknown_root = TlsServer::start(&unknown, "localhost").await;
    let wrong_name = TlsServer::start(&known, "other.test").await;
    let expired = TlsServer::with(known.server("localhost", true)).await;
    for (why, server) in [("unknown root", unknown_root), ("wrong name", wrong_name), ("expired", expired)] {
        assert_eq!(outcome(&server, &known.roots()).await, Err(TransportError::NotSent), "{why}");
        assert!(server.received_nothing(), "{why}");
    }
}

#[tokio::test]
async fn r66_a_self_signed_certificate_is_refused_by_the_platforms_roots() {
    let server = TlsServer::start(&Authority::new(), "localhost").await;
    let transport = ReqwestTransport::new(policy(&server), Limits::OAUTH).unwrap();
    let error = refused(fetch(&transport, &format!("https://localhost:{}/", server.port())).await);
    assert_eq!(error, TransportError::NotSent);
    assert!(server.received_nothing());
}

#[tokio::test]
async fn r71_a_handshake_that_never_ends_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let policy = EgressPolicy::new(&[], &[format!("127.0.0.1:{port}")]).unwrap();
    let limits = Limits { connect: Duration::from_millis(200), ..Limits::OAUTH };
    let transport = ReqwestTransport::new(policy, limits).unwrap();
    let url = format!("https://127.0.0.1:{port}/");
    let (error, _stream) = tokio::join!(async { refused(fetch(&transport, &url).await) }, listener.accept());
    assert_eq!(error, TransportError::NotSent);
}
