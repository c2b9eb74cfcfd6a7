//! The port of authorizations, method by method.

use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::authorization::{AuthorizationId, AuthorizationRecord, StateHash};
use grantry_domain::connector::{ConnectorId, ConnectorKey};
use grantry_domain::identity::{SpaceId, UserId};
use grantry_domain::ports::{
    AccessTokenView, AuditEvent, AuthorizationFilter, AuthorizationPage, AuthorizationStore, CallbackKey, CommitOutcome,
    ConsumeOutcome, ExpectedVersion, FailedAttempt, InsertOutcome, KeyId, Lease, LeaseRequest, PendingLimits, RecordedEvent,
    RevocationJob, RevocationUpdate, StatusRow, StoreError, SweepPolicy, SweepReport, TerminationReport, TerminationRequest,
    TerminationScope, UnclaimedTokens, WriteOutcome,
};
use grantry_domain::time::Timestamp;

use crate::MemoryStore;

#[async_trait]
impl AuthorizationStore for MemoryStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.transact(|_, now| now))
    }

    async fn insert_pending(
        &self,
        flow: AuthorizationRecord,
        limits: PendingLimits,
        audit: Vec<AuditEvent>,
    ) -> Result<InsertOutcome, StoreError> {
        self.transact(|data, now| data.insert_pending(&flow, limits, audit, now))
    }

    async fn replace(
        &self,
        next: AuthorizationRecord,
        fence: ExpectedVersion,
        audit: Vec<AuditEvent>,
    ) -> Result<WriteOutcome, StoreError> {
        self.transact(|data, _| data.replace(next, fence, audit))
    }

    async fn consume(&self, key: CallbackKey, audit: Vec<AuditEvent>) -> Result<ConsumeOutcome, StoreError> {
        Ok(self.transact(|data, now| data.consume(&key, audit, now)))
    }

    async fn commit_grant(
        &self,
        grant: AuthorizationRecord,
        revoke_superseded: bool,
        audit: Vec<AuditEvent>,
    ) -> Result<CommitOutcome, StoreError> {
        self.transact(|data, now| data.commit_grant(&grant, revoke_superseded, audit, now))
    }

    async fn find(&self, id: AuthorizationId) -> Result<Option<AuthorizationRecord>, StoreError> {
        Ok(self.transact(|data, _| data.row(id).map(|row| row.to_record())))
    }

    async fn find_by_state(&self, state: StateHash) -> Result<Option<AuthorizationRecord>, StoreError> {
        Ok(self.transact(|data, _| data.find_by_state(state)))
    }

    async fn access_token_view(
        &self,
        connector: &ConnectorKey,
        user: &UserId,
    ) -> Result<Option<AccessTokenView>, StoreError> {
        Ok(self.transact(|data, now| data.access_token_view(connector, user, now)))
    }

    async fn statuses(
        &self,
        space: &SpaceId,
        only: Option<ConnectorId>,
        user: &UserId,
    ) -> Result<Vec<StatusRow>, StoreError> {
        Ok(self.transact(|data, now| data.statuses(space, only.as_ref(), user, now)))
    }

    async fn list(
        &self,
        space: &SpaceId,
        filter: AuthorizationFilter,
        after: Option<AuthorizationId>,
        limit: u32,
    ) -> Result<AuthorizationPage, StoreError> {
        Ok(self.transact(|data, _| data.list(space, &filter, after, limit)))
    }

    async fn take_lease(&self, request: LeaseRequest) -> Result<Lease, StoreError> {
        self.transact(|data, now| data.take_lease(request, now))
    }

    async fn fail_attempt(
        &self,
        id: AuthorizationId,
        owner: [u8; 16],
        attempt: FailedAttempt,
        audit: Vec<AuditEvent>,
    ) -> Result<(), StoreError> {
        self.transact(|data, now| data.fail_attempt(id, owner, attempt, audit, now))
    }

    async fn end(&self, scope: TerminationScope, ending: TerminationRequest) -> Result<TerminationReport, StoreError> {
        Ok(self.transact(|data, now| data.end(&scope, &ending, now)))
    }

    async fn record_use(&self, uses: Vec<(AuthorizationId, i64)>) -> Result<(), StoreError> {
        self.transact(|data, _| data.record_use(uses))
    }

    async fn queue_unclaimed(&self, orphan: UnclaimedTokens, audit: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.transact(|data, now| data.queue_unclaimed(orphan, audit, now));
        Ok(())
    }

    async fn claim_revocation(&self, _owner: [u8; 16], length: Duration) -> Result<Option<RevocationJob>, StoreError> {
        Ok(self.transact(|data, now| data.claim_revocation(length, now)))
    }

    async fn update_revocation(
        &self,
        job: AuthorizationId,
        end: RevocationUpdate,
        audit: Vec<AuditEvent>,
    ) -> Result<(), StoreError> {
        self.transact(|data, now| data.update_revocation(job, end, audit, now))
    }

    async fn sweep(&self, policy: SweepPolicy) -> Result<SweepReport, StoreError> {
        Ok(self.transact(|data, now| data.sweep(policy, now)))
    }

    async fn grant_holders(
        &self,
        after: Option<(UserId, SpaceId)>,
        limit: u32,
    ) -> Result<Vec<(UserId, SpaceId)>, StoreError> {
        Ok(self.transact(|data, _| data.grant_holders(after.as_ref(), limit)))
    }

    async fn due_for_refresh(
        &self,
        used_since_day: i64,
        expiring_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<AuthorizationRecord>, StoreError> {
        Ok(self.transact(|data, _| data.due_for_refresh(used_since_day, expiring_before, limit)))
    }

    async fn record(&self, audit: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.transact(|data, _| data.outbox.add(audit));
        Ok(())
    }

    async fn pending_events(&self, limit: u32) -> Result<Vec<RecordedEvent>, StoreError> {
        Ok(self.transact(|data, _| data.outbox.events.iter().take(limit as usize).cloned().collect()))
    }

    async fn forget_events(&self, through: u64) -> Result<(), StoreError> {
        self.transact(|data, _| data.outbox.events.retain(|recorded| recorded.sequence > through));
        Ok(())
    }

    async fn key_usage(&self) -> Result<Vec<(KeyId, u64)>, StoreError> {
        Ok(self.transact(|data, _| data.key_usage()))
    }
}
