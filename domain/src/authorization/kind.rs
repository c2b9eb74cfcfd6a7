//! The kinds of states.

use crate::named::named;

named!(
    /// The kind of a state.
    StateKind {
        /// See [`State::Initiated`](crate::authorization::State::Initiated).
        Initiated = "initiated",
        /// See [`State::AwaitingCallback`](crate::authorization::State::AwaitingCallback).
        AwaitingCallback = "awaiting_callback",
        /// See [`State::Authorized`](crate::authorization::State::Authorized).
        Authorized = "authorized",
        /// See [`State::Expired`](crate::authorization::State::Expired).
        Expired = "expired",
        /// See [`State::Revoked`](crate::authorization::State::Revoked).
        Revoked = "revoked",
    }
);
