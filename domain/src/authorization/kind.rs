//! The kinds of states.

use crate::named::named;

named!(
    /// The kind of a state.
    StateKind {
        /// See [`State::Initiated`].
        Initiated = "initiated",
        /// See [`State::AwaitingCallback`].
        AwaitingCallback = "awaiting_callback",
        /// See [`State::Authorized`].
        Authorized = "authorized",
        /// See [`State::Expired`].
        Expired = "expired",
        /// See [`State::Revoked`].
        Revoked = "revoked",
    }
);
