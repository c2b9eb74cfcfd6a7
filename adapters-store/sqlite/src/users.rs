//! Users and tombstones.

use async_trait::async_trait;
use grantry_domain::authorization::Authorization;
use grantry_domain::identity::UserId;
use grantry_domain::ports::{AuditEvent, StoreError, StoredUser, UserStore};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::error::SqliteError;
use crate::records::{AUTHORIZATION_COLUMNS, Columns, authorization};
use crate::store::SqliteStore;
use crate::{outbox, sql};

#[async_trait]
impl UserStore for SqliteStore {
    async fn removed_at(&self, user: &UserId) -> Result<Option<Timestamp>, StoreError> {
        let user = user.clone();
        self.point_read(move |connection| removed_at(connection, &user)).await
    }

    async fn stored_user(&self, user: &UserId) -> Result<Option<StoredUser>, StoreError> {
        let user = user.clone();
        self.point_read(move |connection| {
            let removed_at = removed_at(connection, &user)?;
            let is_stored = removed_at.is_some() || sql::exists(connection, HAS_GRANT, [user.as_str()])?;
            Ok(is_stored.then(|| StoredUser { id: user.clone(), removed_at }))
        })
        .await
    }

    async fn reinstate(&self, user: UserId, audit: Vec<AuditEvent>) -> Result<bool, StoreError> {
        self.write(move |connection, _| {
            let removed = sql::execute(connection, "DELETE FROM tombstones WHERE user = ?1", [user.as_str()])?;
            if removed > 0 {
                outbox::write(connection, &audit)?;
            }
            Ok(removed > 0)
        })
        .await
    }

    async fn stored_users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<StoredUser>, StoreError> {
        self.long_read(move |connection| {
            // No id is empty, so every id is greater than the empty text.
            let after = after.as_ref().map_or("", UserId::as_str);
            sql::all(connection, USERS, params![after, limit], stored_user)
        })
        .await
    }

    async fn open_authorizations(&self, user: &UserId) -> Result<Vec<Authorization>, StoreError> {
        let user = user.clone();
        self.long_read(move |connection| sql::all(connection, &open_query(), [user.as_str()], authorization)).await
    }
}

fn removed_at(connection: &Connection, user: &UserId) -> Result<Option<Timestamp>, SqliteError> {
    const REMOVED_AT: &str = "SELECT removed_at FROM tombstones WHERE user = ?1";
    sql::first(connection, REMOVED_AT, [user.as_str()], |row| Columns::of_group(row, "tombstones").time())
}

pub(crate) const HAS_GRANT: &str =
    "SELECT 1 FROM authorizations WHERE user = ?1 AND role <> 'ended_flow' AND role IN ('grant', 'former_grant')";

pub(crate) const USERS: &str = "SELECT u.user, t.removed_at FROM ( \
         SELECT user FROM authorizations WHERE role <> 'ended_flow' AND role IN ('grant', 'former_grant') AND user > ?1 \
         UNION SELECT user FROM tombstones WHERE user > ?1) AS u \
     LEFT JOIN tombstones AS t ON t.user = u.user ORDER BY u.user LIMIT ?2";

/// What the termination of a user would end, oldest first.
pub(crate) fn open_query() -> String {
    format!(
        "SELECT {AUTHORIZATION_COLUMNS} FROM authorizations AS a WHERE a.user = ?1 AND a.role <> 'ended_flow' \
         AND (a.role <> 'former_grant' OR a.state = 'expired') ORDER BY a.id"
    )
}

fn stored_user(row: &Row<'_>) -> Result<StoredUser, SqliteError> {
    let mut columns = Columns::of_group(row, "tombstones");
    Ok(StoredUser { id: columns.user()?, removed_at: columns.optional_time()? })
}
