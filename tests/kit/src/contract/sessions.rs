//! Rules of sessions.

use std::time::Duration;

use grantry_domain::ports::{RowTag, Session, SessionHash};
use grantry_domain::time::Timestamp;

use super::Backend;
use super::test_store::{Succeeds, TestStore};
use crate::doubles::fixtures;

const HOUR: Duration = Duration::from_hours(1);
/// More than a rule needs.
const MANY: u32 = 100;
const TAG: RowTag = RowTag([1; 40]);
const NEWER_TAG: RowTag = RowTag([2; 40]);

/// A session is found on every node until it is removed, expired or not.
pub async fn sessions_are_found_until_they_are_removed(backend: Backend) {
    let store = TestStore::new(backend);
    let (id, other) = (SessionHash([1; 32]), SessionHash([2; 32]));
    let session = Session { user: fixtures::user("alice"), created_at: store.now(), seen_at: store.now(), tag: TAG };
    let sessions = &store.node.sessions;
    assert_eq!(sessions.find(id).await.unwrap_or_fail(), None);
    sessions.insert(id, session.clone(), MANY).await.unwrap_or_fail();
    sessions.insert(other, Session { user: fixtures::user("bob"), ..session.clone() }, MANY).await.unwrap_or_fail();
    store.advance(HOUR * 100);
    assert_eq!(store.other.sessions.find(id).await.unwrap_or_fail(), Some(session));
    store.other.sessions.remove(id).await.unwrap_or_fail();
    store.other.sessions.remove(id).await.unwrap_or_fail();
    assert_eq!(sessions.find(id).await.unwrap_or_fail(), None);
    assert!(sessions.find(other).await.unwrap_or_fail().is_some());
}

/// Touching a session records the time and its tag together; touching it with an earlier time, or a removed one, changes
/// nothing.
pub async fn touching_a_removed_session_does_nothing(backend: Backend) {
    let store = TestStore::new(backend);
    let id = SessionHash([1; 32]);
    let session = Session { user: fixtures::user("alice"), created_at: store.now(), seen_at: store.now(), tag: TAG };
    let sessions = &store.node.sessions;
    sessions.insert(id, session.clone(), MANY).await.unwrap_or_fail();
    store.advance(HOUR);
    sessions.touch(id, store.now(), NEWER_TAG).await.unwrap_or_fail();
    let touched = Some(Session { seen_at: store.now(), tag: NEWER_TAG, ..session });
    assert_eq!(sessions.find(id).await.unwrap_or_fail(), touched);
    for earlier in [Duration::ZERO, HOUR] {
        sessions.touch(id, store.now().minus(earlier), TAG).await.unwrap_or_fail();
        assert_eq!(sessions.find(id).await.unwrap_or_fail(), touched);
    }
    sessions.remove(id).await.unwrap_or_fail();
    sessions.touch(id, store.now(), NEWER_TAG).await.unwrap_or_fail();
    assert_eq!(sessions.find(id).await.unwrap_or_fail(), None);
}

/// A purge ends the sessions created or last used too long ago or in the future, and returns how many.
pub async fn a_purge_ends_old_and_idle_sessions(backend: Backend) {
    let store = TestStore::new(backend);
    let now = store.now();
    let sessions = &store.node.sessions;
    let minutes_ago = |minutes: i64| Timestamp::from_millis(now.as_millis() - minutes * 60_000);
    // Minutes since it was created and since it was last used; negative in the future.
    let ages = [(1, 1800, 60), (2, 600, 540), (3, 600, 60), (4, 1440, 480), (5, -6, 0), (6, 0, -6), (7, -5, -5)];
    for (number, created, seen) in ages {
        let session = Session {
            user: fixtures::user("alice"),
            created_at: minutes_ago(created),
            seen_at: minutes_ago(seen),
            tag: TAG,
        };
        sessions.insert(SessionHash([number; 32]), session, MANY).await.unwrap_or_fail();
    }
    let purge = || sessions.purge(now.minus(HOUR * 24), now.minus(HOUR * 8), minutes_ago(-5));
    assert_eq!(purge().await.unwrap_or_fail(), 4);
    for (number, kept) in [(1, false), (2, false), (3, true), (4, true), (5, false), (6, false), (7, true)] {
        let found = sessions.find(SessionHash([number; 32])).await.unwrap_or_fail();
        assert_eq!(found.is_some(), kept, "session {number}");
    }
    assert_eq!(purge().await.unwrap_or_fail(), 0);
}

/// Beyond the limit of a user, a new session ends the others of this user that were created first. The new one always stays,
/// also after the clock was set back.
pub async fn the_sessions_of_a_user_are_bounded(backend: Backend) {
    let store = TestStore::new(backend);
    let sessions = &store.node.sessions;
    let session = |user: &str, at| Session { user: fixtures::user(user), created_at: at, seen_at: at, tag: TAG };
    let now = store.now();
    sessions.insert(SessionHash([99; 32]), session("bob", now.minus(HOUR)), 3).await.unwrap_or_fail();
    // The hours of creation, and which sessions are left.
    let steps: [(u8, u32, &[u8]); 7] = [
        (1, 1, &[1]),
        (2, 3, &[1, 2]),
        (3, 2, &[1, 2, 3]),
        (4, 4, &[2, 3, 4]),
        (5, 5, &[2, 4, 5]),
        (6, 0, &[4, 5, 6]),
        (7, 6, &[4, 5, 7]),
    ];
    for (number, hour, left) in steps {
        let at = now.plus(HOUR * hour);
        sessions.insert(SessionHash([number; 32]), session("alice", at), 3).await.unwrap_or_fail();
        for earlier in 1..=number {
            let found = sessions.find(SessionHash([earlier; 32])).await.unwrap_or_fail();
            assert_eq!(found.is_some(), left.contains(&earlier), "session {earlier} after the log-in {number}");
        }
    }
    assert!(sessions.find(SessionHash([99; 32])).await.unwrap_or_fail().is_some(), "those of others stay");
}
