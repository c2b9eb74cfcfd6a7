//! TLS to the server, with certificates that the test issues.

use std::fs;
use std::path::Path;

use grantry_test_postgres::{Cluster, private_cluster};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::{assert_refused, run_at, site_at};
use crate::support::{Browser, Site};

/// The name of the server in its certificate. No name service has it; the URL contains the address as well.
const NAME: &str = "db.grantry.test";

/// A certificate authority.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server with a certificate of the authority for these names.
fn cluster(authority: &CertifiedIssuer<'_, KeyPair>, names: &[&str]) -> Cluster {
    let cluster = private_cluster();
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, authority).unwrap();
    cluster.write("server.crt", &certificate.pem());
    cluster.write("server.key", &key.serialize_pem());
    let file = |name: &str| cluster.file(name).display().to_string();
    let (certificate, key) =
        (format!("ssl_cert_file={}", file("server.crt")), format!("ssl_key_file={}", file("server.key")));
    cluster.set(&["ssl=on", &certificate, &key]);
    cluster.restart("fast");
    cluster
}

/// A URL of the server under a name, with further parameters.
fn url(cluster: &Cluster, name: &str, parameters: &str) -> String {
    let (address, port) = cluster.host().rsplit_once(':').unwrap();
    format!("postgres://postgres:hunter2@{name}:{port}/postgres?hostaddr={address}{parameters}")
}

fn trusting(file: &Path) -> String {
    format!("&sslrootcert={}", file.display())
}

/// The program starts and is ready, and all its connections are encrypted.
fn assert_accepted(cluster: &Cluster, site: &Site) {
    let server = site.serve();
    let mut alice = Browser::new(site.port);
    alice.log_in("alice", "password-canary");
    assert_eq!(alice.get("/api/actions/connectors").status, 200);
    let connections = "SELECT bool_and(s.ssl), count(*) > 0 FROM pg_stat_ssl AS s JOIN pg_stat_activity AS a ON a.pid = s.pid \
         WHERE a.application_name = 'grantry'";
    assert_eq!(cluster.rows(connections), [[Some("t".to_owned()), Some("t".to_owned())]]);
    drop(server);
    let checked = run_at(site, &["check"]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
}

#[test]
fn r72_the_certificate_of_the_server_is_verified() {
    const REFUSED: &str = "the certificate of the server of `store.url` is not valid for its name and the trusted roots";
    let (trusted, other) = (authority(), authority());
    let cluster = cluster(&trusted, &[NAME, "localhost"]);
    let folder = tempfile::tempdir().unwrap();
    let (roots, other_roots) = (folder.path().join("roots.pem"), folder.path().join("other.pem"));
    fs::write(&roots, trusted.pem()).unwrap();
    fs::write(&other_roots, other.pem()).unwrap();
    let (_, port) = cluster.host().rsplit_once(':').unwrap();
    let site = |url: &str| site_at(url, "");

    // TLS is the default for the name of another machine, and a root certificate requires it for this one.
    assert_accepted(&cluster, &site(&url(&cluster, NAME, &trusting(&roots))));
    let local = format!("postgres://postgres:hunter2@localhost:{port}/postgres?sslmode=verify-full{}", trusting(&roots));
    assert_accepted(&cluster, &site(&local));

    for refused in [
        url(&cluster, "other.grantry.test", &trusting(&roots)),
        // The certificate has no address.
        format!("postgres://postgres:hunter2@127.0.0.1:{port}/postgres?sslmode=verify-full{}", trusting(&roots)),
        url(&cluster, NAME, &trusting(&other_roots)),
        // The roots of the system.
        url(&cluster, NAME, ""),
    ] {
        assert_refused(&site(&refused), REFUSED);
    }
    let missing = folder.path().join("missing.pem");
    let unreadable = "the file of `sslrootcert` in `store.url` cannot be read as PEM certificates";
    assert_refused(&site(&url(&cluster, NAME, &trusting(&missing))), unreadable);

    cluster.set(&["ssl=off"]);
    cluster.restart("fast");
    let plain = "the server of `store.url` does not support TLS";
    assert_refused(&site(&url(&cluster, NAME, &trusting(&roots))), plain);
    assert_refused(&site(&local), plain);
}
