//! Connections that end at the commit: the store finds the outcome.

use std::sync::Arc;

use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuditEvent, AuditKind, AuditOutbox, Clock, StoreError};
use grantry_store_postgres::{PostgresOptions, PostgresStore};
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
