//! TLS to the server: its certificate must be valid for its name.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

use crate::error::{PgError, unusable};

/// Makes connections with TLS. The driver connects with it only where the URL requires TLS.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts the certificates of a file, or those of the system.
    pub(crate) fn new(roots: Option<&Path>) -> Result<Self, PgError> {
        let roots = match roots {
            Some(file) => roots_of_file(file)?,
            None => roots_of_system(),
        };
        Self::trusting(roots)
    }

    /// Trusts nothing: for connections without TLS.
    pub(crate) fn unused() -> Result<Self, PgError> {
        Self::trusting(RootCertStore::empty())
    }

    fn trusting(roots: RootCertStore) -> Result<Self, PgError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| unusable("TLS cannot be used in this program"))?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        // Required by PostgreSQL 17 where TLS begins without a request: `sslnegotiation=direct`.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

fn roots_of_file(file: &Path) -> Result<RootCertStore, PgError> {
    const NOT_READ: PgError = PgError::Store(grantry_domain::ports::StoreError::Unusable(
        "the file of `sslrootcert` in `store.url` cannot be read as PEM certificates",
    ));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|_| NOT_READ)? {
        roots.add(certificate.map_err(|_| NOT_READ)?).map_err(|_| NOT_READ)?;
    }
    if roots.is_empty() { Err(NOT_READ) } else { Ok(roots) }
}

fn roots_of_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Encrypted;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Handshake, io::Error> {
        // Also called for connections without TLS. A Unix socket has no name.
        let name = ServerName::try_from(domain.to_owned()).ok();
        Ok(Handshake { config: self.0.clone(), name })
    }
}

/// A handshake with one server.
pub(crate) struct Handshake {
    config: Arc<ClientConfig>,
    /// `None` if the host is not a name that a certificate can contain.
    name: Option<ServerName<'static>>,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Encrypted, io::Error>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        Box::pin(async move {
            let name = self.name.ok_or(io::ErrorKind::InvalidInput)?;
            let connector = tokio_rustls::TlsConnector::from(self.config);
            connector.connect(name, stream).await.map(Encrypted)
        })
    }
}

/// An encrypted connection.
pub(crate) struct Encrypted(tokio_rustls::client::TlsStream<Socket>);

impl TlsStream for Encrypted {
    /// None: the verified certificate already binds the connection to the server.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
