//! Rules of named connections: several grants of one user at one connector, and the default one.

use grantry_domain::authorization::{ConnectionView, StateKind, TerminationCause};
use grantry_domain::ports::{EditEffect, InsertOutcome, PendingLimits, TerminationScope};

use super::Backend;
use super::queries::{connections, empty_row};
use super::test_store::{TestStore, connection_scope, terminated};
use crate::doubles::fixtures::{self, authorization, authorization_key_of, named_key_of};

/// A user can have several grants at one connector, one per name. A commit supersedes the grant of its name only.
pub async fn a_user_has_one_grant_per_connection_name(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let default = store.connect(&authorization_key_of(&drive, "alice")).await;
    let work = store.connect(&named_key_of(&drive, "alice", "work")).await;
    let of_bob = store.connect(&named_key_of(&drive, "bob", "work")).await;
    let expected = [
        ConnectionView { grant: Some(authorization(&default)), ..empty_row("default") },
        ConnectionView { grant: Some(authorization(&work)), ..empty_row("work") },
    ];
    assert_eq!(connections(&store, &drive, "alice").await, expected);

    let newer = store.connect(&work.owner).await;
    assert_eq!(store.state(&work).await, terminated(TerminationCause::Superseded));
    let replaced = ConnectionView { grant: Some(authorization(&newer)), ..empty_row("work") };
    assert_eq!(connections(&store, &drive, "alice").await, [expected[0].clone(), replaced]);
    for unchanged in [&default, &of_bob] {
        assert_eq!(store.get(unchanged.id).await, *unchanged);
    }
}

/// Flows of several names are pending beside each other; a newer flow supersedes the one of its name only.
pub async fn a_flow_supersedes_only_flows_of_its_connection(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let default = store.start(&authorization_key_of(&drive, "alice")).await;
    let older = store.start(&named_key_of(&drive, "alice", "work")).await;
    let newer = store.start(&named_key_of(&drive, "alice", "work")).await;
    assert_eq!(store.state(&older).await, terminated(TerminationCause::Superseded));
    assert_eq!(store.get(default.id).await, default);
    let expected = [
        ConnectionView { pending: Some(authorization(&default)), ..empty_row("default") },
        ConnectionView { pending: Some(authorization(&newer)), ..empty_row("work") },
    ];
    assert_eq!(connections(&store, &drive, "alice").await, expected);

    // Flows of every name count for the limit of the user.
    let limits = PendingLimits { per_user: 2, deployment: 100 };
    let (_, third) = store.try_insert(&named_key_of(&drive, "alice", "third"), limits).await;
    assert_eq!(third, InsertOutcome::TooManyPending);
    let (_, again) = store.try_insert(&newer.owner, limits).await;
    assert_eq!(again, InsertOutcome::Inserted);
}

/// A default connection requires a grant of its name; a refusal changes nothing.
pub async fn a_default_connection_requires_a_grant(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let mail = store.add(fixtures::connector_in("default", "mail", 1, store.now())).await;
    let work = store.connect(&named_key_of(&drive, "alice", "work")).await;
    let default = store.connect(&authorization_key_of(&drive, "alice")).await;
    store.start(&named_key_of(&drive, "alice", "new")).await;
    let former = store.connect(&named_key_of(&drive, "alice", "former")).await;
    store.reject_refresh(&former).await;
    store.connect(&named_key_of(&mail, "alice", "elsewhere")).await;
    store.connect(&named_key_of(&drive, "bob", "of-bob")).await;
    assert_eq!(store.default_of(&work.owner).await, None, "the first connection is not the default");
    store.new_events().await;

    assert!(store.set_default(&work.owner, Some("work")).await);
    assert_eq!(store.new_events().await, [store.default_event(&work.owner)]);
    for refused in ["new", "former", "elsewhere", "of-bob", "unknown"] {
        assert!(!store.set_default(&work.owner, Some(refused)).await, "{refused}");
        assert_eq!(store.default_of(&work.owner).await, Some(fixtures::connection("work")));
    }
    assert_eq!(store.new_events().await, []);
    for others in [authorization_key_of(&mail, "alice"), authorization_key_of(&drive, "bob")] {
        assert_eq!(store.default_of(&others).await, None, "the default belongs to one connector and user");
    }

    assert!(store.set_default(&work.owner, Some("default")).await);
    assert_eq!(store.default_of(&work.owner).await, Some(default.owner.connection));
    for _ in 0..2 {
        assert!(store.set_default(&work.owner, None).await, "clearing always succeeds");
        assert_eq!(store.default_of(&work.owner).await, None);
        assert_eq!(store.new_events().await.last(), Some(&store.default_event(&work.owner)));
    }
}

/// The default connection is kept when its grant ends, and applies again after a reconnect.
pub async fn a_default_connection_outlives_its_grant(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let work = store.connect(&named_key_of(&drive, "alice", "work")).await;
    store.connect(&authorization_key_of(&drive, "alice")).await;
    assert!(store.set_default(&work.owner, Some("work")).await);
    let expected = Some(fixtures::connection("work"));
    store.terminate(connection_scope(&work.owner), TerminationCause::Disconnected).await;
    assert_eq!(store.default_of(&work.owner).await, expected);
    let again = store.connect(&work.owner).await;
    assert_eq!(store.default_of(&work.owner).await, expected);
    let (edited, _) = store.edit(&drive, EditEffect::ExpireGrants).await;
    assert_eq!(store.get(again.id).await.state, StateKind::Expired);
    assert_eq!(store.default_of(&authorization_key_of(&edited, "alice")).await, expected);
}

/// Deleting the connector and terminating the user clear the default connection, of this connector or user only.
pub async fn r53_a_default_connection_ends_with_its_connector_and_its_user(backend: Backend) {
    let (store, drive) = TestStore::with_drive(backend).await;
    let mail = store.add(fixtures::connector_in("marketing", "mail", 1, store.now())).await;
    let mut owners = Vec::new();
    for (connector, user) in [(&drive, "alice"), (&drive, "bob"), (&mail, "alice"), (&mail, "bob")] {
        let owner = named_key_of(connector, user, "work");
        store.connect(&owner).await;
        assert!(store.set_default(&owner, Some("work")).await);
        owners.push(owner);
    }
    let defaults = async || {
        let mut set = Vec::new();
        for owner in &owners {
            set.push(store.default_of(owner).await.is_some());
        }
        set
    };
    store.terminate(TerminationScope::User(fixtures::user("alice")), TerminationCause::UserRemoved).await;
    assert_eq!(defaults().await, [false, true, false, true]);
    store.delete(&drive).await;
    assert_eq!(defaults().await, [false, false, false, true]);
    // The same incarnation again, which no real connector has, shows that the choice was removed with the connector.
    store.add(drive).await;
    assert_eq!(defaults().await, [false, false, false, true]);
}
