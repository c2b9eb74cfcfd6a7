//! Limits refreshes that a 401 of the API forced.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::authorization::AuthorizationId;

/// After a forced refresh the next one is not forced before this: an API that rejects every token must not cause a series
/// of refreshes.
const PAUSE: Duration = Duration::from_secs(30);
/// How long a rejected token is remembered, for providers that issue the same token again.
const MEMORY: Duration = Duration::from_hours(1);

/// The last forced refresh of each grant in this process, with the SHA-256 of the rejected token. Times are those of the
/// monotonic clock: a wall clock that was set must neither prolong nor shorten a pause.
#[derive(Default)]
pub(super) struct ForcedRefreshes(Mutex<BTreeMap<AuthorizationId, ([u8; 32], Duration)>>);

impl ForcedRefreshes {
    /// Whether a rejected token forces no refresh: it forced one already, or another token did shortly before.
    pub(super) fn is_exhausted(&self, id: AuthorizationId, rejected: [u8; 32], now: Duration) -> bool {
        let forced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forced.get(&id).is_some_and(|(token, at)| {
            let ago = now.saturating_sub(*at);
            ago < PAUSE || (*token == rejected && ago < MEMORY)
        })
    }

    /// Records a forced refresh.
    pub(super) fn record(&self, id: AuthorizationId, rejected: [u8; 32], now: Duration) {
        let mut forced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forced.retain(|_, (_, at)| now.saturating_sub(*at) < MEMORY);
        forced.insert(id, (rejected, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r47_a_rejected_token_forces_one_refresh() {
        let forced = ForcedRefreshes::default();
        let (id, now) = (AuthorizationId::from_bytes([1; 24]), Duration::from_secs(10_000));
        assert!(!forced.is_exhausted(id, [1; 32], now));
        forced.record(id, [1; 32], now);
        assert!(forced.is_exhausted(id, [2; 32], now + PAUSE - Duration::from_millis(1)), "any token, shortly after");
        assert!(!forced.is_exhausted(id, [2; 32], now + PAUSE), "another token, later");
        assert!(forced.is_exhausted(id, [1; 32], now + PAUSE), "the same token, for an hour");
        assert!(!forced.is_exhausted(id, [1; 32], now + MEMORY));
        assert!(!forced.is_exhausted(AuthorizationId::from_bytes([2; 24]), [1; 32], now), "another grant");
    }
}
