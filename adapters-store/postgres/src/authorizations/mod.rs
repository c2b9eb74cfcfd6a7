//! Writing authorizations.

mod flows;
mod grants;
pub(crate) mod terminate;

use async_trait::async_trait;
use grantry_domain::authorization::{Authorization, AuthorizationId, State, StateHash};
use grantry_domain::connector::Incarnation;
use grantry_domain::identity::{ConnectionName, UserId};
use grantry_domain::ports::{
    AuditEvent, AuthorizationStore, CallbackKey, CommitOutcome, ConsumeOutcome, ExpectedVersion, InsertOutcome,
    PendingLimits, StoreError, TerminationReport, TerminationRequest, TerminationScope, Versioned, WriteOutcome,
};

use crate::error::PgError;
use crate::sql::params;
use crate::store::PostgresStore;
use crate::transaction::{Length, Transaction};
use crate::{outbox, records};

#[async_trait]
impl AuthorizationStore for PostgresStore {
    async fn insert_flow(
        &self,
        flow: Authorization,
        limits: PendingLimits,
        audit: Vec<AuditEvent>,
    ) -> Result<InsertOutcome, StoreError> {
        let (flow, audit) = (&flow, &audit);
        self.write(move |transaction| async move { flows::insert(&transaction, flow, limits, audit).await }).await
    }

    async fn replace(
        &self,
        next: Authorization,
        expected: ExpectedVersion,
        audit: Vec<AuditEvent>,
    ) -> Result<WriteOutcome, StoreError> {
        let (next, audit) = (&next, &audit);
        self.write(move |transaction| async move { replace(&transaction, next, expected, audit).await }).await
    }

    async fn consume(&self, key: CallbackKey, audit: Vec<AuditEvent>) -> Result<ConsumeOutcome, StoreError> {
        let (key, audit) = (&key, &audit);
        self.write(move |transaction| async move { flows::consume(&transaction, key, audit).await }).await
    }

    async fn commit_grant(
        &self,
        grant: Authorization,
        revoke_superseded: bool,
        audit: Vec<AuditEvent>,
    ) -> Result<CommitOutcome, StoreError> {
        let (grant, audit) = (&grant, &audit);
        self.write(move |transaction| async move { grants::commit(&transaction, grant, revoke_superseded, audit).await })
            .await
    }

    async fn find(&self, id: AuthorizationId) -> Result<Option<Versioned<Authorization>>, StoreError> {
        let rows = self.point_read(&records::FIND, &params![id.as_bytes()]).await?;
        let found = rows.first().map(records::authorization).transpose()?;
        Ok(found.map(Versioned::stored))
    }

    async fn find_by_state(&self, state: StateHash) -> Result<Option<Versioned<Authorization>>, StoreError> {
        let rows = self.point_read(&records::BY_STATE, &params![state.0]).await?;
        let flow = rows.first().map(records::authorization).transpose()?;
        Ok(flow.filter(|flow| matches!(flow.state(), State::AwaitingCallback(_))).map(Versioned::stored))
    }

    async fn terminate(
        &self,
        scope: TerminationScope,
        request: TerminationRequest,
    ) -> Result<TerminationReport, StoreError> {
        let length = match scope {
            TerminationScope::Space(_) => Length::Long,
            TerminationScope::One(_)
            | TerminationScope::Connection { .. }
            | TerminationScope::User(_)
            | TerminationScope::UserSpace { .. } => Length::Short,
        };
        let (scope, request) = (&scope, &request);
        let work = move |transaction| async move { terminate::terminate(&transaction, scope, request).await };
        self.write_within(length, work).await
    }

    async fn set_default_connection(
        &self,
        incarnation: Incarnation,
        user: UserId,
        connection: Option<ConnectionName>,
        audit: Vec<AuditEvent>,
    ) -> Result<bool, StoreError> {
        let (user, name, audit) = (&user, connection.as_ref(), &audit);
        self.write(move |transaction| async move { grants::set_default(&transaction, incarnation, user, name, audit).await })
            .await
    }
}

/// Replaces an authorization whose stored state and revision are the expected ones.
async fn replace(
    transaction: &Transaction,
    next: &Authorization,
    expected: ExpectedVersion,
    audit: &[AuditEvent],
) -> Result<WriteOutcome, PgError> {
    // Consuming a flow changes neither state nor revision. Writing a flow that was read before must not restore its secrets.
    const EXPECTED: &str =
        "state = $41 AND revision = $42 AND NOT ($10 = 'awaiting_callback' AND $17 IS NULL AND consumed_at IS NOT NULL)";
    let version = params![expected.state.as_str(), records::signed(expected.revision.0)];
    if records::overwrite(transaction, next, EXPECTED, &version).await? {
        outbox::write(transaction, audit).await?;
        return Ok(WriteOutcome::Written);
    }
    transaction.undo();
    let stored = records::find(transaction, next.id()).await?;
    Ok(stored.map_or(WriteOutcome::NotFound, |stored| WriteOutcome::Stale(Box::new(Versioned::stored(stored)))))
}
