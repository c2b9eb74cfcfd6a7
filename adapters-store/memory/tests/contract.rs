//! The reference store follows the contract of stores.

use std::sync::Arc;

use grantry_store_memory::MemoryStore;
use grantry_testkit::contract::{Backend, Node, differential};
use grantry_testkit::doubles::TestClock;

async fn fresh(clock: TestClock) -> Backend {
    let store = MemoryStore::new(Arc::new(clock.clone()));
    let other = Node::of(store.clone());
    Backend::new(clock, Node::of(store)).shared_with(other)
}

grantry_testkit::store_contract!(fresh);

/// Compares the store with itself: checks the comparison, and the invariants of the domain.
#[test]
fn t10_random_histories_keep_the_invariants() {
    differential(128, fresh, fresh);
}
