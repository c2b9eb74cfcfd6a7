//! The store of the example and its database, proven by the contract suites, and a flow on it.

#[path = "../examples/custom_store.rs"]
#[expect(dead_code, reason = "the `main` of the example")]
mod custom_store;
#[path = "../examples/domain_only.rs"]
#[expect(dead_code, reason = "the `main` of the example")]
mod domain_only;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use grantry_store_memory::MemoryStore;
    use grantry_testkit::contract::{Backend, Node, differential};
    use grantry_testkit::doubles::TestClock;

    use super::custom_store::{SnapshotStore, Snapshots, app_store};
    use super::domain_only::whole_flow;

    async fn fresh(clock: TestClock) -> Backend {
        let store = SnapshotStore::new(Arc::new(clock.clone()));
        Backend::new(clock, Node::of(store.clone())).shared_with(Node::of(store))
    }
    async fn reference(clock: TestClock) -> Backend {
        let store = MemoryStore::new(Arc::new(clock.clone()));
        Backend::new(clock, Node::of(store.clone())).shared_with(Node::of(store))
    }
    async fn fresh_database() -> Snapshots {
        Snapshots::default()
    }
    grantry_store_rules::database_contract!(fresh_database);
    grantry_testkit::store_contract!(fresh);

    #[test]
    fn random_histories_are_those_of_the_reference_store() {
        differential(32, fresh, reference);
    }
    #[tokio::test]
    async fn a_user_connects_refreshes_and_disconnects_with_it() {
        let clock = TestClock::default();
        let store = SnapshotStore::new(Arc::new(clock.clone()));
        assert_eq!(app_store(&store).unwrap().deployment_id(), app_store(&store).unwrap().deployment_id());
        let report = whole_flow(clock, Arc::new(store)).await.unwrap();
        assert_eq!(report.tokens, ["access-1", "access-2"]);
        assert_eq!(report.revoked, ["refresh-2", "access-2"]);
    }
}
