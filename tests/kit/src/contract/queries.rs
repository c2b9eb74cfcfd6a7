//! Rules of what is read: hand-outs, statuses, lists, holders, key usage.

use std::time::Duration;

use grantry_domain::authorization::{AuthorizationId, AuthorizationRecord, INTERRUPTED_AFTER, StateKind, TerminationCause};
use grantry_domain::connector::{Connector, ConnectorName};
use grantry_domain::ports::{AccessTokenView, AuthorizationFilter, Cascade, KeyId, StatusRow, TerminationScope};

use super::Backend;
use super::world::{Succeeds, World};
use crate::doubles::PlainVault;
use crate::doubles::fixtures::{self, FLOW_TTL, ownership_of};

async fn access_token_view(world: &World, connector: &Connector, user: &str) -> Option<AccessTokenView> {
    world.store.authorizations.access_token_view(&connector.key, &fixtures::user(user)).await.unwrap_or_fail()
}

async fn statuses(world: &World, space: &str, user: &str) -> Vec<StatusRow> {
    world.store.authorizations.statuses(&fixtures::space(space), None, &fixtures::user(user)).await.unwrap_or_fail()
}

/// The row of `drive`, which must be the same in the status of one connector and of all.
async fn status(world: &World, drive: &Connector, user: &str) -> StatusRow {
    let all = statuses(world, "default", user).await;
    let (only, asking) = (Some(drive.key.id.clone()), fixtures::user(user));
    let [one] = world
        .store
        .authorizations
        .statuses(&drive.key.space, only, &asking)
        .await
        .unwrap_or_fail()
        .try_into()
        .expect("one row for one connector");
    assert!(all.contains(&one));
    let view = access_token_view(world, drive, user).await.expect("it is there");
    assert_eq!((&view.connector, &view.grant), (&one.connector, &one.grant), "hand-out and status agree");
    one
}

/// A hand-out sees the connector as it is, the user's own grant, and the store's clock.
pub async fn a_hand_out_sees_the_users_own_grant(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let twin = world.add(fixtures::connector_in("marketing", "drive", 1, world.now())).await;
    let alice = world.connect(&ownership_of(&drive, "alice")).await;
    world.connect(&ownership_of(&twin, "bob")).await;
    world.pass(Duration::from_secs(5));
    let (renamed, _) = world.edit(&drive, Cascade::Keep).await;
    let view = AccessTokenView { connector: renamed, grant: Some(alice), now: world.now() };
    assert_eq!(access_token_view(&world, &drive, "alice").await, Some(view.clone()));
    let none = AccessTokenView { grant: None, ..view };
    assert_eq!(
        access_token_view(&world, &drive, "bob").await,
        Some(none),
        "the same id in another space is another connector"
    );
    let nowhere = Connector { key: fixtures::connector_key("default", "nowhere"), ..drive };
    assert_eq!(access_token_view(&world, &nowhere, "alice").await, None);
    assert_eq!(world.store.authorizations.now().await.unwrap_or_fail(), world.now());
}

/// A status has a row for every connector of the space, by name, whoever asks.
pub async fn a_status_has_a_row_for_every_connector_of_the_space(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let named = |space: &str, id: &str, name: &str| Connector {
        name: ConnectorName::new(name).expect("a name"),
        ..fixtures::connector_in(space, id, 1, world.now())
    };
    let first = world.add(named("default", "zebra", "Alpha")).await;
    let last = world.add(named("default", "aardvark", "Zulu")).await;
    let elsewhere = world.add(named("marketing", "mail", "Mail")).await;
    let grant = world.connect(&ownership_of(&drive, "alice")).await;
    let blank = |connector: &Connector| StatusRow { connector: connector.clone(), grant: None, former: None, pending: None };
    let of_alice = StatusRow { grant: Some(grant), ..blank(&drive) };
    assert_eq!(statuses(&world, "default", "alice").await, [blank(&first), of_alice, blank(&last)]);
    assert_eq!(statuses(&world, "default", "bob").await, [blank(&first), blank(&drive), blank(&last)]);
    assert_eq!(statuses(&world, "marketing", "alice").await, [blank(&elsewhere)]);
    assert_eq!(statuses(&world, "nowhere", "alice").await, []);
    let missing = Some(elsewhere.key.id.clone());
    let none =
        world.store.authorizations.statuses(&drive.key.space, missing, &fixtures::user("alice")).await.unwrap_or_fail();
    assert_eq!(none, [], "a connector of another space");
}

/// The whole life of a connection as its rows: flow, grant, reconnect, former grant; get-one and get-all agree throughout.
pub async fn a_status_shows_grant_former_grant_and_flow(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let owner = ownership_of(&drive, "alice");
    let blank = StatusRow { connector: drive.clone(), grant: None, former: None, pending: None };
    let flow = world.start(&owner).await;
    assert_eq!(status(&world, &drive, "alice").await, StatusRow { pending: Some(flow.clone()), ..blank.clone() });
    world.consume(&flow).await;
    let consumed = world.get(flow.id).await;
    assert_eq!(status(&world, &drive, "alice").await, StatusRow { pending: Some(consumed), ..blank.clone() });
    world.commit(&flow).await;
    let grant = Some(world.get(flow.id).await);
    let connected = StatusRow { grant: grant.clone(), ..blank.clone() };
    assert_eq!(status(&world, &drive, "alice").await, connected);
    let again = world.initiate(&owner).await;
    assert_eq!(status(&world, &drive, "alice").await, StatusRow { pending: Some(again.clone()), ..connected.clone() });
    world.end(TerminationScope::One(again.id), TerminationCause::Cancelled).await;
    assert_eq!(status(&world, &drive, "alice").await, connected, "a failed attempt hides no grant");
    let former = world.refuse(&world.get(flow.id).await).await;
    let expired = StatusRow { former: Some(former.clone()), ..blank.clone() };
    assert_eq!(status(&world, &drive, "alice").await, expired);
    let cancelled = world.exchange(&owner).await;
    world.end(TerminationScope::One(cancelled.id), TerminationCause::Denied).await;
    assert_eq!(status(&world, &drive, "alice").await, expired, "a failed attempt hides no former grant");
    assert_eq!(status(&world, &drive, "bob").await, blank, "it is nobody else's");
}

/// The newest former grant is the one consented to last, in whatever order flows were started and grants ended.
pub async fn the_newest_former_grant_is_the_one_consented_to_last(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let owner = ownership_of(&drive, "alice");
    let started_first = world.exchange(&owner).await;
    world.pass(Duration::from_secs(1));
    let started_later = world.exchange(&owner).await;
    world.pass(Duration::from_secs(1));
    world.commit(&started_later).await;
    world.pass(Duration::from_secs(1));
    world.commit(&started_first).await;
    let newest = world.refuse(&world.get(started_first.id).await).await;
    assert_eq!(status(&world, &drive, "alice").await.former, Some(newest.clone()));
    world.pass(Duration::from_secs(1));
    world.end(TerminationScope::One(newest.id), TerminationCause::Disconnected).await;
    assert_eq!(status(&world, &drive, "alice").await.former.map(|former| former.id), Some(newest.id));
}

/// Beside an exchange under way, a newer attempt is the one that counts, until it is over.
pub async fn the_newest_flow_is_the_pending_one(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let owner = ownership_of(&drive, "alice");
    let in_exchange = world.exchange(&owner).await;
    let newer = world.start(&owner).await;
    assert_eq!(status(&world, &drive, "alice").await.pending, Some(newer.clone()));
    world.end(TerminationScope::One(newer.id), TerminationCause::Cancelled).await;
    assert_eq!(status(&world, &drive, "alice").await.pending, Some(in_exchange));
}

/// A status does not wait for the sweeper: what is over is no pending flow.
pub async fn a_flow_that_is_over_is_not_pending(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let owner = ownership_of(&drive, "alice");
    let flow = world.start(&owner).await;
    world.pass(FLOW_TTL.saturating_sub(Duration::from_millis(1)));
    assert_eq!(status(&world, &drive, "alice").await.pending, Some(flow));
    world.pass(Duration::from_millis(1));
    assert_eq!(status(&world, &drive, "alice").await.pending, None);
    let flow = world.exchange(&owner).await;
    assert_eq!(status(&world, &drive, "alice").await.pending, Some(flow));
    world.pass(INTERRUPTED_AFTER);
    assert_eq!(status(&world, &drive, "alice").await.pending, None);
}

/// Lists go through a space page by page, newest first, without gaps, and only show grants and former grants.
pub async fn lists_are_paged_newest_first(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let mail = world.add(fixtures::connector_in("default", "mail", 1, world.now())).await;
    let elsewhere = world.add(fixtures::connector_in("marketing", "drive", 1, world.now())).await;
    let mut newest_first = Vec::new();
    for user in ["a", "b", "c"] {
        newest_first.insert(0, world.connect(&ownership_of(&drive, user)).await);
        newest_first.insert(0, world.connect(&ownership_of(&mail, user)).await);
        world.connect(&ownership_of(&elsewhere, user)).await;
        world.start(&ownership_of(&drive, user)).await;
    }
    newest_first[2] = world.disconnect(&newest_first[2]).await;
    let list = async |filter: &AuthorizationFilter, after: Option<AuthorizationId>, limit: u32| {
        world.store.authorizations.list(&drive.key.space, filter.clone(), after, limit).await.unwrap_or_fail()
    };
    let mut seen = Vec::new();
    let (mut after, mut pages) = (None, 0);
    loop {
        let page = list(&AuthorizationFilter::default(), after, 4).await;
        seen.extend(page.records);
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!((seen, pages), (newest_first.clone(), 2));
    let exact = list(&AuthorizationFilter::default(), None, 6).await;
    assert_eq!((exact.records.len(), exact.next), (6, None), "a full last page has no next");

    let filtered = async |filter: AuthorizationFilter| list(&filter, None, 100).await.records;
    let picked = |wanted: &dyn Fn(&AuthorizationRecord) -> bool| -> Vec<AuthorizationRecord> {
        newest_first.iter().filter(|record| wanted(record)).cloned().collect()
    };
    let connector = AuthorizationFilter { connector: Some(mail.key.id.clone()), ..AuthorizationFilter::default() };
    assert_eq!(filtered(connector.clone()).await, picked(&|record| record.owner.connector == mail.key.id));
    let user = AuthorizationFilter { user: Some(fixtures::user("b")), ..AuthorizationFilter::default() };
    assert_eq!(filtered(user).await, picked(&|record| record.owner.user == fixtures::user("b")));
    let state = AuthorizationFilter { state: Some(StateKind::Revoked), ..AuthorizationFilter::default() };
    assert_eq!(filtered(state).await, [newest_first[2].clone()]);
    let all_three = AuthorizationFilter { user: Some(fixtures::user("a")), state: Some(StateKind::Authorized), ..connector };
    assert_eq!(filtered(all_three).await, [newest_first[4].clone()]);
}

/// Reconciliation walks over everybody who has a grant, once for each space.
pub async fn r53_holders_of_grants_are_found(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let mail = world.add(fixtures::connector_in("default", "mail", 1, world.now())).await;
    let elsewhere = world.add(fixtures::connector_in("marketing", "drive", 1, world.now())).await;
    for owner in [
        ownership_of(&drive, "bob"),
        ownership_of(&mail, "bob"),
        ownership_of(&elsewhere, "bob"),
        ownership_of(&drive, "alice"),
        ownership_of(&elsewhere, "carol"),
    ] {
        world.connect(&owner).await;
    }
    world.start(&ownership_of(&drive, "dave")).await;
    let gone = world.connect(&ownership_of(&drive, "erin")).await;
    world.disconnect(&gone).await;
    let pair = |user: &str, space: &str| (fixtures::user(user), fixtures::space(space));
    let expected = [pair("alice", "default"), pair("bob", "default"), pair("bob", "marketing"), pair("carol", "marketing")];
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page = world.store.authorizations.grant_holders(after.clone(), 3).await.unwrap_or_fail();
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        seen.extend(page);
    }
    assert_eq!(seen, expected);
}

/// Each key is counted over all tables, so that an old one can be retired when nothing needs it (R75).
pub async fn r75_envelopes_are_counted_per_key(backend: Backend) {
    let (world, drive) = World::with_drive(backend).await;
    let (first, second) = (PlainVault::FIRST_KEY, KeyId(*b"key-0002"));
    let usage = async || {
        let mut usage = world.store.authorizations.key_usage().await.unwrap_or_fail();
        usage.retain(|(_, count)| *count > 0);
        usage.sort_unstable();
        usage
    };
    assert_eq!(usage().await, [(first, 1)], "the client secret");
    let flow = world.start(&ownership_of(&drive, "alice")).await;
    assert_eq!(usage().await, [(first, 2)]);
    world.consume(&flow).await;
    assert_eq!(usage().await, [(first, 1)], "consumed secrets are gone");
    let orphan = fixtures::orphan(world.new_id(), flow.owner.clone(), world.now());
    let orphan = grantry_domain::ports::UnclaimedTokens { sealed: fixtures::envelope_with(second, "o"), ..orphan };
    world.store.authorizations.queue_unclaimed(orphan, Vec::new()).await.unwrap_or_fail();
    world.commit(&flow).await;
    let grant = world.get(flow.id).await;
    assert_eq!(usage().await, [(first, 2), (second, 1)]);
    let resealed = AuthorizationRecord { sealed: Some(fixtures::envelope_with(second, "t")), ..grant.clone() };
    world.replaced(resealed.clone(), &grant).await;
    assert_eq!(usage().await, [(first, 1), (second, 2)]);
    world.disconnect(&resealed).await;
    assert_eq!(usage().await, [(first, 1), (second, 2)], "tokens to be revoked count");
}
