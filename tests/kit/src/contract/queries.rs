//! Rules of the queries: access token views, statuses, pages, grant holders, key usage.

use std::time::Duration;

use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationRecord, ConnectionView, INTERRUPTED_AFTER, StateKind, TerminationCause,
};
use grantry_domain::connector::{Connector, ConnectorName};
use grantry_domain::ports::{
    AccessTokenView, AuthorizationFilter, EditEffect, KeyId, StatusRow, TerminationScope, UnclaimedTokens,
};

use super::Backend;
use super::test_store::{Succeeds, TestStore, connection_scope, record_of, stored};
use crate::doubles::PlainVault;
use crate::doubles::fixtures::{self, FLOW_TTL, authorization, authorization_key_of, named_key_of};

async fn access_token_view(
    store: &TestStore,
    connector: &Connector,
    user: &str,
    name: Option<&str>,
) -> Option<AccessTokenView> {
    let (user, connection) = (fixtures::user(user), name.map(fixtures::connection));
    store.node.queries.access_token_view(&connector.key, &user, connection).await.unwrap_or_fail()
}

async fn statuses(store: &TestStore, space: &str, user: &str) -> Vec<StatusRow> {
    store.node.queries.statuses(&fixtures::space(space), None, &fixtures::user(user)).await.unwrap_or_fail()
}

/// The connections of a user at `drive`. Asserts that the status of one connector, the statuses of all and the access token
/// view agree.
pub(super) async fn connections(store: &TestStore, drive: &Connector, user: &str) -> Vec<ConnectionView> {
    let all = statuses(store, drive.key.space.as_str(), user).await;
    let (only, of_user) = (Some(drive.key.id.clone()), fixtures::user(user));
    let one = store.node.queries.statuses(&drive.key.space, only, &of_user).await.unwrap_or_fail();
    let [one] = one.try_into().expect("one row for one connector");
    assert!(all.contains(&one));
    let view = access_token_view(store, drive, user, None).await.expect("the connector is stored");
    let granted: Vec<_> = one.connections.iter().filter_map(|row| row.grant.clone()).collect();
    assert_eq!(view.grants.iter().map(|grant| grant.value.clone()).collect::<Vec<_>>(), granted);
    assert_eq!((view.connector, view.default_connection), (one.connector, one.default_connection));
    one.connections
}

/// The only connection of a user at `drive`.
async fn connection(store: &TestStore, drive: &Connector, user: &str) -> Option<ConnectionView> {
    let mut rows = connections(store, drive, user).await;
    assert!(rows.len() <= 1, "{rows:?}");
    rows.pop()
}

/// A row of this name with nothing in it.
pub(super) fn empty_row(name: &str) -> ConnectionView {
    ConnectionView { name: fixtures::connection(name), grant: None, former: None, pending: None }
}

/// An access token view has the connector as it is stored, the grants of the user, and the store's clock.
pub async fn an_access_token_view_has_the_grants_of_its_user(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let twin = store.add(fixtures::connector_in("marketing", "drive", 1, store.now())).await;
    let alice = store.connect(&authorization_key_of(&drive, "alice")).await;
    store.connect(&authorization_key_of(&twin, "bob")).await;
    store.advance(Duration::from_secs(5));
    let (renamed, _) = store.edit(&drive, EditEffect::KeepGrants).await;
    let view = AccessTokenView {
        connector: renamed,
        grants: vec![*stored(&alice)],
        default_connection: None,
        has_expired_connections: false,
        now: store.now(),
    };
    assert_eq!(access_token_view(&store, &drive, "alice", None).await, Some(view.clone()));
    let none = AccessTokenView { grants: Vec::new(), ..view };
    let of_bob = access_token_view(&store, &drive, "bob", None).await;
    assert_eq!(of_bob, Some(none), "the same id in another space is another connector");
    let missing = Connector { key: fixtures::connector_key("default", "missing"), ..drive };
    assert_eq!(access_token_view(&store, &missing, "alice", None).await, None);
    assert_eq!(store.node.clock.now().await.unwrap_or_fail(), store.now());
}

/// An access token view has the grants by connection name, or only the one of the given name.
pub async fn an_access_token_view_is_filtered_by_connection(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let work = store.connect(&named_key_of(&drive, "alice", "work")).await;
    let default = store.connect(&authorization_key_of(&drive, "alice")).await;
    let archive = store.connect(&named_key_of(&drive, "alice", "archive")).await;
    store.connect(&named_key_of(&drive, "bob", "work")).await;
    store.start(&named_key_of(&drive, "alice", "new")).await;
    let former = store.connect(&named_key_of(&drive, "alice", "former")).await;
    store.disconnect(&former).await;
    store.set_default(&work.owner, Some("work")).await;
    let grants = async |name: Option<&str>| {
        let view = access_token_view(&store, &drive, "alice", name).await.expect("the connector is stored");
        assert_eq!((&view.connector, view.now), (&drive, store.now()));
        assert_eq!(view.default_connection, Some(fixtures::connection("work")), "with and without a name");
        view.grants.iter().map(record_of).collect::<Vec<_>>()
    };
    assert_eq!(grants(None).await, [archive.clone(), default.clone(), work.clone()], "by name");
    for (name, grant) in [("work", &work), ("default", &default), ("archive", &archive)] {
        assert_eq!(grants(Some(name)).await, std::slice::from_ref(grant));
    }
    for none in ["new", "former", "unknown"] {
        assert_eq!(grants(Some(none)).await, []);
    }
}

/// An access token view without a name reports whether a connection without a grant has an expired former grant.
pub async fn an_access_token_view_reports_expired_connections(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let has_expired = async |user: &str, name: Option<&str>| {
        access_token_view(&store, &drive, user, name).await.expect("the connector is stored").has_expired_connections
    };
    let mail = store.add(fixtures::connector_in("default", "mail", 1, store.now())).await;
    store.connect(&authorization_key_of(&drive, "alice")).await;
    let elsewhere = store.connect(&named_key_of(&mail, "alice", "work")).await;
    store.reject_refresh(&elsewhere).await;
    let of_bob = store.connect(&named_key_of(&drive, "bob", "work")).await;
    store.reject_refresh(&of_bob).await;
    assert!(!has_expired("alice", None).await, "connectors and users are distinguished");
    assert!(has_expired("bob", None).await);
    let work = store.connect(&named_key_of(&drive, "alice", "work")).await;
    assert!(!has_expired("alice", None).await);
    store.reject_refresh(&work).await;
    assert!(has_expired("alice", None).await);
    assert!(!has_expired("alice", Some("work")).await, "not needed where a name is given");
    let again = store.connect(&named_key_of(&drive, "alice", "work")).await;
    assert!(!has_expired("alice", None).await, "the connection has a grant again");
    store.reject_refresh(&again).await;
    let scope = connection_scope(&again.owner);
    store.terminate(scope, TerminationCause::Disconnected).await;
    assert!(!has_expired("alice", None).await, "a connection that was disconnected needs no consent");
}

/// A status has a row for every connector of the space, by name, for every user.
pub async fn a_status_has_a_row_for_every_connector_of_the_space(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let named = |space: &str, id: &str, name: &str| Connector {
        name: ConnectorName::new(name).expect("a name"),
        ..fixtures::connector_in(space, id, 1, store.now())
    };
    let first = store.add(named("default", "zebra", "Alpha")).await;
    let last = store.add(named("default", "aardvark", "Zulu")).await;
    let elsewhere = store.add(named("marketing", "mail", "Mail")).await;
    let grant = store.connect(&authorization_key_of(&drive, "alice")).await;
    let blank = |connector: &Connector| StatusRow {
        connector: connector.clone(),
        client_refused_since: None,
        connections: Vec::new(),
        default_connection: None,
    };
    let row = ConnectionView { grant: Some(authorization(&grant)), ..empty_row("default") };
    let of_alice = StatusRow { connections: vec![row], ..blank(&drive) };
    assert_eq!(statuses(&store, "default", "alice").await, [blank(&first), of_alice, blank(&last)]);
    assert_eq!(statuses(&store, "default", "bob").await, [blank(&first), blank(&drive), blank(&last)]);
    assert_eq!(statuses(&store, "marketing", "alice").await, [blank(&elsewhere)]);
    assert_eq!(statuses(&store, "nowhere", "alice").await, []);
    let (other, alice) = (Some(elsewhere.key.id), fixtures::user("alice"));
    let none = store.node.queries.statuses(&drive.key.space, other, &alice).await.unwrap_or_fail();
    assert_eq!(none, [], "a connector of another space");
}

/// The status follows a connection through flow, grant, reconnect and former grant.
pub async fn a_status_shows_grant_former_grant_and_flow(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let owner = authorization_key_of(&drive, "alice");
    let blank = empty_row("default");
    let flow = store.start(&owner).await;
    let status = async |user: &str| connection(&store, &drive, user).await;
    assert_eq!(status("alice").await, Some(ConnectionView { pending: Some(authorization(&flow)), ..blank.clone() }));
    store.consume(&flow).await;
    let consumed = store.get(flow.id).await;
    assert_eq!(status("alice").await, Some(ConnectionView { pending: Some(authorization(&consumed)), ..blank.clone() }));
    store.commit(&flow).await;
    let grant = store.get(flow.id).await;
    let connected = ConnectionView { grant: Some(authorization(&grant)), ..blank.clone() };
    assert_eq!(status("alice").await, Some(connected.clone()));
    let again = store.insert(&owner).await;
    assert_eq!(status("alice").await, Some(ConnectionView { pending: Some(authorization(&again)), ..connected.clone() }));
    store.terminate(TerminationScope::One(again.id), TerminationCause::Cancelled).await;
    assert_eq!(status("alice").await, Some(connected), "a failed flow does not hide the grant");
    let former = store.reject_refresh(&grant).await;
    let expired = ConnectionView { former: Some(authorization(&former)), ..blank };
    assert_eq!(status("alice").await, Some(expired.clone()));
    let cancelled = store.exchange(&owner).await;
    store.terminate(TerminationScope::One(cancelled.id), TerminationCause::Denied).await;
    assert_eq!(status("alice").await, Some(expired), "a failed flow does not hide the former grant");
    assert_eq!(status("bob").await, None);
}

/// An attempt without a required scope is a former grant with the scopes that were granted. It does not end the grant of its
/// connection, and a status shows it until a later consent.
pub async fn r13_an_attempt_without_a_required_scope_is_stored_and_shown(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let owner = authorization_key_of(&drive, "alice");
    let attempt = async || {
        let flow = store.exchange(&owner).await;
        let ended = fixtures::without_required_scope(&flow, store.now());
        assert_eq!(store.replaced(ended.clone(), &flow).await, ended, "stored as given");
        authorization(&ended)
    };
    let refused = attempt().await;
    let shown = async || connection(&store, &drive, "alice").await;
    assert_eq!(shown().await, Some(ConnectionView { former: Some(refused), ..empty_row("default") }));
    store.advance(Duration::from_secs(1));
    let grant = authorization(&store.connect(&owner).await);
    let connected = ConnectionView { grant: Some(grant.clone()), ..empty_row("default") };
    assert_eq!(shown().await, Some(connected.clone()));
    store.advance(Duration::from_secs(1));
    let refused = attempt().await;
    assert_eq!(shown().await, Some(ConnectionView { former: Some(refused), ..connected }), "the grant is unchanged");
}

/// A connection is listed while it has a grant, a former grant or a pending flow; connections are ordered by name.
pub async fn a_status_lists_connections_by_name(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let key = |name: &str| named_key_of(&drive, "alice", name);
    let work = store.connect(&key("work")).await;
    let over = store.start(&key("over")).await;
    store.terminate(TerminationScope::One(over.id), TerminationCause::Cancelled).await;
    let archive = store.connect(&key("archive")).await;
    let archive = store.reject_refresh(&archive).await;
    let again = store.start(&key("archive")).await;
    let new = store.start(&key("new")).await;
    let private = store.connect(&key("0.private_x-1")).await;
    let private = store.disconnect(&private).await;
    store.connect(&named_key_of(&drive, "bob", "team")).await;
    let expected = [
        ConnectionView { former: Some(authorization(&private)), ..empty_row("0.private_x-1") },
        ConnectionView {
            former: Some(authorization(&archive)),
            pending: Some(authorization(&again)),
            ..empty_row("archive")
        },
        ConnectionView { pending: Some(authorization(&new)), ..empty_row("new") },
        ConnectionView { grant: Some(authorization(&work)), ..empty_row("work") },
    ];
    assert_eq!(connections(&store, &drive, "alice").await, expected);
    store.advance(FLOW_TTL);
    let names: Vec<_> = connections(&store, &drive, "alice").await.into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["0.private_x-1", "archive", "work"].map(fixtures::connection));
}

/// The newest former grant is the one with the latest consent, independent of the order of starts and ends.
pub async fn the_newest_former_grant_is_the_one_consented_to_last(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let owner = authorization_key_of(&drive, "alice");
    let started_first = store.exchange(&owner).await;
    store.advance(Duration::from_secs(1));
    let started_later = store.exchange(&owner).await;
    store.advance(Duration::from_secs(1));
    store.commit(&started_later).await;
    store.advance(Duration::from_secs(1));
    store.commit(&started_first).await;
    let newest = store.reject_refresh(&store.get(started_first.id).await).await;
    let former = async || connection(&store, &drive, "alice").await.and_then(|row| row.former);
    assert_eq!(former().await, Some(authorization(&newest)));
    store.advance(Duration::from_secs(1));
    store.terminate(TerminationScope::One(newest.id), TerminationCause::Disconnected).await;
    assert_eq!(former().await.map(|former| former.id()), Some(newest.id));
}

/// The pending flow is the newest one that has not ended, also beside an exchange in progress.
pub async fn the_newest_flow_is_the_pending_one(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let owner = authorization_key_of(&drive, "alice");
    let in_exchange = store.exchange(&owner).await;
    let newer = store.start(&owner).await;
    let pending = async || connection(&store, &drive, "alice").await.and_then(|row| row.pending);
    assert_eq!(pending().await, Some(authorization(&newer)));
    store.terminate(TerminationScope::One(newer.id), TerminationCause::Cancelled).await;
    assert_eq!(pending().await, Some(authorization(&in_exchange)));
}

/// A flow that has timed out or was interrupted is not pending, swept or not.
pub async fn a_flow_that_is_over_is_not_pending(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let owner = authorization_key_of(&drive, "alice");
    let pending = async || connection(&store, &drive, "alice").await.and_then(|row| row.pending);
    let flow = store.start(&owner).await;
    store.advance(FLOW_TTL.saturating_sub(Duration::from_millis(1)));
    assert_eq!(pending().await, Some(authorization(&flow)));
    store.advance(Duration::from_millis(1));
    assert_eq!(pending().await, None);
    let flow = store.exchange(&owner).await;
    assert_eq!(pending().await, Some(authorization(&flow)));
    store.advance(INTERRUPTED_AFTER);
    assert_eq!(pending().await, None);
}

/// Pages go through the grants and former grants of a space, newest first, without gaps.
pub async fn lists_are_paged_newest_first(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let mail = store.add(fixtures::connector_in("default", "mail", 1, store.now())).await;
    let elsewhere = store.add(fixtures::connector_in("marketing", "drive", 1, store.now())).await;
    let mut newest_first = Vec::new();
    for user in ["a", "b", "c"] {
        newest_first.insert(0, store.connect(&named_key_of(&drive, user, "work")).await);
        newest_first.insert(0, store.connect(&authorization_key_of(&mail, user)).await);
        store.connect(&authorization_key_of(&elsewhere, user)).await;
        store.start(&authorization_key_of(&drive, user)).await;
    }
    newest_first[2] = store.disconnect(&newest_first[2]).await;
    let list = async |filter: &AuthorizationFilter, after: Option<AuthorizationId>, limit: u32| {
        let page = store.node.queries.list(&drive.key.space, filter.clone(), after, limit).await.unwrap_or_fail();
        (page.authorizations.iter().map(Authorization::to_record).collect::<Vec<_>>(), page.next)
    };
    let mut seen = Vec::new();
    let (mut after, mut pages) = (None, 0);
    loop {
        let (page, next) = list(&AuthorizationFilter::default(), after, 4).await;
        seen.extend(page);
        pages += 1;
        match next {
            Some(_) => after = next,
            None => break,
        }
    }
    assert_eq!((seen, pages), (newest_first.clone(), 2));
    let (exact, next) = list(&AuthorizationFilter::default(), None, 6).await;
    assert_eq!((exact.len(), next), (6, None), "a full last page has no next");

    let filtered = async |filter: AuthorizationFilter| list(&filter, None, 100).await.0;
    let expected = |matches: &dyn Fn(&AuthorizationRecord) -> bool| -> Vec<AuthorizationRecord> {
        newest_first.iter().filter(|record| matches(record)).cloned().collect()
    };
    let connector = AuthorizationFilter { connector: Some(mail.key.id.clone()), ..AuthorizationFilter::default() };
    assert_eq!(filtered(connector.clone()).await, expected(&|record| record.owner.connector == mail.key.id));
    let user = AuthorizationFilter { user: Some(fixtures::user("b")), ..AuthorizationFilter::default() };
    assert_eq!(filtered(user).await, expected(&|record| record.owner.user == fixtures::user("b")));
    let state = AuthorizationFilter { state: Some(StateKind::Revoked), ..AuthorizationFilter::default() };
    assert_eq!(filtered(state).await, [newest_first[2].clone()]);
    let all_three = AuthorizationFilter { user: Some(fixtures::user("a")), state: Some(StateKind::Authorized), ..connector };
    assert_eq!(filtered(all_three).await, [newest_first[4].clone()]);
}

/// Users and spaces with grants are listed in pages, each pair once.
pub async fn r53_holders_of_grants_are_listed(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let mail = store.add(fixtures::connector_in("default", "mail", 1, store.now())).await;
    let elsewhere = store.add(fixtures::connector_in("marketing", "drive", 1, store.now())).await;
    for owner in [
        authorization_key_of(&drive, "bob"),
        named_key_of(&drive, "bob", "work"),
        authorization_key_of(&mail, "bob"),
        authorization_key_of(&elsewhere, "bob"),
        authorization_key_of(&drive, "alice"),
        authorization_key_of(&elsewhere, "carol"),
    ] {
        store.connect(&owner).await;
    }
    store.start(&authorization_key_of(&drive, "dave")).await;
    let ended = store.connect(&authorization_key_of(&drive, "erin")).await;
    store.disconnect(&ended).await;
    let pair = |user: &str, space: &str| (fixtures::user(user), fixtures::space(space));
    let expected = [pair("alice", "default"), pair("bob", "default"), pair("bob", "marketing"), pair("carol", "marketing")];
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page = store.node.housekeeping.grant_holders(after.clone(), 3).await.unwrap_or_fail();
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        seen.extend(page);
    }
    assert_eq!(seen, expected);
}

/// The envelopes and the tags of connectors of each key are counted over all tables, so that a key that is not needed any more can be removed.
pub async fn r75_envelopes_and_tags_are_counted_per_key(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let (first, second) = (PlainVault::FIRST_KEY, KeyId(*b"key-0002"));
    let usage = async || {
        let mut usage = store.node.housekeeping.key_usage().await.unwrap_or_fail();
        usage.retain(|(_, count)| *count > 0);
        usage.sort_unstable();
        let keys: Vec<_> = usage.iter().map(|(key, _)| *key).collect();
        assert_eq!(store.node.housekeeping.keys_in_use().await.unwrap_or_fail(), keys);
        usage
    };
    assert_eq!(usage().await, [(first, 2)], "the client secret and the tag of the connector");
    let flow = store.start(&authorization_key_of(&drive, "alice")).await;
    assert_eq!(usage().await, [(first, 3)]);
    store.consume(&flow).await;
    assert_eq!(usage().await, [(first, 2)], "consumed flow secrets are removed");
    let unclaimed = fixtures::unclaimed_tokens(store.new_id(), flow.owner.clone(), store.now());
    let unclaimed = UnclaimedTokens { sealed: fixtures::envelope_with(second, "u"), ..unclaimed };
    store.node.revocations.queue_unclaimed(unclaimed, Vec::new()).await.unwrap_or_fail();
    store.commit(&flow).await;
    let grant = store.get(flow.id).await;
    assert_eq!(usage().await, [(first, 3), (second, 1)]);
    let resealed = AuthorizationRecord { sealed: Some(fixtures::envelope_with(second, "t")), ..grant.clone() };
    store.replaced(resealed.clone(), &grant).await;
    assert_eq!(usage().await, [(first, 2), (second, 2)]);
    store.disconnect(&resealed).await;
    assert_eq!(usage().await, [(first, 2), (second, 2)], "tokens to be revoked are counted");
}
