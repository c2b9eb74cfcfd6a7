//! Users and tombstones.

use std::sync::LazyLock;

use async_trait::async_trait;
use grantry_domain::authorization::Authorization;
use grantry_domain::identity::UserId;
use grantry_domain::ports::{AuditEvent, StoreError, StoredUser, UserStore};
use grantry_domain::time::Timestamp;
use tokio_postgres::Row;

use crate::connection::Connection;
use crate::error::PgError;
use crate::outbox;
use crate::records::{AUTHORIZATION_COLUMNS, Columns, authorization};
use crate::sql::{self, params};
use crate::store::PostgresStore;

#[async_trait]
impl UserStore for PostgresStore {
    async fn removed_at(&self, user: &UserId) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.point_read(REMOVED_AT, &params![user.as_str()]).await?;
        let removed = rows.first().map(|row| Columns::of_group(row, "users").optional_time());
        Ok(removed.transpose()?.flatten())
    }

    async fn stored_user(&self, user: &UserId) -> Result<Option<StoredUser>, StoreError> {
        let rows = self.point_read(STORED, &params![user.as_str()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut columns = Columns::of_group(row, "users");
        let (removed_at, has_grant) = (columns.optional_time()?, columns.flag()?);
        Ok((removed_at.is_some() || has_grant).then(|| StoredUser { id: user.clone(), removed_at }))
    }

    async fn reinstate(&self, user: UserId, audit: Vec<AuditEvent>) -> Result<bool, StoreError> {
        const REINSTATE: &str = "DELETE FROM users WHERE user_id = $1 AND removed_at IS NOT NULL";
        let (user, audit) = (&user, &audit);
        self.write(move |transaction| async move {
            let removed = sql::execute(&transaction, REINSTATE, &params![user.as_str()]).await?;
            if removed > 0 {
                outbox::write(&transaction, audit).await?;
            }
            Ok(removed > 0)
        })
        .await
    }

    async fn stored_users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<StoredUser>, StoreError> {
        // No id is empty, so every id is greater than the empty text.
        let after = after.as_ref().map_or("", UserId::as_str);
        let rows = self.long_read(USERS, &params![after, limit]).await?;
        Ok(rows.iter().map(stored_user).collect::<Result<_, _>>()?)
    }

    async fn open_authorizations(&self, user: &UserId) -> Result<Vec<Authorization>, StoreError> {
        let rows = self.long_read(&OPEN, &params![user.as_str()]).await?;
        Ok(rows.iter().map(authorization).collect::<Result<_, _>>()?)
    }
}

/// Locks a user until the end of the transaction, and returns when the user was removed.
///
/// The row is the lock of everything that depends on the tombstone or on the number of the user's flows. It is added if there
/// is none.
pub(crate) async fn lock(connection: &Connection, user: &UserId) -> Result<Option<Timestamp>, PgError> {
    const LOCK: &str = "INSERT INTO users (user_id) VALUES ($1) \
         ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id RETURNING removed_at";
    let row = sql::first(connection, LOCK, &params![user.as_str()]).await?;
    row.map_or(Ok(None), |row| Columns::of_group(&row, "users").optional_time())
}

/// Removes the rows of users who have no authorization and no tombstone. One that is locked is left for another sweep.
pub(crate) async fn forget(connection: &Connection, users: &[String]) -> Result<(), PgError> {
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    sql::execute(connection, FORGET, &params![users]).await?;
    Ok(())
}

/// A row that is removed although a flow was added meanwhile is added again by the next transaction that locks it.
const FORGET: &str = "DELETE FROM users WHERE user_id = ANY (ARRAY(SELECT u.user_id FROM users AS u \
     WHERE u.user_id = ANY ($1) AND u.removed_at IS NULL \
         AND NOT EXISTS (SELECT 1 FROM authorizations AS a WHERE a.user_id = u.user_id AND a.role <> 'ended_flow') \
     ORDER BY u.user_id FOR UPDATE SKIP LOCKED))";

const REMOVED_AT: &str = "SELECT removed_at FROM users WHERE user_id = $1";

const STORED: &str = "SELECT (SELECT removed_at FROM users WHERE user_id = $1), \
     EXISTS (SELECT 1 FROM authorizations WHERE user_id = $1 AND role <> 'ended_flow' AND role IN ('grant', 'former_grant'))";

const USERS: &str = "SELECT u.user_id, (SELECT t.removed_at FROM users AS t WHERE t.user_id = u.user_id) FROM ( \
         (SELECT DISTINCT user_id FROM authorizations WHERE role <> 'ended_flow' AND role IN ('grant', 'former_grant') \
             AND user_id > $1 ORDER BY user_id LIMIT $2) \
         UNION (SELECT user_id FROM users WHERE removed_at IS NOT NULL AND user_id > $1 ORDER BY user_id LIMIT $2)) AS u \
     ORDER BY u.user_id LIMIT $2";

/// What the termination of a user would end, oldest first.
static OPEN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {AUTHORIZATION_COLUMNS} FROM authorizations AS a WHERE a.user_id = $1 AND a.role <> 'ended_flow' \
         AND (a.role <> 'former_grant' OR a.state = 'expired') ORDER BY a.id"
    )
});

fn stored_user(row: &Row) -> Result<StoredUser, PgError> {
    let mut columns = Columns::of_group(row, "users");
    Ok(StoredUser { id: columns.user()?, removed_at: columns.optional_time()? })
}
