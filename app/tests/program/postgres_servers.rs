//! The program on `PostgreSQL` with other servers beside it: a pooler, TLS, and a standby.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use grantry_test_postgres::{Pooler, private_cluster, private_cluster_with};
use grantry_testkit::provider::MockProvider;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustix::process::Signal;
use serde_json::json;

use crate::flow::{CLIENT_SECRET, endpoints};
use crate::postgres::{connected, execute, run_at, site_at, until_ready_is};
use crate::support::{Browser, Site};

fn allowing(provider: &MockProvider) -> String {
    format!("egress.allow = [\"127.0.0.1:{}\"]", provider.port())
}

/// Another browser with the same session.
fn same(browser: &Browser, site: &Site) -> Browser {
    let mut other = Browser::new(site.port);
    other.cookies = browser.cookies.clone();
    other
}

/// Callers that run the connector `files` until they are stopped.
struct Callers {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<BTreeMap<u16, u32>>>,
}

impl Callers {
    fn start(number: usize, browser: &Browser, site: &Site) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let run = |mut caller: Browser, is_over: Arc<AtomicBool>| {
            let mut statuses = BTreeMap::new();
            while !is_over.load(Ordering::Relaxed) {
                let response = execute(&mut caller);
                assert!(response.status != 503 || response.header("retry-after").is_some(), "{response:?}");
                *statuses.entry(response.status).or_default() += 1;
            }
            statuses
        };
        let thread = |_| {
            let (caller, is_over) = (same(browser, site), is_over.clone());
            thread::spawn(move || run(caller, is_over))
        };
        let threads = (0..number).map(thread).collect();
        Self { is_over, threads }
    }

    /// How often each caller got each status.
    fn stop(self) -> Vec<BTreeMap<u16, u32>> {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }
}

/// More clients than connections to the server, so that each transaction can be on another connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_transaction_mode_can_be_in_front_of_the_server() {
    let cluster = private_cluster();
    let pooler = Pooler::start(&cluster, 2);
    let provider = MockProvider::builder().access_ttl(Duration::from_secs(1)).start().await.unwrap();
    let site = site_at(&pooler.url("postgres"), &allowing(&provider));
    let connector = site.install("files", endpoints(provider.base_url()), CLIENT_SECRET).await;
    let checked = run_at(&site, &["check"]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    let server = site.serve();
    let mut alice = connected(&site, &provider, &connector).await;
    let callers = Callers::start(16, &alice, &site);
    provider.until(|ledger| ledger.refreshes().len() >= 3).await;
    for statuses in callers.stop() {
        assert!(statuses.keys().eq([&200]), "{statuses:?}");
    }
    let ended = alice.post("/internal/actions/connector/files/_oauth_disconnect", &json!({}));
    assert_eq!(ended.status, 204, "{ended:?}");
    provider.until(|ledger| !ledger.revocations().is_empty()).await;
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
    let keys = run_at(&site, &["keys", "status"]);
    assert_eq!(keys.code, Some(0), "{}", keys.stderr);
}

struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(parameters, key) }
    }

    /// Certificate and key of a server.
    fn server(&self, name: &str) -> [(&'static str, String); 2] {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r72_the_certificate_of_the_server_must_be_valid_for_its_name() {
    let (trusted, other) = (Authority::new(), Authority::new());
    let encrypted = |name: &str| {
        let files = trusted.server(name);
        private_cluster_with("ssl = on", &files.each_ref().map(|(name, content)| (*name, content.as_str())))
    };
    let (valid, misnamed, plain) = (encrypted("localhost"), encrypted("db.example"), private_cluster());
    let roots = tempfile::tempdir().unwrap();
    let file = |name: &str, authority: &Authority| {
        let path = roots.path().join(name);
        std::fs::write(&path, &authority.certificate).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (known, unknown) = (file("known.pem", &trusted), file("unknown.pem", &other));
    let url = |port: u16, roots: &str| format!("postgres://postgres@localhost:{port}/postgres?sslrootcert={roots}");
    for (port, roots, expected) in [
        (misnamed.port(), &known, "the certificate of the server of `store.url` is not valid for its name"),
        (
            valid.port(),
            &unknown,
            "the certificate of the server of `store.url` is not valid for its name and the trusted roots",
        ),
        (plain.port(), &known, "the server of `store.url` does not support TLS"),
    ] {
        let site = site_at(&url(port, roots), "");
        for command in ["serve", "check"] {
            let refused = run_at(&site, &[command]);
            let output = format!("{}{}", refused.stdout, refused.stderr);
            assert!(refused.code == Some(1) && output.contains(expected), "{command}: {output}");
        }
    }
    let site = site_at(&url(valid.port(), &known), "");
    let server = site.serve();
    let mut alice = Browser::new(site.port);
    alice.log_in("alice", "password-canary");
    assert_eq!(alice.get("/api/actions/connectors").status, 200);
    let encrypted = "SELECT count(*), count(*) FILTER (WHERE ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let counts = valid.rows("postgres", encrypted).remove(0);
    assert!(counts[0] != Some("0".to_owned()) && counts[0] == counts[1], "{counts:?}");
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
}

/// The primary server is killed while callers refresh, and its synchronous standby is promoted.
#[tokio::test(flavor = "multi_thread")]
async fn r72_a_promoted_standby_has_every_grant_and_no_token_is_refreshed_twice() {
    let primary = private_cluster();
    let standby = primary.standby();
    primary.rows("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'standby'");
    primary.rows("postgres", "SELECT pg_reload_conf()");
    let provider = MockProvider::builder().access_ttl(Duration::from_secs(1)).start().await.unwrap();

    let alone = site_at(&standby.url("postgres"), "");
    let refused = run_at(&alone, &["serve"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("name the primary server"), "{}", refused.stderr);

    let servers = format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres", primary.port(), standby.port());
    let site = site_at(&servers, &allowing(&provider));
    let connector = site.install("files", endpoints(provider.base_url()), CLIENT_SECRET).await;
    let server = site.serve();
    let mut alice = connected(&site, &provider, &connector).await;
    let callers = Callers::start(4, &alice, &site);
    provider.until(|ledger| ledger.refreshes().len() >= 3).await;
    primary.kill();
    until_ready_is(&mut alice, 503);
    standby.promote();
    until_ready_is(&mut alice, 200);
    let before = provider.ledger().refreshes().len();
    provider.until(|ledger| ledger.refreshes().len() >= before + 2).await;
    for statuses in callers.stop() {
        assert!(statuses.contains_key(&200) && statuses.keys().all(|status| [200, 503].contains(status)), "{statuses:?}");
    }
    let ledger = provider.ledger();
    for refresh in ledger.refreshes() {
        let token = refresh.param("refresh_token").unwrap();
        assert_eq!(ledger.refreshes_with(token).len(), 1, "each refresh token is used once");
    }
    assert_eq!(execute(&mut alice).status, 200, "the grant is not lost");
    assert_eq!(server.stop(Signal::TERM).0, Some(0));
}
