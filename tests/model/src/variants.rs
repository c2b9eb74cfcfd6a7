//! Broken variants: the protocol without one of its parts. `tests/broken.rs` and `tests/callback.rs` name the property that each one
//! breaks. A lease alone, versions alone, and a lease with versions are combinations of them.

/// The part that a variant of the refresh protocol lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Broken {
    /// Nodes take no lease. A doubt is only recorded when a request has no response.
    NoLease,
    /// Taking the lease does not mark the grant in doubt.
    NoDoubtMark,
    /// A lease ends when its owner stops waiting, not when a late request can no longer arrive.
    NoQuarantine,
    /// A node that was suspended sends its request after its lease has ended.
    NoRequestDeadline,
    /// Lease and doubt are cleared when the response arrives, before the tokens are stored.
    DoubtClearedBeforeCommit,
    /// An attempt that sent nothing clears the doubt of an earlier attempt.
    FailureClearsEarlierDoubt,
    /// A failed attempt changes the lease of another attempt.
    FailureIgnoresHolder,
    /// The commit of tokens does not expect the version that was read.
    CommitIgnoresVersion,
    /// A rejection ends the grant without a comparison of versions.
    EndIgnoresVersion,
    /// The tokens in a response are issued before they are stored.
    IssuedBeforeCommit,
    /// An edit only increments the epoch, and no use of the grant compares it.
    EpochIgnored,
    /// A disconnect neither waits for a running attempt nor copies its doubt into the pending revocation. The wait alone is no
    /// protection, because it is bounded.
    DisconnectDropsDoubt,
    /// A revocation in doubt does not refresh first.
    NoRefreshBeforeRevocation,
    /// A revocation in doubt goes on with the stored token after any refusal of its refresh, and not only after `invalid_grant`.
    RefusalEndsDoubt,
    /// A revocation completes without a response.
    RevocationNotRepeated,
    /// Tokens that arrive after the end of the grant are dropped.
    UnclaimedTokensDropped,
}

/// The part that a variant of the callback lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BrokenCallback {
    /// A callback is processed although its flow was consumed before.
    NotSingleUse,
    /// The epoch is compared neither when a flow is inserted nor when its grant is committed.
    EpochIgnored,
    /// The commit of a grant does not require that its flow has not ended.
    CommitIgnoresFlow,
    /// Tokens that arrive after the end of the flow are dropped.
    UnclaimedTokensDropped,
    /// Unclaimed tokens are revoked without a look at the grants.
    RevocationIgnoresLiveGrant,
}
