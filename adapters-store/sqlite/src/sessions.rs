//! Sessions of the accounts mode.

use async_trait::async_trait;
use grantry_domain::ports::{RowTag, Session, SessionHash, SessionStore, StoreError};
use grantry_domain::time::Timestamp;
use rusqlite::params;

use crate::records::Columns;
use crate::sql;
use crate::store::SqliteStore;

/// Ends the sessions of a user, except one and a number of those that were created last.
pub(crate) const END_EXCESS: &str = "DELETE FROM sessions WHERE seq IN (
    SELECT seq FROM sessions WHERE user = ?1 AND hash <> ?2 ORDER BY created_at DESC, hash DESC LIMIT -1 OFFSET ?3)";

#[async_trait]
impl SessionStore for SqliteStore {
    async fn insert(&self, id: SessionHash, session: Session, at_most: u32) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO sessions (hash, user, created_at, seen_at, tag) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.write(move |connection, _| {
            let created_at = session.created_at.as_millis();
            let parameters = params![id.0, session.user.as_str(), created_at, session.seen_at.as_millis(), session.tag.0];
            sql::execute(connection, INSERT, parameters)?;
            sql::execute(connection, END_EXCESS, params![session.user.as_str(), id.0, at_most.saturating_sub(1)])?;
            Ok(())
        })
        .await
    }

    async fn find(&self, id: SessionHash) -> Result<Option<Session>, StoreError> {
        const FIND: &str = "SELECT seq, user, created_at, seen_at, tag FROM sessions WHERE hash = ?1";
        self.point_read(move |connection| {
            sql::first(connection, FIND, [id.0], |row| {
                let mut columns = Columns::numbered(row, 0, "sessions")?;
                Ok(Session {
                    user: columns.user()?,
                    created_at: columns.time()?,
                    seen_at: columns.time()?,
                    tag: RowTag(columns.array()?),
                })
            })
        })
        .await
    }

    async fn touch(&self, id: SessionHash, seen_at: Timestamp, tag: RowTag) -> Result<(), StoreError> {
        const TOUCH: &str = "UPDATE sessions SET seen_at = ?2, tag = ?3 WHERE hash = ?1 AND seen_at < ?2";
        self.write(move |connection, _| {
            sql::execute(connection, TOUCH, params![id.0, seen_at.as_millis(), tag.0])?;
            Ok(())
        })
        .await
    }

    async fn remove(&self, id: SessionHash) -> Result<(), StoreError> {
        self.write(move |connection, _| {
            sql::execute(connection, "DELETE FROM sessions WHERE hash = ?1", [id.0])?;
            Ok(())
        })
        .await
    }

    async fn purge(&self, created_before: Timestamp, seen_before: Timestamp, after: Timestamp) -> Result<u64, StoreError> {
        const PURGE: &str = "DELETE FROM sessions WHERE created_at < ?1 OR seen_at < ?2 OR created_at > ?3 OR seen_at > ?3";
        self.write(move |connection, _| {
            sql::execute(connection, PURGE, [created_before, seen_before, after].map(Timestamp::as_millis))
        })
        .await
    }
}
