//! The contract of stores, with two nodes that share the database. With the environment variable `TEST_POOLER`, `PgBouncer` is
//! in between, and gives the nodes fewer connections to the server than they have transactions at the same time.

use std::sync::Arc;
use std::time::Duration;

use grantry_store_memory::MemoryStore;
use grantry_store_postgres::{PostgresOptions, PostgresStore, PostgresUrl};
use grantry_test_postgres::{Pooler, TestDatabase};
use grantry_testkit::contract::{Backend, Node, differential};
use grantry_testkit::doubles::{SeededRandom, TestClock};

async fn fresh(clock: TestClock) -> Backend {
    let database = TestDatabase::new().await;
    let pooler = std::env::var_os("TEST_POOLER").map(|_| Pooler::start(&database.url(), 3, &[]));
    let url = pooler.as_ref().map_or_else(|| database.url(), |pooler| pooler.url(database.name()));
    let url = PostgresUrl::parse(&url).expect("a URL");
    let options = |seed| PostgresOptions {
        clock: Some(Arc::new(clock.clone())),
        connections: 4,
        readers: 1,
        // One rule starts a thousand writers at once.
        acquire_timeout: Duration::from_mins(2),
        // Each node reads the events of the other.
        event_claim: Duration::ZERO,
        ..PostgresOptions::new(url.clone(), Arc::new(SeededRandom::new(seed)))
    };
    let node = Node::of(PostgresStore::open(options(1)).await.expect("a new database"));
    let other = Node::of(PostgresStore::open(options(2)).await.expect("the same database"));
    Backend::new(clock, node).shared_with(other).keeping((pooler, database))
}

grantry_testkit::store_contract!(fresh);

#[test]
fn random_histories_equal_those_of_the_reference_store() {
    let model = async |clock: TestClock| {
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let other = Node::of(store.clone());
        Backend::new(clock, Node::of(store)).shared_with(other)
    };
    // Each step takes several round trips to the server, so there are fewer histories than for a store in the process.
    differential(24, model, fresh);
}
