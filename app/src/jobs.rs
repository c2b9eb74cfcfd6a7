//! Background jobs: sweeping, revoking, refreshing, reconciling, and delivering audit events.
//!
//! Every job is bounded and claims its work in the store, so any number of processes may run all of them. The pause of each
//! job varies a little around its period, so that processes started together do not stay in step. A job that is asked to stop
//! finishes its current round.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use grantry_domain::ports::{SecureRandom, SessionStore, StoreError, SweepReport};
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::{AuditBacklog, Connections, HousekeepingError, Progress};
use grantry_http_axum::{SESSION_ABSOLUTE, SESSION_AHEAD, SESSION_IDLE};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

use crate::app::{App, StoreProbe};
use crate::log_limit::{Admitted, LogLimit};
use crate::store::AppStore;
use crate::telemetry;

/// How often each job runs. A pause is at least 10 milliseconds and at most a day, also if the period is not.
#[derive(Debug, Clone, Copy)]
pub struct Periods {
    /// Sweeping of flows, grants and client secrets.
    pub sweep: Duration,
    /// Revocations that are due.
    pub revoke: Duration,
    /// Refresh of grants in use whose access token expires soon.
    pub refresh_ahead: Duration,
    /// Writing of buffered audit events.
    pub flush_audit: Duration,
    /// Delivery of audit events to the sink.
    pub deliver_events: Duration,
    /// Comparison of every user who has a grant with the directory; also at start.
    pub reconcile: Duration,
    /// Removal of expired sessions.
    pub purge_sessions: Duration,
    /// Update of gauges.
    pub measure: Duration,
    /// Writing to the store, for `/readyz`.
    pub probe_store: Duration,
}

impl Default for Periods {
    fn default() -> Self {
        Self {
            sweep: Duration::from_secs(30),
            revoke: Duration::from_secs(5),
            refresh_ahead: Duration::from_mins(1),
            flush_audit: Duration::from_secs(1),
            deliver_events: Duration::from_secs(1),
            reconcile: Duration::from_hours(1),
            purge_sessions: Duration::from_mins(10),
            measure: Duration::from_secs(5),
            probe_store: Duration::from_secs(5),
        }
    }
}

/// The running jobs of an application. Dropping this value aborts them.
pub struct Jobs {
    running: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Jobs {
    /// Starts every job on the current Tokio runtime.
    pub fn spawn(app: &App, periods: Periods) -> Self {
        let mut jobs = Self { running: JoinSet::new(), stop: watch::Sender::new(false) };
        let (random, stop) = (app.random.clone(), jobs.stop.subscribe());
        let job = |name, period| Job { name, period, random: random.clone(), stop: stop.clone() };
        let connections = || app.connections().clone();

        let all = connections();
        jobs.running.spawn(job("sweep", periods.sweep).run(move || sweep(all.clone())));
        let all = connections();
        jobs.running.spawn(job("revoke", periods.revoke).run(move || revoke(all.clone())));
        let all = connections();
        jobs.running.spawn(job("refresh_ahead", periods.refresh_ahead).run(move || refresh_ahead(all.clone())));
        let all = connections();
        let alarm = Arc::<AuditAlarm>::default();
        jobs.running.spawn(job("flush_audit", periods.flush_audit).run(move || flush_audit(all.clone(), alarm.clone())));
        let all = connections();
        jobs.running.spawn(job("deliver_events", periods.deliver_events).run(move || deliver_events(all.clone())));
        let all = connections();
        jobs.running.spawn(job("reconcile", periods.reconcile).run(move || reconcile(all.clone())));
        let (sessions, clock) = (app.store().ports.clone(), app.clock.clone());
        let purge = job("purge_sessions", periods.purge_sessions);
        jobs.running.spawn(purge.run(move || purge_sessions(sessions.clone(), clock.now())));
        let (all, store) = (connections(), app.store().clone());
        jobs.running.spawn(job("measure", periods.measure).run(move || {
            measure(&all, &store);
            std::future::ready(Ok::<(), Infallible>(()))
        }));
        let (store, probe) = (app.store().clone(), app.probe.clone());
        jobs.running.spawn(job("probe_store", periods.probe_store).run(move || probe_store(store.clone(), probe.clone())));
        jobs
    }

    /// Lets every job finish its round, for at most `limit`. Work that is left over is done after the next start.
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
    /// Runs rounds until the stop signal; the first at once. Failures are logged once a minute at most.
    async fn run<W, E>(mut self, mut round: impl FnMut() -> W)
    where
        W: Future<Output = Result<(), E>>,
        E: Display,
    {
        let lines = LogLimit::new(1);
        loop {
            let started = Instant::now();
            let outcome = match AssertUnwindSafe(round()).catch_unwind().await {
                Ok(Ok(())) => "ok",
                Ok(Err(error)) => {
                    if let Some(Admitted { suppressed }) = lines.admit(()) {
                        warn!(job = self.name, %error, suppressed, "a round of a background job failed; it is retried");
                    }
                    "failed"
                }
                // The panic hook logged the location. One failed round must not end the job.
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

/// The bounds of a period: a job neither takes all of a core nor never runs.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_hours(24);

/// The period within its bounds, up to a tenth more or less.
fn jittered(period: Duration, random: &dyn SecureRandom) -> Duration {
    let period = period.clamp(SHORTEST, LONGEST);
    let mut byte = [0x80];
    // Without randomness the pause is the plain period.
    let _ = random.fill(&mut byte);
    period * 9 / 10 + period * u32::from(byte[0]) / (5 * 255)
}

/// How often the alarm of the audit trail is logged at most.
const ALARM_EVERY: Duration = Duration::from_mins(1);
/// How often a long sweep logs its progress.
const LOG_EVERY: Duration = Duration::from_secs(2);

async fn sweep(connections: Arc<Connections>) -> Result<(), HousekeepingError> {
    let mut logged = Instant::now();
    let swept = connections
        .sweep(move |progress: Progress| {
            if progress.swept.more && logged.elapsed() >= LOG_EVERY {
                logged = Instant::now();
                info!(steps = progress.steps, rows = touched(progress.swept), "sweep in progress");
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
            expired = swept.expired,
            unused = swept.unused,
            removed = swept.removed,
            secrets_destroyed = swept.secrets_destroyed,
            "sweep completed",
        );
    }
    Ok(())
}

fn parts(swept: SweepReport) -> [(&'static str, u64); 6] {
    [
        ("timed_out", swept.timed_out),
        ("interrupted", swept.interrupted),
        ("expired", swept.expired),
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
    metrics::counter!("grantry_revocations_total", "outcome" => "completed").increment(round.completed);
    metrics::counter!("grantry_revocations_total", "outcome" => "postponed").increment(round.postponed);
    if round.completed + round.postponed > 0 {
        info!(completed = round.completed, postponed = round.postponed, "revoked tokens at providers");
    }
    Ok(())
}

async fn refresh_ahead(connections: Arc<Connections>) -> Result<(), HousekeepingError> {
    let refreshed = connections.refresh_ahead().await?;
    debug!(refreshed, "refreshed grants whose access token expires soon");
    Ok(())
}

async fn flush_audit(connections: Arc<Connections>, alarm: Arc<AuditAlarm>) -> Result<(), Infallible> {
    let result = connections.flush_audit().await;
    let backlog = connections.audit_backlog();
    metrics::gauge!("grantry_audit_waiting_events").set(f64::from(u32::try_from(backlog.waiting).unwrap_or(u32::MAX)));
    metrics::gauge!("grantry_audit_failing").set(if backlog.is_failing { 1.0 } else { 0.0 });
    metrics::counter!("grantry_audit_dropped_events_total").absolute(backlog.dropped);
    if let Err(error) = result {
        debug!(%error, "audit events or days of last use are written later");
    }
    if backlog.is_failing || alarm.has_dropped_since_logged(backlog.dropped) {
        alarm.log(backlog);
    }
    Ok(())
}

/// Logs that the audit trail of access tokens cannot be written, once a minute at most.
#[derive(Default)]
struct AuditAlarm(Mutex<Alarmed>);

#[derive(Default)]
struct Alarmed {
    at: Option<Instant>,
    dropped: u64,
}

impl AuditAlarm {
    fn has_dropped_since_logged(&self, dropped: u64) -> bool {
        dropped > self.locked().dropped
    }

    /// Returns whether a line was logged.
    fn log(&self, backlog: AuditBacklog) -> bool {
        let mut alarmed = self.locked();
        let is_due = alarmed.at.is_none_or(|at| at.elapsed() >= ALARM_EVERY);
        if is_due {
            let AuditBacklog { waiting, dropped, .. } = backlog;
            *alarmed = Alarmed { at: Some(Instant::now()), dropped };
            error!(
                waiting,
                dropped, "audit events of access tokens cannot be stored; beyond a limit they are dropped and counted"
            );
        }
        is_due
    }

    fn locked(&self) -> MutexGuard<'_, Alarmed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn probe_store(store: AppStore, probe: Arc<StoreProbe>) -> Result<(), Infallible> {
    probe.run(&store).await;
    Ok(())
}

async fn deliver_events(connections: Arc<Connections>) -> Result<(), HousekeepingError> {
    connections.deliver_events().await.map(drop)
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

async fn purge_sessions(sessions: Arc<dyn SessionStore>, now: Timestamp) -> Result<(), StoreError> {
    let after = now.plus(SESSION_AHEAD);
    let removed = sessions.purge(now.minus(SESSION_ABSOLUTE), now.minus(SESSION_IDLE), after).await?;
    debug!(removed, "removed expired sessions");
    Ok(())
}

fn measure(connections: &Connections, store: &AppStore) {
    let pending = u32::try_from(connections.pending_commits()).unwrap_or(u32::MAX);
    metrics::gauge!("grantry_pending_commits").set(f64::from(pending));
    store.record_metrics();
    telemetry::upkeep();
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

    use grantry_runtime::SystemRandom;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;

    use super::*;
    use crate::log_limit::CountedLines;

    #[test]
    fn periods_vary_by_at_most_a_tenth() {
        let period = Duration::from_secs(100);
        for _ in 0..1000 {
            let pause = jittered(period, &SystemRandom);
            assert!((Duration::from_secs(90)..=Duration::from_secs(110)).contains(&pause), "{pause:?}");
        }
    }

    #[test]
    fn no_period_is_endless_or_without_a_pause() {
        assert!(jittered(Duration::ZERO, &SystemRandom) >= Duration::from_millis(9));
        assert!(jittered(Duration::MAX, &SystemRandom) <= Duration::from_hours(27));
    }

    #[test]
    fn r80_the_alarm_of_the_audit_trail_is_logged_once_a_minute_at_most() {
        let alarm = AuditAlarm::default();
        let backlog = |dropped| AuditBacklog { waiting: 8192, dropped, is_failing: true };
        assert!(!alarm.has_dropped_since_logged(0));
        assert!(alarm.has_dropped_since_logged(1));
        assert_eq!([1, 2, 3].map(|dropped| alarm.log(backlog(dropped))), [true, false, false]);
        assert!(alarm.has_dropped_since_logged(3), "what was dropped since is logged when the next line is due");
        alarm.locked().at = Instant::now().checked_sub(ALARM_EVERY);
        assert!(alarm.log(backlog(3)));
        assert!(!alarm.has_dropped_since_logged(3));
    }

    #[tokio::test]
    async fn a_job_that_fails_again_and_again_logs_one_line_a_minute() {
        let (stop, lines) = (watch::Sender::new(false), Arc::<AtomicUsize>::default());
        let _logged = tracing_subscriber::registry().with(CountedLines(lines.clone())).set_default();
        let job = Job { name: "test", period: Duration::ZERO, random: Arc::new(SystemRandom), stop: stop.subscribe() };
        let rounds = AtomicU32::new(0);
        job.run(|| {
            if rounds.fetch_add(1, Ordering::Relaxed) == 99 {
                stop.send_replace(true);
            }
            std::future::ready(Err::<(), _>("on purpose"))
        })
        .await;
        assert_eq!((rounds.into_inner(), lines.load(Ordering::Relaxed)), (100, 1));
    }

    #[tokio::test]
    async fn a_job_continues_after_a_failure_and_a_panic_and_stops_on_request() {
        let stop = watch::Sender::new(false);
        let rounds = Arc::new(AtomicU32::new(0));
        let (counted, stopper) = (rounds.clone(), stop.clone());
        let job = Job { name: "test", period: Duration::ZERO, random: Arc::new(SystemRandom), stop: stop.subscribe() };
        job.run(move || {
            let round = counted.fetch_add(1, Ordering::Relaxed) + 1;
            if round == 5 {
                stopper.send_replace(true);
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
