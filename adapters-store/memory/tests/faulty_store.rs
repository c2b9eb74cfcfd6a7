//! The faulty store of the test kit: transparent without faults, and each fault as documented.

use std::sync::Arc;

use grantry_domain::ports::{
    AuthorizationStore, Clock as _, ConnectorStore as _, PendingLimits, Store, StoreClock, StoreError,
};
use grantry_store_memory::MemoryStore;
use grantry_testkit::contract::{Backend, Node, differential};
use grantry_testkit::doubles::{Fault, FaultyStore, Method, TestClock, fixtures};

fn faulty(clock: &TestClock) -> FaultyStore {
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
    FaultyStore::new(inner)
}

async fn plain_backend(clock: TestClock) -> Backend {
    let store = MemoryStore::new(Arc::new(clock.clone()));
    Backend::new(clock, Node::of(store))
}

async fn faulty_backend(clock: TestClock) -> Backend {
    let store = faulty(&clock);
    let other = Node::of(store.another_node());
    Backend::new(clock, Node::of(store)).shared_with(other)
}

#[test]
fn without_faults_it_is_the_inner_store() {
    differential(32, plain_backend, faulty_backend);
}

#[tokio::test]
async fn faults_apply_to_their_method_until_they_are_cleared() {
    let clock = TestClock::default();
    let store = faulty(&clock);
    let id = fixtures::authorization_id(1);
    store.fail_next(Method::Find, Fault::UNAVAILABLE);
    assert_eq!(AuthorizationStore::find(&store, id).await, Err(StoreError::Unavailable));
    assert_eq!(AuthorizationStore::find(&store, id).await, Ok(None));
    store.fail_always(Method::Find, Fault::Refused(StoreError::Unusable("damaged")));
    for _ in 0..2 {
        assert_eq!(AuthorizationStore::find(&store, id).await, Err(StoreError::Unusable("damaged")));
    }
    assert_eq!(AuthorizationStore::find(&store.another_node(), id).await, Ok(None), "another node has separate faults");
    assert_eq!((store.count(Method::Find), store.count(Method::Now)), (4, 0));
    store.fail_all();
    assert_eq!(StoreClock::now(&store).await, Err(StoreError::Unavailable));
    store.clear_faults();
    assert_eq!(StoreClock::now(&store).await, Ok(clock.now()));
}

#[tokio::test]
async fn a_lost_outcome_is_a_change_that_was_made() {
    let clock = TestClock::default();
    let store = faulty(&clock);
    let drive = fixtures::connector(clock.now());
    store.create(drive.clone(), Some(fixtures::client_secret(&drive)), Vec::new()).await.unwrap();
    let owner = fixtures::authorization_key_of(&drive, "alice");
    let flow = fixtures::initiated(fixtures::authorization_id(1), owner, clock.now());
    let limits = PendingLimits { per_user: 1, deployment: 1 };
    store.fail_next(Method::InsertFlow, Fault::OutcomeLost);
    let inserted = store.insert_flow(fixtures::authorization(&flow), limits, Vec::new()).await;
    assert_eq!(inserted, Err(StoreError::OutcomeUnknown));
    let stored = AuthorizationStore::find(&store, flow.id).await.unwrap().unwrap();
    assert_eq!(stored.value.to_record(), flow);
}

#[tokio::test]
async fn a_held_call_waits_for_its_gate() {
    let store = faulty(&TestClock::default());
    let gate = store.hold(Method::Find);
    let caller = store.clone();
    let call = tokio::spawn(async move { AuthorizationStore::find(&caller, fixtures::authorization_id(1)).await });
    gate.arrived(1).await;
    assert!(!call.is_finished());
    gate.open();
    assert_eq!(call.await.unwrap(), Ok(None));
}
