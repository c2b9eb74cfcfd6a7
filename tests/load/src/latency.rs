//! What a run measured.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The result of a run. Latencies are in microseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Calls that succeeded.
    pub calls: u64,
    /// Calls that failed, by status or error.
    pub errors: BTreeMap<String, u64>,
    /// Seconds of measuring.
    pub seconds: f64,
    /// Successful calls a second.
    pub per_second: f64,
    /// Half of the calls took at most this.
    pub p50: u64,
    /// Nine of ten.
    pub p90: u64,
    /// 99 of a hundred.
    pub p99: u64,
    /// The longest.
    pub max: u64,
    /// CPU time of the watched processes a call.
    pub server_cpu: Option<f64>,
    /// CPU time of this process a call.
    pub client_cpu: Option<f64>,
    /// CPU time of the watched database server a call.
    pub database_cpu: Option<f64>,
}

impl Summary {
    /// The summary of calls that took `micros` each.
    pub fn new(mut micros: Vec<u32>, errors: BTreeMap<String, u64>, measured: Duration) -> Self {
        micros.sort_unstable();
        let seconds = measured.as_secs_f64();
        Self {
            calls: micros.len() as u64,
            errors,
            seconds,
            per_second: quotient(micros.len() as u64, seconds),
            p50: percentile(&micros, 50).into(),
            p90: percentile(&micros, 90).into(),
            p99: percentile(&micros, 99).into(),
            max: micros.last().copied().unwrap_or_default().into(),
            server_cpu: None,
            client_cpu: None,
            database_cpu: None,
        }
    }

    /// Adds the CPU time that the calls cost the server and this process.
    #[must_use]
    pub fn with_cpu(self, server: Option<Duration>, client: Option<Duration>) -> Self {
        let (server_cpu, client_cpu) = (server.map(|cpu| self.share(cpu)), client.map(|cpu| self.share(cpu)));
        Self { server_cpu, client_cpu, ..self }
    }

    /// Adds the CPU time that the calls cost a database server.
    #[must_use]
    pub fn with_cpu_of_database(self, database: Option<Duration>) -> Self {
        Self { database_cpu: database.map(|cpu| self.share(cpu)), ..self }
    }

    fn share(&self, cpu: Duration) -> f64 {
        if self.calls == 0 { 0.0 } else { cpu.as_secs_f64() * 1e6 / as_f64(self.calls) }
    }

    /// The lines that are printed without `--json`.
    pub fn text(&self) -> String {
        let cpu = |name: &str, cpu: Option<f64>| cpu.map(|cpu| format!(", {cpu:.1} µs of CPU in the {name}"));
        let cpu =
            [cpu("server", self.server_cpu), cpu("client", self.client_cpu), cpu("database server", self.database_cpu)];
        let cpu = cpu.into_iter().flatten();
        let errors = self.errors.iter().map(|(what, count)| format!("\n{count} × {what}"));
        format!(
            "{:.0} a second ({} in {:.2} s), µs: p50 {}, p90 {}, p99 {}, max {}{}{}",
            self.per_second,
            self.calls,
            self.seconds,
            self.p50,
            self.p90,
            self.p99,
            self.max,
            cpu.collect::<String>(),
            errors.collect::<String>(),
        )
    }
}

/// The nearest-rank percentile of sorted values; 0 without values.
pub fn percentile(sorted: &[u32], percent: usize) -> u32 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// A count over a time; 0 without time.
pub(crate) fn quotient(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { as_f64(count) / seconds } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
pub(crate) fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!([50, 90, 99, 100].map(|percent| percentile(&hundred, percent)), [50, 90, 99, 100]);
        assert_eq!([1, 50, 99].map(|percent| percentile(&[7, 9], percent)), [7, 7, 9]);
        assert_eq!(percentile(&[], 99), 0);
    }

    #[test]
    fn a_summary_divides_by_time_and_by_calls() {
        let summary = Summary::new(vec![30, 10, 20, 40], BTreeMap::new(), Duration::from_secs(2));
        let summary = summary.with_cpu(Some(Duration::from_micros(100)), None);
        assert_eq!((summary.calls, summary.p50, summary.max), (4, 20, 40));
        assert!((summary.per_second - 2.0).abs() < 1e-9);
        assert!((summary.server_cpu.unwrap() - 25.0).abs() < 1e-9);
        assert!(summary.client_cpu.is_none() && summary.database_cpu.is_none());
        let summary = summary.with_cpu_of_database(Some(Duration::from_micros(200)));
        assert!((summary.database_cpu.unwrap() - 50.0).abs() < 1e-9);
    }
}
