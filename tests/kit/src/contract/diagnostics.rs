//! Rules of the diagnostics of connectors.

use std::time::Duration;

use grantry_domain::connector::{CallbackId, Connector, Incarnation};
use grantry_domain::ports::{
    Anomaly, AnomalyKind, AuditOutcome, ConnectorFailure, Diagnostics, EditEffect, ProviderOperation, RECENT_ANOMALIES,
};

use super::Backend;
use super::test_store::{Succeeds, TestStore};
use crate::doubles::fixtures;

const MINUTE: Duration = Duration::from_mins(1);

fn failure(operation: ProviderOperation) -> ConnectorFailure {
    ConnectorFailure {
        operation,
        code: AuditOutcome::ClientRefused,
        http_status: Some(401),
        oauth_error: Some("invalid_client".to_owned()),
        endpoint_host: Some("login.example.com".to_owned()),
        hint: Some("check the client id".to_owned()),
        correlation_id: Some("0123456789abcdef".to_owned()),
    }
}

fn anomaly(number: usize) -> Anomaly {
    Anomaly::new(&format!("member_{number}"), AnomalyKind::WrongType)
}

async fn read(store: &TestStore, connector: Incarnation) -> Diagnostics {
    store.other.diagnostics.diagnostics(connector).await.unwrap_or_fail()
}

/// The last failure replaces the one before, on every node, with every field or with none of the optional ones.
pub async fn the_last_failure_of_a_connector_is_stored_as_given(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let diagnostics = &store.node.diagnostics;
    assert_eq!(read(&store, drive.incarnation).await, Diagnostics::default());
    for operation in ProviderOperation::ALL.iter().copied() {
        let full = failure(operation);
        let bare = ConnectorFailure {
            http_status: None,
            oauth_error: None,
            endpoint_host: None,
            hint: None,
            correlation_id: None,
            ..full.clone()
        };
        for failure in [full, bare] {
            store.advance(MINUTE);
            diagnostics.record_failure(drive.incarnation, failure.clone()).await.unwrap_or_fail();
            let last_failure = Some((failure, store.now()));
            assert_eq!(read(&store, drive.incarnation).await, Diagnostics { last_failure, ..Diagnostics::default() });
        }
    }
}

/// An anomaly is stored once, with its last instant. The newest ones are kept, newest first, separately for each connector.
pub async fn the_newest_anomalies_of_a_connector_are_kept_once_each(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let other = Connector {
        key: fixtures::connector_key("default", "other"),
        incarnation: Incarnation([77; 16]),
        callback_id: CallbackId([77; 16]),
        ..drive.clone()
    };
    store.add(other.clone()).await;
    let diagnostics = &store.node.diagnostics;
    diagnostics.record_anomalies(other.incarnation, vec![anomaly(0)]).await.unwrap_or_fail();
    let begin = store.now();
    store.advance(MINUTE);
    let first = vec![anomaly(0), anomaly(1)];
    diagnostics.record_anomalies(drive.incarnation, first).await.unwrap_or_fail();
    let early = store.now();
    store.advance(MINUTE);
    diagnostics.record_anomalies(drive.incarnation, vec![anomaly(0)]).await.unwrap_or_fail();
    let found = read(&store, drive.incarnation).await.anomalies;
    assert_eq!(found, [(anomaly(0), store.now()), (anomaly(1), early)]);

    store.advance(MINUTE);
    let many: Vec<_> = (2..RECENT_ANOMALIES + 10).map(anomaly).collect();
    diagnostics.record_anomalies(drive.incarnation, many.clone()).await.unwrap_or_fail();
    let found = read(&store, drive.incarnation).await.anomalies;
    let newest: Vec<_> = many.into_iter().rev().take(RECENT_ANOMALIES).map(|anomaly| (anomaly, store.now())).collect();
    assert_eq!(found, newest);
    assert_eq!(read(&store, other.incarnation).await.anomalies, [(anomaly(0), begin)]);
}

/// The refusal of the client belongs to a revision of the connector, keeps its first instant, and is in the statuses of that
/// revision on every node.
pub async fn a_refused_client_is_stored_for_the_revision_of_its_connector(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let diagnostics = &store.node.diagnostics;
    let alice = fixtures::user("alice");
    let shown = async || {
        let rows = store.other.queries.statuses(&drive.key.space, None, &alice).await.unwrap_or_fail();
        rows.into_iter().map(|row| row.client_refused_since).collect::<Vec<_>>()
    };
    diagnostics.client_accepted(drive.incarnation).await.unwrap_or_fail();
    assert_eq!(shown().await, [None]);
    let since = store.now();
    for _ in 0..2 {
        diagnostics.client_refused(drive.incarnation, drive.revision, store.now()).await.unwrap_or_fail();
        assert_eq!(read(&store, drive.incarnation).await.client_refused, Some((drive.revision, since)));
        assert_eq!(shown().await, [Some(since)]);
        store.advance(MINUTE);
    }
    diagnostics.client_accepted(drive.incarnation).await.unwrap_or_fail();
    assert_eq!((read(&store, drive.incarnation).await.client_refused, shown().await), (None, vec![None]));

    diagnostics.client_refused(drive.incarnation, drive.revision, since).await.unwrap_or_fail();
    let (edited, _) = store.edit(&drive, EditEffect::KeepGrants).await;
    assert_eq!(shown().await, [None], "the edit may have repaired the client");
    let later = store.now();
    diagnostics.client_refused(drive.incarnation, edited.revision, later).await.unwrap_or_fail();
    assert_eq!(shown().await, [Some(later)]);
    store.delete(&edited).await;
    diagnostics.client_refused(drive.incarnation, edited.revision, later).await.unwrap_or_fail();
    assert_eq!(read(&store, drive.incarnation).await, Diagnostics::default());
}

/// An edit keeps diagnostics, a deletion removes them. Late failures of a deleted connector are not stored.
pub async fn diagnostics_end_with_their_connector(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let diagnostics = &store.node.diagnostics;
    let record = async || {
        let refused = failure(ProviderOperation::Refresh);
        diagnostics.record_failure(drive.incarnation, refused).await.unwrap_or_fail();
        diagnostics.record_anomalies(drive.incarnation, vec![anomaly(0)]).await.unwrap_or_fail();
    };
    record().await;
    let recorded = read(&store, drive.incarnation).await;
    assert!(recorded.last_failure.is_some() && recorded.anomalies.len() == 1);
    store.edit(&drive, EditEffect::ExpireGrants).await;
    assert_eq!(read(&store, drive.incarnation).await, recorded);
    store.delete(&drive).await;
    assert_eq!(read(&store, drive.incarnation).await, Diagnostics::default());
    let again = Connector { incarnation: Incarnation([78; 16]), callback_id: CallbackId([78; 16]), ..drive.clone() };
    store.add(again.clone()).await;
    record().await;
    for incarnation in [drive.incarnation, again.incarnation] {
        assert_eq!(read(&store, incarnation).await, Diagnostics::default());
    }
}
