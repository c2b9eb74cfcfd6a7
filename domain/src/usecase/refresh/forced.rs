//! Limits refreshes that a 401 of the API forced.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::authorization::AuthorizationId;
use crate::time::Timestamp;

/// After a forced refresh the next one is not forced before this: an API that rejects every token must not cause a series
/// of refreshes.
const PAUSE: Duration = Duration::from_secs(30);
/// How long a rejected token is remembered, for providers that issue the same token again.
const MEMORY: Duration = Duration::from_hours(1);

/// The last forced refresh of each grant in this process, with the SHA-256 of the rejected token.
#[derive(Default)]
pub(super) struct ForcedRefreshes(Mutex<BTreeMap<AuthorizationId, ([u8; 32], Instant)>>);

/// An instant by the wall clock and by the monotonic clock. A wall clock that was set back must not prolong a pause, so a pause
/// ends when either of them shows its end.
#[derive(Clone, Copy)]
pub(super) struct Instant {
    pub(super) wall: Timestamp,
    pub(super) monotonic: Duration,
}

impl Instant {
    fn since(self, earlier: Self) -> Duration {
        self.wall.since(earlier.wall).max(self.monotonic.saturating_sub(earlier.monotonic))
    }
}

impl ForcedRefreshes {
    /// Whether a rejected token forces no refresh: it forced one already, or another token did shortly before.
    pub(super) fn is_exhausted(&self, id: AuthorizationId, rejected: [u8; 32], now: Instant) -> bool {
        let forced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forced.get(&id).is_some_and(|(token, at)| {
            let ago = now.since(*at);
            ago < PAUSE || (*token == rejected && ago < MEMORY)
        })
    }

    /// Records a forced refresh.
    pub(super) fn record(&self, id: AuthorizationId, rejected: [u8; 32], now: Instant) {
        let mut forced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forced.retain(|_, (_, at)| now.since(*at) < MEMORY);
        forced.insert(id, (rejected, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After this time, by the clocks that go on.
    fn after(span: Duration, wall: bool, monotonic: bool) -> Instant {
        let start = (Timestamp::from_millis(10_000_000), Duration::from_secs(1000));
        Instant {
            wall: if wall { start.0.plus(span) } else { start.0.minus(span) },
            monotonic: if monotonic { start.1 + span } else { start.1 },
        }
    }

    #[test]
    fn r47_a_rejected_token_forces_one_refresh() {
        for (wall, monotonic) in [(true, true), (true, false), (false, true)] {
            let after = |span| after(span, wall, monotonic);
            let forced = ForcedRefreshes::default();
            let (id, now) = (AuthorizationId::from_bytes([1; 24]), after(Duration::ZERO));
            assert!(!forced.is_exhausted(id, [1; 32], now));
            forced.record(id, [1; 32], now);
            let shortly = after(PAUSE.saturating_sub(Duration::from_millis(1)));
            assert!(forced.is_exhausted(id, [2; 32], shortly), "any token, shortly after");
            assert!(!forced.is_exhausted(id, [2; 32], after(PAUSE)), "another token, later");
            assert!(forced.is_exhausted(id, [1; 32], after(PAUSE)), "the same token, for an hour");
            assert!(!forced.is_exhausted(id, [1; 32], after(MEMORY)));
            assert!(!forced.is_exhausted(AuthorizationId::from_bytes([2; 24]), [1; 32], now), "another grant");
        }
    }
}
