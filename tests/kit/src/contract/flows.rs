//! Rules of start, callback and commit.

use std::time::Duration;

use grantry_domain::authorization::{
    AuthorizationKey, AuthorizationRecord, FailureCode, INTERRUPTED_AFTER, Input, RevocationOutcome, RevocationRecord,
    StateKind, TerminationCause,
};
use grantry_domain::connector::Connector;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditKind, CallbackKey, CommitOutcome, ConsumeOutcome, EditEffect, InsertOutcome, Obsolete, PendingLimits,
    TerminationScope, Versioned, WriteOutcome,
};
use tokio::task::JoinSet;

use super::Backend;
use super::test_store::{
    HIGH_LIMITS, Succeeds, TestStore, callback, failed, pending_in_doubt, record_of, state_of, stored, terminated,
    terminated_event,
};
use crate::doubles::fixtures::{self, FLOW_TTL, authorization_key_of};

const CALLERS: usize = 64;

/// An inserted flow is stored as given, with its audit event.
pub async fn a_flow_is_stored_as_given(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let flow = fixtures::initiated(store.new_id(), authorization_key_of(&drive, "alice"), store.now());
    let event = store.event(AuditKind::FlowStarted, &flow);
    let given = fixtures::authorization(&flow);
    let inserted = store.node.authorizations.insert_flow(given.clone(), HIGH_LIMITS, vec![event.clone()]);
    assert_eq!(inserted.await.unwrap_or_fail(), InsertOutcome::Inserted);
    assert_eq!(store.node.authorizations.find(flow.id).await.unwrap_or_fail(), Some(Versioned::stored(given)));
    assert_eq!(store.get(flow.id).await, flow);
    assert_eq!(store.new_events().await, [event]);
    let issued = fixtures::awaiting(flow.id, flow.owner.clone(), store.now());
    assert_eq!(store.replaced(issued.clone(), &flow).await, issued);
}

/// A newer flow supersedes older ones of the same user and connector, unless they are consumed.
pub async fn r18_a_newer_attempt_supersedes_older_pending_ones(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let mail = store.add(fixtures::connector_in("default", "mail", 1, store.now())).await;
    let owner = authorization_key_of(&drive, "alice");
    let in_exchange = store.exchange(&owner).await;
    let of_bob = store.start(&authorization_key_of(&drive, "bob")).await;
    let elsewhere = store.start(&authorization_key_of(&mail, "alice")).await;
    let issued = store.start(&owner).await;
    store.new_events().await;
    let newer = store.insert(&owner).await;
    let ended = store.get(issued.id).await;
    assert_eq!(state_of(&ended), terminated(TerminationCause::Superseded));
    assert_eq!((ended.sealed, ended.since), (None, Some(store.now())));
    let events = store.new_events().await;
    let superseded = terminated_event(&store.get(issued.id).await, Actor::Person(owner.user.clone()), store.now());
    assert!(events.contains(&superseded), "{events:?}");
    assert_eq!(events.len(), 2);

    // A flow whose URL was not issued is superseded as well.
    let newest = store.start(&owner).await;
    assert_eq!(store.state(&newer).await, terminated(TerminationCause::Superseded));
    for untouched in [in_exchange, of_bob, elsewhere, newest] {
        assert_eq!(store.get(untouched.id).await, untouched);
    }
}

/// The number of unfinished flows per user is limited over all spaces and connectors; a refusal changes nothing.
pub async fn r18_unfinished_flows_of_a_user_are_limited(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let mail = store.add(fixtures::connector_in("marketing", "mail", 1, store.now())).await;
    let wiki = store.add(fixtures::connector_in("default", "wiki", 1, store.now())).await;
    let limits = PendingLimits { per_user: 2, deployment: 100 };
    store.exchange(&authorization_key_of(&drive, "alice")).await;
    let waiting = store.start(&authorization_key_of(&mail, "alice")).await;
    let before = store.snapshot().await;
    let (refused, inserted) = store.try_insert(&authorization_key_of(&wiki, "alice"), limits).await;
    assert_eq!(inserted, InsertOutcome::TooManyPending, "a consumed flow counts as well");
    assert_eq!(store.find(refused).await, None);
    let (_, bob) = store.try_insert(&authorization_key_of(&wiki, "bob"), limits).await;
    assert_eq!(bob, InsertOutcome::Inserted, "the limit is per user");
    assert_eq!(before.records, store.snapshot().await.records_of(&before));

    // The flow that the new one would supersede does not count; a refused flow supersedes nothing.
    let (_, again) = store.try_insert(&waiting.owner, limits).await;
    assert_eq!(again, InsertOutcome::Inserted);
    let tight = PendingLimits { per_user: 1, ..limits };
    let snapshot = store.snapshot().await;
    let (_, refused) = store.try_insert(&waiting.owner, tight).await;
    assert_eq!(refused, InsertOutcome::TooManyPending);
    assert_eq!(snapshot.records, store.snapshot().await.records_of(&snapshot));
}

/// The number of unfinished flows in the deployment is limited.
pub async fn r18_unfinished_flows_of_the_deployment_are_limited(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let limits = PendingLimits { per_user: 10, deployment: 2 };
    for (user, expected) in
        [("a", InsertOutcome::Inserted), ("b", InsertOutcome::Inserted), ("c", InsertOutcome::TooManyPending)]
    {
        let (_, inserted) = store.try_insert(&authorization_key_of(&drive, user), limits).await;
        assert_eq!(inserted, expected, "{user}");
    }
    let (_, again) = store.try_insert(&authorization_key_of(&drive, "b"), limits).await;
    assert_eq!(again, InsertOutcome::Inserted, "the superseded flow does not count");
}

/// The limits depend on the clock and not on the sweeper.
pub async fn r18_a_flow_that_is_over_counts_for_no_limit(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let mail = store.add(fixtures::connector_in("default", "mail", 1, store.now())).await;
    let limits = PendingLimits { per_user: 1, deployment: 1 };
    store.start(&authorization_key_of(&drive, "alice")).await;
    store.advance(FLOW_TTL);
    let (consumed, inserted) = store.try_insert(&authorization_key_of(&mail, "alice"), limits).await;
    assert_eq!(inserted, InsertOutcome::Inserted, "the deadline of the other flow has passed");

    let flow = store.get(consumed).await;
    let issued = store.replaced(fixtures::awaiting(flow.id, flow.owner.clone(), flow.created_at), &flow).await;
    store.consume(&issued).await;
    let (_, inserted) = store.try_insert(&authorization_key_of(&drive, "alice"), limits).await;
    assert_eq!(inserted, InsertOutcome::TooManyPending, "its exchange is in progress");
    store.advance(INTERRUPTED_AFTER);
    let (_, inserted) = store.try_insert(&authorization_key_of(&drive, "alice"), limits).await;
    assert_eq!(inserted, InsertOutcome::Inserted, "the exchange counts as interrupted");
}

/// Of many callers on two nodes, exactly one consumes a flow.
pub async fn r20_a_flow_is_consumed_once_among_many_callers(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let flow = store.start(&authorization_key_of(&drive, "alice")).await;
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let node = if caller % 2 == 0 { &store.node } else { &store.other };
        let (grants, key) = (node.authorizations.clone(), callback(&flow));
        callers.spawn(async move { grants.consume(key, Vec::new()).await.unwrap_or_fail() });
    }
    let (mut consumed, mut used) = (0, 0);
    for outcome in callers.join_all().await {
        match outcome {
            ConsumeOutcome::Consumed { .. } => consumed += 1,
            ConsumeOutcome::AlreadyUsed(_) => used += 1,
            other @ (ConsumeOutcome::NotFound
            | ConsumeOutcome::UserMismatch(_)
            | ConsumeOutcome::BrowserMismatch(_)
            | ConsumeOutcome::Expired(_)) => panic!("{other:?}"),
        }
    }
    assert_eq!((consumed, used), (1, CALLERS - 1));
}

/// Consuming a flow returns its secrets and removes them from the stored flow.
pub async fn r20_consumed_secrets_leave_the_record(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let flow = store.start(&authorization_key_of(&drive, "alice")).await;
    store.new_events().await;
    store.advance(Duration::from_secs(7));
    let outcome = store.consume(&flow).await;
    let expected = AuthorizationRecord { sealed: None, consumed_at: Some(store.now()), ..flow.clone() };
    let secrets = flow.sealed.clone().expect("it had secrets");
    assert_eq!(outcome, ConsumeOutcome::Consumed { flow: stored(&expected), secrets });
    assert_eq!(store.get(flow.id).await, expected);
    assert_eq!(store.new_events().await, [store.event(AuditKind::CallbackConsumed, &flow)]);
}

/// Another user, no cookie, or the cookie of another flow: refused, and the flow can still be consumed.
pub async fn r20_a_mismatch_consumes_nothing(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let flow = store.start(&authorization_key_of(&drive, "alice")).await;
    let other = store.start(&authorization_key_of(&drive, "bob")).await;
    let right = callback(&flow);
    let snapshot = store.snapshot().await;
    let unchanged = Box::new(fixtures::authorization(&flow));
    let cases = [
        (CallbackKey { user: fixtures::user("bob"), ..right.clone() }, ConsumeOutcome::UserMismatch(unchanged.clone())),
        (
            CallbackKey { user: fixtures::user("bob"), flow_cookies: Vec::new(), ..right.clone() },
            ConsumeOutcome::UserMismatch(unchanged.clone()),
        ),
        (CallbackKey { flow_cookies: Vec::new(), ..right.clone() }, ConsumeOutcome::BrowserMismatch(unchanged.clone())),
        (
            CallbackKey { flow_cookies: vec![fixtures::flow_cookie_hash(other.id)], ..right.clone() },
            ConsumeOutcome::BrowserMismatch(unchanged),
        ),
        (
            CallbackKey { state_hash: fixtures::state_hash(fixtures::authorization_id(999)), ..right },
            ConsumeOutcome::NotFound,
        ),
    ];
    for (key, expected) in cases {
        let event = store.event(AuditKind::CallbackConsumed, &flow);
        assert_eq!(store.node.authorizations.consume(key, vec![event]).await.unwrap_or_fail(), expected);
        assert_eq!(store.snapshot().await, snapshot);
    }
    assert!(matches!(store.consume(&flow).await, ConsumeOutcome::Consumed { .. }));
}

/// A browser may send cookies of several flows; the one of this flow is enough.
pub async fn r20_one_of_several_flow_cookies_is_enough(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let older = store.start(&authorization_key_of(&drive, "alice")).await;
    let flow = store.start(&authorization_key_of(&drive, "alice")).await;
    let flow_cookies = vec![fixtures::flow_cookie_hash(older.id), fixtures::flow_cookie_hash(flow.id)];
    let key = CallbackKey { flow_cookies, ..callback(&flow) };
    let outcome = store.node.authorizations.consume(key, Vec::new()).await.unwrap_or_fail();
    assert!(matches!(outcome, ConsumeOutcome::Consumed { .. }), "{outcome:?}");
}

/// From its deadline on a flow cannot be consumed, swept or not.
pub async fn r20_a_late_callback_is_reported_as_expired(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let flow = store.start(&authorization_key_of(&drive, "alice")).await;
    store.advance(FLOW_TTL);
    let snapshot = store.snapshot().await;
    assert_eq!(store.consume(&flow).await, ConsumeOutcome::Expired(Box::new(fixtures::authorization(&flow))));
    assert_eq!(store.snapshot().await, snapshot);
    assert_eq!(store.sweep().await.timed_out, 1);
    let swept = Box::new(fixtures::authorization(&store.get(flow.id).await));
    assert_eq!(store.consume(&flow).await, ConsumeOutcome::Expired(swept));
    let key = CallbackKey { flow_cookies: Vec::new(), ..callback(&flow) };
    let foreign = store.node.authorizations.consume(key, Vec::new()).await.unwrap_or_fail();
    assert!(matches!(foreign, ConsumeOutcome::BrowserMismatch(_)), "{foreign:?}");
}

/// A replayed callback is distinguished from an unknown one as long as the row is stored, and changes nothing.
pub async fn r20_a_replayed_callback_is_reported_as_used(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let owner = authorization_key_of(&drive, "alice");
    let committed = store.connect(&owner).await;
    let cancelled = store.start(&owner).await;
    store.terminate(TerminationScope::One(cancelled.id), TerminationCause::Cancelled).await;
    let in_exchange = store.exchange(&owner).await;
    let snapshot = store.snapshot().await;
    for flow in [&in_exchange, &committed, &cancelled] {
        let unchanged = Box::new(fixtures::authorization(&store.get(flow.id).await));
        assert_eq!(store.consume(flow).await, ConsumeOutcome::AlreadyUsed(unchanged));
        let key = CallbackKey { user: fixtures::user("bob"), ..callback(flow) };
        let foreign = store.node.authorizations.consume(key, Vec::new()).await.unwrap_or_fail();
        assert!(matches!(foreign, ConsumeOutcome::UserMismatch(_)), "{foreign:?}");
    }
    assert_eq!(store.snapshot().await, snapshot);
}

/// A flow is found by its state as long as it awaits its callback, consumed or not.
pub async fn a_flow_is_found_by_its_state_until_it_is_over(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let owner = authorization_key_of(&drive, "alice");
    let flow = store.start(&owner).await;
    let by_state = async |flow: &AuthorizationRecord| {
        store.node.authorizations.find_by_state(fixtures::state_hash(flow.id)).await.unwrap_or_fail().as_ref().map(record_of)
    };
    assert_eq!(by_state(&flow).await, Some(flow.clone()));
    store.consume(&flow).await;
    assert_eq!(by_state(&flow).await, Some(store.get(flow.id).await));
    store.commit(&flow).await;
    assert_eq!(by_state(&flow).await, None);
}

/// The commit stores the grant as given, for every node.
pub async fn r26_a_commit_makes_the_grant(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let flow = store.exchange(&authorization_key_of(&drive, "alice")).await;
    store.new_events().await;
    let grant = fixtures::authorized(flow.id, flow.owner.clone(), store.now());
    assert_eq!(store.commit(&flow).await, CommitOutcome::Committed);
    assert_eq!(
        store.other.authorizations.find(grant.id).await.unwrap_or_fail().as_ref().map(record_of),
        Some(grant.clone())
    );
    assert_eq!(store.new_events().await, [store.event(AuditKind::Connected, &grant)]);
}

/// Asserts that a commit is refused and changes nothing.
async fn refused(store: &TestStore, flow: &AuthorizationRecord, expected: CommitOutcome) {
    let snapshot = store.snapshot().await;
    assert_eq!(store.commit(flow).await, expected);
    assert_eq!(store.snapshot().await, snapshot, "a refused commit changes nothing");
}

/// No grant is committed for a connector that was edited during the flow.
pub async fn r26_no_grant_for_an_edited_connector(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let old = store.connect(&authorization_key_of(&drive, "bob")).await;
    let flow = store.exchange(&authorization_key_of(&drive, "alice")).await;
    let (edited, _) = store.edit(&drive, EditEffect::ExpireGrants).await;
    refused(&store, &flow, CommitOutcome::ConnectorChanged).await;
    assert_ne!(store.get(old.id).await.state, StateKind::Authorized);

    let flow = store.exchange(&authorization_key_of(&edited, "alice")).await;
    store.edit(&edited, EditEffect::KeepGrants).await;
    assert_eq!(store.commit(&flow).await, CommitOutcome::Committed, "an edit that keeps grants keeps the flow");
}

/// No grant is committed for a connector that was deleted or recreated during the flow.
pub async fn r26_no_grant_for_a_connector_that_is_gone(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let owner = authorization_key_of(&drive, "alice");
    let flow = store.exchange(&owner).await;
    store.delete(&drive).await;
    refused(&store, &flow, CommitOutcome::ConnectorGone).await;
    store.add(fixtures::connector_in("default", "drive", 2, store.now())).await;
    refused(&store, &flow, CommitOutcome::ConnectorGone).await;
}

/// After a user was removed no grant is committed for this user.
pub async fn r26_no_grant_for_a_removed_user(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let flow = store.exchange(&authorization_key_of(&drive, "alice")).await;
    store.terminate(TerminationScope::User(fixtures::user("alice")), TerminationCause::UserRemoved).await;
    refused(&store, &flow, CommitOutcome::UserGone).await;
    let flow = store.exchange(&authorization_key_of(&drive, "bob")).await;
    assert_eq!(store.commit(&flow).await, CommitOutcome::Committed);
}

/// No flow is stored whose connector or user has changed since they were read. It supersedes none.
pub async fn r26_no_flow_for_another_connector_or_a_removed_user(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let obsolete = async |owner: &AuthorizationKey, expected| {
        let snapshot = store.snapshot().await;
        assert_eq!(store.try_insert(owner, HIGH_LIMITS).await.1, InsertOutcome::Obsolete(expected));
        let after = store.snapshot().await;
        assert_eq!(snapshot.records, after.records_of(&snapshot));
        assert_eq!(after.records.last(), Some(&None), "it is not stored");
        assert_eq!(snapshot.events, after.events);
    };
    let of = |connector: &Connector, who: &str| authorization_key_of(connector, who);
    let (edited, _) = store.edit(&drive, EditEffect::ExpireGrants).await;
    obsolete(&of(&drive, "alice"), Obsolete::ConnectorChanged).await;
    store.start(&of(&edited, "alice")).await;
    store.terminate(TerminationScope::User(fixtures::user("bob")), TerminationCause::UserRemoved).await;
    obsolete(&of(&edited, "bob"), Obsolete::UserGone).await;
    store.delete(&edited).await;
    obsolete(&of(&edited, "alice"), Obsolete::ConnectorGone).await;
    store.add(fixtures::connector_in("default", "drive", 2, store.now())).await;
    obsolete(&of(&edited, "alice"), Obsolete::ConnectorGone).await;
}

/// A flow that ended, was never consumed, or was interrupted during the exchange cannot be committed.
pub async fn r26_no_grant_for_a_flow_that_has_ended(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let owner = authorization_key_of(&drive, "alice");
    let cancelled = store.exchange(&owner).await;
    store.terminate(TerminationScope::One(cancelled.id), TerminationCause::Cancelled).await;
    refused(&store, &cancelled, CommitOutcome::FlowEnded).await;
    let unconsumed = store.start(&owner).await;
    refused(&store, &unconsumed, CommitOutcome::FlowEnded).await;
    let unknown = fixtures::consumed(store.new_id(), owner.clone(), store.now());
    refused(&store, &unknown, CommitOutcome::FlowEnded).await;
    let committed = store.connect(&owner).await;
    refused(&store, &committed, CommitOutcome::FlowEnded).await;
    let interrupted = store.exchange(&owner).await;
    store.advance(INTERRUPTED_AFTER);
    refused(&store, &interrupted, CommitOutcome::FlowEnded).await;
    store.sweep().await;
    refused(&store, &interrupted, CommitOutcome::FlowEnded).await;
}

/// A flow that failed after it was consumed stays failed.
pub async fn a_failed_flow_stays_failed(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let flow = store.exchange(&authorization_key_of(&drive, "alice")).await;
    let ended = fixtures::after(&flow, Input::Failed(FailureCode::ExchangeFailed), store.now());
    assert_eq!(state_of(&ended), failed(FailureCode::ExchangeFailed));
    assert_eq!(store.replaced(ended.clone(), &flow).await, ended);
    assert_eq!(store.replace(flow.clone(), &flow).await, WriteOutcome::Stale(stored(&ended)));
    refused(&store, &flow, CommitOutcome::FlowEnded).await;
}

/// The commit supersedes the old grant in the same transaction; the old tokens are to be revoked.
pub async fn r27_the_old_grant_is_superseded_with_the_commit(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let mail = store.add(fixtures::connector_in("default", "mail", 1, store.now())).await;
    let owner = authorization_key_of(&drive, "alice");
    let of_bob = store.connect(&authorization_key_of(&drive, "bob")).await;
    let elsewhere = store.connect(&authorization_key_of(&mail, "alice")).await;
    let old = store.connect(&owner).await;
    let flow = store.exchange(&owner).await;
    assert_eq!(store.get(old.id).await, old, "a flow does not change the grant");
    store.lease(&old, 1).await;
    store.new_events().await;
    assert_eq!(store.commit(&flow).await, CommitOutcome::Committed);
    let ended = store.get(old.id).await;
    assert_eq!(state_of(&ended), terminated(TerminationCause::Superseded));
    assert_eq!((pending_in_doubt(&ended), &ended.sealed), (Some(true), &old.sealed), "with its in-doubt mark");
    let events = store.new_events().await;
    let superseded = terminated_event(&ended, Actor::Person(owner.user.clone()), store.now());
    assert!(events.contains(&superseded) && events.len() == 2, "{events:?}");
    for untouched in [of_bob, elsewhere] {
        assert_eq!(store.get(untouched.id).await, untouched);
    }
}

/// Where revoking would end the new grant as well, the old tokens are destroyed without revocation.
pub async fn r51_a_superseded_grant_can_be_dropped_without_revocation(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let owner = authorization_key_of(&drive, "alice");
    let old = store.connect(&owner).await;
    let flow = store.exchange(&owner).await;
    let grant = fixtures::authorization(&fixtures::authorized(flow.id, owner, store.now()));
    let committed = store.node.authorizations.commit_grant(grant, false, Vec::new()).await.unwrap_or_fail();
    assert_eq!(committed, CommitOutcome::Committed);
    let ended = store.get(old.id).await;
    assert_eq!(ended.revocation, Some(RevocationRecord::Completed(RevocationOutcome::NotNeeded)));
    assert_eq!((state_of(&ended), &ended.sealed), (terminated(TerminationCause::Superseded), &None));
    assert_eq!(store.claim().await, None);
}

/// Concurrent commits of one connection leave one grant; the others are superseded.
pub async fn r27_concurrent_commits_leave_one_grant(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let owner = authorization_key_of(&drive, "alice");
    let mut flows = Vec::new();
    for _ in 0..8 {
        flows.push(store.exchange(&owner).await);
    }
    let mut commits = JoinSet::new();
    for (at, flow) in flows.iter().enumerate() {
        // Each flow is committed on both nodes.
        for node in [&store.node, &store.other] {
            let grants = node.authorizations.clone();
            let grant = fixtures::authorization(&fixtures::authorized(flow.id, flow.owner.clone(), store.now()));
            commits.spawn(async move { (at, grants.commit_grant(grant, true, Vec::new()).await.unwrap_or_fail()) });
        }
    }
    let outcomes = commits.join_all().await;
    for at in 0..flows.len() {
        let mut of_flow: Vec<_> = outcomes.iter().filter(|(flow, _)| *flow == at).map(|(_, commit)| commit).collect();
        of_flow.sort_by_key(|commit| **commit != CommitOutcome::Committed);
        assert_eq!(of_flow, [&CommitOutcome::Committed, &CommitOutcome::FlowEnded], "a flow is committed once");
    }
    let mut states = Vec::new();
    for flow in &flows {
        states.push(store.get(flow.id).await.state);
    }
    assert_eq!(states.iter().filter(|state| **state == StateKind::Authorized).count(), 1, "{states:?}");
    assert_eq!(states.iter().filter(|state| **state == StateKind::Revoked).count(), flows.len() - 1, "{states:?}");
}
