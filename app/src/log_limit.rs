//! Bounds log lines that a client, a provider or a fault can repeat without end.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long lines are counted.
const WINDOW: Duration = Duration::from_mins(1);
/// The most lines in a window, over all kinds.
const LINES: usize = 600;

/// Admits a few lines of each kind in a minute, and 600 over all kinds. The others are counted.
pub(crate) struct LogLimit<K> {
    of_kind: usize,
    window: Mutex<Window<K>>,
}

struct Window<K> {
    since: Option<Instant>,
    /// The admitted lines. Kinds without any are not in it, so that it is bounded.
    lines: HashMap<K, usize>,
    total: usize,
    /// Not reported yet, also those of earlier windows.
    suppressed: u64,
}

/// A line that is logged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// How many lines were suppressed since the last one that was logged.
    pub(crate) suppressed: Option<u64>,
}

impl<K: Eq + Hash> LogLimit<K> {
    /// Admits this many lines of each kind in a minute.
    pub(crate) fn new(of_kind: usize) -> Self {
        let window = Window { since: None, lines: HashMap::new(), total: 0, suppressed: 0 };
        Self { of_kind, window: Mutex::new(window) }
    }

    /// Counts a line. `None` if it is not logged.
    pub(crate) fn admit(&self, kind: K) -> Option<Admitted> {
        self.admit_at(kind, Instant::now())
    }

    fn admit_at(&self, kind: K, now: Instant) -> Option<Admitted> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            let suppressed = window.suppressed;
            *window = Window { since: Some(now), lines: HashMap::new(), total: 0, suppressed };
        }
        let of_kind = window.lines.get(&kind).copied().unwrap_or_default();
        if window.total >= LINES || of_kind >= self.of_kind {
            window.suppressed = window.suppressed.saturating_add(1);
            return None;
        }
        window.total += 1;
        window.lines.insert(kind, of_kind + 1);
        let suppressed = std::mem::take(&mut window.suppressed);
        Some(Admitted { suppressed: (suppressed > 0).then_some(suppressed) })
    }
}

/// Counts log lines in a test.
#[cfg(test)]
pub(crate) struct CountedLines(pub(crate) std::sync::Arc<std::sync::atomic::AtomicUsize>);

#[cfg(test)]
impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for CountedLines {
    fn on_event(&self, _: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that is logged, and how many were not.
    #[expect(clippy::unnecessary_wraps, reason = "it is compared with the result of a limit")]
    fn admitted(suppressed: u64) -> Option<Admitted> {
        Some(Admitted { suppressed: (suppressed > 0).then_some(suppressed) })
    }

    #[test]
    fn a_kind_has_a_few_lines_a_minute_and_the_others_are_counted() {
        let (limit, start) = (LogLimit::new(2), Instant::now());
        let almost = start + WINDOW.saturating_sub(Duration::from_millis(1));
        assert_eq!([start, start, start, almost].map(|at| limit.admit_at("a", at)), [admitted(0), admitted(0), None, None]);
        assert_eq!(limit.admit_at("b", almost), admitted(2), "another kind has its own lines");
        assert_eq!(limit.admit_at("a", almost), None);
        assert_eq!([(); 2].map(|()| limit.admit_at("a", start + WINDOW)), [admitted(1), admitted(0)]);
    }

    #[test]
    fn all_kinds_together_have_600_lines_a_minute() {
        let (limit, start) = (LogLimit::new(2), Instant::now());
        let lines = (0..10_000).filter(|kind| limit.admit_at(*kind, start).is_some()).count();
        assert_eq!((lines, limit.window.lock().unwrap().lines.len()), (LINES, LINES));
        assert_eq!(limit.admit_at(0, start + WINDOW), admitted(9400));
    }
}
