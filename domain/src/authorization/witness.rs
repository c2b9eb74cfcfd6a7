//! Values that prove a step was taken. Only the code of that step constructs them.

use crate::authorization::state::StateHash;

/// Proof that a callback was consumed by the user and browser of its flow, on the path and from the issuer of its flow, and
/// that the connector is unchanged since consent. Only the callback use case makes one.
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
