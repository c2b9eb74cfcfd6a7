//! Leases of refreshes. The row of the grant is locked while its lease is read and written, so that two nodes cannot take it.

use async_trait::async_trait;
use grantry_domain::authorization::AuthorizationId;
use grantry_domain::ports::{AuditEvent, FailedAttempt, Lease, LeaseRequest, RefreshLeases, StoreError, Versioned};

use crate::error::PgError;
use crate::sql::{self, params};
use crate::store::PostgresStore;
use crate::transaction::Transaction;
use crate::{outbox, records};

#[async_trait]
impl RefreshLeases for PostgresStore {
    async fn take_lease(&self, request: LeaseRequest) -> Result<Lease, StoreError> {
        self.write_again(move |transaction, is_again| async move { take(&transaction, request, is_again).await }).await
    }

    async fn fail_attempt(
        &self,
        id: AuthorizationId,
        holder: [u8; 16],
        attempt: FailedAttempt,
        audit: Vec<AuditEvent>,
    ) -> Result<(), StoreError> {
        let audit = &audit;
        self.write(move |transaction| async move { fail(&transaction, id, holder, attempt, audit).await }).await
    }
}

/// Takes the lease if it is free, and sets the in-doubt mark with it. A grant that was in doubt leaves an audit event.
/// `is_again`: an earlier transaction of this request may have taken it.
async fn take(transaction: &Transaction, request: LeaseRequest, is_again: bool) -> Result<Lease, PgError> {
    const TAKE: &str = "UPDATE authorizations SET lease_until = $2, lease_holder = $3, \
         in_doubt_since = coalesce(in_doubt_since, $4) WHERE id = $1";
    let Some(found) = records::locked(transaction, request.id).await? else {
        transaction.undo();
        return Ok(Lease::NotFound);
    };
    let Some(grant) = found.as_grant().filter(|grant| grant.tokens().revision == request.revision) else {
        transaction.undo();
        return Ok(Lease::Stale(Box::new(Versioned::stored(found))));
    };
    // The lock may have taken long, and the lease lasts from now.
    let now = transaction.now().await?;
    let refresh = grant.refresh();
    let implausible = refresh.held_until.is_some_and(|until| until > now.plus(request.longest));
    if let Some(until) = refresh.held_until.filter(|until| *until > now && !implausible) {
        transaction.undo();
        if is_again && refresh.holder == Some(request.holder) {
            // The mark is as old as the lease if the lease set it.
            let was_in_doubt = refresh.in_doubt_since.is_some_and(|since| since.plus(request.length) != until);
            return Ok(Lease::Taken { grant: Box::new(Versioned::stored(found)), was_in_doubt });
        }
        return Ok(Lease::Held { until, grant: Box::new(Versioned::stored(found)) });
    }
    let was_in_doubt = implausible || refresh.in_doubt_since.is_some();
    let until = now.plus(request.length).as_millis();
    let parameters = params![request.id.as_bytes(), until, request.holder, now.as_millis()];
    sql::execute(transaction, TAKE, &parameters).await?;
    if was_in_doubt {
        outbox::write(transaction, &[AuditEvent::of_retry(&found, now)]).await?;
    }
    Ok(match records::find(transaction, request.id).await? {
        Some(taken) => Lease::Taken { grant: Box::new(Versioned::stored(taken)), was_in_doubt },
        None => Lease::NotFound,
    })
}

/// Records a failed attempt, if `holder` still holds the lease.
async fn fail(
    transaction: &Transaction,
    id: AuthorizationId,
    holder: [u8; 16],
    attempt: FailedAttempt,
    audit: &[AuditEvent],
) -> Result<(), PgError> {
    const FAIL: &str = "UPDATE authorizations SET lease_until = $3, lease_holder = NULL, \
         in_doubt_since = CASE WHEN $4 THEN NULL ELSE in_doubt_since END, \
         failed_attempts = least(failed_attempts + 1, 4294967295), failing_since = coalesce(failing_since, $5), \
         refusals = least(refusals + CASE WHEN $6 THEN 1 ELSE 0 END, 4294967295), \
         refused_since = coalesce(refused_since, CASE WHEN $6 THEN $5 END), last_refusal = $7 \
         WHERE id = $1 AND role = 'grant' AND lease_holder = $2";
    let counts = attempt.refusal.is_some_and(|refusal| refusal.counts);
    let parameters = params![
        id.as_bytes(),
        holder,
        attempt.not_before.as_millis(),
        attempt.outcome_known,
        transaction.began().as_millis(),
        counts,
        attempt.refusal.map(|refusal| i64::from(refusal.http_status)),
    ];
    if sql::execute(transaction, FAIL, &parameters).await? == 1 {
        outbox::write(transaction, audit).await?;
    }
    Ok(())
}
