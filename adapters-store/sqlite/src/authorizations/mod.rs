//! Authorizations: one file per kind of access, and the port that calls them.

mod commit;
mod consume;
pub(crate) mod end;
mod insert;
mod lease;
mod list;
#[cfg(test)]
mod plans;
mod read;
mod replace;
mod sweep;

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

use crate::store::SqliteStore;
use crate::{outbox, revocations};

#[async_trait]
impl AuthorizationStore for SqliteStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.clock())
    }

    async fn insert_pending(
        &self,
        flow: AuthorizationRecord,
        limits: PendingLimits,
        audit: Vec<AuditEvent>,
    ) -> Result<InsertOutcome, StoreError> {
        self.write(move |connection, now| insert::insert_pending(connection, now, &flow, limits, &audit)).await
    }

    async fn replace(
        &self,
        next: AuthorizationRecord,
        fence: ExpectedVersion,
        audit: Vec<AuditEvent>,
    ) -> Result<WriteOutcome, StoreError> {
        self.write(move |connection, _| replace::replace(connection, &next, fence, &audit)).await
    }

    async fn consume(&self, key: CallbackKey, audit: Vec<AuditEvent>) -> Result<ConsumeOutcome, StoreError> {
        self.write(move |connection, now| consume::consume(connection, now, &key, &audit)).await
    }

    async fn commit_grant(
        &self,
        grant: AuthorizationRecord,
        revoke_superseded: bool,
        audit: Vec<AuditEvent>,
    ) -> Result<CommitOutcome, StoreError> {
        self.write(move |connection, now| commit::commit(connection, now, &grant, revoke_superseded, &audit)).await
    }

    async fn find(&self, id: AuthorizationId) -> Result<Option<AuthorizationRecord>, StoreError> {
        self.point_read(move |connection| read::find(connection, id)).await
    }

    async fn find_by_state(&self, state: StateHash) -> Result<Option<AuthorizationRecord>, StoreError> {
        self.point_read(move |connection| read::awaiting(connection, state)).await
    }

    async fn access_token_view(
        &self,
        connector: &ConnectorKey,
        user: &UserId,
    ) -> Result<Option<AccessTokenView>, StoreError> {
        let (key, user, now) = (connector.clone(), user.clone(), self.clock());
        self.point_read(move |connection| read::access_token_view(connection, &key, &user, now)).await
    }

    async fn statuses(
        &self,
        space: &SpaceId,
        only: Option<ConnectorId>,
        user: &UserId,
    ) -> Result<Vec<StatusRow>, StoreError> {
        let (space, user, now) = (space.clone(), user.clone(), self.clock());
        match only {
            Some(id) => self.point_read(move |connection| read::statuses(connection, &space, Some(&id), &user, now)).await,
            None => self.long_read(move |connection| read::statuses(connection, &space, None, &user, now)).await,
        }
    }

    async fn list(
        &self,
        space: &SpaceId,
        filter: AuthorizationFilter,
        after: Option<AuthorizationId>,
        limit: u32,
    ) -> Result<AuthorizationPage, StoreError> {
        let space = space.clone();
        self.long_read(move |connection| list::page(connection, &space, &filter, after, limit)).await
    }

    async fn take_lease(&self, request: LeaseRequest) -> Result<Lease, StoreError> {
        self.write(move |connection, now| lease::take(connection, now, request)).await
    }

    async fn fail_attempt(
        &self,
        id: AuthorizationId,
        owner: [u8; 16],
        attempt: FailedAttempt,
        audit: Vec<AuditEvent>,
    ) -> Result<(), StoreError> {
        self.write(move |connection, now| lease::fail(connection, now, id, owner, attempt, &audit)).await
    }

    async fn end(&self, scope: TerminationScope, ending: TerminationRequest) -> Result<TerminationReport, StoreError> {
        self.write(move |connection, now| end::end(connection, now, &scope, &ending)).await
    }

    async fn record_use(&self, uses: Vec<(AuthorizationId, i64)>) -> Result<(), StoreError> {
        self.write(move |connection, _| replace::record_use(connection, &uses)).await
    }

    async fn queue_unclaimed(&self, orphan: UnclaimedTokens, audit: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.write(move |connection, _| revocations::queue_unclaimed(connection, &orphan, &audit)).await
    }

    async fn claim_revocation(&self, owner: [u8; 16], length: Duration) -> Result<Option<RevocationJob>, StoreError> {
        self.write(move |connection, now| revocations::claim(connection, now, owner, length)).await
    }

    async fn update_revocation(
        &self,
        job: AuthorizationId,
        end: RevocationUpdate,
        audit: Vec<AuditEvent>,
    ) -> Result<(), StoreError> {
        self.write(move |connection, now| revocations::end(connection, now, job, &end, &audit)).await
    }

    async fn sweep(&self, policy: SweepPolicy) -> Result<SweepReport, StoreError> {
        let swept = self.write(move |connection, now| sweep::sweep(connection, now, policy)).await?;
        if !swept.more {
            self.checkpoint().await;
        }
        Ok(swept)
    }

    async fn grant_holders(
        &self,
        after: Option<(UserId, SpaceId)>,
        limit: u32,
    ) -> Result<Vec<(UserId, SpaceId)>, StoreError> {
        self.long_read(move |connection| list::holders(connection, after.as_ref(), limit)).await
    }

    async fn due_for_refresh(
        &self,
        used_since_day: i64,
        expiring_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<AuthorizationRecord>, StoreError> {
        self.long_read(move |connection| list::due_for_refresh(connection, used_since_day, expiring_before, limit)).await
    }

    async fn record(&self, audit: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.write(move |connection, _| outbox::write(connection, &audit)).await
    }

    async fn pending_events(&self, limit: u32) -> Result<Vec<RecordedEvent>, StoreError> {
        self.long_read(move |connection| outbox::pending(connection, limit)).await
    }

    async fn forget_events(&self, through: u64) -> Result<(), StoreError> {
        self.write(move |connection, _| outbox::forget(connection, through)).await
    }

    async fn key_usage(&self) -> Result<Vec<(KeyId, u64)>, StoreError> {
        self.long_read(list::key_usage).await
    }
}

/// The instant before which a consumed flow counts as interrupted: its process is dead.
fn interrupted_before(now: Timestamp) -> i64 {
    now.minus(grantry_domain::authorization::INTERRUPTED_AFTER).as_millis()
}
