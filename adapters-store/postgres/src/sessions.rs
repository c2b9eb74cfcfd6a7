//! Sessions of the accounts mode.

use async_trait::async_trait;
use grantry_domain::ports::{RowTag, Session, SessionHash, SessionStore, StoreError};
use grantry_domain::time::Timestamp;
use tokio_postgres::Row;

use crate::error::PgError;
use crate::records::Columns;
use crate::sql::{self, params};
use crate::store::PostgresStore;

/// Makes log-ins of a user wait for each other, so that each counts the sessions of those before it. Rows cannot be locked
/// for that: the first session has none before it.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";

/// Ends the sessions of a user, except one and a number of those that were created last.
const END_EXCESS: &str = "DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions \
     WHERE user_id = $1 AND hash <> $2 ORDER BY created_at DESC, hash DESC OFFSET $3)";

const FIND: &str = "SELECT seq, user_id, created_at, seen_at, tag FROM sessions WHERE hash = $1";

#[async_trait]
impl SessionStore for PostgresStore {
    async fn insert(&self, id: SessionHash, session: Session, at_most: u32) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO sessions (hash, user_id, created_at, seen_at, tag) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (hash) DO NOTHING";
        let session = &session;
        // The hash is random, so a row with it was added by an earlier transaction of this call.
        self.write_again(move |transaction, _| async move {
            let user = session.user.as_str();
            sql::rows(&transaction, LOCK, &params![user]).await?;
            let (created_at, seen_at) = (session.created_at.as_millis(), session.seen_at.as_millis());
            sql::execute(&transaction, INSERT, &params![id.0, user, created_at, seen_at, session.tag.0]).await?;
            sql::execute(&transaction, END_EXCESS, &params![user, id.0, at_most.saturating_sub(1)]).await?;
            Ok(())
        })
        .await
    }

    async fn find(&self, id: SessionHash) -> Result<Option<Session>, StoreError> {
        let rows = self.point_read(FIND, &params![id.0]).await?;
        Ok(rows.first().map(session).transpose()?)
    }

    async fn touch(&self, id: SessionHash, seen_at: Timestamp, tag: RowTag) -> Result<(), StoreError> {
        const TOUCH: &str = "UPDATE sessions SET seen_at = $2, tag = $3 WHERE hash = $1 AND seen_at < $2";
        self.write(move |transaction| async move {
            sql::execute(&transaction, TOUCH, &params![id.0, seen_at.as_millis(), tag.0]).await?;
            Ok(())
        })
        .await
    }

    async fn remove(&self, id: SessionHash) -> Result<(), StoreError> {
        self.write(move |transaction| async move {
            sql::execute(&transaction, "DELETE FROM sessions WHERE hash = $1", &params![id.0]).await?;
            Ok(())
        })
        .await
    }

    async fn purge(&self, created_before: Timestamp, seen_before: Timestamp, after: Timestamp) -> Result<u64, StoreError> {
        const PURGE: &str = "DELETE FROM sessions WHERE created_at < $1 OR seen_at < $2 OR created_at > $3 OR seen_at > $3";
        self.write(move |transaction| async move {
            let parameters = params![created_before.as_millis(), seen_before.as_millis(), after.as_millis()];
            sql::execute(&transaction, PURGE, &parameters).await
        })
        .await
    }
}

fn session(row: &Row) -> Result<Session, PgError> {
    let mut columns = Columns::numbered(row, 0, "sessions")?;
    Ok(Session {
        user: columns.user()?,
        created_at: columns.time()?,
        seen_at: columns.time()?,
        tag: RowTag(columns.array()?),
    })
}
