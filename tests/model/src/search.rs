//! Searches for counterexamples.

use std::collections::BTreeSet;
use std::hash::Hash;

use stateright::{Checker, HasDiscoveries, Model};

/// No counterexample has more steps.
const LONGEST: usize = 20;

/// The shortest way to a state that breaks a property. The search is deepened step by step, because the checker goes on after its
/// first discovery and returns a later one.
pub fn counterexample<M>(model: &M, property: &'static str) -> Option<Vec<M::Action>>
where
    M: Model<State: Clone + Hash + PartialEq + Send + Sync, Action: Clone + PartialEq + Send + Sync>,
    M: Clone + Send + Sync + 'static,
{
    (1..=LONGEST + 1).find_map(|depth| {
        let finished = HasDiscoveries::AllOf(BTreeSet::from([property]));
        let search = model.clone().checker().finish_when(finished).target_max_depth(depth);
        Some(search.spawn_bfs().join().discovery(property)?.into_actions())
    })
}
