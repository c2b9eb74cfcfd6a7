//! TLS: version 1.2 or later, the platform's roots, and nothing from the environment (R66, R68).
//!
//! Where roots are files, they are read here from their well-known places: the usual loader lets `SSL_CERT_FILE` and
//! `SSL_CERT_DIR` replace them. Apple and Windows keep roots in system stores, which reqwest's own verifier asks.

use std::sync::Arc;

use reqwest::ClientBuilder;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::transport::TransportSetupError;

/// Where distributions keep all roots in one file.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// Sets up TLS with the platform's roots.
pub(crate) fn with_platform_roots(builder: ClientBuilder) -> Result<ClientBuilder, TransportSetupError> {
    if cfg!(all(unix, not(target_vendor = "apple"))) { with_roots(builder, &roots_from_files()) } else { Ok(builder) }
}

/// Sets up TLS with these roots and no others.
pub(crate) fn with_roots(builder: ClientBuilder, roots: &RootCertStore) -> Result<ClientBuilder, TransportSetupError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| TransportSetupError)?
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(builder.tls_backend_preconfigured(config))
}

/// The roots of the first bundle there is. Without any every https request fails, and the log says why.
fn roots_from_files() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let bundle = BUNDLES.iter().find_map(|path| CertificateDer::pem_file_iter(path).ok());
    if let Some(certificates) = bundle {
        roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    }
    if roots.is_empty() {
        tracing::warn!("no root certificates found in the well-known places; https requests will fail");
    }
    roots
}
