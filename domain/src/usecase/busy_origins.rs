//! Which origins and users requests are running for, and which origins do not respond.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::authorization::AuthorizationKey;
use crate::identity::UserId;
use crate::ports::LeftOut;
use crate::provider::BindingDigest;

/// For how many settings it is known which origin they lead to.
const MAX_DIGESTS: usize = 1024;
/// How many origins are closed at the same time.
const MAX_CLOSED: usize = 256;

/// How much work may run at the same time.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// In total.
    pub(crate) in_total: usize,
    /// At each origin.
    pub(crate) per_origin: usize,
    /// For each user.
    pub(crate) per_user: usize,
}

/// Counts running work by origin and by user, within limits. Instants are those of the monotonic clock.
pub(crate) struct BusyOrigins {
    limits: Limits,
    state: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    total: usize,
    origins: HashMap<String, Origin>,
    per_user: HashMap<UserId, usize>,
}

/// An origin at which work is running, or which is closed.
#[derive(Default)]
struct Origin {
    running: usize,
    closed_until: Option<Duration>,
    /// The settings whose work leads here.
    digests: BTreeSet<BindingDigest>,
}

/// Why work may not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is left out by [`BusyOrigins::left_out`] until there is a place.
    LeftOut,
    /// It cannot be left out, because too much is left out already.
    Crowded,
}

impl Origin {
    fn is_closed(&self, now: Duration) -> bool {
        self.closed_until.is_some_and(|until| now < until)
    }

    fn has_place(&self, limits: Limits, now: Duration) -> bool {
        self.running < limits.per_origin && !self.is_closed(now)
    }
}

impl BusyOrigins {
    /// No work.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// A place that counts in total. `None` if there is none.
    pub(crate) fn reserve(&self) -> Option<Place<'_>> {
        let mut running = self.running();
        if running.total >= self.limits.in_total {
            return None;
        }
        running.total += 1;
        Some(Place { origins: self, at: None })
    }

    /// The work for which there is no place now.
    pub(crate) fn left_out(&self, now: Duration) -> LeftOut {
        let mut running = self.running();
        running.origins.retain(|_, origin| origin.running > 0 || origin.is_closed(now));
        let full = running.origins.values().filter(|origin| !origin.has_place(self.limits, now));
        let users = running.per_user.iter().filter(|(_, count)| **count >= self.limits.per_user);
        LeftOut {
            digests: full.flat_map(|origin| &origin.digests).copied().collect(),
            users: users.map(|(user, _)| user.clone()).collect(),
        }
    }

    /// Lets no work start at an origin until then.
    pub(crate) fn close(&self, origin: &str, until: Duration) {
        let mut running = self.running();
        let closed = running.origins.values().filter(|origin| origin.closed_until.is_some()).count();
        if closed < MAX_CLOSED {
            running.origins.entry(origin.to_owned()).or_default().closed_until = Some(until);
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place for work, free again when it is dropped.
pub(crate) struct Place<'a> {
    origins: &'a BusyOrigins,
    at: Option<(String, UserId)>,
}

impl Place<'_> {
    /// Counts the work at an origin and for its user too.
    pub(crate) fn occupy(mut self, origin: &str, owner: &AuthorizationKey, now: Duration) -> Result<Self, Refused> {
        {
            let (limits, mut guard) = (self.origins.limits, self.origins.running());
            let running = &mut *guard;
            let listed: usize = running.origins.values().map(|origin| origin.digests.len()).sum();
            let at = running.origins.entry(origin.to_owned()).or_default();
            if listed < MAX_DIGESTS {
                at.digests.insert(owner.digest);
            }
            if !at.has_place(limits, now) {
                return Err(if at.digests.contains(&owner.digest) { Refused::LeftOut } else { Refused::Crowded });
            }
            let of_user = running.per_user.entry(owner.user.clone()).or_default();
            if *of_user >= limits.per_user {
                return Err(Refused::LeftOut);
            }
            *of_user += 1;
            at.running += 1;
        }
        self.at = Some((origin.to_owned(), owner.user.clone()));
        Ok(self)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut running = self.origins.running();
        running.total -= 1;
        let Some((origin, user)) = self.at.take() else { return };
        if let Some(origin) = running.origins.get_mut(&origin) {
            origin.running -= 1;
        }
        if let Entry::Occupied(mut count) = running.per_user.entry(user) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::{ConnectorId, Epoch, Incarnation};
    use crate::identity::{ConnectionName, SpaceId};

    const NOW: Duration = Duration::from_secs(1000);
    const LIMITS: Limits = Limits { in_total: 3, per_origin: 2, per_user: 1 };

    fn owner(user: &str, digest: u8) -> AuthorizationKey {
        AuthorizationKey {
            space: SpaceId::new("s").unwrap(),
            connector: ConnectorId::new("c").unwrap(),
            incarnation: Incarnation([1; 16]),
            epoch: Epoch(1),
            digest: BindingDigest([digest; 32]),
            user: UserId::new(user).unwrap(),
            connection: ConnectionName::default(),
        }
    }

    fn place<'a>(origins: &'a BusyOrigins, origin: &str, user: &str) -> Result<Place<'a>, Refused> {
        origins.reserve().unwrap().occupy(origin, &owner(user, 1), NOW)
    }

    #[test]
    fn places_are_limited_in_total_and_per_origin_and_free_again_when_dropped() {
        let origins = BusyOrigins::new(LIMITS);
        let first = place(&origins, "https://a", "u1").unwrap();
        let second = place(&origins, "https://a", "u2").unwrap();
        assert_eq!(place(&origins, "https://a", "u3").err(), Some(Refused::LeftOut));
        assert_eq!(origins.left_out(NOW).digests, BTreeSet::from([BindingDigest([1; 32])]));
        let third = place(&origins, "https://b", "u3").unwrap();
        assert!(origins.reserve().is_none());
        drop(first);
        assert!(origins.left_out(NOW).digests.is_empty());
        assert!(place(&origins, "https://a", "u4").is_ok());
        drop((second, third));
        assert!(origins.left_out(NOW) == LeftOut::default() && origins.running().origins.is_empty());
        assert!(origins.running().per_user.is_empty() && origins.running().total == 0);
    }

    #[test]
    fn a_user_has_one_place() {
        let origins = BusyOrigins::new(LIMITS);
        let first = place(&origins, "https://a", "u1").unwrap();
        assert_eq!(place(&origins, "https://b", "u1").err(), Some(Refused::LeftOut));
        assert_eq!(origins.left_out(NOW).users, BTreeSet::from([UserId::new("u1").unwrap()]));
        assert!(place(&origins, "https://b", "u2").is_ok());
        drop(first);
        assert!(place(&origins, "https://b", "u1").is_ok());
    }

    #[test]
    fn a_closed_origin_opens_at_its_time() {
        let origins = BusyOrigins::new(LIMITS);
        origins.close("https://a", NOW + Duration::from_millis(1));
        assert_eq!(place(&origins, "https://a", "u1").err(), Some(Refused::LeftOut));
        assert!(place(&origins, "https://b", "u1").is_ok());
        origins.close("https://a", NOW);
        assert!(place(&origins, "https://a", "u1").is_ok());
        assert_eq!(origins.left_out(NOW), LeftOut::default());
    }

    #[test]
    fn the_settings_that_are_left_out_are_limited() {
        let origins = BusyOrigins::new(LIMITS);
        origins.close("https://a", NOW * 2);
        let refused = |number: usize| {
            let mut owner = owner("u", 0);
            owner.digest.0[..8].copy_from_slice(&number.to_be_bytes());
            origins.reserve().unwrap().occupy("https://a", &owner, NOW).err()
        };
        assert!((0..MAX_DIGESTS).all(|number| refused(number) == Some(Refused::LeftOut)));
        assert_eq!(refused(MAX_DIGESTS), Some(Refused::Crowded));
        assert_eq!(refused(0), Some(Refused::LeftOut));
    }
}
