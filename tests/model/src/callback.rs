//! The callback: a flow is consumed once, its code is exchanged once, and its grant is committed only if neither the flow has
//! ended nor the connector has changed.

use stateright::{Model, Property};

use crate::variants::BrokenCallback;

/// The code is sent to the provider once.
pub const ONE_EXCHANGE: &str = "an authorization code is exchanged once";
/// A grant belongs to the present epoch of its connector.
pub const PRESENT_EPOCH: &str = "a grant belongs to the present epoch";
/// A flow that has ended does not become a grant.
pub const STAYS_ENDED: &str = "an ended flow does not become a grant";
/// After the end of a flow, its tokens are invalid, or a revocation is pending.
pub const NOTHING_USABLE: &str = "an ended flow leaves nothing usable without a pending revocation";
/// A committed grant has valid tokens.
pub const GRANT_IS_LIVE: &str = "a grant has valid tokens";
/// A flow becomes a grant.
pub const CONNECTED: &str = "a flow becomes a grant";
/// Tokens of an ended flow are revoked.
pub const REVOKED: &str = "the tokens of an ended flow are revoked";

/// The guarantees.
pub const GUARANTEES: [&str; 5] = [ONE_EXCHANGE, PRESENT_EPOCH, STAYS_ENDED, NOTHING_USABLE, GRANT_IS_LIVE];

/// The callback within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Callback {
    /// How many nodes receive the callback of the one flow.
    pub nodes: usize,
    /// The part that is left out.
    pub without: Option<BrokenCallback>,
}

/// The flow in the database. It belongs to epoch 0 of the connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flow {
    /// Not inserted. The start has read the connector.
    Starting,
    /// The callback has not arrived.
    Awaiting,
    /// A callback consumed it.
    Consumed,
    /// It became a grant.
    Granted,
    /// It has ended, or its grant has.
    Ended,
}

/// What a node does with the callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The callback can arrive.
    Idle,
    /// It consumed the flow.
    Consumed,
    /// The provider has not processed its request.
    Requested,
    /// The response is under way: tokens, or a rejection.
    Answered(bool),
    /// It has tokens in memory. `true` if the outcome of a commit is unknown.
    Received(bool),
    /// It has finished.
    Done,
}

/// A state of the callback.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact")]
pub struct State {
    /// The flow.
    pub flow: Flow,
    /// The epoch of the connector. One edit is enough.
    pub epoch: u8,
    /// The nodes, sorted.
    pub nodes: Vec<Phase>,
    /// How often the code was exchanged.
    pub exchanges: u8,
    /// Whether the tokens are valid at the provider.
    pub is_live: bool,
    /// Whether the revocation of the former grant is pending.
    pub is_revoking: bool,
    /// Whether unclaimed tokens are queued.
    pub is_unclaimed: bool,
    /// Whether the flow ended before it became a grant.
    pub ended_before: bool,
    /// Whether the tokens were lost with a response or a process: no code can prevent this.
    pub is_lost: bool,
}

/// A step of the callback. A number is the position of a node in the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The flow is inserted.
    Insert,
    /// The callback arrives at a node, which consumes the flow.
    Consume(usize),
    /// It sends the code.
    Exchange(usize),
    /// The provider processes the request.
    Process(usize),
    /// The node receives the response.
    Receive(usize),
    /// The node commits the grant.
    Commit(usize),
    /// The same, and the outcome stays unknown to it.
    CommitUnacknowledged(usize),
    /// After commits that failed, the node queues the tokens as unclaimed.
    GiveUp(usize),
    /// The node crashes. A request under way is processed.
    Crash(usize),
    /// The user cancels the flow or disconnects.
    Disconnect,
    /// An edit of the connector.
    Edit,
    /// The revocation worker processes the former grant.
    Revoke,
    /// The revocation worker processes unclaimed tokens.
    RevokeUnclaimed,
}

impl Callback {
    /// The callback as it is implemented.
    pub const fn new(nodes: usize) -> Self {
        Self { nodes, without: None }
    }

    /// Leaves out one part.
    #[must_use]
    pub const fn without(self, part: BrokenCallback) -> Self {
        Self { without: Some(part), ..self }
    }

    fn lacks(&self, part: BrokenCallback) -> bool {
        self.without == Some(part)
    }

    fn insert(&self, state: &mut State) {
        state.flow = if self.is_current(state) { Flow::Awaiting } else { Flow::Ended };
    }

    fn consume(&self, state: &mut State, index: usize) {
        state.nodes[index] = match state.flow {
            Flow::Awaiting => {
                state.flow = Flow::Consumed;
                Phase::Consumed
            }
            Flow::Consumed if self.lacks(BrokenCallback::NotSingleUse) => Phase::Consumed,
            Flow::Starting | Flow::Consumed | Flow::Granted | Flow::Ended => Phase::Done,
        };
    }

    fn commit(&self, state: &mut State, index: usize, is_acknowledged: bool) {
        let is_unknown = state.nodes[index] == Phase::Received(true);
        state.nodes[index] = Phase::Done;
        let is_running = state.flow == Flow::Consumed || self.lacks(BrokenCallback::CommitIgnoresFlow);
        if is_running && self.is_current(state) {
            state.flow = Flow::Granted;
            if !is_acknowledged {
                state.nodes[index] = Phase::Received(true);
            }
        } else if !(is_unknown && state.flow == Flow::Granted) {
            self.queue_unclaimed(state);
        }
    }

    /// Whether the connector is the one that the flow was made for.
    fn is_current(&self, state: &State) -> bool {
        state.epoch == 0 || self.lacks(BrokenCallback::EpochIgnored)
    }

    fn queue_unclaimed(&self, state: &mut State) {
        state.is_unclaimed |= !self.lacks(BrokenCallback::UnclaimedTokensDropped);
    }

    fn revoke_unclaimed(&self, state: &mut State) {
        // The tokens of a live grant are not revoked: its commit may have had an unknown outcome.
        let is_needed = state.flow == Flow::Granted && !self.lacks(BrokenCallback::RevocationIgnoresLiveGrant);
        state.is_live &= is_needed;
        state.is_unclaimed = false;
    }
}

fn process(state: &mut State, index: usize) {
    state.exchanges += 1;
    // A provider revokes the tokens of a code that is used twice (RFC 6749 §4.1.2).
    state.is_live = state.exchanges == 1;
    state.nodes[index] = Phase::Answered(state.is_live);
}

fn crash(state: &mut State, index: usize) {
    if state.nodes[index] == Phase::Requested {
        process(state, index);
    }
    let has_tokens = matches!(state.nodes[index], Phase::Answered(true) | Phase::Received(_));
    state.is_lost |= has_tokens && state.flow != Flow::Granted;
    state.nodes[index] = Phase::Done;
}

/// Ends the flow or the grant in one transaction.
fn terminate(state: &mut State) {
    state.flow = match state.flow {
        // It is not stored, so it is not found.
        Flow::Starting => Flow::Starting,
        Flow::Granted => {
            state.is_revoking = true;
            Flow::Ended
        }
        Flow::Awaiting | Flow::Consumed | Flow::Ended => {
            state.ended_before = true;
            Flow::Ended
        }
    };
}

fn possible_for_node(phase: Phase, index: usize, actions: &mut Vec<Action>) {
    match phase {
        Phase::Idle => actions.push(Action::Consume(index)),
        Phase::Consumed => actions.extend([Action::Exchange(index), Action::Crash(index)]),
        Phase::Requested => actions.extend([Action::Process(index), Action::Crash(index)]),
        Phase::Answered(_) => actions.extend([Action::Receive(index), Action::Crash(index)]),
        Phase::Received(_) => {
            let commits = [Action::Commit(index), Action::CommitUnacknowledged(index)];
            actions.extend(commits.into_iter().chain([Action::GiveUp(index), Action::Crash(index)]));
        }
        Phase::Done => {}
    }
}

impl Model for Callback {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            flow: Flow::Starting,
            epoch: 0,
            nodes: vec![Phase::Idle; self.nodes],
            exchanges: 0,
            is_live: false,
            is_revoking: false,
            is_unclaimed: false,
            ended_before: false,
            is_lost: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        match state.flow {
            Flow::Starting => actions.push(Action::Insert),
            Flow::Awaiting | Flow::Consumed | Flow::Granted => actions.push(Action::Disconnect),
            Flow::Ended => {}
        }
        if state.flow != Flow::Starting {
            for (index, phase) in state.nodes.iter().enumerate() {
                possible_for_node(*phase, index, actions);
            }
        }
        if state.epoch == 0 {
            actions.push(Action::Edit);
        }
        if state.is_revoking {
            actions.push(Action::Revoke);
        }
        if state.is_unclaimed {
            actions.push(Action::RevokeUnclaimed);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Insert => self.insert(&mut next),
            Action::Consume(index) => self.consume(&mut next, index),
            Action::Exchange(index) => next.nodes[index] = Phase::Requested,
            Action::Process(index) => process(&mut next, index),
            Action::Receive(index) => {
                let has_tokens = next.nodes[index] == Phase::Answered(true);
                next.nodes[index] = if has_tokens { Phase::Received(false) } else { Phase::Done };
            }
            Action::Commit(index) => self.commit(&mut next, index, true),
            Action::CommitUnacknowledged(index) => self.commit(&mut next, index, false),
            Action::GiveUp(index) => {
                self.queue_unclaimed(&mut next);
                next.nodes[index] = Phase::Done;
            }
            Action::Crash(index) => crash(&mut next, index),
            Action::Disconnect => terminate(&mut next),
            Action::Edit => {
                next.epoch += 1;
                terminate(&mut next);
            }
            Action::Revoke => (next.is_revoking, next.is_live) = (false, false),
            Action::RevokeUnclaimed => self.revoke_unclaimed(&mut next),
        }
        next.nodes.sort_unstable();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_EXCHANGE, |_, state: &State| state.exchanges <= 1),
            Property::always(PRESENT_EPOCH, |_, state: &State| state.flow != Flow::Granted || state.epoch == 0),
            Property::always(STAYS_ENDED, |_, state: &State| !(state.flow == Flow::Granted && state.ended_before)),
            Property::always(NOTHING_USABLE, |_, state: &State| {
                let in_memory = |phase: &Phase| matches!(phase, Phase::Answered(true) | Phase::Received(_));
                state.flow != Flow::Ended
                    || !state.is_live
                    || state.is_revoking
                    || state.is_unclaimed
                    || state.is_lost
                    || state.nodes.iter().any(in_memory)
            }),
            Property::always(GRANT_IS_LIVE, |_, state: &State| state.flow != Flow::Granted || state.is_live),
            Property::sometimes(CONNECTED, |_, state: &State| {
                state.flow == Flow::Granted && state.nodes.iter().all(|phase| *phase == Phase::Done)
            }),
            Property::sometimes(REVOKED, |_, state: &State| {
                state.flow == Flow::Ended && state.exchanges == 1 && !state.is_live
            }),
        ]
    }
}
