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
use rusqlite::Connection;

#[cfg(test)]
pub(crate) use self::flows::{UNFINISHED, UNFINISHED_OF_USER};
use crate::error::SqliteError;
use crate::store::SqliteStore;
use crate::{outbox, records};

#[async_trait]
impl AuthorizationStore for SqliteStore {
    async fn insert_flow(
        &self,
        flow: Authorization,
        limits: PendingLimits,
        audit: Vec<AuditEvent>,
    ) -> Result<InsertOutcome, StoreError> {
        self.write(move |connection, now| flows::insert(connection, now, &flow, limits, &audit)).await
    }

    async fn replace(
        &self,
        next: Authorization,
        expected: ExpectedVersion,
        audit: Vec<AuditEvent>,
    ) -> Result<WriteOutcome, StoreError> {
        self.write(move |connection, _| replace(connection, &next, expected, &audit)).await
    }

    async fn consume(&self, key: CallbackKey, audit: Vec<AuditEvent>) -> Result<ConsumeOutcome, StoreError> {
        self.write(move |connection, now| flows::consume(connection, now, &key, &audit)).await
    }

    async fn commit_grant(
        &self,
        grant: Authorization,
        revoke_superseded: bool,
        audit: Vec<AuditEvent>,
    ) -> Result<CommitOutcome, StoreError> {
        self.write(move |connection, now| grants::commit(connection, now, &grant, revoke_superseded, &audit)).await
    }

    async fn find(&self, id: AuthorizationId) -> Result<Option<Versioned<Authorization>>, StoreError> {
        self.point_read(move |connection| Ok(records::find(connection, id)?.map(Versioned::stored))).await
    }

    async fn find_by_state(&self, state: StateHash) -> Result<Option<Versioned<Authorization>>, StoreError> {
        let found = self.point_read(move |connection| records::find_by_state(connection, state)).await?;
        let flow = found.map(|found| found.authorization);
        Ok(flow.filter(|flow| matches!(flow.state(), State::AwaitingCallback(_))).map(Versioned::stored))
    }

    async fn terminate(
        &self,
        scope: TerminationScope,
        request: TerminationRequest,
    ) -> Result<TerminationReport, StoreError> {
        self.write(move |connection, now| terminate::terminate(connection, now, &scope, &request)).await
    }

    async fn set_default_connection(
        &self,
        incarnation: Incarnation,
        user: UserId,
        connection: Option<ConnectionName>,
        audit: Vec<AuditEvent>,
    ) -> Result<bool, StoreError> {
        let name = connection;
        self.write(move |connection, _| grants::set_default(connection, incarnation, &user, name.as_ref(), &audit)).await
    }
}

/// Replaces an authorization whose stored state and revision are the expected ones.
fn replace(
    connection: &Connection,
    next: &Authorization,
    expected: ExpectedVersion,
    audit: &[AuditEvent],
) -> Result<WriteOutcome, SqliteError> {
    // Consuming a flow changes neither state nor revision. Writing a flow that was read before must not restore its secrets.
    const EXPECTED: &str =
        "state = ?41 AND revision = ?42 AND NOT (?10 = 'awaiting_callback' AND ?17 IS NULL AND consumed_at NOT NULL)";
    let revision = records::signed(expected.revision.0);
    if records::overwrite(connection, next, EXPECTED, [&expected.state.as_str(), &revision])? {
        outbox::write(connection, audit)?;
        return Ok(WriteOutcome::Written);
    }
    let stored = records::find(connection, next.id())?;
    Ok(stored.map_or(WriteOutcome::NotFound, |stored| WriteOutcome::Stale(Box::new(Versioned::stored(stored)))))
}
