//! Limits the memory of bodies whose callers are not known yet.
//!
//! A body is in memory from its first byte until it is parsed, and its client may send slowly. Where there is no room for another
//! one, the body that began first is cut off: that of a log-in is complete soon after its head, and no request waits for others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::problem::{Code, Problem};

/// KiB of the bodies of one network.
const KIB_OF_NETWORK: usize = 2 * 1024;
/// KiB of the bodies of all networks.
const KIB: usize = 16 * 1024;
/// KiB of the largest body. Networks whose bodies differ by less have about as much.
const LARGEST: usize = 16;
/// Why a body is refused for those that are being read.
pub(crate) const TOO_MANY_BODIES: &str = "Too many bodies are sent at once.";
/// When a client may try again whose body was cut off.
const RETRY: Duration = Duration::from_secs(5);

/// The bodies that are being read.
#[derive(Default)]
pub(crate) struct UnknownBodies(Mutex<Bodies>);

#[derive(Default)]
struct Bodies {
    next: u64,
    kib: usize,
    networks: HashMap<String, OfNetwork>,
}

#[derive(Default)]
struct OfNetwork {
    kib: usize,
    /// The oldest first.
    bodies: BTreeMap<u64, Reading>,
}

impl OfNetwork {
    fn oldest(&self) -> Option<u64> {
        self.bodies.keys().next().copied()
    }
}

struct Reading {
    kib: usize,
    cut_off: Arc<Notify>,
}

impl UnknownBodies {
    /// Reads a body of at most this many bytes, which a client of a network sends. Refuses it once it is cut off for others.
    pub(crate) async fn read<T>(
        &self,
        network: &str,
        bytes: usize,
        reading: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let place = self.admit(network, bytes);
        tokio::select! {
            biased;
            read = reading => read,
            () = place.cut_off.notified() => Err(Problem::new(Code::RateLimited).because(TOO_MANY_BODIES).after(RETRY)),
        }
    }

    fn admit<'a>(&'a self, network: &'a str, bytes: usize) -> Place<'a> {
        let kib = (bytes / 1024 + 1).min(KIB_OF_NETWORK);
        let cut_off = Arc::new(Notify::new());
        let mut bodies = self.locked();
        while bodies.kib_of(network) + kib > KIB_OF_NETWORK {
            bodies.cut_off_oldest(network);
        }
        while bodies.kib + kib > KIB {
            let Some(heaviest) = bodies.heaviest() else { break };
            bodies.cut_off_oldest(&heaviest);
        }
        let id = bodies.next;
        bodies.next += 1;
        bodies.kib += kib;
        let of_network = bodies.networks.entry(network.to_owned()).or_default();
        of_network.kib += kib;
        of_network.bodies.insert(id, Reading { kib, cut_off: cut_off.clone() });
        drop(bodies);
        Place { bodies: self, network, id, cut_off }
    }

    fn locked(&self) -> MutexGuard<'_, Bodies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bodies {
    fn kib_of(&self, network: &str) -> usize {
        self.networks.get(network).map_or(0, |of_network| of_network.kib)
    }

    /// The network with the most. Of those with about as much, the one with the oldest body.
    fn heaviest(&self) -> Option<String> {
        let weight = |of_network: &OfNetwork| (of_network.kib.div_ceil(LARGEST), Reverse(of_network.oldest()));
        self.networks.iter().max_by_key(|(_, of_network)| weight(of_network)).map(|(network, _)| network.clone())
    }

    fn cut_off_oldest(&mut self, network: &str) {
        let oldest = self.networks.get(network).and_then(OfNetwork::oldest);
        if let Some(reading) = oldest.and_then(|oldest| self.forget(network, oldest)) {
            reading.cut_off.notify_one();
        }
    }

    fn forget(&mut self, network: &str, id: u64) -> Option<Reading> {
        let of_network = self.networks.get_mut(network)?;
        let reading = of_network.bodies.remove(&id)?;
        of_network.kib -= reading.kib;
        self.kib -= reading.kib;
        if of_network.bodies.is_empty() {
            self.networks.remove(network);
        }
        Some(reading)
    }
}

/// The place of a body, in use until this value is dropped.
struct Place<'a> {
    bodies: &'a UnknownBodies,
    network: &'a str,
    id: u64,
    cut_off: Arc<Notify>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.bodies.locked().forget(self.network, self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt as _;

    use super::*;

    const BYTES: usize = LARGEST * 1024 - 1;

    /// Reads a body that never arrives.
    async fn slow(bodies: &UnknownBodies) -> Result<(), Problem> {
        bodies.read("one", BYTES, pending()).await
    }

    #[tokio::test]
    async fn slow_bodies_do_not_keep_others_from_being_read() {
        let bodies = UnknownBodies::default();
        let mut slow: Vec<_> = (0..KIB_OF_NETWORK / LARGEST).map(|_| Box::pin(slow(&bodies))).collect();
        for reading in &mut slow {
            assert!(reading.as_mut().now_or_never().is_none());
        }
        assert!(bodies.read("one", 60, ready(Ok(()))).await.is_ok());
        let refused = slow[0].as_mut().now_or_never().expect("the oldest is cut off").unwrap_err();
        assert_eq!(refused.code(), Code::RateLimited);
        assert!(slow[1].as_mut().now_or_never().is_none(), "no other one is");
        assert!(bodies.read("two", BYTES, ready(Ok(()))).await.is_ok());
        drop(slow);
        let left = bodies.locked();
        assert_eq!((left.kib, left.networks.len()), (0, 0));
    }

    #[tokio::test]
    async fn the_network_with_the_most_makes_room_for_others() {
        let bodies = UnknownBodies::default();
        let networks: Vec<String> = (0..KIB / KIB_OF_NETWORK).map(|number| number.to_string()).collect();
        let own = bodies.admit("own", 0);
        let mut places = Vec::new();
        for network in &networks {
            for _ in 0..KIB_OF_NETWORK / LARGEST {
                places.push(bodies.admit(network, BYTES));
            }
        }
        assert!(bodies.locked().kib <= KIB);
        assert_eq!(bodies.locked().kib_of("own"), 1);
        drop((places, own));
        assert_eq!(bodies.locked().kib, 0);
    }

    #[tokio::test]
    async fn of_networks_with_about_as_much_the_oldest_body_makes_room() {
        let a_little_less = LARGEST - 1;
        let bodies = UnknownBodies::default();
        let networks: Vec<String> = (0..=KIB / a_little_less).map(|number| number.to_string()).collect();
        let slow: Vec<_> = networks.iter().skip(1).map(|network| bodies.admit(network, a_little_less * 1024 - 1)).collect();
        let log_in = bodies.admit("own", BYTES);
        let next = bodies.admit(&networks[0], BYTES);
        assert_eq!(bodies.locked().kib_of("own"), LARGEST);
        assert_eq!(bodies.locked().kib_of("1"), 0);
        drop((slow, log_in, next));
    }
}
