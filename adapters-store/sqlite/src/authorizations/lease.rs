//! Leases of renewals (R36, R37). Reading and writing them is one locked transaction, so that no two callers find one free.

use grantry_domain::authorization::{AuthorizationId, StateKind};
use grantry_domain::ports::{AuditEvent, FailedAttempt, Lease, LeaseRequest};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, params};

use super::read;
use crate::fault::Fault;
use crate::{outbox, sql};

/// Takes the lease if it is free, and sets the in-doubt mark with it.
pub(super) fn take(connection: &Connection, now: Timestamp, request: LeaseRequest) -> Result<Lease, Fault> {
    const TAKE: &str = "UPDATE authorizations SET lease_until = ?2, lease_owner = ?3, \
         in_doubt_since = coalesce(in_doubt_since, ?4) WHERE id = ?1";
    let Some(record) = read::find(connection, request.id)? else { return Ok(Lease::NotFound) };
    let mut record = Box::new(record);
    if record.state != StateKind::Authorized || record.revision != request.revision {
        return Ok(Lease::Stale(record));
    }
    let implausible = record.refresh.held_until.is_some_and(|until| until > now.plus(request.longest));
    if let Some(until) = record.refresh.held_until.filter(|until| *until > now && !implausible) {
        return Ok(Lease::Held { until, record });
    }
    let until = now.plus(request.length);
    let parameters = params![request.id.as_bytes(), until.as_millis(), request.owner, now.as_millis()];
    sql::execute(connection, TAKE, parameters)?;
    let was_in_doubt = implausible || record.refresh.in_doubt_since.is_some();
    record.refresh.held_until = Some(until);
    record.refresh.owner = Some(request.owner);
    record.refresh.in_doubt_since.get_or_insert(now);
    Ok(Lease::Taken { record, was_in_doubt })
}

/// Notes a failed attempt, if it is still this owner's.
pub(super) fn fail(
    connection: &Connection,
    now: Timestamp,
    id: AuthorizationId,
    owner: [u8; 16],
    attempt: FailedAttempt,
    audit: &[AuditEvent],
) -> Result<(), Fault> {
    const FAIL: &str = "UPDATE authorizations SET lease_until = ?3, lease_owner = NULL, \
         in_doubt_since = iif(?4, NULL, in_doubt_since), failed_attempts = min(failed_attempts + 1, 4294967295), \
         failing_since = coalesce(failing_since, ?5) WHERE id = ?1 AND role = 'grant' AND lease_owner = ?2";
    let not_before = attempt.not_before.as_millis();
    let parameters = params![id.as_bytes(), owner, not_before, attempt.outcome_known, now.as_millis()];
    if sql::execute(connection, FAIL, parameters)? == 1 {
        outbox::write(connection, audit)?;
    }
    Ok(())
}
