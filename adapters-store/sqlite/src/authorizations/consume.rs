//! Consuming a flow (R20).

use grantry_domain::authorization::{ExpiredCause, FlowCookieHash, StateKind};
use grantry_domain::ports::{AuditEvent, CallbackKey, ConsumeOutcome};
use grantry_domain::secret::equal_in_constant_time;
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, params};

use super::read;
use crate::fault::{Fault, inconsistent};
use crate::{outbox, sql};

/// Looks the flow up, says what is wrong, or takes its secrets.
pub(super) fn consume(
    connection: &Connection,
    now: Timestamp,
    key: &CallbackKey,
    audit: &[AuditEvent],
) -> Result<ConsumeOutcome, Fault> {
    // The predicate repeats every check above it: nothing is consumed that does not meet all of them.
    const CONSUME: &str = "UPDATE authorizations SET consumed_at = ?4, sealed = NULL, kid = NULL \
         WHERE state_hash = ?1 AND user = ?2 AND flow_cookie_hash = ?3 AND state = 'awaiting_callback' AND consumed_at IS NULL \
           AND deadline > ?4";
    let Some(found) = read::by_state(connection, key.state_hash)? else { return Ok(ConsumeOutcome::NotFound) };
    let mut record = Box::new(found.record);
    if record.owner.user != key.user {
        return Ok(ConsumeOutcome::UserMismatch(record));
    }
    let is_its_own = |given: &&FlowCookieHash| {
        found.flow_cookie_hash.is_some_and(|expected| equal_in_constant_time(&expected.0, &given.0))
    };
    let Some(flow_cookie_hash) = key.flow_cookies.iter().find(is_its_own) else {
        return Ok(ConsumeOutcome::BrowserMismatch(record));
    };
    let waiting = record.state == StateKind::AwaitingCallback && record.consumed_at.is_none();
    let timed_out = record.cause.as_deref() == Some(ExpiredCause::FlowTimedOut.as_str());
    if timed_out || waiting && record.deadline.is_none_or(|deadline| now >= deadline) {
        return Ok(ConsumeOutcome::Expired(record));
    }
    let parameters = params![key.state_hash.0, key.user.as_str(), flow_cookie_hash.0, now.as_millis()];
    if !waiting || sql::execute(connection, CONSUME, parameters)? != 1 {
        return Ok(ConsumeOutcome::AlreadyUsed(record));
    }
    outbox::write(connection, audit)?;
    record.consumed_at = Some(now);
    match record.sealed.take() {
        Some(sealed) => Ok(ConsumeOutcome::Consumed { record, sealed }),
        None => Err(inconsistent("authorizations", "a flow awaiting its callback has its secrets")),
    }
}
