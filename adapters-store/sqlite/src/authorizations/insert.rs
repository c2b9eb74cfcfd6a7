//! New flows (R18).

use grantry_domain::authorization::{AuthorizationRecord, StateKind, TerminationCause};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuditEvent, InsertOutcome, PendingLimits};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, params};

use super::end::{Scope, Transition};
use super::interrupted_before;
use crate::fault::Fault;
use crate::{outbox, records, sql};

/// Adds a flow unless a cap is reached; the unconsumed one before it is superseded.
pub(super) fn insert_pending(
    connection: &Connection,
    now: Timestamp,
    flow: &AuthorizationRecord,
    limits: PendingLimits,
    audit: &[AuditEvent],
) -> Result<InsertOutcome, Fault> {
    let of_user = unfinished_of_user(connection, now, flow)?;
    let of_all = unfinished(connection, now, flow)?;
    if of_user >= i64::from(limits.per_user) || of_all >= i64::from(limits.deployment) {
        return Ok(InsertOutcome::TooManyPending);
    }
    let owner = &flow.owner;
    let actor = Actor::Person(owner.user.clone());
    let superseding =
        Transition { actor: &actor, now, state: StateKind::Revoked, cause: TerminationCause::Superseded.as_str() };
    superseding.end_pending(connection, &Scope::user_connector(owner.incarnation, &owner.user))?;
    records::insert(connection, flow)?;
    outbox::write(connection, audit)?;
    Ok(InsertOutcome::Inserted)
}

pub(super) const OF_USER: &str = "SELECT count(*) FROM authorizations WHERE user = ?1 AND role <> 'over' \
         AND (role = 'running' AND consumed_at > ?4 OR role = 'pending' AND deadline > ?3 AND incarnation <> ?2)";

pub(super) const OF_ALL: &str = "SELECT (SELECT count(*) FROM authorizations WHERE role = 'pending' AND deadline > ?3) \
         + (SELECT count(*) FROM authorizations WHERE role = 'running' AND consumed_at > ?4) \
         - (SELECT count(*) FROM authorizations \
             WHERE role = 'pending' AND deadline > ?3 AND incarnation = ?2 AND user = ?1)";

/// Flows of the user that are not over, without those the new one supersedes.
fn unfinished_of_user(connection: &Connection, now: Timestamp, flow: &AuthorizationRecord) -> Result<i64, Fault> {
    let owner = &flow.owner;
    let parameters = params![owner.user.as_str(), owner.incarnation.0, now.as_millis(), interrupted_before(now)];
    sql::number(connection, OF_USER, parameters)
}

/// All flows that are not over, without those the new one supersedes.
fn unfinished(connection: &Connection, now: Timestamp, flow: &AuthorizationRecord) -> Result<i64, Fault> {
    let owner = &flow.owner;
    let parameters = params![owner.user.as_str(), owner.incarnation.0, now.as_millis(), interrupted_before(now)];
    sql::number(connection, OF_ALL, parameters)
}
