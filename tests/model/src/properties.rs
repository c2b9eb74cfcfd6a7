//! What the refresh protocol guarantees, by name.

use stateright::Property;

use crate::Protocol;
use crate::provider::Reuse;
use crate::state::{Phase, RowState, State};

/// The provider does not revoke a live grant because of a reuse that the protocol caused, unless a doubt is recorded.
pub const NO_UNRECORDED_REUSE: &str = "a live grant is not lost by a reuse without a recorded doubt";
/// One refresh token is sent once, unless a doubt is recorded.
pub const ONE_REQUEST: &str = "one refresh request is sent per expiry without a recorded doubt";
/// After the end of a grant, all its tokens are invalid, or a revocation is pending.
pub const NOTHING_USABLE: &str = "an ended grant leaves nothing usable without a pending revocation";
/// A grant that has ended is not authorized again.
pub const STAYS_ENDED: &str = "an ended grant stays ended";
/// Without a doubt, the stored token is the newest one.
pub const STORED_IS_NEWEST: &str = "the stored token is the newest one unless the grant is in doubt";
/// A grant whose stored token is valid is not ended as rejected.
pub const HEALTHY_NOT_REJECTED: &str = "a grant with a valid stored token is not ended as rejected";
/// After a disconnect or an edit, no node issues a token.
pub const NOT_ISSUED: &str = "no token is issued after a disconnect or an edit";

/// The guarantees.
pub const GUARANTEES: [&str; 7] =
    [NO_UNRECORDED_REUSE, ONE_REQUEST, NOTHING_USABLE, STAYS_ENDED, STORED_IS_NEWEST, HEALTHY_NOT_REJECTED, NOT_ISSUED];

/// Every token that the bounds allow has been stored.
pub const REFRESHED: &str = "an expired grant is refreshed until the last generation";
/// A disconnect whose revocation is done.
pub const DISCONNECTED: &str = "a disconnect completes at the provider";
/// An edit whose revocation is done.
pub const EDITED: &str = "an edit completes at the provider";
/// An attempt that begins in doubt.
pub const RETRIED: &str = "an attempt in doubt follows one with an unknown outcome";
/// Unclaimed tokens wait for their revocation.
pub const UNCLAIMED: &str = "tokens that arrive too late are queued for revocation";

/// A limit of the protocol: tokens that are stored late clear the doubt under which another node lost the grant.
pub const LOSS_IS_HIDDEN: &str = "a grant that was lost in a recorded doubt looks healthy until its next refresh";

pub(crate) fn all(protocol: &Protocol) -> Vec<Property<Protocol>> {
    let mut properties = vec![
        Property::always(NOTHING_USABLE, |_, state: &State| {
            state.is_authorized()
                || !state.family.is_live
                || state.is_revocation_pending()
                // The node queues them as unclaimed tokens.
                || state.is_newest_in_memory()
                || state.history.tokens_lost
        }),
        Property::always(STAYS_ENDED, |_, state: &State| !(state.is_authorized() && state.history.has_ended)),
        Property::always(STORED_IS_NEWEST, |_, state: &State| {
            let row = &state.row;
            !state.is_authorized() || row.in_doubt || row.is_leased || row.generation == state.family.newest
        }),
        Property::always(HEALTHY_NOT_REJECTED, |_, state: &State| {
            let is_valid = state.family.is_live && state.row.generation == state.family.newest;
            !(state.row.state == RowState::Rejected && is_valid)
        }),
        Property::always(NOT_ISSUED, |_, state: &State| !state.history.issued_after_end),
        Property::sometimes(REFRESHED, |protocol: &Protocol, state: &State| {
            state.is_authorized() && state.row.generation == protocol.last_generation && !state.row.is_expired
        }),
        Property::sometimes(DISCONNECTED, |_, state: &State| is_completed(state, RowState::Disconnected)),
        Property::sometimes(EDITED, |_, state: &State| is_completed(state, RowState::ConnectorChanged)),
        Property::sometimes(RETRIED, |_, state: &State| {
            let is_retry = |phase| matches!(phase, Phase::Leased(attempt) if attempt.was_in_doubt);
            state.nodes.iter().any(|node| is_retry(node.phase))
        }),
        Property::sometimes(UNCLAIMED, |_, state: &State| !state.row.unclaimed.is_empty()),
    ];
    if protocol.reuse == Reuse::RevokesFamily {
        properties.push(Property::sometimes(LOSS_IS_HIDDEN, |_, state: &State| {
            let looks_healthy = !state.row.in_doubt && !state.row.is_leased && !state.row.is_expired;
            state.is_authorized() && looks_healthy && !state.family.is_live
        }));
    }
    // A request that is sent under a lease of a wrong clock can be a reuse. The versions still protect the row.
    if !protocol.leases_end_early {
        properties.extend([
            Property::always(NO_UNRECORDED_REUSE, |_, state: &State| !state.history.lost_by_reuse),
            Property::always(ONE_REQUEST, |_, state: &State| !state.history.sent_twice),
        ]);
    }
    properties
}

fn is_completed(state: &State, ended: RowState) -> bool {
    state.row.state == ended && !state.is_revocation_pending() && !state.family.is_live
}
