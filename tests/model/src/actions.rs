//! The actions of the refresh protocol: which are possible in a state, and what each changes.

use crate::Protocol;
use crate::provider::{Generation, Response, Reuse};
use crate::state::{Attempt, Job, LateRequest, Node, Phase, RowState, State, Wire};
use crate::variants::Broken;

/// How an exchange of a request and a response ends for its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// The sender received the response and stored the result.
    Complete,
    /// The request was processed, and the result was lost with the response or with the process.
    ResponseLost,
}

/// A step of the system. A number is the position of a node in the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The access token expires.
    ExpireAccessToken,
    /// A node takes the lease.
    TakeLease(usize),
    /// It sends the request.
    Send(usize),
    /// It records a failed attempt with a known outcome: it sent nothing, or the provider refused its request.
    Fail(usize),
    /// The provider processes its request.
    Process(usize),
    /// The provider refuses its request without processing it.
    Refuse(usize),
    /// It receives the response.
    Receive(usize),
    /// It stops waiting, and records an attempt with an unknown outcome. Its request may be late, and its response is lost.
    TimeOut(usize),
    /// It commits the tokens it received.
    Commit(usize),
    /// The same, and the outcome stays unknown to the node, which tries again.
    CommitUnacknowledged(usize),
    /// It ends the grant, because its token was rejected.
    EndGrant(usize),
    /// It issues the tokens that it received or that are stored.
    Issue(usize),
    /// It crashes and starts again.
    Crash(usize),
    /// Only in a broken variant: it clears lease and doubt before it commits.
    ClearDoubt(usize),
    /// The provider processes a late request.
    ProcessLate(usize),
    /// A late request is lost.
    DropLate(usize),
    /// The lease ends, or the pause after a failed attempt.
    EndLease,
    /// The lease ends before its owner has stopped waiting: the clock of the database was set.
    EndLeaseEarly,
    /// The user disconnects.
    Disconnect,
    /// A security-relevant edit of the connector.
    Edit,
    /// The revocation worker refreshes before it revokes.
    RefreshToRevoke(Delivery),
    /// The same, and its request is late.
    RefreshToRevokeLate,
    /// The same, and the provider refuses its request without processing it.
    RefreshToRevokeRefused,
    /// The revocation worker revokes the token of the former grant.
    Revoke(Delivery),
    /// The revocation worker revokes unclaimed tokens.
    RevokeUnclaimed(Generation, Delivery),
}

/// Adds the actions that are possible.
pub(crate) fn possible(protocol: &Protocol, state: &State, actions: &mut Vec<Action>) {
    let row = &state.row;
    if state.is_authorized() && !row.is_expired && row.generation < protocol.last_generation {
        actions.push(Action::ExpireAccessToken);
    }
    for index in 0..state.nodes.len() {
        possible_for_node(protocol, state, index, actions);
    }
    for index in 0..state.late.len() {
        // Equal requests lead to equal states.
        if index == 0 || state.late[index] != state.late[index - 1] {
            actions.extend([Action::ProcessLate(index), Action::DropLate(index)]);
        }
    }
    if row.is_leased && lease_can_end(protocol, state) {
        actions.push(Action::EndLease);
    } else if row.is_leased && protocol.leases_end_early {
        actions.push(Action::EndLeaseEarly);
    }
    if row.state != RowState::Disconnected {
        actions.push(Action::Disconnect);
    }
    if state.epoch == 0 {
        actions.push(Action::Edit);
    }
    possible_revocations(protocol, state, actions);
}

fn possible_for_node(protocol: &Protocol, state: &State, index: usize, actions: &mut Vec<Action>) {
    let node = state.nodes[index];
    // The order of the nodes has no meaning, so one of two equal nodes is enough.
    if index > 0 && node == state.nodes[index - 1] {
        return;
    }
    match node.phase {
        Phase::Idle => {
            let row = &state.row;
            let is_free = !row.is_leased || protocol.lacks(Broken::NoLease);
            if is_usable(protocol, state) && row.is_expired && is_free {
                actions.push(Action::TakeLease(index));
            }
            actions.push(Action::Issue(index));
            return;
        }
        Phase::Leased(_) => actions.extend([Action::Send(index), Action::Fail(index)]),
        Phase::Overdue(_) if protocol.lacks(Broken::NoRequestDeadline) => actions.push(Action::Send(index)),
        Phase::Overdue(_) | Phase::Received(_, Response::Refused) => actions.push(Action::Fail(index)),
        Phase::Waiting(_, Wire::Request) => {
            actions.extend([Action::Process(index), Action::Refuse(index), Action::TimeOut(index)]);
        }
        Phase::Waiting(_, Wire::Response(_)) => actions.extend([Action::Receive(index), Action::TimeOut(index)]),
        Phase::Received(_, Response::InvalidGrant) => actions.push(Action::EndGrant(index)),
        Phase::Received(..) if protocol.lacks(Broken::DoubtClearedBeforeCommit) && node.is_holder => {
            actions.push(Action::ClearDoubt(index));
        }
        Phase::Received(..) => {
            actions.extend([Action::Commit(index), Action::CommitUnacknowledged(index)]);
            if protocol.lacks(Broken::IssuedBeforeCommit) {
                actions.push(Action::Issue(index));
            }
        }
    }
    actions.push(Action::Crash(index));
}

fn possible_revocations(protocol: &Protocol, state: &State, actions: &mut Vec<Action>) {
    // The pause after an attempt with an unknown outcome includes the quarantine of its request.
    let is_due = state.late.iter().all(|late| !late.of_revocation);
    if let Some(job) = state.row.job.filter(|_| is_due) {
        if job.in_doubt && !protocol.lacks(Broken::NoRefreshBeforeRevocation) {
            let (complete, lost) = (Delivery::Complete, Delivery::ResponseLost);
            actions.extend([Action::RefreshToRevoke(complete), Action::RefreshToRevoke(lost)]);
            actions.extend([Action::RefreshToRevokeLate, Action::RefreshToRevokeRefused]);
        } else {
            actions.extend([Action::Revoke(Delivery::Complete), Action::Revoke(Delivery::ResponseLost)]);
        }
    }
    for generation in &state.row.unclaimed {
        actions.push(Action::RevokeUnclaimed(*generation, Delivery::Complete));
        actions.push(Action::RevokeUnclaimed(*generation, Delivery::ResponseLost));
    }
}

/// Whether a node may use the stored grant: it has not ended, and the connector is the one consented to.
fn is_usable(protocol: &Protocol, state: &State) -> bool {
    state.is_authorized() && (state.epoch == 0 || protocol.lacks(Broken::EpochIgnored))
}

/// Whether enough time can have passed for the lease to end. A lease lasts for the deadline of the request and the quarantine,
/// so its owner waits no more, and its request has been processed or lost.
fn lease_can_end(protocol: &Protocol, state: &State) -> bool {
    let waits = |node: &Node| node.is_holder && matches!(node.phase, Phase::Waiting(..));
    let is_quiet = state.late.is_empty() || protocol.lacks(Broken::NoQuarantine);
    is_quiet && !state.nodes.iter().any(waits)
}

/// The state after an action.
pub(crate) fn next(protocol: &Protocol, state: &State, action: Action) -> State {
    let mut step = Step { protocol, state: state.clone() };
    step.take(action);
    step.state.canonical()
}

struct Step<'p> {
    protocol: &'p Protocol,
    state: State,
}

impl Step<'_> {
    fn take(&mut self, action: Action) {
        match action {
            Action::ExpireAccessToken => self.state.row.is_expired = true,
            Action::TakeLease(index) => self.take_lease(index),
            Action::Send(index) => self.send(index),
            Action::Fail(index) => self.fail(index),
            Action::Process(index) => self.process(index),
            Action::Refuse(index) => self.refuse(index),
            Action::Receive(index) => self.receive(index),
            Action::TimeOut(index) => self.time_out(index),
            Action::Commit(index) => self.commit(index, true),
            Action::CommitUnacknowledged(index) => self.commit(index, false),
            Action::EndGrant(index) => self.end_grant(index),
            Action::Issue(index) => self.issue(index),
            Action::Crash(index) => {
                self.abandon(index);
                self.state.nodes[index] = Node::IDLE;
            }
            Action::ClearDoubt(_) => {
                self.release();
                self.state.row.in_doubt = false;
            }
            Action::ProcessLate(index) => {
                let late = self.state.late.remove(index);
                let response = self.refresh_at_provider(late.attempt);
                self.lose(response);
            }
            Action::DropLate(index) => {
                self.state.late.remove(index);
            }
            Action::EndLease | Action::EndLeaseEarly => self.end_lease(),
            Action::Disconnect => self.terminate(RowState::Disconnected),
            Action::Edit => self.edit(),
            Action::RefreshToRevoke(delivery) => self.refresh_to_revoke(delivery),
            Action::RefreshToRevokeLate => {
                if let Some(job) = self.state.row.job {
                    let attempt = Attempt { generation: job.generation, was_in_doubt: true };
                    self.state.late.push(LateRequest { attempt, of_revocation: true });
                }
            }
            Action::RefreshToRevokeRefused => {
                // The refusal gives no information about an earlier attempt.
                if let Some(job) = &mut self.state.row.job {
                    job.in_doubt = !self.protocol.lacks(Broken::RefusalEndsDoubt);
                }
            }
            Action::Revoke(delivery) => self.revoke(delivery),
            Action::RevokeUnclaimed(generation, delivery) => {
                self.state.family.revoke(generation);
                if delivery == Delivery::Complete {
                    self.state.row.unclaimed.remove(&generation);
                }
            }
        }
    }

    fn lacks(&self, part: Broken) -> bool {
        self.protocol.lacks(part)
    }

    /// Whether users expect that no token is issued: after a disconnect and after an edit.
    fn is_over_for_users(&self) -> bool {
        self.state.epoch > 0 || self.state.row.state == RowState::Disconnected
    }

    fn issue(&mut self, index: usize) {
        let is_in_memory = matches!(self.state.nodes[index].phase, Phase::Received(..));
        let is_issued = is_in_memory || is_usable(self.protocol, &self.state);
        self.state.history.issued_after_end |= is_issued && self.is_over_for_users();
    }

    fn take_lease(&mut self, index: usize) {
        let row = &mut self.state.row;
        let attempt = Attempt { generation: row.generation, was_in_doubt: row.in_doubt };
        let has_lease = !self.protocol.lacks(Broken::NoLease);
        row.is_leased = has_lease;
        row.in_doubt |= has_lease && !self.protocol.lacks(Broken::NoDoubtMark);
        for node in &mut self.state.nodes {
            node.is_holder = false;
        }
        self.state.nodes[index] = Node { phase: Phase::Leased(attempt), is_holder: has_lease };
    }

    fn send(&mut self, index: usize) {
        let (Phase::Leased(attempt) | Phase::Overdue(attempt)) = self.state.nodes[index].phase else { return };
        let bit = 1 << attempt.generation;
        let is_current = self.state.is_authorized() && self.state.row.generation == attempt.generation;
        let history = &mut self.state.history;
        if is_current {
            history.sent_twice |= !attempt.was_in_doubt && history.sent & bit != 0;
            history.sent |= bit;
        }
        self.state.nodes[index].phase = Phase::Waiting(attempt, Wire::Request);
    }

    /// This attempt changed nothing at the provider, which gives no information about an earlier attempt.
    fn fail(&mut self, index: usize) {
        let node = self.state.nodes[index];
        let (Phase::Leased(attempt) | Phase::Overdue(attempt) | Phase::Received(attempt, Response::Refused)) = node.phase
        else {
            return;
        };
        let is_applied = node.is_holder || self.lacks(Broken::FailureIgnoresHolder);
        let clears = !attempt.was_in_doubt || self.lacks(Broken::FailureClearsEarlierDoubt);
        if is_applied && self.state.is_authorized() {
            self.release();
            // The pause in doubt includes the quarantine.
            self.state.row.is_leased = !clears && !self.lacks(Broken::NoLease);
            self.state.row.in_doubt &= !clears;
        }
        self.state.nodes[index] = Node::IDLE;
    }

    fn process(&mut self, index: usize) {
        let Phase::Waiting(attempt, Wire::Request) = self.state.nodes[index].phase else { return };
        let response = self.refresh_at_provider(attempt);
        self.state.nodes[index].phase = Phase::Waiting(attempt, Wire::Response(response));
    }

    /// The token was not used, so another request with it is no reuse.
    fn refuse(&mut self, index: usize) {
        let Phase::Waiting(attempt, Wire::Request) = self.state.nodes[index].phase else { return };
        self.state.history.sent &= !(1 << attempt.generation);
        self.state.nodes[index].phase = Phase::Waiting(attempt, Wire::Response(Response::Refused));
    }

    fn receive(&mut self, index: usize) {
        let Phase::Waiting(attempt, Wire::Response(response)) = self.state.nodes[index].phase else { return };
        self.state.nodes[index].phase = Phase::Received(attempt, response);
    }

    fn time_out(&mut self, index: usize) {
        self.abandon(index);
        let is_holder = self.state.nodes[index].is_holder;
        if self.state.is_authorized() && (is_holder || self.lacks(Broken::NoLease)) {
            self.release();
            self.state.row.is_leased = is_holder;
            self.state.row.in_doubt |= self.lacks(Broken::NoLease) && !self.lacks(Broken::NoDoubtMark);
        }
        self.state.nodes[index] = Node::IDLE;
    }

    /// Drops what a node has in memory. Its request stays under way.
    fn abandon(&mut self, index: usize) {
        match self.state.nodes[index].phase {
            Phase::Waiting(attempt, Wire::Request) => {
                self.state.late.push(LateRequest { attempt, of_revocation: false });
            }
            Phase::Waiting(_, Wire::Response(response)) | Phase::Received(_, response) => self.lose(response),
            Phase::Idle | Phase::Leased(_) | Phase::Overdue(_) => {}
        }
    }

    /// Stores the tokens if the row has the version that the attempt read.
    fn commit(&mut self, index: usize, is_acknowledged: bool) {
        let Phase::Received(attempt, Response::Tokens(received)) = self.state.nodes[index].phase else { return };
        let is_expected = self.state.is_authorized() && self.state.row.generation == attempt.generation;
        if is_expected || self.lacks(Broken::CommitIgnoresVersion) {
            self.release();
            let row = &mut self.state.row;
            row.state = RowState::Authorized;
            row.generation = received;
            row.is_expired = false;
            row.in_doubt = false;
            row.job = None;
            // Older tokens are not sent for this row any more.
            self.state.history.sent &= u8::MAX << received;
            if !is_acknowledged {
                return;
            }
        } else if !self.state.is_authorized() {
            // The variant without it is not excused by `tokens_lost`: nothing failed.
            if !self.lacks(Broken::UnclaimedTokensDropped) {
                self.state.row.unclaimed.insert(received);
            }
        }
        self.state.nodes[index] = Node::IDLE;
    }

    fn end_grant(&mut self, index: usize) {
        let Phase::Received(attempt, Response::InvalidGrant) = self.state.nodes[index].phase else { return };
        let is_expected = self.state.row.generation == attempt.generation || self.lacks(Broken::EndIgnoresVersion);
        if self.state.is_authorized() && is_expected {
            self.release();
            self.state.row.state = RowState::Rejected;
            self.state.row.in_doubt = false;
            self.state.row.is_expired = false;
            self.state.history.sent = 0;
            self.state.history.has_ended = true;
        }
        self.state.nodes[index] = Node::IDLE;
    }

    /// The row names no holder and no lease any more.
    fn release(&mut self) {
        self.state.row.is_leased = false;
        for node in &mut self.state.nodes {
            node.is_holder = false;
        }
    }

    /// The row still names the holder, so that its failure counts until another attempt takes the lease.
    fn end_lease(&mut self) {
        self.state.row.is_leased = false;
        for node in &mut self.state.nodes {
            if let Phase::Leased(attempt) = node.phase
                && node.is_holder
            {
                node.phase = Phase::Overdue(attempt);
            }
        }
    }

    /// Ends the grant. A revocation is pending from the same transaction on.
    fn terminate(&mut self, state: RowState) {
        if self.state.is_authorized() {
            self.release();
            let row = &mut self.state.row;
            let drops_doubt = state == RowState::Disconnected && self.protocol.lacks(Broken::DisconnectDropsDoubt);
            let in_doubt = row.in_doubt && !drops_doubt;
            row.job = Some(Job { generation: row.generation, in_doubt });
            row.in_doubt = false;
            row.is_expired = false;
            self.state.history.sent = 0;
        }
        self.state.row.state = state;
        self.state.history.has_ended = true;
    }

    fn edit(&mut self) {
        self.state.epoch += 1;
        if self.state.is_authorized() && !self.lacks(Broken::EpochIgnored) {
            self.terminate(RowState::ConnectorChanged);
        }
    }

    fn refresh_to_revoke(&mut self, delivery: Delivery) {
        let Some(job) = self.state.row.job else { return };
        let response = self.refresh_at_provider(Attempt { generation: job.generation, was_in_doubt: true });
        match (delivery, response) {
            (Delivery::ResponseLost, _) => self.lose(response),
            (Delivery::Complete, Response::Tokens(generation)) => {
                self.state.row.job = Some(Job { generation, in_doubt: false });
            }
            // The token at hand is revoked next.
            (Delivery::Complete, Response::InvalidGrant | Response::Refused) => {
                self.state.row.job = Some(Job { in_doubt: false, ..job });
            }
        }
    }

    fn revoke(&mut self, delivery: Delivery) {
        let Some(job) = self.state.row.job else { return };
        if self.lacks(Broken::RevocationNotRepeated) && delivery == Delivery::ResponseLost {
            // The request itself was lost.
            self.state.row.job = None;
            return;
        }
        self.state.family.revoke(job.generation);
        if delivery == Delivery::Complete {
            self.state.row.job = None;
        }
    }

    fn refresh_at_provider(&mut self, attempt: Attempt) -> Response {
        let was_live = self.state.family.is_live;
        let response = self.state.family.refresh(attempt.generation, self.protocol.reuse);
        let is_lost = was_live && !self.state.family.is_live && self.state.is_authorized();
        self.state.history.lost_by_reuse |= is_lost && !attempt.was_in_doubt;
        response
    }

    fn lose(&mut self, response: Response) {
        let is_rejected = self.protocol.reuse == Reuse::IsRejected;
        if is_rejected && matches!(response, Response::Tokens(_)) {
            self.state.history.tokens_lost = true;
        }
    }
}
