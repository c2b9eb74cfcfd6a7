//! Environment variables have no effect. They cannot be changed safely within a process, so the test runs itself again as
//! a child process.

use std::process::{Command, Stdio};

use grantry_provider_oauth2::{EgressPolicy, TransportError};

use super::encryption::{Authority, TlsServer};
use super::raw_server::RawServer;
use super::{fetch, refused};
use crate::{Limits, ReqwestTransport};

const NAME: &str = "tests::environment::r68_proxies_and_roots_of_the_environment_are_ignored";
const PLAIN: &str = "GRANTRY_TEST_PLAIN_PORT";
const ENCRYPTED: &str = "GRANTRY_TEST_TLS_PORT";

#[tokio::test(flavor = "multi_thread")]
async fn r68_proxies_and_roots_of_the_environment_are_ignored() {
    if let (Ok(plain), Ok(encrypted)) = (std::env::var(PLAIN), std::env::var(ENCRYPTED)) {
        return child(&plain, &encrypted).await;
    }
    let authority = Authority::new();
    let target = RawServer::responding("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let encrypted = TlsServer::start(&authority, "localhost").await;
    let proxy = RawServer::responding("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("roots.pem");
    std::fs::write(&bundle, authority.pem()).unwrap();
    let key_log = folder.path().join("keys.log");

    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", NAME]).stdout(Stdio::null()).stderr(Stdio::null());
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, proxy.url(""));
    }
    command.env("SSL_CERT_FILE", &bundle).env("SSL_CERT_DIR", folder.path()).env("SSLKEYLOGFILE", &key_log);
    command.env_remove("no_proxy").env_remove("NO_PROXY");
    command.env(PLAIN, target.port().to_string()).env(ENCRYPTED, encrypted.port().to_string());
    let status = tokio::task::spawn_blocking(move || command.status().unwrap()).await.unwrap();

    assert!(status.success(), "run the child by hand to see its error");
    assert!(proxy.requests().is_empty(), "a proxy was used");
    assert_eq!(target.requests().len(), 1);
    assert!(!key_log.exists(), "session keys were written to a file");
}

/// The child process: a plain request that must not use the proxy, and a request to a server whose root certificate is
/// only in the environment variables.
async fn child(plain: &str, encrypted: &str) {
    let allow = [format!("127.0.0.1:{plain}"), format!("localhost:{encrypted}")];
    let transport = ReqwestTransport::new(EgressPolicy::new(&[], &allow).unwrap(), Limits::OAUTH).unwrap();
    assert!(fetch(&transport, &format!("http://127.0.0.1:{plain}/")).await.is_ok());
    let error = refused(fetch(&transport, &format!("https://localhost:{encrypted}/")).await);
    assert_eq!(error, TransportError::NotSent);
}
