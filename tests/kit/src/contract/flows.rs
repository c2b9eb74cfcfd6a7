//! Rules of starting, consuming and committing.

use std::time::Duration;

use grantry_domain::authorization::{
    AuthorizationRecord, INTERRUPTED_AFTER, Input, RevocationOutcome, RevocationRecord, StateKind, TerminationCause,
};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditEvent, AuditKind, CallbackKey, Cascade, CommitOutcome, ConsumeOutcome, InsertOutcome, PendingLimits,
    TerminationScope, WriteOutcome,
};
use tokio::task::JoinSet;

use super::Backend;
use super::world::{ROOMY, Succeeds, World, callback, owed, state_of};
use crate::doubles::fixtures::{self, FLOW_TTL, ownership_of};

const CALLERS: usize = 64;

/// A start leaves exactly the record it was given, and its event.
pub async fn a_flow_is_stored_as_given(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let flow = fixtures::initiated(world.new_id(), ownership_of(&drive, "alice"), world.now());
    let event = world.event(AuditKind::FlowStarted, &flow);
    let inserted =
        world.store.authorizations.insert_pending(flow.clone(), ROOMY, vec![event.clone()]).await.unwrap_or_fail();
    assert_eq!(inserted, InsertOutcome::Inserted);
    assert_eq!(world.get(flow.id).await, flow);
    assert_eq!(world.news().await, [event]);
    let issued = fixtures::awaiting(flow.id, flow.owner.clone(), world.now());
    assert_eq!(world.replaced(issued.clone(), &flow).await, issued);
}

/// A newer attempt takes the place of older ones of the same user and connector, unless they are consumed.
pub async fn r18_a_newer_attempt_supersedes_older_pending_ones(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let mail = world.add(fixtures::connector_in("default", "mail", 1, world.now())).await;
    let owner = ownership_of(&drive, "alice");
    let in_exchange = world.exchange(&owner).await;
    let of_bob = world.start(&ownership_of(&drive, "bob")).await;
    let elsewhere = world.start(&ownership_of(&mail, "alice")).await;
    let issued = world.start(&owner).await;
    world.news().await;
    let newer = world.initiate(&owner).await;
    let ended = world.get(issued.id).await;
    assert_eq!(state_of(&ended), (StateKind::Revoked, Some("superseded")));
    assert_eq!((ended.sealed, ended.since), (None, Some(world.now())));
    let events = world.news().await;
    let superseded = AuditEvent::ending(&world.get(issued.id).await, Actor::Person(owner.user.clone()), world.now());
    assert!(events.contains(&superseded), "{events:?}");
    assert_eq!(events.len(), 2);

    // Also one whose URL was not issued.
    let newest = world.start(&owner).await;
    assert_eq!(world.cause(&newer).await.as_deref(), Some("superseded"));
    for untouched in [in_exchange, of_bob, elsewhere, newest] {
        assert_eq!(world.get(untouched.id).await, untouched);
    }
}

/// Unfinished flows of one user are capped over all spaces and connectors; a refusal changes nothing.
pub async fn r18_unfinished_flows_of_a_user_are_capped(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let mail = world.add(fixtures::connector_in("marketing", "mail", 1, world.now())).await;
    let wiki = world.add(fixtures::connector_in("default", "wiki", 1, world.now())).await;
    let limits = PendingLimits { per_user: 2, deployment: 100 };
    world.exchange(&ownership_of(&drive, "alice")).await;
    let waiting = world.start(&ownership_of(&mail, "alice")).await;
    let before = world.image().await;
    let (refused, inserted) = world.try_initiate(&ownership_of(&wiki, "alice"), limits).await;
    assert_eq!(inserted, InsertOutcome::TooManyPending, "a consumed flow counts as well");
    assert_eq!(world.find(refused).await, None);
    let (_, bob) = world.try_initiate(&ownership_of(&wiki, "bob"), limits).await;
    assert_eq!(bob, InsertOutcome::Inserted, "caps are per user");
    assert_eq!(before.records(), world.image().await.records_of(&before));

    // What the new one would supersede does not count; what is refused supersedes nothing.
    let (_, again) = world.try_initiate(&waiting.owner, limits).await;
    assert_eq!(again, InsertOutcome::Inserted);
    let tight = PendingLimits { per_user: 1, ..limits };
    let image = world.image().await;
    let (_, refused) = world.try_initiate(&waiting.owner, tight).await;
    assert_eq!(refused, InsertOutcome::TooManyPending);
    assert_eq!(image.records(), world.image().await.records_of(&image));
}

/// Unfinished flows of the whole deployment are capped.
pub async fn r18_unfinished_flows_of_the_deployment_are_capped(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let limits = PendingLimits { per_user: 10, deployment: 2 };
    for (user, expected) in
        [("a", InsertOutcome::Inserted), ("b", InsertOutcome::Inserted), ("c", InsertOutcome::TooManyPending)]
    {
        let (_, inserted) = world.try_initiate(&ownership_of(&drive, user), limits).await;
        assert_eq!(inserted, expected, "{user}");
    }
    let (_, again) = world.try_initiate(&ownership_of(&drive, "b"), limits).await;
    assert_eq!(again, InsertOutcome::Inserted, "superseding one's own flow needs no room");
}

/// A cap does not wait for the sweeper.
pub async fn r18_a_flow_that_is_over_counts_for_no_cap(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let mail = world.add(fixtures::connector_in("default", "mail", 1, world.now())).await;
    let limits = PendingLimits { per_user: 1, deployment: 1 };
    world.start(&ownership_of(&drive, "alice")).await;
    world.pass(FLOW_TTL);
    let (consumed, inserted) = world.try_initiate(&ownership_of(&mail, "alice"), limits).await;
    assert_eq!(inserted, InsertOutcome::Inserted, "the other one's deadline has passed");

    let flow = world.get(consumed).await;
    let issued = world.replaced(fixtures::awaiting(flow.id, flow.owner.clone(), flow.created_at), &flow).await;
    world.consume(&issued).await;
    let (_, inserted) = world.try_initiate(&ownership_of(&drive, "alice"), limits).await;
    assert_eq!(inserted, InsertOutcome::TooManyPending, "it is being exchanged");
    world.pass(INTERRUPTED_AFTER);
    let (_, inserted) = world.try_initiate(&ownership_of(&drive, "alice"), limits).await;
    assert_eq!(inserted, InsertOutcome::Inserted, "the process that consumed it is dead");
}

/// Of many callers on two nodes, one consumes a flow.
pub async fn r20_a_flow_is_consumed_once_among_many_callers(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let flow = world.start(&ownership_of(&drive, "alice")).await;
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let node = if caller % 2 == 0 { &world.store } else { &world.other };
        let (grants, key) = (node.authorizations.clone(), callback(&flow));
        callers.spawn(async move { grants.consume(key, Vec::new()).await.unwrap_or_fail() });
    }
    let (mut consumed, mut used) = (0, 0);
    for answer in callers.join_all().await {
        match answer {
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

/// Consuming hands the secrets to its caller and takes them out of the record.
pub async fn r20_consumed_secrets_leave_the_record(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let flow = world.start(&ownership_of(&drive, "alice")).await;
    world.news().await;
    world.pass(Duration::from_secs(7));
    let ConsumeOutcome::Consumed { record, sealed } = world.consume(&flow).await else { panic!("it was not consumed") };
    assert_eq!(Some(sealed), flow.sealed);
    let expected = AuthorizationRecord { sealed: None, consumed_at: Some(world.now()), ..flow.clone() };
    assert_eq!(*record, expected);
    assert_eq!(world.get(flow.id).await, expected);
    assert_eq!(world.news().await, [world.event(AuditKind::CallbackConsumed, &flow)]);
}

/// Another user, no cookie, another flow's cookie: refused, and the flow is as good as before.
pub async fn r20_a_mismatch_consumes_nothing(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let flow = world.start(&ownership_of(&drive, "alice")).await;
    let other = world.start(&ownership_of(&drive, "bob")).await;
    let right = callback(&flow);
    let image = world.image().await;
    let stored = Box::new(flow.clone());
    let cases = [
        (CallbackKey { user: fixtures::user("bob"), ..right.clone() }, ConsumeOutcome::UserMismatch(stored.clone())),
        (
            CallbackKey { user: fixtures::user("bob"), flow_cookies: Vec::new(), ..right.clone() },
            ConsumeOutcome::UserMismatch(stored.clone()),
        ),
        (CallbackKey { flow_cookies: Vec::new(), ..right.clone() }, ConsumeOutcome::BrowserMismatch(stored.clone())),
        (
            CallbackKey { flow_cookies: vec![fixtures::flow_cookie_hash(other.id)], ..right.clone() },
            ConsumeOutcome::BrowserMismatch(stored),
        ),
        (CallbackKey { state_hash: fixtures::state_hash(fixtures::grant_id(999)), ..right }, ConsumeOutcome::NotFound),
    ];
    for (key, expected) in cases {
        let event = world.event(AuditKind::CallbackConsumed, &flow);
        assert_eq!(world.store.authorizations.consume(key, vec![event]).await.unwrap_or_fail(), expected);
        assert_eq!(world.image().await, image);
    }
    assert!(matches!(world.consume(&flow).await, ConsumeOutcome::Consumed { .. }));
}

/// A browser may hold cookies of several flows; the one of this flow counts.
pub async fn r20_one_of_several_flow_cookies_is_enough(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let older = world.start(&ownership_of(&drive, "alice")).await;
    let flow = world.start(&ownership_of(&drive, "alice")).await;
    let flow_cookies = vec![fixtures::flow_cookie_hash(older.id), fixtures::flow_cookie_hash(flow.id)];
    let key = CallbackKey { flow_cookies, ..callback(&flow) };
    let answer = world.store.authorizations.consume(key, Vec::new()).await.unwrap_or_fail();
    assert!(matches!(answer, ConsumeOutcome::Consumed { .. }), "{answer:?}");
}

/// At its deadline a flow can no longer be consumed, whether or not the sweeper came by.
pub async fn r20_a_late_callback_is_told_so(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let flow = world.start(&ownership_of(&drive, "alice")).await;
    world.pass(FLOW_TTL);
    let image = world.image().await;
    assert_eq!(world.consume(&flow).await, ConsumeOutcome::Expired(Box::new(flow.clone())));
    assert_eq!(world.image().await, image);
    assert_eq!(world.sweep().await.timed_out, 1);
    let swept = Box::new(world.get(flow.id).await);
    assert_eq!(world.consume(&flow).await, ConsumeOutcome::Expired(swept));
    let key = CallbackKey { flow_cookies: Vec::new(), ..callback(&flow) };
    let foreign = world.store.authorizations.consume(key, Vec::new()).await.unwrap_or_fail();
    assert!(matches!(foreign, ConsumeOutcome::BrowserMismatch(_)), "{foreign:?}");
}

/// A replayed callback is told apart from an unknown one, as long as the row lives, and changes nothing.
pub async fn r20_a_replayed_callback_is_told_so(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let owner = ownership_of(&drive, "alice");
    let committed = world.connect(&owner).await;
    let cancelled = world.start(&owner).await;
    world.end(TerminationScope::One(cancelled.id), TerminationCause::Cancelled).await;
    let in_exchange = world.exchange(&owner).await;
    let image = world.image().await;
    for flow in [&in_exchange, &committed, &cancelled] {
        let stored = Box::new(world.get(flow.id).await);
        assert_eq!(world.consume(flow).await, ConsumeOutcome::AlreadyUsed(stored));
        let key = CallbackKey { user: fixtures::user("bob"), ..callback(flow) };
        let foreign = world.store.authorizations.consume(key, Vec::new()).await.unwrap_or_fail();
        assert!(matches!(foreign, ConsumeOutcome::UserMismatch(_)), "{foreign:?}");
    }
    assert_eq!(world.image().await, image);
}

/// A flow is found by its state while it awaits its callback, consumed or not, and no longer.
pub async fn a_flow_is_found_by_its_state_until_it_is_over(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let owner = ownership_of(&drive, "alice");
    let flow = world.start(&owner).await;
    let by_state = async |flow: &AuthorizationRecord| {
        world.store.authorizations.find_by_state(fixtures::state_hash(flow.id)).await.unwrap_or_fail()
    };
    assert_eq!(by_state(&flow).await, Some(flow.clone()));
    world.consume(&flow).await;
    assert_eq!(by_state(&flow).await, Some(world.get(flow.id).await));
    world.commit(&flow).await;
    assert_eq!(by_state(&flow).await, None);
}

/// The commit writes the grant as given, visible on every node.
pub async fn r26_a_commit_makes_the_grant(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let flow = world.exchange(&ownership_of(&drive, "alice")).await;
    world.news().await;
    let grant = fixtures::authorized(flow.id, flow.owner.clone(), world.now());
    assert_eq!(world.commit(&flow).await, CommitOutcome::Committed);
    assert_eq!(world.other.authorizations.find(grant.id).await.unwrap_or_fail(), Some(grant.clone()));
    assert_eq!(world.news().await, [world.event(AuditKind::Connected, &grant)]);
}

/// Asserts that a commit is refused and changes nothing.
async fn refused(world: &World, flow: &AuthorizationRecord, expected: CommitOutcome) {
    let image = world.image().await;
    assert_eq!(world.commit(flow).await, expected);
    assert_eq!(world.image().await, image, "a refused commit changes nothing");
}

/// A connector edited in mid-flow gets no grant of its old configuration (R25 at commit).
pub async fn r26_no_grant_for_an_edited_connector(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let old = world.connect(&ownership_of(&drive, "bob")).await;
    let flow = world.exchange(&ownership_of(&drive, "alice")).await;
    let (edited, _) = world.edit(&drive, Cascade::Changed).await;
    refused(&world, &flow, CommitOutcome::ConnectorChanged).await;
    assert_ne!(world.get(old.id).await.state, StateKind::Authorized);

    let flow = world.exchange(&ownership_of(&edited, "alice")).await;
    world.edit(&edited, Cascade::Keep).await;
    assert_eq!(world.commit(&flow).await, CommitOutcome::Committed, "a rename in mid-flow keeps the flow");
}

/// A connector disabled, deleted or recreated in mid-flow gets no grant.
pub async fn r26_no_grant_for_a_connector_that_is_gone(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let owner = ownership_of(&drive, "alice");
    let flow = world.exchange(&owner).await;
    let (disabled, _) = world.edit(&drive, Cascade::Disabled).await;
    refused(&world, &flow, CommitOutcome::ConnectorGone).await;
    world.delete(&disabled).await;
    refused(&world, &flow, CommitOutcome::ConnectorGone).await;
    world.add(fixtures::connector_in("default", "drive", 2, world.now())).await;
    refused(&world, &flow, CommitOutcome::ConnectorGone).await;
}

/// After a user was removed nothing is committed for them any more, also not a flow that a slow start inserts later.
pub async fn r26_no_grant_for_a_removed_user(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    world.end(TerminationScope::User(fixtures::user("alice")), TerminationCause::UserRemoved).await;
    let flow = world.exchange(&ownership_of(&drive, "alice")).await;
    refused(&world, &flow, CommitOutcome::UserGone).await;
    let flow = world.exchange(&ownership_of(&drive, "bob")).await;
    assert_eq!(world.commit(&flow).await, CommitOutcome::Committed);
}

/// A flow that was ended, never consumed, or interrupted in mid-exchange commits nothing.
pub async fn r26_no_grant_for_a_flow_that_has_ended(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let owner = ownership_of(&drive, "alice");
    let cancelled = world.exchange(&owner).await;
    world.end(TerminationScope::One(cancelled.id), TerminationCause::Cancelled).await;
    refused(&world, &cancelled, CommitOutcome::FlowEnded).await;
    let unconsumed = world.start(&owner).await;
    refused(&world, &unconsumed, CommitOutcome::FlowEnded).await;
    let unknown = fixtures::consumed(world.new_id(), owner.clone(), world.now());
    refused(&world, &unknown, CommitOutcome::FlowEnded).await;
    let committed = world.connect(&owner).await;
    refused(&world, &committed, CommitOutcome::FlowEnded).await;
    let interrupted = world.exchange(&owner).await;
    world.pass(INTERRUPTED_AFTER);
    refused(&world, &interrupted, CommitOutcome::FlowEnded).await;
    world.sweep().await;
    refused(&world, &interrupted, CommitOutcome::FlowEnded).await;
}

/// A flow that fails after its consumption stays failed.
pub async fn a_failed_flow_stays_failed(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let flow = world.exchange(&ownership_of(&drive, "alice")).await;
    let cause = grantry_domain::authorization::FailureCode::ExchangeFailed;
    let failed = fixtures::after(&flow, Input::Failed(cause), world.now());
    assert_eq!(world.replaced(failed.clone(), &flow).await, failed);
    assert!(matches!(world.replace(flow.clone(), &flow).await, WriteOutcome::Stale(now) if *now == failed));
    refused(&world, &flow, CommitOutcome::FlowEnded).await;
}

/// The new grant takes the place of the old one in one transaction; the old tokens are to be revoked.
pub async fn r27_the_old_grant_is_superseded_with_the_commit(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let mail = world.add(fixtures::connector_in("default", "mail", 1, world.now())).await;
    let owner = ownership_of(&drive, "alice");
    let of_bob = world.connect(&ownership_of(&drive, "bob")).await;
    let elsewhere = world.connect(&ownership_of(&mail, "alice")).await;
    let old = world.connect(&owner).await;
    let flow = world.exchange(&owner).await;
    assert_eq!(world.get(old.id).await, old, "an attempt leaves the grant alone");
    world.lease(&old, 1).await;
    world.news().await;
    assert_eq!(world.commit(&flow).await, CommitOutcome::Committed);
    let ended = world.get(old.id).await;
    assert_eq!(state_of(&ended), (StateKind::Revoked, Some("superseded")));
    assert_eq!((owed(&ended), &ended.sealed), (Some(true), &old.sealed), "the doubt goes with it");
    let events = world.news().await;
    let superseded = AuditEvent::ending(&ended, Actor::Person(owner.user.clone()), world.now());
    assert!(events.contains(&superseded) && events.len() == 2, "{events:?}");
    for untouched in [of_bob, elsewhere] {
        assert_eq!(world.get(untouched.id).await, untouched);
    }
}

/// Where revoking would end the new grant as well, the old tokens are dropped (R51).
pub async fn r51_a_superseded_grant_can_be_dropped_without_revocation(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let owner = ownership_of(&drive, "alice");
    let old = world.connect(&owner).await;
    let flow = world.exchange(&owner).await;
    let grant = fixtures::authorized(flow.id, owner, world.now());
    let committed = world.store.authorizations.commit_grant(grant, false, Vec::new()).await.unwrap_or_fail();
    assert_eq!(committed, CommitOutcome::Committed);
    let ended = world.get(old.id).await;
    assert_eq!(ended.revocation, Some(RevocationRecord::Completed(RevocationOutcome::NotNeeded)));
    assert_eq!((state_of(&ended), &ended.sealed), ((StateKind::Revoked, Some("superseded")), &None));
    assert_eq!(world.claim().await, None);
}

/// Many exchanges of one user that end at once leave one grant; each of the others is superseded.
pub async fn r27_concurrent_commits_leave_one_grant(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let owner = ownership_of(&drive, "alice");
    let mut flows = Vec::new();
    for _ in 0..8 {
        flows.push(world.exchange(&owner).await);
    }
    let mut commits = JoinSet::new();
    for (at, flow) in flows.iter().enumerate() {
        // Two nodes try each flow.
        for node in [&world.store, &world.other] {
            let grants = node.authorizations.clone();
            let grant = fixtures::authorized(flow.id, flow.owner.clone(), world.now());
            commits.spawn(async move { (at, grants.commit_grant(grant, true, Vec::new()).await.unwrap_or_fail()) });
        }
    }
    let answers = commits.join_all().await;
    for at in 0..flows.len() {
        let mut of_flow: Vec<_> = answers.iter().filter(|(flow, _)| *flow == at).map(|(_, commit)| commit).collect();
        of_flow.sort_by_key(|commit| **commit != CommitOutcome::Committed);
        assert_eq!(of_flow, [&CommitOutcome::Committed, &CommitOutcome::FlowEnded], "a flow is committed once");
    }
    let mut phases = Vec::new();
    for flow in &flows {
        phases.push(world.get(flow.id).await.state);
    }
    assert_eq!(phases.iter().filter(|state| **state == StateKind::Authorized).count(), 1, "{phases:?}");
    assert_eq!(phases.iter().filter(|state| **state == StateKind::Revoked).count(), flows.len() - 1, "{phases:?}");
}
