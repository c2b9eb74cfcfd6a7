//! The store of the example, proven by the contract suite, and its maintenance mode.

#[path = "../examples/custom_store.rs"]
#[expect(dead_code, reason = "the `main` of the example")]
mod custom_store;
#[path = "../examples/domain_only.rs"]
#[expect(dead_code, reason = "the `main` of the example")]
mod domain_only;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use grantry_domain::ports::{AuditOutbox, StoreError};
    use grantry_store_memory::MemoryStore;
    use grantry_testkit::contract::{Backend, Node, differential};
    use grantry_testkit::doubles::TestClock;

    use super::custom_store::{MaintenanceStore, app_store, two_writes};
    use super::domain_only::whole_flow;

    fn store(clock: &TestClock) -> MaintenanceStore {
        MaintenanceStore::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))))
    }

    async fn fresh(clock: TestClock) -> Backend {
        let store = store(&clock);
        Backend::new(clock, Node::of(store.clone())).shared_with(Node::of(store))
    }

    async fn reference(clock: TestClock) -> Backend {
        let store = MemoryStore::new(Arc::new(clock.clone()));
        Backend::new(clock, Node::of(store.clone())).shared_with(Node::of(store))
    }

    grantry_testkit::store_contract!(fresh);

    #[test]
    fn random_histories_are_those_of_the_reference_store() {
        differential(32, fresh, reference);
    }

    #[tokio::test]
    async fn a_user_connects_refreshes_and_disconnects_with_it() {
        let clock = TestClock::default();
        let report = whole_flow(clock.clone(), Arc::new(store(&clock))).await.unwrap();
        assert_eq!(report.tokens, ["access-1", "access-2"]);
        assert_eq!(report.revoked, ["refresh-2", "access-2"]);
    }

    #[tokio::test]
    async fn a_write_during_maintenance_is_refused_and_changes_nothing() {
        let store = store(&TestClock::default());
        assert_eq!(two_writes(&store).await, [Err(StoreError::Unavailable), Ok(())]);
        assert_eq!(store.pending_events(10).await.unwrap().len(), 1);
        assert_eq!(app_store(&store).deployment_id(), [7; 16]);
    }
}
