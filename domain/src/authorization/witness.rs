//! Proofs that a step was not skipped. They can be made only where the step is taken.

use crate::authorization::state::StateHash;

/// Proof that a callback was consumed by its own user and browser, on its own path, from its own issuer, and that the
/// connector is still the one consented to (R08, R10, R20, R25). Only the callback use case makes one.
#[derive(Debug)]
pub struct VerifiedCallback {
    state_hash: StateHash,
}

impl VerifiedCallback {
    pub(crate) fn new(state_hash: StateHash) -> Self {
        Self { state_hash }
    }

    pub(super) fn is_for(&self, state_hash: StateHash) -> bool {
        self.state_hash == state_hash
    }
}
