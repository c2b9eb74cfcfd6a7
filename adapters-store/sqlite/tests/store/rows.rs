//! Rows: what a stale write must not do, and what must not stay.

use std::time::Duration;

use grantry_domain::authorization::AuthorizationRecord;
use grantry_domain::connector::Connector;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditKind, AuthorizationStore, Cascade, ConnectorStore, ConsumeOutcome, ExpectedVersion, KeyId, SweepPolicy,
    UnclaimedTokens, WriteOutcome,
};
use grantry_testkit::doubles::{PlainVault, fixtures};

use crate::place::{Place, callback};

const SWEEP: SweepPolicy = SweepPolicy {
    unused_grants: Duration::from_hours(90 * 24),
    ended_flows: Duration::from_hours(24),
    ended_grants: Duration::from_hours(30 * 24),
    batch: 1000,
};

#[tokio::test]
async fn r20_a_record_read_before_the_callback_does_not_make_the_flow_usable_again() {
    let place = Place::new();
    let store = place.open().await;
    let connector = place.add_connector(&store).await;
    let owner = fixtures::ownership_of(&connector, "alice");
    let read = place.start(&store, fixtures::grant_id(1), &owner).await;
    let consumed = store.consume(callback(&read), Vec::new()).await.unwrap();
    assert!(matches!(consumed, ConsumeOutcome::Consumed { .. }));

    // StateKind and revision are still the same.
    let written = store.replace(read.clone(), ExpectedVersion::of(&read), Vec::new()).await.unwrap();
    assert!(matches!(written, WriteOutcome::Stale(_)));
    let again = store.consume(callback(&read), Vec::new()).await.unwrap();
    assert!(matches!(again, ConsumeOutcome::AlreadyUsed(_)));
}

#[tokio::test]
async fn r50_a_superseded_client_secret_is_destroyed_after_a_day_whatever_still_needs_it() {
    let place = Place::new();
    let store = place.open().await;
    let connector = place.add_connector(&store).await;
    let secret = fixtures::client_secret(&connector);
    place.connect(&store, fixtures::grant_id(1), &fixtures::ownership_of(&connector, "alice")).await;
    let next = Connector { epoch: connector.epoch.next(), revision: 2, ..connector.clone() };
    let present = fixtures::client_secret(&next);
    store.update(next, 1, Some(present.clone()), Cascade::Changed, Actor::System, Vec::new()).await.unwrap();

    place.clock.advance(Duration::from_hours(24) - Duration::from_millis(1));
    assert_eq!(store.sweep(SWEEP).await.unwrap().secrets_destroyed, 0);
    assert_eq!(store.client_secret(secret.key).await.unwrap(), Some(secret.clone()));
    place.clock.advance(Duration::from_millis(1));
    assert_eq!(store.sweep(SWEEP).await.unwrap().secrets_destroyed, 1);
    assert_eq!(store.client_secret(secret.key).await.unwrap(), None);
    assert_eq!(store.client_secret(present.key).await.unwrap(), Some(present));
}

#[tokio::test]
async fn r75_envelopes_are_counted_by_the_key_in_their_header() {
    let place = Place::new();
    let store = place.open().await;
    let connector = place.add_connector(&store).await;
    let owner = fixtures::ownership_of(&connector, "alice");
    let grant = place.connect(&store, fixtures::grant_id(1), &owner).await;
    let other = KeyId([7; 8]);
    let resealed = fixtures::envelope_with(other, "other");
    let orphan = fixtures::orphan(fixtures::grant_id(2), owner, place.now());
    store.queue_unclaimed(UnclaimedTokens { sealed: resealed.clone(), ..orphan }, Vec::new()).await.unwrap();
    let sorted = |mut usage: Vec<(KeyId, u64)>| {
        usage.sort_unstable();
        usage
    };
    // The client secret and the grant; the orphan.
    let usage = sorted(store.key_usage().await.unwrap());
    assert_eq!(usage, sorted(vec![(PlainVault::FIRST_KEY, 2), (other, 1)]));

    let next = AuthorizationRecord { sealed: Some(resealed), ..grant.clone() };
    store.replace(next, ExpectedVersion::of(&grant), Vec::new()).await.unwrap();
    let usage = sorted(store.key_usage().await.unwrap());
    assert_eq!(usage, sorted(vec![(PlainVault::FIRST_KEY, 1), (other, 2)]));
}

#[tokio::test]
async fn sequence_numbers_rise_after_all_events_were_forgotten() {
    let place = Place::new();
    let store = place.open().await;
    let connector = place.add_connector(&store).await;
    let flow = fixtures::initiated(fixtures::grant_id(1), fixtures::ownership_of(&connector, "alice"), place.now());
    let event = || fixtures::event(AuditKind::AccessTokenIssued, &flow, place.now());
    store.record(vec![event(), event()]).await.unwrap();
    let last = store.pending_events(10).await.unwrap().last().unwrap().sequence;
    store.forget_events(last).await.unwrap();
    store.close().await;

    let store = place.open().await;
    store.record(vec![event()]).await.unwrap();
    assert!(store.pending_events(10).await.unwrap()[0].sequence > last);
}
