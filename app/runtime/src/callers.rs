//! A bounded table of the callers that a limit counts.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::time::Duration;

/// The most callers that one limit tracks. A full table takes about 2 MB.
pub(crate) const MAX_TRACKED: usize = 16_384;

/// What is known of each caller. In a full table a new caller replaces the one that was seen longest ago, which starts anew.
///
/// A caller is a keyed hash of its name, so an entry has a constant size. The key is random, so that no caller can choose a
/// name that counts for another one.
pub(crate) struct Callers<T> {
    hasher: RandomState,
    by_hash: HashMap<u64, Caller<T>>,
    /// The hash of each caller by its turn, the one seen longest ago first.
    by_turn: BTreeMap<u64, u64>,
    next_turn: u64,
    keep: Duration,
}

struct Caller<T> {
    state: T,
    seen: Duration,
    turn: u64,
}

impl<T: Default> Callers<T> {
    /// No callers. One that was not seen for `keep` is forgotten.
    pub(crate) fn new(keep: Duration) -> Self {
        Self { hasher: RandomState::new(), by_hash: HashMap::new(), by_turn: BTreeMap::new(), next_turn: 0, keep }
    }

    /// What is known of a caller that is seen now.
    pub(crate) fn seen(&mut self, who: &str, now: Duration) -> &mut T {
        let hash = self.hasher.hash_one(who);
        // Old callers leave two at a time: faster than new ones arrive, and without a look at all of them.
        for _ in 0..2 {
            if self.oldest().is_some_and(|oldest| now.saturating_sub(oldest.seen) >= self.keep) {
                self.remove_oldest();
            }
        }
        if self.by_hash.len() >= MAX_TRACKED && !self.by_hash.contains_key(&hash) {
            self.remove_oldest();
        }
        let turn = self.next_turn;
        self.next_turn += 1;
        let caller = self.by_hash.entry(hash).or_insert_with(|| Caller { state: T::default(), seen: now, turn });
        if now.saturating_sub(caller.seen) >= self.keep {
            caller.state = T::default();
        }
        self.by_turn.remove(&caller.turn);
        self.by_turn.insert(turn, hash);
        (caller.seen, caller.turn) = (now, turn);
        &mut caller.state
    }

    fn oldest(&self) -> Option<&Caller<T>> {
        self.by_turn.first_key_value().and_then(|(_, hash)| self.by_hash.get(hash))
    }

    fn remove_oldest(&mut self) {
        if let Some((_, hash)) = self.by_turn.pop_first() {
            self.by_hash.remove(&hash);
        }
    }

    /// What is known of a caller, if it is tracked.
    pub(crate) fn find(&mut self, who: &str) -> Option<&mut T> {
        self.by_hash.get_mut(&self.hasher.hash_one(who)).map(|caller| &mut caller.state)
    }

    /// The number of tracked callers.
    pub(crate) fn len(&self) -> usize {
        self.by_hash.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_full_table_replaces_the_caller_that_was_seen_longest_ago() {
        let mut callers = Callers::<u32>::new(SECOND * 600);
        for caller in 0..MAX_TRACKED {
            *callers.seen(&caller.to_string(), SECOND) += 1;
        }
        *callers.seen("0", SECOND) += 1;
        *callers.seen("new", SECOND) += 1;
        assert_eq!(callers.len(), MAX_TRACKED);
        let counts = ["0", "1", "2", "new"].map(|who| callers.find(who).copied());
        assert_eq!(counts, [Some(2), None, Some(1), Some(1)]);
        for caller in 0..3 * MAX_TRACKED {
            callers.seen(&format!("junk-{caller}"), SECOND);
            callers.seen("0", SECOND);
        }
        assert_eq!((callers.len(), callers.by_turn.len()), (MAX_TRACKED, MAX_TRACKED));
        assert_eq!(callers.find("0").copied(), Some(2));
    }

    #[test]
    fn callers_that_were_not_seen_for_the_span_leave_two_at_a_time() {
        let mut callers = Callers::<u32>::new(SECOND * 10);
        for caller in 0..100 {
            *callers.seen(&caller.to_string(), Duration::ZERO) += 1;
        }
        assert_eq!(*callers.seen("99", SECOND * 9), 1);
        for (round, left) in [(1, 99), (2, 98), (3, 97)] {
            callers.seen(&format!("new-{round}"), SECOND * 10);
            assert_eq!(callers.len(), left);
        }
        assert_eq!(*callers.seen("99", SECOND * 18), 1);
        assert_eq!(*callers.seen("99", SECOND * 28), 0, "its own state is not older than the span");
    }
}
