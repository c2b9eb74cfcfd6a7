//! Connections that end at the commit: the store finds the outcome.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::connector::{CallbackId, Connector, Incarnation};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditEvent, AuditKind, AuditOutbox, Clock, ConnectorStore, Created, Lease, LeaseRequest, LeftOut, RefreshLeases,
    RevocationJob, RevocationQueue, RowTag, Session, SessionHash, SessionStore, StoreError,
};
use grantry_store_postgres::{PostgresOptions, PostgresStore};
use grantry_testkit::doubles::fixtures;
use tokio::task::JoinSet;

use crate::database::{TestDatabase, options_of};
use crate::proxy::{Cut, Proxy};

/// A database, a proxy to it, and a store behind the proxy.
struct Behind {
    database: TestDatabase,
    proxy: Proxy,
    store: Arc<PostgresStore>,
}

impl Behind {
    async fn new(database: TestDatabase, cut: Cut, connections: usize) -> Self {
        let proxy = Proxy::start(&database.database.url(), cut).await;
        let clock: Option<Arc<dyn Clock>> = Some(Arc::new(database.clock.clone()));
        let options = PostgresOptions { clock, connections, ..options_of(proxy.url()) };
        let store = Arc::new(PostgresStore::open(options).await.unwrap());
        Self { database, proxy, store }
    }

    /// Writes through calls whose commits are cut. Returns the number of events.
    async fn write(&self, calls: usize, at_once: usize) -> usize {
        for first in (0..calls).step_by(at_once) {
            self.proxy.cut_next(at_once);
            let mut writes = JoinSet::new();
            for n in first..first + at_once {
                let event = AuditEvent::new(AuditKind::DecryptFailed, Actor::Agent(n.to_string()), self.database.now());
                let store = self.store.clone();
                writes.spawn(async move { store.record(vec![event]).await });
            }
            assert!(writes.join_all().await.iter().all(|written| *written == Ok(())));
            assert_eq!(self.proxy.left(), 0, "no commit was cut");
        }
        self.store.pending_events(100).await.unwrap().len()
    }
}

#[tokio::test]
async fn a_commit_whose_response_was_lost_is_found_and_not_repeated() {
    assert_eq!(Behind::new(TestDatabase::new().await, Cut::AfterCommit, 10).await.write(10, 1).await, 10);
}

#[tokio::test]
async fn a_commit_that_did_not_arrive_is_repeated() {
    assert_eq!(Behind::new(TestDatabase::new().await, Cut::BeforeCommit, 10).await.write(10, 1).await, 10);
}

/// The question for the outcome does not wait for the connections whose commits were cut.
#[tokio::test]
async fn the_outcomes_are_found_if_all_connections_are_lost() {
    assert_eq!(Behind::new(TestDatabase::new().await, Cut::AfterCommit, 1).await.write(2, 1).await, 2);
    assert_eq!(Behind::new(TestDatabase::new().await, Cut::AfterCommit, 10).await.write(10, 10).await, 10);
}

/// A server that has the functions that report outcomes, and refuses their use.
async fn untracked() -> TestDatabase {
    let database = TestDatabase::new().await;
    let name = database.database.name();
    let shadow = format!(
        "CREATE FUNCTION pg_walfile_name(pg_lsn) RETURNS text LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'not supported' USING ERRCODE = '0A000'; END $$; \
         ALTER DATABASE {name} SET search_path = public, pg_catalog"
    );
    database.database.client().await.batch_execute(&shadow).await.unwrap();
    database
}

#[tokio::test]
async fn a_server_that_refuses_to_report_outcomes_can_be_used() {
    let behind = Behind::new(untracked().await, Cut::AfterCommit, 1).await;
    let event = AuditEvent::new(AuditKind::DecryptFailed, Actor::System, behind.database.now());
    assert_eq!(behind.store.record(vec![event.clone()]).await, Ok(()));
    behind.proxy.cut_next(1);
    assert_eq!(behind.store.record(vec![event]).await, Err(StoreError::OutcomeUnknown));
}

/// The store repeats these after an unknown outcome, and recognises what it wrote.
#[tokio::test]
async fn r38_a_repetition_recognises_what_the_first_transaction_wrote() {
    let behind = Behind::new(untracked().await, Cut::AfterCommit, 2).await;
    let (database, store) = (&behind.database, &behind.store);
    let cut = || behind.proxy.cut_next(1);
    let assert_cut = || assert_eq!(behind.proxy.left(), 0, "no commit was cut");

    cut();
    let connector = database.add_connector(store).await;
    assert_cut();
    let (incarnation, callback_id) = (Incarnation([9; 16]), CallbackId([9; 16]));
    let other = Connector { incarnation, callback_id, ..connector.clone() };
    assert_eq!(store.create(other, None, Vec::new()).await, Ok(Created::Taken));

    let owner = fixtures::authorization_key_of(&connector, "alice");
    let grant = database.connect(store, fixtures::authorization_id(1), &owner).await;
    let (length, longest) = (Duration::from_mins(1), Duration::from_mins(2));
    let request = LeaseRequest { id: grant.id, revision: grant.revision, holder: [1; 16], length, longest };
    cut();
    let taken = store.take_lease(request).await.unwrap();
    assert_cut();
    assert!(matches!(taken, Lease::Taken { was_in_doubt: false, .. }), "{taken:?}");

    let tokens = fixtures::unclaimed_tokens(fixtures::authorization_id(99), owner.clone(), database.now());
    let event = fixtures::event(AuditKind::FlowEnded, &grant, database.now());
    store.forget_events(u64::MAX).await.unwrap();
    cut();
    store.queue_unclaimed(tokens.clone(), vec![event]).await.unwrap();
    assert_cut();
    assert_eq!(store.pending_events(10).await.unwrap().len(), 1);
    let claimed = store.claim_revocation([1; 16], length, Duration::from_hours(1), LeftOut::default()).await.unwrap();
    assert_eq!(claimed, Some(RevocationJob::Unclaimed(Box::new(tokens))));

    let now = database.now();
    let session = Session { user: owner.user, created_at: now, seen_at: now, tag: RowTag::NONE };
    cut();
    store.insert(SessionHash([1; 32]), session.clone(), 5).await.unwrap();
    assert_cut();
    assert_eq!(SessionStore::find(&**store, SessionHash([1; 32])).await, Ok(Some(session)));
}
