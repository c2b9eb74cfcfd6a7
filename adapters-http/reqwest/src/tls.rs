//! TLS 1.2 or later with the platform's root certificates, independent of environment variables.
//!
//! On platforms with root certificates in files, they are read here from the well-known paths, because the usual loader
//! lets `SSL_CERT_FILE` and `SSL_CERT_DIR` replace them. Apple and Windows have system stores, which reqwest's default
//! verifier uses.

use std::sync::Arc;

use reqwest::ClientBuilder;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// The HTTP client could not be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the HTTP client could not be set up")]
pub struct TransportSetupError;

/// The files in which distributions store all root certificates.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// The protocols that a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocols {
    /// HTTP/2 and HTTP/1.1.
    Any,
    /// HTTP/1.1 only.
    Http1,
}

impl Protocols {
    fn names(self) -> Vec<Vec<u8>> {
        match self {
            Self::Any => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Self::Http1 => vec![b"http/1.1".to_vec()],
        }
    }
}

/// Sets up TLS with the platform's root certificates.
pub(crate) fn with_platform_roots(
    builder: ClientBuilder,
    protocols: Protocols,
) -> Result<ClientBuilder, TransportSetupError> {
    if cfg!(all(unix, not(target_vendor = "apple"))) {
        with_roots(builder, protocols, &roots_from_files())
    } else {
        Ok(builder)
    }
}

/// Sets up TLS with these root certificates only.
pub(crate) fn with_roots(
    builder: ClientBuilder,
    protocols: Protocols,
    roots: &RootCertStore,
) -> Result<ClientBuilder, TransportSetupError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| TransportSetupError)?
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = protocols.names();
    Ok(builder.tls_backend_preconfigured(config))
}

/// The root certificates of the first bundle that exists. Without any, every https request fails and the log has the
/// reason.
fn roots_from_files() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let bundle = BUNDLES.iter().find_map(|path| CertificateDer::pem_file_iter(path).ok());
    if let Some(certificates) = bundle {
        roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    }
    if roots.is_empty() {
        tracing::warn!("no root certificates found in the well-known files; https requests will fail");
    }
    roots
}
