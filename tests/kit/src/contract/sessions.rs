//! Rules of sessions.

use std::time::Duration;

use grantry_domain::ports::{Session, SessionHash};

use super::Backend;
use super::world::{Succeeds, World};
use crate::doubles::fixtures;

const HOUR: Duration = Duration::from_hours(1);

/// A session is found on every node until it is removed, whether or not it has lapsed.
pub async fn sessions_are_found_until_they_are_removed(backend: Backend) {
    let world = World::new(backend);
    let (mine, other) = (SessionHash([1; 32]), SessionHash([2; 32]));
    let session = Session { user: fixtures::user("alice"), created_at: world.now(), seen_at: world.now() };
    let sessions = &world.store.sessions;
    assert_eq!(sessions.find(mine).await.unwrap_or_fail(), None);
    sessions.insert(mine, session.clone()).await.unwrap_or_fail();
    sessions.insert(other, Session { user: fixtures::user("bob"), ..session.clone() }).await.unwrap_or_fail();
    world.pass(HOUR * 100);
    assert_eq!(world.other.sessions.find(mine).await.unwrap_or_fail(), Some(session));
    world.other.sessions.remove(mine).await.unwrap_or_fail();
    world.other.sessions.remove(mine).await.unwrap_or_fail();
    assert_eq!(sessions.find(mine).await.unwrap_or_fail(), None);
    assert!(sessions.find(other).await.unwrap_or_fail().is_some());
}

/// Seeing a session notes when; seeing one that is gone brings nothing back.
pub async fn seeing_a_session_revives_nothing(backend: Backend) {
    let world = World::new(backend);
    let id = SessionHash([1; 32]);
    let session = Session { user: fixtures::user("alice"), created_at: world.now(), seen_at: world.now() };
    let sessions = &world.store.sessions;
    sessions.insert(id, session.clone()).await.unwrap_or_fail();
    world.pass(HOUR);
    sessions.touch(id, world.now()).await.unwrap_or_fail();
    assert_eq!(sessions.find(id).await.unwrap_or_fail(), Some(Session { seen_at: world.now(), ..session }));
    sessions.remove(id).await.unwrap_or_fail();
    sessions.touch(id, world.now()).await.unwrap_or_fail();
    assert_eq!(sessions.find(id).await.unwrap_or_fail(), None);
}

/// A purge ends what is too old and what was not seen for too long, and counts it.
pub async fn a_purge_ends_old_and_idle_sessions(backend: Backend) {
    let world = World::new(backend);
    let now = world.now();
    let sessions = &world.store.sessions;
    // Hours since created and since seen.
    for (number, created, seen) in [(1, 30, 1), (2, 10, 9), (3, 10, 1), (4, 24, 8)] {
        let session = Session {
            user: fixtures::user("alice"),
            created_at: now.minus(HOUR * created),
            seen_at: now.minus(HOUR * seen),
        };
        sessions.insert(SessionHash([number; 32]), session).await.unwrap_or_fail();
    }
    let (created_before, seen_before) = (now.minus(HOUR * 24), now.minus(HOUR * 8));
    assert_eq!(sessions.purge(created_before, seen_before).await.unwrap_or_fail(), 2);
    for (number, kept) in [(1, false), (2, false), (3, true), (4, true)] {
        let found = sessions.find(SessionHash([number; 32])).await.unwrap_or_fail();
        assert_eq!(found.is_some(), kept, "session {number}");
    }
    assert_eq!(sessions.purge(created_before, seen_before).await.unwrap_or_fail(), 0);
}
