//! What runs beside the requests: sweeping, revoking, renewing, reconciling, writing notes down and delivering events.
//!
//! Every job is bounded and claims its work in the store, so any number of processes may run all of them. Each waits a little
//! more or less than its period, so that processes started together do not stay in step, and ends with the round it is in
//! when it is told to stop.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use grantry_domain::ports::{SecureRandom, SessionStore, StoreError, SweepReport};
use grantry_domain::usecase::{Connections, HousekeepingError, Progress};
use grantry_http_axum::{SESSION_ABSOLUTE, SESSION_IDLE};
use grantry_store_sqlite::SqliteStore;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::app::App;
use crate::telemetry;

/// How often each job runs.
#[derive(Debug, Clone, Copy)]
pub struct Periods {
    /// Sweeping of flows, grants and client secrets.
    pub sweep: Duration,
    /// Revocations that are due.
    pub revoke: Duration,
    /// RefreshState of what is in use and lapses soon.
    pub refresh_ahead: Duration,
    /// Notes of hand-outs, written down together.
    pub write_notes: Duration,
    /// Delivery of audit events.
    pub deliver_events: Duration,
    /// Comparison of everybody who has a grant with the directory (R53); also at start.
    pub reconcile: Duration,
    /// Removal of sessions that have lapsed.
    pub purge_sessions: Duration,
    /// Upkeep of the metrics.
    pub measure: Duration,
}

impl Default for Periods {
    fn default() -> Self {
        Self {
            sweep: Duration::from_secs(30),
            revoke: Duration::from_secs(5),
            refresh_ahead: Duration::from_mins(1),
            write_notes: Duration::from_secs(1),
            deliver_events: Duration::from_secs(1),
            reconcile: Duration::from_hours(1),
            purge_sessions: Duration::from_mins(10),
            measure: Duration::from_secs(5),
        }
    }
}

/// All jobs of a process.
pub struct Jobs {
    running: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Jobs {
    /// Starts every job.
    pub fn start(app: &App, periods: Periods) -> Self {
        let mut jobs = Self { running: JoinSet::new(), stop: watch::Sender::new(false) };
        let connections = &app.connections;
        let job =
            |name, period| Job { name, period, random: connections.ports().random.clone(), stop: jobs.stop.subscribe() };

        let all = connections.clone();
        jobs.running.spawn(job("sweep", periods.sweep).run(move || sweep(all.clone())));
        let all = connections.clone();
        jobs.running.spawn(job("revoke", periods.revoke).run(move || revoke(all.clone())));
        let all = connections.clone();
        jobs.running.spawn(job("refresh_ahead", periods.refresh_ahead).run(move || refresh_ahead(all.clone())));
        let all = connections.clone();
        jobs.running.spawn(job("write_notes", periods.write_notes).run(move || write_notes(all.clone())));
        let all = connections.clone();
        jobs.running.spawn(job("deliver_events", periods.deliver_events).run(move || deliver_events(all.clone())));
        let all = connections.clone();
        jobs.running.spawn(job("reconcile", periods.reconcile).run(move || reconcile(all.clone())));
        let (all, store) = (connections.clone(), app.store.clone());
        jobs.running
            .spawn(job("purge_sessions", periods.purge_sessions).run(move || purge_sessions(all.clone(), store.clone())));
        let (store, metrics) = (app.store.clone(), telemetry::metrics());
        jobs.running.spawn(job("measure", periods.measure).run(move || {
            measure(&store, &metrics);
            std::future::ready(Ok::<(), Infallible>(()))
        }));
        jobs
    }

    /// Lets every job finish its round, for at most `limit`; what they did not get to is done after the next start.
    pub async fn stop(mut self, limit: Duration) {
        self.stop.send_replace(true);
        let finished = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, finished).await.is_err() {
            debug!("a background job was interrupted");
            self.running.shutdown().await;
        }
    }
}

struct Job {
    name: &'static str,
    period: Duration,
    random: Arc<dyn SecureRandom>,
    stop: watch::Receiver<bool>,
}

impl Job {
    /// Runs rounds until told to stop; the first at once.
    async fn run<W, E>(mut self, mut round: impl FnMut() -> W)
    where
        W: Future<Output = Result<(), E>>,
        E: Display,
    {
        loop {
            let started = Instant::now();
            let outcome = match AssertUnwindSafe(round()).catch_unwind().await {
                Ok(Ok(())) => "ok",
                Ok(Err(error)) => {
                    warn!(job = self.name, %error, "a background job stopped early and is tried again");
                    "failed"
                }
                // The place was logged by the hook; one bad round must not end a job for ever.
                Err(_) => "panicked",
            };
            metrics::counter!("grantry_job_rounds_total", "job" => self.name, "outcome" => outcome).increment(1);
            metrics::histogram!("grantry_job_seconds", "job" => self.name).record(started.elapsed().as_secs_f64());
            let pause = jittered(self.period, self.random.as_ref());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = self.stop.wait_for(|stop| *stop) => return,
            }
            if *self.stop.borrow() {
                return;
            }
        }
    }
}

/// The period, up to a tenth more or less.
fn jittered(period: Duration, random: &dyn SecureRandom) -> Duration {
    let mut byte = [0x80];
    // Without randomness it is the plain period.
    let _ = random.fill(&mut byte);
    period * 9 / 10 + period * u32::from(byte[0]) / (5 * 255)
}

/// How often a long sweep tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(2);

async fn sweep(connections: Arc<Connections>) -> Result<(), HousekeepingError> {
    let mut told = Instant::now();
    let swept = connections
        .sweep(move |progress: Progress| {
            if progress.swept.more && told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                info!(steps = progress.steps, rows = touched(progress.swept), "still sweeping");
            }
        })
        .await?;
    for (what, rows) in parts(swept) {
        metrics::counter!("grantry_swept_total", "what" => what).increment(rows);
    }
    if touched(swept) > 0 {
        info!(
            timed_out = swept.timed_out,
            interrupted = swept.interrupted,
            lapsed = swept.expired,
            unused = swept.unused,
            removed = swept.removed,
            secrets_destroyed = swept.secrets_destroyed,
            "swept",
        );
    }
    Ok(())
}

fn parts(swept: SweepReport) -> [(&'static str, u64); 6] {
    [
        ("timed_out", swept.timed_out),
        ("interrupted", swept.interrupted),
        ("lapsed", swept.expired),
        ("unused", swept.unused),
        ("removed", swept.removed),
        ("secrets_destroyed", swept.secrets_destroyed),
    ]
}

fn touched(swept: SweepReport) -> u64 {
    parts(swept).into_iter().map(|(_, rows)| rows).sum()
}

async fn revoke(connections: Arc<Connections>) -> Result<(), StoreError> {
    let round = connections.revoke_due().await?;
    metrics::counter!("grantry_revocations_total", "outcome" => "settled").increment(round.settled);
    metrics::counter!("grantry_revocations_total", "outcome" => "postponed").increment(round.postponed);
    if round.settled + round.postponed > 0 {
        info!(settled = round.settled, postponed = round.postponed, "told providers that tokens are over");
    }
    Ok(())
}

async fn refresh_ahead(connections: Arc<Connections>) -> Result<(), HousekeepingError> {
    // What was really refreshed stands in the audit trail; this counts those that needed nothing, too.
    let current = connections.refresh_ahead().await?;
    debug!(current, "looked after access tokens that lapse soon");
    Ok(())
}

async fn write_notes(connections: Arc<Connections>) -> Result<(), HousekeepingError> {
    connections.write_notes().await
}

async fn deliver_events(connections: Arc<Connections>) -> Result<(), HousekeepingError> {
    let delivered = connections.deliver_events().await?;
    metrics::counter!("grantry_audit_events_total").increment(delivered);
    Ok(())
}

async fn reconcile(connections: Arc<Connections>) -> Result<(), HousekeepingError> {
    let found = connections.reconcile().await?;
    if found.ended + found.unanswered > 0 {
        info!(
            checked = found.checked,
            ended = found.ended,
            unanswered = found.unanswered,
            "compared grants with the directory"
        );
    }
    Ok(())
}

async fn purge_sessions(connections: Arc<Connections>, store: Arc<SqliteStore>) -> Result<(), StoreError> {
    let now = connections.ports().clock.now();
    let ended = store.purge(now.minus(SESSION_ABSOLUTE), now.minus(SESSION_IDLE)).await?;
    debug!(ended, "removed lapsed sessions");
    Ok(())
}

fn measure(store: &SqliteStore, metrics: &PrometheusHandle) {
    let counts = store.write_counts();
    metrics::counter!("grantry_store_writes_total").absolute(counts.writes);
    metrics::counter!("grantry_store_commits_total").absolute(counts.commits);
    let waiting = u32::try_from(store.waiting_writes()).unwrap_or(u32::MAX);
    metrics::gauge!("grantry_store_waiting_writes").set(f64::from(waiting));
    metrics.run_upkeep();
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use grantry_runtime::SystemRandom;

    use super::*;

    #[test]
    fn periods_vary_by_at_most_a_tenth() {
        let period = Duration::from_secs(100);
        for _ in 0..1000 {
            let pause = jittered(period, &SystemRandom);
            assert!((Duration::from_secs(90)..=Duration::from_secs(110)).contains(&pause), "{pause:?}");
        }
    }

    #[tokio::test]
    async fn a_job_goes_on_after_a_failure_and_a_panic_and_stops_when_told() {
        let stop = watch::Sender::new(false);
        let rounds = Arc::new(AtomicU32::new(0));
        let (counted, teller) = (rounds.clone(), stop.clone());
        let job = Job { name: "test", period: Duration::ZERO, random: Arc::new(SystemRandom), stop: stop.subscribe() };
        job.run(move || {
            let round = counted.fetch_add(1, Ordering::Relaxed) + 1;
            if round == 5 {
                teller.send_replace(true);
            }
            async move {
                assert_ne!(round, 3, "on purpose");
                if round == 2 { Err("on purpose") } else { Ok(()) }
            }
        })
        .await;
        assert_eq!(rounds.load(Ordering::Relaxed), 5);
    }
}
