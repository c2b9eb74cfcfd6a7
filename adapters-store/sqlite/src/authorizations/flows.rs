//! Flows: inserting one, and consuming it when its callback arrives.

use grantry_domain::authorization::{
    Authorization, ExpiredCause, FlowCookieHash, Input, State, TerminalCause, TerminationCause,
};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuditEvent, CallbackKey, ConsumeOutcome, InsertOutcome, PendingLimits, Versioned};
use grantry_domain::secret::equal_in_constant_time;
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, params};

use super::grants::obsolete;
use super::terminate::{Scope, Transition};
use crate::error::{SqliteError, inconsistent};
use crate::records::interrupted_before;
use crate::{outbox, records, sql};

/// Adds a flow unless it is obsolete or a limit is reached; the unconsumed flow of the same connection is superseded.
pub(super) fn insert(
    connection: &Connection,
    now: Timestamp,
    flow: &Authorization,
    limits: PendingLimits,
    audit: &[AuditEvent],
) -> Result<InsertOutcome, SqliteError> {
    if let Some(obsolete) = obsolete(connection, flow.owner())? {
        return Ok(InsertOutcome::Obsolete(obsolete));
    }
    let of_user = unfinished(connection, now, flow, UNFINISHED_OF_USER)?;
    let of_all = unfinished(connection, now, flow, UNFINISHED)?;
    if of_user >= i64::from(limits.per_user) || of_all >= i64::from(limits.deployment) {
        return Ok(InsertOutcome::TooManyPending);
    }
    let owner = flow.owner();
    let actor = Actor::Person(owner.user.clone());
    let scope = Scope::connection(owner.incarnation, &owner.user, &owner.connection);
    Transition::to_revoked(&actor, now, TerminationCause::Superseded).terminate_pending(connection, &scope)?;
    records::insert(connection, flow)?;
    outbox::write(connection, audit)?;
    Ok(InsertOutcome::Inserted)
}

/// Counts the user's flows that have not ended, except those that the new flow supersedes.
pub(crate) const UNFINISHED_OF_USER: &str = "SELECT count(*) FROM authorizations WHERE user = ?1 AND role <> 'ended_flow' \
     AND (role = 'running' AND consumed_at > ?5 \
         OR role = 'pending' AND deadline > ?4 AND NOT (incarnation = ?2 AND connection = ?3))";

/// Counts all flows that have not ended, except those that the new flow supersedes.
pub(crate) const UNFINISHED: &str = "SELECT (SELECT count(*) FROM authorizations WHERE role = 'pending' AND deadline > ?4) \
     + (SELECT count(*) FROM authorizations WHERE role = 'running' AND consumed_at > ?5) \
     - (SELECT count(*) FROM authorizations \
         WHERE role = 'pending' AND deadline > ?4 AND incarnation = ?2 AND user = ?1 AND connection = ?3)";

fn unfinished(connection: &Connection, now: Timestamp, flow: &Authorization, query: &str) -> Result<i64, SqliteError> {
    let owner = flow.owner();
    let parameters = params![
        owner.user.as_str(),
        owner.incarnation.0,
        owner.connection.as_str(),
        now.as_millis(),
        interrupted_before(now),
    ];
    sql::number(connection, query, parameters)
}

/// Finds the flow of a callback, and either reports what does not match or consumes it.
pub(super) fn consume(
    connection: &Connection,
    now: Timestamp,
    key: &CallbackKey,
    audit: &[AuditEvent],
) -> Result<ConsumeOutcome, SqliteError> {
    // The condition repeats every check below, so that no flow is consumed that fails one of them.
    const CONSUME: &str = "UPDATE authorizations SET consumed_at = ?4, sealed = NULL, kid = NULL \
         WHERE state_hash = ?1 AND user = ?2 AND flow_cookie_hash = ?3 AND state = 'awaiting_callback' \
           AND consumed_at IS NULL AND deadline > ?4";
    let Some(found) = records::find_by_state(connection, key.state_hash)? else { return Ok(ConsumeOutcome::NotFound) };
    let flow = Box::new(found.authorization);
    if flow.owner().user != key.user {
        return Ok(ConsumeOutcome::UserMismatch(flow));
    }
    let belongs = |given: &&FlowCookieHash| {
        found.flow_cookie_hash.is_some_and(|expected| equal_in_constant_time(&expected.0, &given.0))
    };
    let Some(flow_cookie_hash) = key.flow_cookies.iter().find(belongs) else {
        return Ok(ConsumeOutcome::BrowserMismatch(flow));
    };
    let (deadline, secrets) = match flow.state() {
        State::AwaitingCallback(awaiting) if !awaiting.is_consumed() => (awaiting.deadline(), awaiting.sealed().cloned()),
        State::Initiated(_) | State::AwaitingCallback(_) | State::Authorized(_) | State::Expired(_) | State::Revoked(_) => {
            let timed_out = flow.terminal_cause() == Some(TerminalCause::Expired(ExpiredCause::FlowTimedOut));
            return Ok(if timed_out { ConsumeOutcome::Expired(flow) } else { ConsumeOutcome::AlreadyUsed(flow) });
        }
    };
    if now >= deadline {
        return Ok(ConsumeOutcome::Expired(flow));
    }
    let parameters = params![key.state_hash.0, key.user.as_str(), flow_cookie_hash.0, now.as_millis()];
    if sql::execute(connection, CONSUME, parameters)? != 1 {
        return Ok(ConsumeOutcome::AlreadyUsed(flow));
    }
    outbox::write(connection, audit)?;
    match (flow.on(Input::CallbackConsumed, now), secrets) {
        (Ok(consumed), Some(secrets)) => {
            Ok(ConsumeOutcome::Consumed { flow: Box::new(Versioned::stored(consumed)), secrets })
        }
        (Ok(_) | Err(_), _) => Err(inconsistent("authorizations", found.row, "an unconsumed flow can be consumed")),
    }
}
