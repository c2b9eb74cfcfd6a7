//! Compare-and-swap on authorizations: a write expects the version that was read.

use crate::authorization::{Authorization, Revision, State, StateKind};

/// What a stored authorization must still be for a write to apply: its state and its token revision.
///
/// Leases, in-doubt marks and the day of last use are written beside it and do not change the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedVersion {
    /// The kind of its state.
    pub state: StateKind,
    /// Its token revision; [`Revision::NONE`] while it has no tokens.
    pub revision: Revision,
}

impl ExpectedVersion {
    /// The version of an authorization as it is stored.
    pub fn of(stored: &Authorization) -> Self {
        let revision = match stored.state() {
            State::Authorized(grant) => grant.tokens().revision,
            State::Expired(ended) => ended.termination().revision(),
            State::Revoked(ended) => ended.termination().revision(),
            State::Initiated(_) | State::AwaitingCallback(_) => Revision::NONE,
        };
        Self { state: stored.state().kind(), revision }
    }
}

/// An authorization as it was read, with the version a later write has to expect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// What was read.
    pub value: T,
    /// Its version in the store.
    pub version: ExpectedVersion,
}

impl Versioned<Authorization> {
    /// An authorization exactly as it is stored.
    pub fn stored(value: Authorization) -> Self {
        let version = ExpectedVersion::of(&value);
        Self { value, version }
    }
}

/// The result of a write that expects a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteOutcome {
    /// Written.
    Written,
    /// A concurrent writer won; this is the stored authorization. Nothing was written.
    Stale(Box<Versioned<Authorization>>),
    /// There is no such authorization. Nothing was written.
    NotFound,
}
