//! Connectors. An edit and the authorizations it ends are one transaction, which contains no cryptography.

use std::sync::LazyLock;

use async_trait::async_trait;
use grantry_domain::authorization::{ExpiredCause, FailureCode, RevokedCause, TerminalCause, TerminationCause};
use grantry_domain::connector::{Connector, ConnectorKey, Incarnation};
use grantry_domain::identity::{Actor, SpaceId};
use grantry_domain::ports::{
    AuditEvent, ClientSecretKey, ClientSecretRecord, ConnectorStore, Created, EditEffect, StoreError, Updated,
};
use grantry_domain::time::Timestamp;

use crate::authorizations::terminate::{Scope, Tokens, Transition, terminate_all};
use crate::connection::Connection;
use crate::error::PgError;
use crate::records::{CONNECTOR_COLUMNS, Columns, connector, signed};
use crate::sql::{self, Value, params};
use crate::store::PostgresStore;
use crate::transaction::{Length, Transaction};
use crate::{client_secrets, diagnostics, outbox};

#[async_trait]
impl ConnectorStore for PostgresStore {
    async fn create(
        &self,
        connector: Connector,
        secret: Option<ClientSecretRecord>,
        audit: Vec<AuditEvent>,
    ) -> Result<Created, StoreError> {
        let (new, secret, audit) = (&connector, secret.as_ref(), &audit);
        let work = move |transaction, is_again| async move { create(&transaction, new, secret, audit, is_again).await };
        self.write_again(work).await
    }

    async fn get(&self, key: &ConnectorKey) -> Result<Option<Connector>, StoreError> {
        let rows = self.point_read(&GET, &params![key.space.as_str(), key.id.as_str()]).await?;
        Ok(rows.first().map(connector).transpose()?)
    }

    async fn list(&self, space: &SpaceId) -> Result<Vec<Connector>, StoreError> {
        let rows = self.long_read(&LIST, &params![space.as_str()]).await?;
        Ok(rows.iter().map(connector).collect::<Result<_, _>>()?)
    }

    async fn update(
        &self,
        next: Connector,
        expected: u64,
        secret: Option<ClientSecretRecord>,
        effect: EditEffect,
        actor: Actor,
        audit: Vec<AuditEvent>,
    ) -> Result<Updated, StoreError> {
        let length = match effect {
            EditEffect::KeepGrants => Length::Short,
            EditEffect::ExpireGrants => Length::Long,
        };
        let (next, secret, actor, audit) = (&next, secret.as_ref(), &actor, &audit);
        self.write_within(length, move |transaction| async move {
            let updated = update(&transaction, next, expected, effect, actor).await?;
            if let Updated::Done { .. } = updated {
                let now = transaction.began();
                if let Some(secret) = secret {
                    client_secrets::put(&transaction, secret).await?;
                }
                client_secrets::supersede(&transaction, now, next.incarnation, Some(next.epoch)).await?;
                client_secrets::destroy_unneeded(&transaction, now).await?;
                outbox::write(&transaction, audit).await?;
            } else {
                transaction.undo();
            }
            Ok(updated)
        })
        .await
    }

    async fn delete(&self, key: &ConnectorKey, actor: Actor, audit: Vec<AuditEvent>) -> Result<Option<u64>, StoreError> {
        let (actor, audit) = (&actor, &audit);
        let work = move |transaction| async move { delete(&transaction, key, actor, audit).await };
        self.write_within(Length::Long, work).await
    }

    async fn client_secret(&self, key: ClientSecretKey) -> Result<Option<ClientSecretRecord>, StoreError> {
        let rows = self.point_read(client_secrets::GET, &params![key.incarnation.0, signed(key.epoch.0)]).await?;
        Ok(rows.first().map(|row| client_secrets::secret(row, key)).transpose()?)
    }
}

static GET: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {CONNECTOR_COLUMNS} FROM connectors AS c WHERE c.space = $1 AND c.connector = $2"));

static LIST: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {CONNECTOR_COLUMNS} FROM connectors AS c WHERE c.space = $1 ORDER BY c.name, c.connector")
});

/// Adds a connector. `is_again`: an earlier transaction may have added it.
async fn create(
    transaction: &Transaction,
    new: &Connector,
    secret: Option<&ClientSecretRecord>,
    audit: &[AuditEvent],
    is_again: bool,
) -> Result<Created, PgError> {
    const IS_SAME: &str = "SELECT 1 FROM connectors WHERE space = $1 AND connector = $2 AND incarnation = $3";
    const INSERT: &str = "INSERT INTO connectors (space, connector, incarnation, epoch, name, profile, config, client_id, \
         auth_mode, callback_id, has_client_secret, revision, created_at, updated_at, tag) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (space, connector) DO NOTHING";
    if sql::execute(transaction, INSERT, &values(new)).await? == 0 {
        transaction.undo();
        let of_key = params![new.key.space.as_str(), new.key.id.as_str(), new.incarnation.0];
        let is_same = is_again && sql::exists(transaction, IS_SAME, &of_key).await?;
        return Ok(if is_same { Created::Done } else { Created::Taken });
    }
    if let Some(secret) = secret {
        client_secrets::put(transaction, secret).await?;
    }
    outbox::write(transaction, audit).await?;
    Ok(Created::Done)
}

/// The columns of a connector.
fn values(connector: &Connector) -> [Value<'_>; 15] {
    params![
        connector.key.space.as_str(),
        connector.key.id.as_str(),
        connector.incarnation.0,
        signed(connector.epoch.0),
        connector.name.as_str(),
        connector.config.profile.as_str(),
        connector.config.settings.as_str(),
        connector.config.client_id.as_deref(),
        connector.auth_mode.as_str(),
        connector.callback_id.0,
        connector.has_client_secret,
        signed(connector.revision),
        connector.created_at.as_millis(),
        connector.updated_at.as_millis(),
        connector.tag.0,
    ]
}

/// Replaces a connector. Its row is locked, which flows and commits wait for.
async fn update(
    transaction: &Transaction,
    next: &Connector,
    expected: u64,
    effect: EditEffect,
    actor: &Actor,
) -> Result<Updated, PgError> {
    const LOCK: &str = "SELECT revision FROM connectors \
         WHERE space = $1 AND connector = $2 AND incarnation = $3 FOR UPDATE";
    const UPDATE: &str = "UPDATE connectors SET epoch = $4, name = $5, profile = $6, config = $7, client_id = $8, \
         auth_mode = $9, callback_id = $10, has_client_secret = $11, revision = $12, created_at = $13, updated_at = $14, \
         tag = $15 \
         WHERE space = $1 AND connector = $2 AND incarnation = $3";
    let parameters = params![next.key.space.as_str(), next.key.id.as_str(), next.incarnation.0];
    let Some(present) = sql::first(transaction, LOCK, &parameters).await? else { return Ok(Updated::NotFound) };
    if Columns::of_group(&present, "connectors").unsigned()? != expected {
        return Ok(Updated::Conflict);
    }
    sql::execute(transaction, UPDATE, &values(next)).await?;
    let ended_grants = terminate_for_edit(transaction, transaction.began(), next.incarnation, effect, actor).await?;
    Ok(Updated::Done { ended_grants })
}

/// Ends the flows and grants that an edit ends; returns the number of grants. Former grants are not changed.
async fn terminate_for_edit(
    connection: &Connection,
    now: Timestamp,
    incarnation: Incarnation,
    effect: EditEffect,
    actor: &Actor,
) -> Result<u64, PgError> {
    match effect {
        EditEffect::KeepGrants => return Ok(0),
        EditEffect::ExpireGrants => {}
    }
    let scope = Scope::connector(incarnation);
    let failed = TerminalCause::Revoked(RevokedCause::Failed(FailureCode::ConnectorChanged));
    let flows = Transition { actor, now, cause: failed };
    flows.terminate_pending(connection, &scope).await?;
    flows.terminate_running(connection, &scope).await?;
    let grants = Transition { actor, now, cause: TerminalCause::Expired(ExpiredCause::ConnectorChanged) };
    grants.terminate_grants(connection, &scope, Tokens::Revoke).await
}

const INCARNATIONS: &str = "SELECT DISTINCT a.incarnation FROM authorizations AS a \
     WHERE a.space = $1 AND a.connector = $2 AND a.authorized_at IS NOT NULL";

async fn delete(
    transaction: &Transaction,
    key: &ConnectorKey,
    actor: &Actor,
    audit: &[AuditEvent],
) -> Result<Option<u64>, PgError> {
    const DELETE: &str = "DELETE FROM connectors WHERE space = $1 AND connector = $2 RETURNING incarnation";
    const DEFAULTS: &str = "DELETE FROM default_connections WHERE incarnation = $1";
    let now = transaction.began();
    let of_key = params![key.space.as_str(), key.id.as_str()];
    let Some(row) = sql::first(transaction, DELETE, &of_key).await? else { return Ok(None) };
    let incarnation = Incarnation(Columns::of_group(&row, "connectors").array()?);
    // The row may have been changed by another program; the grants have the incarnation that they were given.
    let mut incarnations = Vec::new();
    for row in sql::rows(transaction, INCARNATIONS, &of_key).await? {
        incarnations.push(Incarnation(Columns::of_group(&row, "authorizations").array()?));
    }
    if !incarnations.contains(&incarnation) {
        incarnations.push(incarnation);
    }
    let mut grants = 0;
    for incarnation in incarnations {
        let scope = Scope::connector_by_key(incarnation, key);
        grants += terminate_all(transaction, now, &scope, TerminationCause::ConnectorDeleted, actor).await?.grants;
        sql::execute(transaction, DEFAULTS, &params![incarnation.0]).await?;
        diagnostics::remove(transaction, incarnation).await?;
        client_secrets::supersede(transaction, now, incarnation, None).await?;
    }
    client_secrets::destroy_unneeded(transaction, now).await?;
    outbox::write(transaction, audit).await?;
    Ok(Some(grants))
}
