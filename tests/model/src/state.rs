//! The state of the refresh protocol: the row in the database, the nodes, the requests under way and the provider.

use std::collections::BTreeSet;

use crate::provider::{Family, Generation, Response};

/// The state of the stored grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowState {
    /// It can be used and refreshed.
    Authorized,
    /// The provider rejected its refresh token.
    Rejected,
    /// An edit of the connector ended it.
    ConnectorChanged,
    /// The user disconnected it.
    Disconnected,
}

/// A pending revocation of the former grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Job {
    /// The refresh token that is stored.
    pub generation: Generation,
    /// Whether the provider may have issued a newer one.
    pub in_doubt: bool,
}

/// The row of the grant. Its revision equals the generation of the stored token, because a commit writes the next of both.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    /// Its state.
    pub state: RowState,
    /// The refresh token that is stored.
    pub generation: Generation,
    /// Whether the access token has expired.
    pub is_expired: bool,
    /// Whether no attempt can begin: a lease, or the pause after a failed attempt.
    pub is_leased: bool,
    /// The in-doubt mark.
    pub in_doubt: bool,
    /// The pending revocation.
    pub job: Option<Job>,
    /// Unclaimed tokens, each with a pending revocation.
    pub unclaimed: BTreeSet<Generation>,
}

/// A refresh request, or its response, between a node and the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wire {
    /// The provider has not processed the request.
    Request,
    /// The node has not received the response.
    Response(Response),
}

/// One attempt to refresh the grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    /// The refresh token that it read.
    pub generation: Generation,
    /// Whether it began in doubt, which is recorded with its lease.
    pub was_in_doubt: bool,
}

/// What a node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// No attempt.
    Idle,
    /// It took the lease and has not sent the request.
    Leased(Attempt),
    /// The same, and its lease has ended in the meantime.
    Overdue(Attempt),
    /// It waits for the response.
    Waiting(Attempt, Wire),
    /// It has the response in memory.
    Received(Attempt, Response),
}

/// A node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Its attempt.
    pub phase: Phase,
    /// Whether the row names its attempt as the holder of the lease.
    pub is_holder: bool,
}

impl Node {
    /// A node without an attempt.
    pub const IDLE: Self = Self { phase: Phase::Idle, is_holder: false };
}

/// A refresh request that the provider has not processed, and whose sender does not wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LateRequest {
    /// The attempt that sent it.
    pub attempt: Attempt,
    /// Whether the revocation worker sent it.
    pub of_revocation: bool,
}

/// What the properties require from the past.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact")]
pub struct History {
    /// The refresh tokens that were sent for the stored grant, as a bit set.
    pub sent: u8,
    /// A second request with the same token was sent for a grant without a recorded doubt.
    pub sent_twice: bool,
    /// The provider revoked a grant because of a reuse without a recorded doubt.
    pub lost_by_reuse: bool,
    /// The grant has ended.
    pub has_ended: bool,
    /// A token was issued after a disconnect or an edit.
    pub issued_after_end: bool,
    /// Tokens were lost with a response or a process. Only recorded where the provider rejects a reuse: other providers
    /// return the tokens again, or revoke them.
    pub tokens_lost: bool,
}

/// A state of the whole system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The row of the grant.
    pub row: Row,
    /// How often the connector was edited. The grant belongs to epoch 0.
    pub epoch: u8,
    /// The nodes, sorted: they are interchangeable, so states that differ in their order only are one state.
    pub nodes: Vec<Node>,
    /// Late requests, sorted.
    pub late: Vec<LateRequest>,
    /// The provider.
    pub family: Family,
    /// The past.
    pub history: History,
}

impl State {
    /// A new grant.
    pub fn initial(nodes: usize) -> Self {
        let row = Row {
            state: RowState::Authorized,
            generation: 0,
            is_expired: false,
            is_leased: false,
            in_doubt: false,
            job: None,
            unclaimed: BTreeSet::new(),
        };
        Self {
            row,
            epoch: 0,
            nodes: vec![Node::IDLE; nodes],
            late: Vec::new(),
            family: Family::FIRST,
            history: History::default(),
        }
    }

    /// Whether the grant can be used.
    pub fn is_authorized(&self) -> bool {
        self.row.state == RowState::Authorized
    }

    /// Whether a revocation is pending.
    pub fn is_revocation_pending(&self) -> bool {
        self.row.job.is_some() || !self.row.unclaimed.is_empty()
    }

    /// Whether a node received the newest tokens, or will receive them, and has not stored them.
    pub fn is_newest_in_memory(&self) -> bool {
        let newest = Response::Tokens(self.family.newest);
        self.nodes.iter().any(|node| match node.phase {
            Phase::Waiting(_, Wire::Response(response)) | Phase::Received(_, response) => response == newest,
            Phase::Idle | Phase::Leased(_) | Phase::Overdue(_) | Phase::Waiting(_, Wire::Request) => false,
        })
    }

    /// Sorts what is interchangeable.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        self.nodes.sort_unstable();
        self.late.sort_unstable();
        self
    }
}
