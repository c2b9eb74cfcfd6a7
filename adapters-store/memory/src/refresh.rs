//! Leases, failed attempts, days of use.

use grantry_domain::authorization::{AuthorizationId, AuthorizationRecord, RefreshState, StateKind};
use grantry_domain::ports::{AuditEvent, FailedAttempt, Lease, LeaseRequest, StoreError};
use grantry_domain::time::Timestamp;

use crate::data::{Data, Row};

impl Data {
    pub(crate) fn take_lease(&mut self, request: LeaseRequest, now: Timestamp) -> Result<Lease, StoreError> {
        let Some(row) = self.row(request.id) else { return Ok(Lease::NotFound) };
        let stored = row.to_record();
        if stored.state != StateKind::Authorized || stored.revision != request.revision {
            return Ok(Lease::Stale(Box::new(stored)));
        }
        let held = stored.refresh.held_until.filter(|until| now < *until);
        let implausible = held.is_some_and(|until| until > now.plus(request.longest));
        if let Some(until) = held
            && !implausible
        {
            return Ok(Lease::Held { until, record: Box::new(stored) });
        }
        let was_in_doubt = implausible || stored.refresh.in_doubt_since.is_some();
        let record = row.amend(|record| {
            record.refresh.held_until = Some(now.plus(request.length));
            record.refresh.owner = Some(request.owner);
            record.refresh.in_doubt_since.get_or_insert(now);
        })?;
        Ok(Lease::Taken { record: Box::new(record), was_in_doubt })
    }

    pub(crate) fn fail_attempt(
        &mut self,
        id: AuthorizationId,
        owner: [u8; 16],
        attempt: FailedAttempt,
        audit: Vec<AuditEvent>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(row) = self.row(id) else { return Ok(()) };
        if row.to_record().refresh.owner != Some(owner) {
            return Ok(());
        }
        row.amend(|record| {
            let before = std::mem::take(&mut record.refresh);
            record.refresh = RefreshState {
                held_until: Some(attempt.not_before),
                owner: None,
                in_doubt_since: before.in_doubt_since.filter(|_| !attempt.outcome_known),
                failed_attempts: before.failed_attempts.saturating_add(1),
                failing_since: before.failing_since.or(Some(now)),
            };
        })?;
        self.outbox.add(audit);
        Ok(())
    }

    pub(crate) fn record_use(&mut self, uses: Vec<(AuthorizationId, i64)>) -> Result<(), StoreError> {
        for (id, day) in uses {
            let Some(row) = self.row(id).filter(|row| row.is_authorized()) else { continue };
            row.amend(|record| record.last_used_day = record.last_used_day.max(Some(day)))?;
        }
        Ok(())
    }

    pub(crate) fn due_for_refresh(
        &self,
        used_since_day: i64,
        expiring_before: Timestamp,
        limit: u32,
    ) -> Vec<AuthorizationRecord> {
        let due = |record: &AuthorizationRecord| {
            record.refreshable
                && record.last_used_day.is_some_and(|day| day >= used_since_day)
                && record.expires_at.is_some_and(|lapse| lapse < expiring_before)
        };
        let grants = self.rows.values().filter(|row| row.is_authorized()).map(Row::to_record);
        let mut found: Vec<_> = grants.filter(due).collect();
        found.sort_by_key(|record| (record.expires_at, record.id));
        found.truncate(limit as usize);
        found
    }
}
