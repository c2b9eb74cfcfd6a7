//! Grants: committing one, and choosing the default among several.

use grantry_domain::authorization::{Authorization, AuthorizationKey, TerminationCause};
use grantry_domain::connector::Incarnation;
use grantry_domain::identity::{Actor, ConnectionName, UserId};
use grantry_domain::ports::{AuditEvent, CommitOutcome, Obsolete};

use super::terminate::{Scope, Tokens, Transition};
use crate::connection::Connection;
use crate::error::{NO_ROW, PgError, inconsistent};
use crate::records::{Columns, interrupted_before, signed};
use crate::sql::{self, params};
use crate::transaction::Transaction;
use crate::{outbox, records, users};

/// Checks connector, user and flow, in this order; then supersedes the previous grant of the connection and writes the new
/// one. Each check locks its row, so that it still holds when the grant is written.
pub(super) async fn commit(
    transaction: &Transaction,
    grant: &Authorization,
    revoke_superseded: bool,
    audit: &[AuditEvent],
) -> Result<CommitOutcome, PgError> {
    const CONSUMED: &str = "role = 'running' AND consumed_at > $41";
    let (owner, now) = (grant.owner(), transaction.began());
    if let Some(obsolete) = obsolete(transaction, owner).await? {
        transaction.undo();
        return Ok(obsolete.into());
    }
    let interrupted = interrupted_before(now);
    if !is_running(transaction, grant, interrupted).await? {
        transaction.undo();
        return Ok(CommitOutcome::FlowEnded);
    }
    let actor = Actor::Person(owner.user.clone());
    let tokens = if revoke_superseded { Tokens::Revoke } else { Tokens::Discard };
    let scope = Scope::connection(owner.incarnation, &owner.user, &owner.connection);
    let transition = Transition::to_revoked(&actor, now, TerminationCause::Superseded);
    transition.terminate_grants(transaction, &scope, tokens).await?;
    if !records::overwrite(transaction, grant, CONSUMED, &params![interrupted]).await? {
        return Err(inconsistent("authorizations", NO_ROW, "a running flow can become a grant"));
    }
    outbox::write(transaction, audit).await?;
    Ok(CommitOutcome::Committed)
}

/// Compares the connector with that of an authorization, and looks for the tombstone of its user. Both stay as they are until
/// the end of the transaction.
pub(super) async fn obsolete(connection: &Connection, owner: &AuthorizationKey) -> Result<Option<Obsolete>, PgError> {
    const COMPARE: &str =
        "SELECT incarnation = $3, epoch = $4 FROM connectors WHERE space = $1 AND connector = $2 FOR SHARE";
    let parameters = params![owner.space.as_str(), owner.connector.as_str(), owner.incarnation.0, signed(owner.epoch.0)];
    let Some(row) = sql::first(connection, COMPARE, &parameters).await? else { return Ok(Some(Obsolete::ConnectorGone)) };
    let mut columns = Columns::of_group(&row, "connectors");
    let same = (columns.flag()?, columns.flag()?);
    Ok(match same {
        (false, _) => Some(Obsolete::ConnectorGone),
        (true, false) => Some(Obsolete::ConnectorChanged),
        (true, true) => users::lock(connection, &owner.user).await?.map(|_| Obsolete::UserGone),
    })
}

/// Whether the flow is consumed and has not ended since.
async fn is_running(connection: &Connection, grant: &Authorization, interrupted: i64) -> Result<bool, PgError> {
    const RUNNING: &str = "SELECT 1 FROM authorizations WHERE id = $1 AND role = 'running' AND consumed_at > $2 FOR UPDATE";
    sql::exists(connection, RUNNING, &params![grant.id().as_bytes(), interrupted]).await
}

/// Sets the default connection of a user at a connector, or clears it. A connection without a grant is refused.
pub(super) async fn set_default(
    transaction: &Transaction,
    incarnation: Incarnation,
    user: &UserId,
    name: Option<&ConnectionName>,
    audit: &[AuditEvent],
) -> Result<bool, PgError> {
    // The grant does not end before this is committed: what ends it removes the default connection afterwards.
    const HAS_GRANT: &str = "SELECT 1 FROM authorizations \
         WHERE role = 'grant' AND incarnation = $1 AND user_id = $2 AND connection = $3 FOR SHARE";
    const SET: &str = "INSERT INTO default_connections (incarnation, user_id, connection) VALUES ($1, $2, $3) \
         ON CONFLICT (incarnation, user_id) DO UPDATE SET connection = excluded.connection";
    const CLEAR: &str = "DELETE FROM default_connections WHERE incarnation = $1 AND user_id = $2";
    match name {
        Some(name) => {
            // A new grant that replaces the one of the connection is committed first, and then seen.
            users::lock(transaction, user).await?;
            let parameters = params![incarnation.0, user.as_str(), name.as_str()];
            if !sql::exists(transaction, HAS_GRANT, &parameters).await? {
                transaction.undo();
                return Ok(false);
            }
            sql::execute(transaction, SET, &parameters).await?;
        }
        None => {
            sql::execute(transaction, CLEAR, &params![incarnation.0, user.as_str()]).await?;
        }
    }
    outbox::write(transaction, audit).await?;
    Ok(true)
}
