//! The contract of stores, with two processes that share the file.

use std::sync::Arc;

use grantry_store_memory::MemoryStore;
use grantry_store_sqlite::{SqliteOptions, SqliteStore};
use grantry_testkit::contract::{Backend, Node, differential};
use grantry_testkit::doubles::{SeededRandom, TestClock};

async fn fresh(clock: TestClock) -> Backend {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grantry.db");
    let options = SqliteOptions::new(path, Arc::new(clock.clone()), Arc::new(SeededRandom::new(1)));
    let node = Node::of(SqliteStore::open(options.clone()).await.expect("a new file"));
    let other = Node::of(SqliteStore::open(options).await.expect("the same file"));
    Backend::new(clock, node).shared_with(other).keeping(folder)
}

grantry_testkit::store_contract!(fresh);

#[test]
fn random_histories_equal_those_of_the_reference_store() {
    let model = async |clock: TestClock| {
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let other = Node::of(store.clone());
        Backend::new(clock, Node::of(store)).shared_with(other)
    };
    differential(48, model, fresh);
}
