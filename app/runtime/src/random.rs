//! Secure randomness.

use grantry_domain::ports::{RandomUnavailable, SecureRandom};

/// The generator of the operating system. Nothing is buffered in the process, so a forked or restored copy of the process
/// cannot repeat a value.
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
    fn r74_every_buffer_is_filled_completely_with_new_bytes() {
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
