//! From a consumed flow to the user's grant (R26, R27). The transaction is locked from its start, so whatever is checked here
//! still holds when the grant is written.

use grantry_domain::authorization::{AuthorizationKey, AuthorizationRecord, StateKind, TerminationCause};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuditEvent, CommitOutcome};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, params};

use super::end::{Scope, Tokens, Transition};
use super::interrupted_before;
use crate::fault::Fault;
use crate::{outbox, records, sql};

/// Checks connector, user and flow, in this order; then supersedes the grant before and writes the new one.
pub(super) fn commit(
    connection: &Connection,
    now: Timestamp,
    grant: &AuthorizationRecord,
    revoke_superseded: bool,
    audit: &[AuditEvent],
) -> Result<CommitOutcome, Fault> {
    const CONSUMED: &str = "role = 'running' AND consumed_at > ?35 AND ?36 IS NULL";
    let owner = &grant.owner;
    if let Some(refused) = connector_moved(connection, owner)? {
        return Ok(refused);
    }
    if sql::exists(connection, "SELECT 1 FROM tombstones WHERE user = ?1", [owner.user.as_str()])? {
        return Ok(CommitOutcome::UserGone);
    }
    if !is_running(connection, now, grant)? {
        return Ok(CommitOutcome::FlowEnded);
    }
    let actor = Actor::Person(owner.user.clone());
    let superseding =
        Transition { actor: &actor, now, state: StateKind::Revoked, cause: TerminationCause::Superseded.as_str() };
    let tokens = if revoke_superseded { Tokens::Owed } else { Tokens::NotNeeded };
    superseding.end_grants(connection, &Scope::user_connector(owner.incarnation, &owner.user), tokens)?;
    if !records::overwrite(connection, grant, CONSUMED, [&interrupted_before(now), &rusqlite::types::Null])? {
        return Err(crate::fault::inconsistent("authorizations", "a running flow can become a grant"));
    }
    outbox::write(connection, audit)?;
    Ok(CommitOutcome::Committed)
}

/// Why the connector is not the one consented to any more.
fn connector_moved(connection: &Connection, owner: &AuthorizationKey) -> Result<Option<CommitOutcome>, Fault> {
    const LIVE: &str = "SELECT enabled AND incarnation = ?3, epoch = ?4 FROM connectors WHERE space = ?1 AND connector = ?2";
    let parameters =
        params![owner.space.as_str(), owner.connector.as_str(), owner.incarnation.0, records::signed(owner.epoch.0)];
    let live = sql::first(connection, LIVE, parameters, |row| Ok((row.get::<_, bool>(0)?, row.get::<_, bool>(1)?)))?;
    Ok(match live {
        None | Some((false, _)) => Some(CommitOutcome::ConnectorGone),
        Some((true, false)) => Some(CommitOutcome::ConnectorChanged),
        Some((true, true)) => None,
    })
}

/// Whether the flow was consumed and nobody ended it since.
fn is_running(connection: &Connection, now: Timestamp, grant: &AuthorizationRecord) -> Result<bool, Fault> {
    const RUNNING: &str = "SELECT 1 FROM authorizations WHERE id = ?1 AND role = 'running' AND consumed_at > ?2";
    sql::exists(connection, RUNNING, params![grant.id.as_bytes(), interrupted_before(now)])
}
