//! A model of the refresh protocol for a search of all its states ([`stateright`]), and of the callback before it.
//!
//! The model contains one grant at one provider that rotates refresh tokens, the row of the grant in the database that all nodes
//! share, and the nodes. Each action is one transaction, one request or response, or one fault. Nodes crash at any point, requests
//! are processed late, responses are lost, a commit can have an unknown outcome, and the user disconnects or an editor changes the
//! connector at any time. Time is not counted: a deadline is a condition on what can still happen. A lease ends only after
//! its owner has stopped waiting and its request has been processed or lost, because it lasts for the request deadline
//! and the quarantine.
//!
//! The tests search all states within bounds and expect no counterexample. Each variant in [`variants`] lacks one part of the
//! protocol, and a test expects a counterexample, so that the model is known to find faults.
//!
//! # Actions and code
//!
//! Paths are relative to `domain/src/`; `postgres/` is `adapters-store/postgres/src/`.
//!
//! | action | code |
//! |---|---|
//! | [`ExpireAccessToken`](Action::ExpireAccessToken) | `usecase/token_lifetime.rs` `is_issuable` |
//! | [`TakeLease`](Action::TakeLease) | `usecase/refresh/mod.rs` `attempt`, `ports/refresh_leases.rs` `take_lease`, `postgres/leases.rs` `take` |
//! | [`Send`](Action::Send) | `usecase/refresh/mod.rs` `attempt`: what is left of `request_deadline` |
//! | [`Fail`](Action::Fail), [`TimeOut`](Action::TimeOut) | `usecase/refresh/mod.rs` `postpone`, `postgres/leases.rs` `fail` |
//! | [`Receive`](Action::Receive) | `usecase/requests.rs` `with_deadline` |
//! | [`Commit`](Action::Commit), [`CommitUnacknowledged`](Action::CommitUnacknowledged) | `usecase/refresh/commit.rs` `try_commit`, `postgres/authorizations/mod.rs` `replace` |
//! | [`EndGrant`](Action::EndGrant) | `usecase/refresh/mod.rs` `end`, with `Input::RefreshRejected` |
//! | [`Issue`](Action::Issue) | `usecase/access_token.rs` `find` |
//! | [`EndLease`](Action::EndLease) | `usecase/policy.rs` `lease_length`, and the pause in `postpone` |
//! | [`EndLeaseEarly`](Action::EndLeaseEarly) | `usecase/settled_clock.rs` makes it rare |
//! | [`Disconnect`](Action::Disconnect) | `usecase/disconnect.rs` `disconnect`, `postgres/authorizations/terminate.rs`. The wait before it is bounded, so it is left out |
//! | [`Edit`](Action::Edit) | `usecase/connectors.rs`, `postgres/connectors.rs` `terminate_for_edit` |
//! | [`RefreshToRevoke`](Action::RefreshToRevoke), [`RefreshToRevokeLate`](Action::RefreshToRevokeLate), [`RefreshToRevokeRefused`](Action::RefreshToRevokeRefused) | `usecase/revocation.rs` `refresh_once`, `postgres/revocations.rs` `apply` |
//! | [`Revoke`](Action::Revoke), [`RevokeUnclaimed`](Action::RevokeUnclaimed) | `usecase/revocation.rs` `revoke` and `retry` |
//! | [`Process`](Action::Process), [`Refuse`](Action::Refuse) | the provider ([`provider`]); `ports/provider_error.rs` `outcome_is_known` |
//! | [`Crash`](Action::Crash), [`ProcessLate`](Action::ProcessLate), [`DropLate`](Action::DropLate) | faults |
//! | [`ClearDoubt`](Action::ClearDoubt) | a broken variant |
//! | [`callback::Action`] | `usecase/start.rs`, `usecase/callback.rs`, `postgres/authorizations/flows.rs` and `grants.rs` |
//!
//! # Properties and code
//!
//! | property | code that it depends on |
//! |---|---|
//! | [`NO_UNRECORDED_REUSE`](properties::NO_UNRECORDED_REUSE) | lease, in-doubt mark and its event in `take_lease`, quarantine, request deadline |
//! | [`ONE_REQUEST`](properties::ONE_REQUEST) | the same, and the holder in `fail_attempt` |
//! | [`NOTHING_USABLE`](properties::NOTHING_USABLE) | `in_doubt` of `PendingRevocation` (`authorization/transition.rs` `end`), `refreshes_first`, `queue_unclaimed` |
//! | [`STAYS_ENDED`](properties::STAYS_ENDED), [`STORED_IS_NEWEST`](properties::STORED_IS_NEWEST) | the expected version in `replace` |
//! | [`HEALTHY_NOT_REJECTED`](properties::HEALTHY_NOT_REJECTED) | the expected version in `end` |
//! | [`NOT_ISSUED`](properties::NOT_ISSUED) | waiters read the committed grant (`RefreshOutcome` has no token); the end of all grants in the transaction of an edit; the compared epoch |
//!
//! # What the model leaves out
//!
//! Several workers that claim revocations, revocations that are abandoned after a day, refusals that end a grant because they
//! last, the expiry of refresh tokens, forced refreshes, a new grant after the end of this one, and the step of a clock except for
//! its effect on a lease. A request is assumed to be sent within its deadline: a process that is suspended between the check of the
//! deadline and the request can still cause a reuse.
//!
//! # Where the code differs
//!
//! A revocation in doubt refreshes first. If the provider refuses that request, `refresh_once` returns `Refreshed::Refused` not only for
//! `invalid_grant`, but also for refusals that give no information about the token, such as `invalid_client`. The stored
//! token is revoked then, and the revocation completes. If an earlier attempt had rotated the token and its response was lost, the
//! newest token stays valid at the provider. The model keeps the doubt and tries again; the code is the variant
//! [`RefusalEndsDoubt`](Broken::RefusalEndsDoubt).
//!
//! # Limits of the protocol
//!
//! [`LOSS_IS_HIDDEN`](properties::LOSS_IS_HIDDEN) is reachable. A node receives tokens and is suspended before it stores them. Its
//! lease ends, another node records the doubt and sends the same refresh token, and the provider revokes the family. Then the first node
//! stores its tokens, which clears the doubt. The grant looks healthy until its next refresh is rejected.

pub mod callback;
pub mod properties;
pub mod provider;
pub mod search;
pub mod state;
pub mod variants;

mod actions;

use stateright::{Model, Property};

pub use crate::actions::{Action, Delivery};
use crate::provider::{Generation, Reuse};
use crate::state::State;
use crate::variants::Broken;

/// The refresh protocol within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    /// How many nodes there are.
    pub nodes: usize,
    /// The access token of this generation does not expire any more. Small: the search ends here.
    pub last_generation: Generation,
    /// What the provider does when a refresh token is used twice.
    pub reuse: Reuse,
    /// Whether a lease can end while its owner still waits.
    pub leases_end_early: bool,
    /// The parts that are left out.
    pub without: &'static [Broken],
}

impl Protocol {
    /// The protocol as it is implemented.
    pub const fn new(nodes: usize, last_generation: Generation, reuse: Reuse) -> Self {
        Self { nodes, last_generation, reuse, leases_end_early: false, without: &[] }
    }

    /// Leaves out parts.
    #[must_use]
    pub const fn without(self, without: &'static [Broken]) -> Self {
        Self { without, ..self }
    }

    /// Lets leases end too early.
    #[must_use]
    pub const fn with_early_ends(self) -> Self {
        Self { leases_end_early: true, ..self }
    }

    /// How many late requests there are at most: one of each node and one of the revocation worker. The search of variants that
    /// have more ends there.
    pub const fn most_late(&self) -> usize {
        self.nodes + 1
    }

    pub(crate) fn lacks(&self, part: Broken) -> bool {
        self.without.contains(&part)
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::initial(self.nodes)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions::possible(self, state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        Some(actions::next(self, state, action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.late.len() <= self.most_late()
    }
}
