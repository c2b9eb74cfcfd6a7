//! Grants: committing one, and choosing the default among several.

use grantry_domain::authorization::{Authorization, AuthorizationKey, TerminationCause};
use grantry_domain::connector::Incarnation;
use grantry_domain::identity::{Actor, ConnectionName, UserId};
use grantry_domain::ports::{AuditEvent, CommitOutcome, Obsolete};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, params};

use super::terminate::{Scope, Tokens, Transition};
use crate::error::{NO_ROW, SqliteError, inconsistent};
use crate::records::{interrupted_before, signed};
use crate::{outbox, records, sql};

/// Checks connector, user and flow, in this order; then supersedes the previous grant of the connection and writes the new
/// one. The transaction is locked from its start, so that the checks still hold when the grant is written.
pub(super) fn commit(
    connection: &Connection,
    now: Timestamp,
    grant: &Authorization,
    revoke_superseded: bool,
    audit: &[AuditEvent],
) -> Result<CommitOutcome, SqliteError> {
    const CONSUMED: &str = "role = 'running' AND consumed_at > ?41 AND ?42 IS NULL";
    let owner = grant.owner();
    if let Some(obsolete) = obsolete(connection, owner)? {
        return Ok(obsolete.into());
    }
    if !is_running(connection, now, grant)? {
        return Ok(CommitOutcome::FlowEnded);
    }
    let actor = Actor::Person(owner.user.clone());
    let tokens = if revoke_superseded { Tokens::Revoke } else { Tokens::Discard };
    let scope = Scope::connection(owner.incarnation, &owner.user, &owner.connection);
    Transition::to_revoked(&actor, now, TerminationCause::Superseded).terminate_grants(connection, &scope, tokens)?;
    if !records::overwrite(connection, grant, CONSUMED, [&interrupted_before(now), &rusqlite::types::Null])? {
        return Err(inconsistent("authorizations", NO_ROW, "a running flow can become a grant"));
    }
    outbox::write(connection, audit)?;
    Ok(CommitOutcome::Committed)
}

/// Compares the connector with that of an authorization, and looks for the tombstone of its user.
pub(super) fn obsolete(connection: &Connection, owner: &AuthorizationKey) -> Result<Option<Obsolete>, SqliteError> {
    const COMPARE: &str = "SELECT incarnation = ?3, epoch = ?4 FROM connectors WHERE space = ?1 AND connector = ?2";
    let parameters = params![owner.space.as_str(), owner.connector.as_str(), owner.incarnation.0, signed(owner.epoch.0)];
    let same = sql::first(connection, COMPARE, parameters, |row| Ok((row.get::<_, bool>(0)?, row.get::<_, bool>(1)?)))?;
    Ok(match same {
        None | Some((false, _)) => Some(Obsolete::ConnectorGone),
        Some((true, false)) => Some(Obsolete::ConnectorChanged),
        Some((true, true)) => {
            let removed = sql::exists(connection, "SELECT 1 FROM tombstones WHERE user = ?1", [owner.user.as_str()])?;
            removed.then_some(Obsolete::UserGone)
        }
    })
}

/// Whether the flow is consumed and has not ended since.
fn is_running(connection: &Connection, now: Timestamp, grant: &Authorization) -> Result<bool, SqliteError> {
    const RUNNING: &str = "SELECT 1 FROM authorizations WHERE id = ?1 AND role = 'running' AND consumed_at > ?2";
    sql::exists(connection, RUNNING, params![grant.id().as_bytes(), interrupted_before(now)])
}

/// Sets the default connection of a user at a connector, or clears it. A connection without a grant is refused.
pub(super) fn set_default(
    connection: &Connection,
    incarnation: Incarnation,
    user: &UserId,
    name: Option<&ConnectionName>,
    audit: &[AuditEvent],
) -> Result<bool, SqliteError> {
    const HAS_GRANT: &str =
        "SELECT 1 FROM authorizations WHERE role = 'grant' AND incarnation = ?1 AND user = ?2 AND connection = ?3";
    const SET: &str = "INSERT INTO default_connections (incarnation, user, connection) VALUES (?1, ?2, ?3) \
         ON CONFLICT DO UPDATE SET connection = excluded.connection";
    const CLEAR: &str = "DELETE FROM default_connections WHERE incarnation = ?1 AND user = ?2";
    match name {
        Some(name) => {
            if !sql::exists(connection, HAS_GRANT, params![incarnation.0, user.as_str(), name.as_str()])? {
                return Ok(false);
            }
            sql::execute(connection, SET, params![incarnation.0, user.as_str(), name.as_str()])?;
        }
        None => {
            sql::execute(connection, CLEAR, params![incarnation.0, user.as_str()])?;
        }
    }
    outbox::write(connection, audit)?;
    Ok(true)
}
