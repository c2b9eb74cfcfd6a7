//! Leases of refreshes. Reading and writing one is a single locked transaction, so that two callers cannot take the same.

use async_trait::async_trait;
use grantry_domain::authorization::AuthorizationId;
use grantry_domain::ports::{AuditEvent, FailedAttempt, Lease, LeaseRequest, RefreshLeases, StoreError, Versioned};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, params};

use crate::error::SqliteError;
use crate::store::SqliteStore;
use crate::{outbox, records, sql};

#[async_trait]
impl RefreshLeases for SqliteStore {
    async fn take_lease(&self, request: LeaseRequest) -> Result<Lease, StoreError> {
        self.write(move |connection, now| take(connection, now, request)).await
    }

    async fn fail_attempt(
        &self,
        id: AuthorizationId,
        holder: [u8; 16],
        attempt: FailedAttempt,
        audit: Vec<AuditEvent>,
    ) -> Result<(), StoreError> {
        self.write(move |connection, now| fail(connection, now, id, holder, attempt, &audit)).await
    }
}

/// Takes the lease if it is free, and sets the in-doubt mark with it. A grant that was in doubt leaves an audit event.
fn take(connection: &Connection, now: Timestamp, request: LeaseRequest) -> Result<Lease, SqliteError> {
    const TAKE: &str = "UPDATE authorizations SET lease_until = ?2, lease_holder = ?3, \
         in_doubt_since = coalesce(in_doubt_since, ?4) WHERE id = ?1";
    let Some(found) = records::find(connection, request.id)? else { return Ok(Lease::NotFound) };
    let Some(grant) = found.as_grant().filter(|grant| grant.tokens().revision == request.revision) else {
        return Ok(Lease::Stale(Box::new(Versioned::stored(found))));
    };
    let refresh = grant.refresh();
    let implausible = refresh.held_until.is_some_and(|until| until > now.plus(request.longest));
    if let Some(until) = refresh.held_until.filter(|until| *until > now && !implausible) {
        return Ok(Lease::Held { until, grant: Box::new(Versioned::stored(found)) });
    }
    let was_in_doubt = implausible || refresh.in_doubt_since.is_some();
    let until = now.plus(request.length).as_millis();
    sql::execute(connection, TAKE, params![request.id.as_bytes(), until, request.holder, now.as_millis()])?;
    if was_in_doubt {
        outbox::write(connection, &[AuditEvent::of_retry(&found, now)])?;
    }
    Ok(match records::find(connection, request.id)? {
        Some(taken) => Lease::Taken { grant: Box::new(Versioned::stored(taken)), was_in_doubt },
        None => Lease::NotFound,
    })
}

/// Records a failed attempt, if `holder` still holds the lease.
fn fail(
    connection: &Connection,
    now: Timestamp,
    id: AuthorizationId,
    holder: [u8; 16],
    attempt: FailedAttempt,
    audit: &[AuditEvent],
) -> Result<(), SqliteError> {
    const FAIL: &str = "UPDATE authorizations SET lease_until = ?3, lease_holder = NULL, \
         in_doubt_since = iif(?4, NULL, in_doubt_since), failed_attempts = min(failed_attempts + 1, 4294967295), \
         failing_since = coalesce(failing_since, ?5), refusals = min(refusals + ?6, 4294967295), \
         refused_since = coalesce(refused_since, iif(?6, ?5, NULL)), last_refusal = ?7 WHERE id = ?1 AND role = 'grant' AND lease_holder = ?2";
    let not_before = attempt.not_before.as_millis();
    let counts = attempt.refusal.is_some_and(|refusal| refusal.counts);
    let status = attempt.refusal.map(|refusal| refusal.http_status);
    let parameters = params![id.as_bytes(), holder, not_before, attempt.outcome_known, now.as_millis(), counts, status];
    if sql::execute(connection, FAIL, parameters)? == 1 {
        outbox::write(connection, audit)?;
    }
    Ok(())
}
