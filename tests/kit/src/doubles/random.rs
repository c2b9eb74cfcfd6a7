//! The same pseudo-random bytes in every run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use grantry_domain::ports::{RandomUnavailable, SecureRandom};

/// A deterministic stream of bytes. Eight or more bytes drawn at once never repeat: each block is a bijection of a counter.
#[derive(Debug, Default)]
pub struct SeededRandom {
    counter: AtomicU64,
    failing: AtomicBool,
}

impl SeededRandom {
    /// A different stream for every seed.
    pub fn new(seed: u32) -> Self {
        Self { counter: AtomicU64::new(u64::from(seed) << 32), failing: AtomicBool::new(false) }
    }

    /// Whether further calls fail.
    pub fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }
}

impl SecureRandom for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomUnavailable> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(RandomUnavailable);
        }
        for chunk in buffer.chunks_mut(8) {
            let block = mix(self.counter.fetch_add(1, Ordering::SeqCst)).to_be_bytes();
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

/// The finaliser of `SplitMix64`, a bijection: different counters give different blocks.
fn mix(counter: u64) -> u64 {
    let mut word = counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn blocks_never_repeat_and_seeds_differ() {
        let mut seen = HashSet::new();
        for source in [SeededRandom::default(), SeededRandom::new(1)] {
            for _ in 0..1000 {
                let mut block = [0; 16];
                source.fill(&mut block).unwrap();
                assert!(seen.insert(block));
            }
        }
        let failing = SeededRandom::default();
        failing.set_failing(true);
        assert!(failing.fill(&mut [0; 4]).is_err());
    }
}
