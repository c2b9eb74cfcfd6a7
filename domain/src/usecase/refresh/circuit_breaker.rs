//! Pauses requests for connectors whose client the provider refused.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::connector::{Connector, Incarnation};
use crate::time::Timestamp;

/// How long no request is sent after the provider refused the client.
const PAUSE: Duration = Duration::from_mins(1);

/// Connectors whose client was refused. An edit of the connector closes its circuit at once.
#[derive(Default)]
pub struct CircuitBreaker(Mutex<BTreeMap<Incarnation, (u64, Timestamp)>>);

impl CircuitBreaker {
    /// Whether requests for this connector are paused.
    pub fn is_open(&self, connector: &Connector, now: Timestamp) -> bool {
        let open = self.locked();
        open.get(&connector.incarnation).is_some_and(|(revision, until)| *revision == connector.revision && now < *until)
    }

    /// Since when requests for this connector are paused, if they are.
    pub fn refused_since(&self, connector: &Connector, now: Timestamp) -> Option<Timestamp> {
        let until = self.locked().get(&connector.incarnation).map(|(_, until)| *until)?;
        self.is_open(connector, now).then(|| until.minus(PAUSE))
    }

    /// Pauses requests for this connector.
    pub fn open(&self, connector: &Connector, now: Timestamp) {
        let mut open = self.locked();
        open.retain(|_, (_, until)| now < *until);
        open.insert(connector.incarnation, (connector.revision, now.plus(PAUSE)));
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Incarnation, (u64, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorization::test_connector;

    #[test]
    fn a_circuit_closes_after_the_pause_and_after_an_edit() {
        let breaker = CircuitBreaker::default();
        let (connector, now) = (test_connector(), Timestamp::from_millis(1_000_000));
        assert!(!breaker.is_open(&connector, now));
        breaker.open(&connector, now);
        assert!(breaker.is_open(&connector, now.plus(PAUSE).minus(Duration::from_millis(1))));
        assert!(!breaker.is_open(&connector, now.plus(PAUSE)));
        assert_eq!(breaker.refused_since(&connector, now), Some(now));
        assert_eq!(breaker.refused_since(&connector, now.plus(PAUSE)), None);
        let edited = Connector { revision: connector.revision + 1, ..connector.clone() };
        assert!(!breaker.is_open(&edited, now));
        let other = Connector { incarnation: Incarnation([9; 16]), ..connector };
        assert!(!breaker.is_open(&other, now));
    }
}
