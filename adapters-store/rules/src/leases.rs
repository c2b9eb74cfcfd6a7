//! Leases for refreshing, and failed attempts.

use async_trait::async_trait;
use grantry_domain::authorization::{AuthorizationId, RefreshState};
use grantry_domain::ports::{AuditEvent, FailedAttempt, Lease, LeaseRequest, RefreshLeases, StoreError};

use crate::transaction::Transaction;
use crate::{AuthorizationRow, Database, TableStore};

impl Transaction<'_> {
    fn take_lease(&mut self, request: LeaseRequest) -> Result<Lease, StoreError> {
        let now = self.now;
        let Some(mut row) = self.get::<AuthorizationRow>(&request.id)? else { return Ok(Lease::NotFound) };
        let stored = Box::new(row.stored());
        let Some(grant) = row.authorization.as_grant().filter(|grant| grant.tokens().revision == request.revision) else {
            return Ok(Lease::Stale(stored));
        };
        let held = grant.refresh().held_until.filter(|until| now < *until);
        let implausible = held.is_some_and(|until| until > now.plus(request.longest));
        if let Some(until) = held
            && !implausible
        {
            return Ok(Lease::Held { until, grant: stored });
        }
        let was_in_doubt = implausible || grant.refresh().in_doubt_since.is_some();
        let audit = was_in_doubt.then(|| AuditEvent::of_retry(&row.authorization, now));
        row.amend(|record| {
            record.refresh.held_until = Some(now.plus(request.length));
            record.refresh.holder = Some(request.holder);
            record.refresh.in_doubt_since.get_or_insert(now);
        })?;
        let grant = Box::new(row.stored());
        self.put(row)?;
        self.log(audit)?;
        Ok(Lease::Taken { grant, was_in_doubt })
    }

    fn fail_attempt(
        &mut self,
        id: AuthorizationId,
        holder: [u8; 16],
        attempt: FailedAttempt,
        audit: Vec<AuditEvent>,
    ) -> Result<(), StoreError> {
        let now = self.now;
        let Some(mut row) = self.get::<AuthorizationRow>(&id)? else { return Ok(()) };
        if row.authorization.as_grant().is_none_or(|grant| grant.refresh().holder != Some(holder)) {
            return Ok(());
        }
        let counts = attempt.refusal.is_some_and(|refusal| refusal.counts);
        row.amend(|record| {
            let before = std::mem::take(&mut record.refresh);
            record.refresh = RefreshState {
                held_until: Some(attempt.not_before),
                holder: None,
                in_doubt_since: before.in_doubt_since.filter(|_| !attempt.outcome_known),
                failed_attempts: before.failed_attempts.saturating_add(1),
                failing_since: before.failing_since.or(Some(now)),
                refusals: before.refusals.saturating_add(u32::from(counts)),
                refused_since: before.refused_since.or(counts.then_some(now)),
                last_refusal: attempt.refusal.map(|refusal| refusal.http_status),
            };
        })?;
        self.put(row)?;
        self.log(audit)
    }
}

#[async_trait]
impl<D: Database> RefreshLeases for TableStore<D> {
    async fn take_lease(&self, request: LeaseRequest) -> Result<Lease, StoreError> {
        self.write(move |rules| rules.take_lease(request)).await
    }

    async fn fail_attempt(
        &self,
        id: AuthorizationId,
        holder: [u8; 16],
        attempt: FailedAttempt,
        audit: Vec<AuditEvent>,
    ) -> Result<(), StoreError> {
        self.write(move |rules| rules.fail_attempt(id, holder, attempt, audit)).await
    }
}
