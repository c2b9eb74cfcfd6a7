//! Nothing gets stuck: from every state there is a way on. A way is enough, because faults can repeat for ever.

use std::collections::HashMap;

use grantry_model::provider::Reuse;
use grantry_model::state::{RowState, State};
use grantry_model::{Action, Protocol};
use stateright::{Checker, Model};

/// All reachable states, each with those that a chosen action leads from.
struct Graph {
    states: Vec<State>,
    before: Vec<Vec<usize>>,
}

impl Graph {
    /// `counts` chooses the actions that a way may consist of.
    fn new(protocol: &Protocol, counts: impl Fn(Action) -> bool) -> Self {
        let mut graph = Self { states: protocol.init_states(), before: vec![Vec::new()] };
        let mut numbers: HashMap<State, usize> = graph.states.iter().cloned().zip(0..).collect();
        let mut number = 0;
        while let Some(state) = graph.states.get(number).cloned() {
            let mut actions = Vec::new();
            protocol.actions(&state, &mut actions);
            for action in actions {
                let Some(next) = protocol.next_state(&state, action) else { continue };
                let found = *numbers.entry(next).or_insert_with_key(|next| {
                    graph.states.push(next.clone());
                    graph.before.push(Vec::new());
                    graph.states.len() - 1
                });
                if counts(action) {
                    graph.before[found].push(number);
                }
            }
            number += 1;
        }
        graph
    }

    /// The states with a way to a goal.
    fn with_a_way(&self, is_goal: impl Fn(&State) -> bool) -> Vec<bool> {
        let mut found: Vec<_> = self.states.iter().map(is_goal).collect();
        let mut open: Vec<_> = (0..found.len()).filter(|number| found[*number]).collect();
        while let Some(number) = open.pop() {
            for before in &self.before[number] {
                if !found[*before] {
                    found[*before] = true;
                    open.push(*before);
                }
            }
        }
        found
    }

    /// Every state that is waiting has a way to a goal.
    fn assert_a_way(&self, is_waiting: impl Fn(&State) -> bool, is_goal: impl Fn(&State) -> bool) {
        let found = self.with_a_way(is_goal);
        let mut waiting = 0;
        for (state, has_way) in self.states.iter().zip(found) {
            if is_waiting(state) {
                assert!(has_way, "{state:#?}");
                waiting += 1;
            }
        }
        assert!(waiting >= 100, "{waiting} states");
    }
}

const PROVIDERS: [Reuse; 3] = [Reuse::RevokesFamily, Reuse::HasGracePeriod, Reuse::IsRejected];

#[test]
fn an_expired_grant_is_refreshed_or_ends() {
    let is_progress = |action| !matches!(action, Action::Disconnect | Action::Edit | Action::Crash(_));
    for reuse in PROVIDERS {
        let graph = Graph::new(&Protocol::new(2, 2, reuse), is_progress);
        let is_waiting = |state: &State| state.is_authorized() && state.row.is_expired;
        let is_goal = |state: &State| match state.row.state {
            RowState::Authorized => !state.row.is_expired,
            RowState::Rejected => true,
            RowState::ConnectorChanged | RowState::Disconnected => false,
        };
        graph.assert_a_way(is_waiting, is_goal);
    }
}

#[test]
fn the_revocation_of_an_ended_grant_completes() {
    for reuse in PROVIDERS {
        let graph = Graph::new(&Protocol::new(2, 2, reuse), |action| !matches!(action, Action::Crash(_)));
        let is_done = |state: &State| !state.is_revocation_pending() && (!state.family.is_live || state.history.tokens_lost);
        graph.assert_a_way(|state| !state.is_authorized(), |state| !state.is_authorized() && is_done(state));
    }
}

/// Otherwise the boundary would hide states of the protocol.
#[test]
fn the_search_of_the_checker_is_complete() {
    for reuse in PROVIDERS {
        let protocol = Protocol::new(3, 1, reuse);
        let graph = Graph::new(&protocol, |_| false);
        let most = graph.states.iter().map(|state| state.late.len()).max();
        assert!(most <= Some(protocol.most_late()), "{most:?}");
        assert_eq!(protocol.checker().spawn_bfs().join().unique_state_count(), graph.states.len());
    }
}
