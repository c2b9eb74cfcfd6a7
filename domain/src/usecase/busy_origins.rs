//! Which origins requests are running to, and which do not respond.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::time::Timestamp;

/// Closed origins are looked through when there are this many.
const MAX_CLOSED: usize = 256;

/// Counts running work by origin, within limits.
pub(crate) struct BusyOrigins {
    in_total: usize,
    per_origin: usize,
    state: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    total: usize,
    per_origin: HashMap<String, usize>,
    closed_until: HashMap<String, Timestamp>,
}

/// Whether work may start at an origin.
pub(crate) enum Entrance<'a> {
    /// It may start, and counts until the place is dropped.
    Open(Place<'a>),
    /// The origin has no place left.
    Busy,
    /// The origin did not respond a short time ago.
    Closed,
}

impl BusyOrigins {
    /// No work, with the limits in total and for each origin.
    pub(crate) fn new(in_total: usize, per_origin: usize) -> Self {
        Self { in_total, per_origin, state: Mutex::default() }
    }

    /// Whether the limit in total is reached.
    pub(crate) fn are_full(&self) -> bool {
        self.running().total >= self.in_total
    }

    /// Takes a place at an origin. Work without an origin sends no request and is not limited.
    pub(crate) fn enter(&self, origin: Option<&str>, now: Timestamp) -> Entrance<'_> {
        let mut running = self.running();
        if let Some(origin) = origin {
            match running.closed_until.get(origin) {
                Some(until) if now < *until => return Entrance::Closed,
                Some(_) => drop(running.closed_until.remove(origin)),
                None => {}
            }
            let count = running.per_origin.entry(origin.to_owned()).or_default();
            if *count >= self.per_origin {
                return Entrance::Busy;
            }
            *count += 1;
        }
        running.total += 1;
        Entrance::Open(Place { origins: self, origin: origin.map(str::to_owned) })
    }

    /// Lets no work start at an origin until then.
    pub(crate) fn close(&self, origin: &str, until: Timestamp) {
        let mut running = self.running();
        if running.closed_until.len() >= MAX_CLOSED {
            running.closed_until.retain(|_, closed| *closed >= until);
        }
        if running.closed_until.len() < MAX_CLOSED {
            running.closed_until.insert(origin.to_owned(), until);
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place at an origin.
pub(crate) struct Place<'a> {
    origins: &'a BusyOrigins,
    origin: Option<String>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut running = self.origins.running();
        running.total -= 1;
        let Some(origin) = &self.origin else { return };
        if let Some(count) = running.per_origin.get_mut(origin) {
            *count -= 1;
            if *count == 0 {
                running.per_origin.remove(origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn place<'a>(origins: &'a BusyOrigins, origin: &str) -> Option<Place<'a>> {
        match origins.enter(Some(origin), NOW) {
            Entrance::Open(place) => Some(place),
            Entrance::Busy | Entrance::Closed => None,
        }
    }

    #[test]
    fn places_are_limited_in_total_and_per_origin_and_free_again_when_dropped() {
        let origins = BusyOrigins::new(3, 2);
        let first = place(&origins, "https://a").unwrap();
        let second = place(&origins, "https://a").unwrap();
        assert!(matches!(origins.enter(Some("https://a"), NOW), Entrance::Busy) && !origins.are_full());
        let third = place(&origins, "https://b").unwrap();
        assert!(origins.are_full());
        drop(first);
        assert!(!origins.are_full() && place(&origins, "https://a").is_some());
        drop((second, third));
        assert!(matches!(origins.enter(None, NOW), Entrance::Open(_)));
        assert!(origins.running().per_origin.is_empty() && origins.running().total == 0);
    }

    #[test]
    fn a_closed_origin_opens_at_its_time() {
        let origins = BusyOrigins::new(3, 2);
        origins.close("https://a", Timestamp::from_millis(NOW.as_millis() + 1));
        assert!(matches!(origins.enter(Some("https://a"), NOW), Entrance::Closed));
        assert!(place(&origins, "https://b").is_some());
        origins.close("https://a", NOW);
        assert!(place(&origins, "https://a").is_some());
        assert!(origins.running().closed_until.is_empty());
    }
}
