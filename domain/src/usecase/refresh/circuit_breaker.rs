//! Pauses requests for connectors whose client the provider refused.
//!
//! A refusal during one user's refresh is no proof about the client: some providers send it for one dead token. The circuit
//! opens after refusals of two different grants without a success between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::authorization::AuthorizationId;
use crate::connector::{AuthMode, Connector, Incarnation};
use crate::time::Timestamp;

/// How long no request is sent after the circuit opened.
const PAUSE: Duration = Duration::from_mins(1);
/// How long refusals are remembered while nothing else happens.
const MEMORY: Duration = Duration::from_hours(24);
/// How many different requests must be refused.
const PROOF: usize = 2;

/// Whose request the provider refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusedRequest {
    /// The refresh of a grant.
    Refresh(AuthorizationId),
    /// The request of the client for itself (RFC 6749 §4.4).
    Client,
}

/// Connectors whose client was refused. An edit of the connector closes its circuit at once.
#[derive(Default)]
pub struct CircuitBreaker(Mutex<Circuits>);

#[derive(Default)]
struct Circuits {
    circuits: BTreeMap<Incarnation, Circuit>,
    /// When a success of each connector was last reported as news.
    accepted: BTreeMap<Incarnation, Timestamp>,
}

struct Circuit {
    /// The revision of the connector.
    revision: u64,
    since: Timestamp,
    last: Timestamp,
    refused: BTreeSet<RefusedRequest>,
    /// Set while the circuit is open: no request before this instant, then one at a time.
    open_until: Option<Timestamp>,
    is_probing: bool,
}

/// The permission to send one request. Without a report, nothing is learned and the next request may probe.
pub struct Permit {
    breaker: Arc<CircuitBreaker>,
    incarnation: Incarnation,
    revision: u64,
    is_probe: bool,
    is_shared: bool,
}

impl Circuits {
    fn accept(&mut self, connector: Incarnation, now: Timestamp) -> bool {
        let was_refused = self.circuits.remove(&connector).is_some();
        self.accepted.retain(|_, at| now.since(*at) < PAUSE);
        let is_known = self.accepted.contains_key(&connector);
        if !is_known {
            self.accepted.insert(connector, now);
        }
        was_refused || !is_known
    }
}

impl CircuitBreaker {
    /// Whether no request for this connector is permitted now.
    pub fn is_open(&self, connector: &Connector, now: Timestamp) -> bool {
        let circuits = &self.locked().circuits;
        let circuit = circuits.get(&connector.incarnation).filter(|circuit| circuit.revision == connector.revision);
        circuit.is_some_and(|circuit| circuit.refuses(now))
    }

    /// The permission to send a request; `None` while the circuit is open. After the pause, one request at a time probes.
    pub fn admit(self: &Arc<Self>, connector: &Connector, now: Timestamp) -> Option<Permit> {
        let mut locked = self.locked();
        let found = locked.circuits.get_mut(&connector.incarnation).filter(|circuit| circuit.revision == connector.revision);
        let is_probe = match found {
            Some(circuit) => match circuit.open_until {
                Some(_) if circuit.refuses(now) => return None,
                Some(_) => {
                    circuit.is_probing = true;
                    true
                }
                None => false,
            },
            None => false,
        };
        Some(Permit {
            breaker: Arc::clone(self),
            incarnation: connector.incarnation,
            revision: connector.revision,
            is_probe,
            is_shared: connector.auth_mode == AuthMode::Shared,
        })
    }

    /// The provider accepted the client in a request that needs no permission, because a user waits for it: an exchange. The
    /// result is that of [`Permit::succeeded`].
    pub fn accepted(&self, connector: Incarnation, now: Timestamp) -> bool {
        self.locked().accept(connector, now)
    }

    fn locked(&self) -> MutexGuard<'_, Circuits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Circuit {
    fn new(revision: u64, now: Timestamp) -> Self {
        Self { revision, since: now, last: now, refused: BTreeSet::new(), open_until: None, is_probing: false }
    }

    fn refuses(&self, now: Timestamp) -> bool {
        // An end beyond the pause is left over from a clock that was set back.
        self.open_until.is_some_and(|until| (now < until && until <= now.plus(PAUSE)) || self.is_probing)
    }
}

impl Permit {
    /// The connector and its revision.
    pub fn connector(&self) -> (Incarnation, u64) {
        (self.incarnation, self.revision)
    }

    /// Whether the circuit is open and this is the probe.
    pub fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// The provider accepted the client: the circuit closes. Returns whether that may be news to other nodes, which is so at
    /// most once per pause unless requests were refused here.
    pub fn succeeded(self, now: Timestamp) -> bool {
        let mut locked = self.breaker.locked();
        let of_this = locked.circuits.get(&self.incarnation).map(|circuit| circuit.revision <= self.revision);
        if of_this == Some(false) {
            return false;
        }
        locked.accept(self.incarnation, now)
    }

    /// The provider refused the client. Returns since when the circuit is open, if it is open now. The request of the client
    /// for itself is proof enough for a shared connector, which sends no other.
    pub fn refused(self, request: RefusedRequest, now: Timestamp) -> Option<Timestamp> {
        let mut locked = self.breaker.locked();
        locked.accepted.remove(&self.incarnation);
        let circuits = &mut locked.circuits;
        circuits.retain(|_, circuit| now.since(circuit.last) < MEMORY);
        let circuit = circuits.entry(self.incarnation).or_insert_with(|| Circuit::new(self.revision, now));
        if circuit.revision > self.revision {
            return None;
        }
        if circuit.revision < self.revision {
            *circuit = Circuit::new(self.revision, now);
        }
        circuit.last = now;
        if circuit.refused.len() < PROOF {
            circuit.refused.insert(request);
        }
        if circuit.refused.len() >= PROOF || self.is_shared {
            circuit.open_until = Some(now.plus(PAUSE));
        }
        circuit.open_until.map(|_| circuit.since)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_probe {
            return;
        }
        let mut locked = self.breaker.locked();
        if let Some(circuit) = locked.circuits.get_mut(&self.incarnation).filter(|circuit| circuit.revision == self.revision)
        {
            circuit.is_probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorization::test_connector;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn refresh(n: u8) -> RefusedRequest {
        RefusedRequest::Refresh(AuthorizationId::from_bytes([n; 24]))
    }

    fn refuse(breaker: &Arc<CircuitBreaker>, request: RefusedRequest, at: Timestamp) -> Option<Timestamp> {
        breaker.admit(&test_connector(), at).unwrap().refused(request, at)
    }

    #[test]
    fn r47_the_circuit_opens_after_refusals_of_two_grants_without_a_success_between() {
        let breaker = Arc::new(CircuitBreaker::default());
        let connector = test_connector();
        for _ in 0..5 {
            assert_eq!(refuse(&breaker, refresh(1), NOW), None, "one grant is no proof");
        }
        assert!(breaker.admit(&connector, NOW).unwrap().succeeded(NOW), "after refusals");
        assert!(!breaker.admit(&connector, NOW).unwrap().succeeded(NOW));
        let since = NOW.plus(PAUSE);
        assert_eq!(refuse(&breaker, refresh(2), since), None, "a success was between");
        assert_eq!(refuse(&breaker, refresh(1), since.plus(PAUSE)), Some(since));
        assert!(breaker.admit(&connector, since.plus(PAUSE)).is_none());
        // A refresh and the request of the client for itself are two requests as well.
        let breaker = Arc::new(CircuitBreaker::default());
        assert_eq!(refuse(&breaker, refresh(1), NOW), None);
        assert_eq!(refuse(&breaker, RefusedRequest::Client, NOW), Some(NOW));
    }

    #[test]
    fn r47_after_the_pause_one_request_at_a_time_probes_and_a_success_closes_the_circuit() {
        let breaker = Arc::new(CircuitBreaker::default());
        let connector = test_connector();
        refuse(&breaker, refresh(1), NOW);
        refuse(&breaker, refresh(2), NOW);
        let after = NOW.plus(PAUSE);
        assert!(breaker.admit(&connector, after.minus(Duration::from_millis(1))).is_none());
        let probe = breaker.admit(&connector, after).unwrap();
        assert!(breaker.admit(&connector, after).is_none(), "one probe");
        drop(probe);
        let probe = breaker.admit(&connector, after).expect("the first one was not sent");
        assert_eq!(probe.refused(refresh(1), after), Some(NOW));
        assert!(breaker.admit(&connector, after).is_none(), "another pause");
        assert!(breaker.admit(&connector, after.plus(PAUSE)).unwrap().succeeded(after));
        assert!(!breaker.is_open(&connector, after));
        let (one, other) = (breaker.admit(&connector, after.plus(PAUSE)), breaker.admit(&connector, after.plus(PAUSE)));
        assert!(one.is_some() && other.is_some());
    }

    #[test]
    fn a_circuit_closes_after_an_edit_and_belongs_to_one_connector() {
        let breaker = Arc::new(CircuitBreaker::default());
        let connector = test_connector();
        refuse(&breaker, refresh(1), NOW);
        let late = breaker.admit(&connector, NOW).unwrap();
        refuse(&breaker, refresh(2), NOW);
        let edited = Connector { revision: connector.revision + 1, ..connector.clone() };
        let permit = breaker.admit(&edited, NOW).expect("the edit may have repaired the client");
        assert_eq!(permit.refused(refresh(1), NOW), None, "refusals of the earlier revision do not count");
        assert_eq!(late.refused(refresh(2), NOW), None, "nor do late ones");
        let other = Connector { incarnation: Incarnation([9; 16]), ..connector };
        assert!(breaker.admit(&other, NOW).is_some());
    }
}
