//! A user who is not involved, and a monitor of the server.

use std::time::{Duration, Instant};

use grantry_system_tests::browser::Browser;
use grantry_testkit::provider::MockProvider;

use crate::{DRIVE, Soak};

/// How long the health check may take.
const HEALTH: Duration = Duration::from_secs(1);
/// How long a revocation may take that nothing delays.
const REVOCATION: Duration = Duration::from_secs(10);

/// How often the user logs in: seldom enough for the limit of a browser.
const LOG_IN_EVERY: Duration = Duration::from_secs(45);

/// Checks health and memory; logs in again in the same browser, connects, runs and disconnects.
pub(crate) struct Bystander<'a> {
    browser: Browser,
    provider: &'a MockProvider,
    soak: &'a Soak,
}

/// What a bystander saw.
pub(crate) struct Seen {
    slowest_health: Duration,
    slowest_use: Duration,
    uses: u32,
    memory: u64,
}

impl<'a> Bystander<'a> {
    pub(crate) fn new(soak: &'a Soak, browser: Browser) -> Self {
        Self { browser, provider: &soak.provider, soak }
    }

    /// Uses the server for the time of the test.
    ///
    /// # Panics
    /// If a request fails.
    pub(crate) async fn watch(mut self) -> Seen {
        let started = Instant::now();
        let health = reqwest::Client::builder().no_proxy().timeout(HEALTH).pool_max_idle_per_host(0).build().unwrap();
        let livez = format!("{}/livez", self.soak.installation.public());
        let mut seen = Seen { slowest_health: Duration::ZERO, slowest_use: Duration::ZERO, uses: 0, memory: 0 };
        let mut log_in_at = started;
        while started.elapsed() < self.soak.duration || seen.uses == 0 {
            let asked = Instant::now();
            let response = health.get(&livez).send().await.expect("the health check is answered in time");
            assert_eq!(response.status().as_u16(), 200);
            seen.slowest_health = seen.slowest_health.max(asked.elapsed());
            if Instant::now() >= log_in_at {
                log_in_at += LOG_IN_EVERY;
                self.browser.log_out().await;
                self.browser.log_in("alice").await;
            }
            let used = Instant::now();
            self.use_once().await;
            seen.slowest_use = seen.slowest_use.max(used.elapsed());
            seen.uses += 1;
            seen.memory = seen.memory.max(self.soak.process.memory().unwrap());
        }
        seen
    }

    /// Start, callback, run, disconnect, revocation.
    async fn use_once(&mut self) {
        let before = self.provider.ledger().revocations().len();
        self.soak.connect(&mut self.browser).await;
        let run = self.browser.execute(DRIVE, "/me").await;
        assert_eq!(
            (run.status, &run.json()["data"]["body"]["account"]),
            (200, &serde_json::json!("alice")),
            "{}",
            run.text()
        );
        assert_eq!(self.browser.disconnect(DRIVE).await.status, 204);
        let revoked = self.provider.until(|ledger| ledger.revocations().len() > before);
        tokio::time::timeout(REVOCATION, revoked).await.expect("the revocation is not delayed");
    }
}

impl Seen {
    pub(crate) fn report(&self, what: &str, idle: u64, allowed: u64) {
        let above = self.memory.saturating_sub(idle);
        println!(
            "{what}: {} uses, slowest {:?}; slowest health check {:?}; memory {idle} MiB idle, {above} MiB above",
            self.uses, self.slowest_use, self.slowest_health,
        );
        assert!(above <= allowed, "{above} MiB above the idle server");
    }
}
