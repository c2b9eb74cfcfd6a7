//! Randomness.

use grantry_domain::ports::{RandomUnavailable, SecureRandom};

/// The generator of the operating system, asked each time: nothing is buffered in this process, so a forked or restored copy
/// of it cannot repeat a value (R74).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl SecureRandom for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomUnavailable> {
        getrandom::fill(buffer).map_err(|_| RandomUnavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r74_every_request_is_answered_afresh_and_in_full() {
        let mut draws = [[0_u8; 32]; 64];
        for draw in &mut draws {
            SystemRandom.fill(draw).unwrap();
        }
        for (index, draw) in draws.iter().enumerate() {
            assert!(!draws[..index].contains(draw), "drawn twice");
        }
        // A position that stayed zero in all 64 draws was not filled (2⁻⁵¹² otherwise).
        for position in 0..32 {
            assert!(draws.iter().any(|draw| draw[position] != 0), "byte {position}");
        }
    }
}
