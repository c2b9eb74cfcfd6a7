//! Connectors. An edit and the authorizations it ends are one transaction, which contains no cryptography.

use async_trait::async_trait;
use grantry_domain::authorization::{ExpiredCause, FailureCode, RevokedCause, TerminalCause, TerminationCause};
use grantry_domain::connector::{Connector, ConnectorKey, Incarnation};
use grantry_domain::identity::{Actor, SpaceId};
use grantry_domain::ports::{
    AuditEvent, ClientSecretKey, ClientSecretRecord, ConnectorStore, Created, EditEffect, StoreError, Updated,
};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, params};

use crate::authorizations::terminate::{Scope, Tokens, Transition, terminate_all};
use crate::error::SqliteError;
use crate::records::{CONNECTOR_COLUMNS, connector, signed};
use crate::store::SqliteStore;
use crate::{client_secrets, diagnostics, outbox, sql};

#[async_trait]
impl ConnectorStore for SqliteStore {
    async fn create(
        &self,
        connector: Connector,
        secret: Option<ClientSecretRecord>,
        audit: Vec<AuditEvent>,
    ) -> Result<Created, StoreError> {
        self.write(move |connection, _| create(connection, &connector, secret.as_ref(), &audit)).await
    }

    async fn get(&self, key: &ConnectorKey) -> Result<Option<Connector>, StoreError> {
        let key = key.clone();
        self.point_read(move |connection| get(connection, &key)).await
    }

    async fn list(&self, space: &SpaceId) -> Result<Vec<Connector>, StoreError> {
        let space = space.clone();
        self.long_read(move |connection| list(connection, &space)).await
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
        self.write(move |connection, now| {
            let updated = update(connection, now, &next, expected, effect, &actor)?;
            if let Updated::Done { .. } = updated {
                secret.iter().try_for_each(|secret| client_secrets::put(connection, secret))?;
                client_secrets::supersede(connection, now, next.incarnation, Some(next.epoch))?;
                client_secrets::destroy_unneeded(connection, now)?;
                outbox::write(connection, &audit)?;
            }
            Ok(updated)
        })
        .await
    }

    async fn delete(&self, key: &ConnectorKey, actor: Actor, audit: Vec<AuditEvent>) -> Result<Option<u64>, StoreError> {
        let key = key.clone();
        self.write(move |connection, now| delete(connection, now, &key, &actor, &audit)).await
    }

    async fn client_secret(&self, key: ClientSecretKey) -> Result<Option<ClientSecretRecord>, StoreError> {
        self.point_read(move |connection| client_secrets::get(connection, key)).await
    }
}

fn create(
    connection: &Connection,
    new: &Connector,
    secret: Option<&ClientSecretRecord>,
    audit: &[AuditEvent],
) -> Result<Created, SqliteError> {
    const INSERT: &str = "INSERT INTO connectors (space, connector, incarnation, epoch, name, profile, config, client_id, \
         auth_mode, callback_id, has_client_secret, revision, created_at, updated_at, tag) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT (space, connector) DO NOTHING";
    let parameters = params![
        new.key.space.as_str(),
        new.key.id.as_str(),
        new.incarnation.0,
        signed(new.epoch.0),
        new.name.as_str(),
        new.config.profile.as_str(),
        new.config.settings,
        new.config.client_id,
        new.auth_mode.as_str(),
        new.callback_id.0,
        new.has_client_secret,
        signed(new.revision),
        new.created_at.as_millis(),
        new.updated_at.as_millis(),
        new.tag.0,
    ];
    if sql::execute(connection, INSERT, parameters)? == 0 {
        return Ok(Created::Taken);
    }
    secret.iter().try_for_each(|secret| client_secrets::put(connection, secret))?;
    outbox::write(connection, audit)?;
    Ok(Created::Done)
}

fn get(connection: &Connection, key: &ConnectorKey) -> Result<Option<Connector>, SqliteError> {
    let query = format!("SELECT {CONNECTOR_COLUMNS} FROM connectors AS c WHERE c.space = ?1 AND c.connector = ?2");
    sql::first(connection, &query, [key.space.as_str(), key.id.as_str()], connector)
}

fn list(connection: &Connection, space: &SpaceId) -> Result<Vec<Connector>, SqliteError> {
    let query = format!("SELECT {CONNECTOR_COLUMNS} FROM connectors AS c WHERE c.space = ?1 ORDER BY c.name, c.connector");
    sql::all(connection, &query, [space.as_str()], connector)
}

fn update(
    connection: &Connection,
    now: Timestamp,
    next: &Connector,
    expected: u64,
    effect: EditEffect,
    actor: &Actor,
) -> Result<Updated, SqliteError> {
    const UPDATE: &str = "UPDATE connectors SET epoch = ?4, name = ?5, profile = ?6, config = ?7, client_id = ?8, \
         auth_mode = ?9, callback_id = ?10, has_client_secret = ?11, revision = ?12, created_at = ?13, updated_at = ?14, \
         tag = ?15 \
         WHERE space = ?1 AND connector = ?2 AND incarnation = ?3";
    match get(connection, &next.key)? {
        Some(present) if present.incarnation != next.incarnation => return Ok(Updated::NotFound),
        None => return Ok(Updated::NotFound),
        Some(present) if present.revision != expected => return Ok(Updated::Conflict),
        Some(_) => {}
    }
    let parameters = params![
        next.key.space.as_str(),
        next.key.id.as_str(),
        next.incarnation.0,
        signed(next.epoch.0),
        next.name.as_str(),
        next.config.profile.as_str(),
        next.config.settings,
        next.config.client_id,
        next.auth_mode.as_str(),
        next.callback_id.0,
        next.has_client_secret,
        signed(next.revision),
        next.created_at.as_millis(),
        next.updated_at.as_millis(),
        next.tag.0,
    ];
    sql::execute(connection, UPDATE, parameters)?;
    let ended_grants = terminate_for_edit(connection, now, next.incarnation, effect, actor)?;
    Ok(Updated::Done { ended_grants })
}

/// Ends the flows and grants that an edit ends; returns the number of grants. Former grants are not changed.
fn terminate_for_edit(
    connection: &Connection,
    now: Timestamp,
    incarnation: Incarnation,
    effect: EditEffect,
    actor: &Actor,
) -> Result<u64, SqliteError> {
    match effect {
        EditEffect::KeepGrants => return Ok(0),
        EditEffect::ExpireGrants => {}
    }
    let scope = Scope::connector(incarnation);
    let failed = TerminalCause::Revoked(RevokedCause::Failed(FailureCode::ConnectorChanged));
    let flows = Transition { actor, now, cause: failed };
    flows.terminate_pending(connection, &scope)?;
    flows.terminate_running(connection, &scope)?;
    let grants = Transition { actor, now, cause: TerminalCause::Expired(ExpiredCause::ConnectorChanged) };
    grants.terminate_grants(connection, &scope, Tokens::Revoke)
}

pub(crate) const INCARNATIONS: &str = "SELECT DISTINCT a.incarnation FROM authorizations AS a \
     WHERE a.space = ?1 AND a.connector = ?2 AND a.authorized_at IS NOT NULL";

fn delete(
    connection: &Connection,
    now: Timestamp,
    key: &ConnectorKey,
    actor: &Actor,
    audit: &[AuditEvent],
) -> Result<Option<u64>, SqliteError> {
    const DELETE: &str = "DELETE FROM connectors WHERE space = ?1 AND connector = ?2 RETURNING incarnation";
    let deleted = sql::first(connection, DELETE, [key.space.as_str(), key.id.as_str()], |row| Ok(row.get(0)?))?;
    let Some(incarnation) = deleted.map(Incarnation) else { return Ok(None) };
    // The row may have been changed by another program; the grants have the incarnation that they were given.
    let mut incarnations = incarnations(connection, key)?;
    if !incarnations.contains(&incarnation) {
        incarnations.push(incarnation);
    }
    let mut grants = 0;
    for incarnation in incarnations {
        let scope = Scope::connector_by_key(incarnation, key);
        grants += terminate_all(connection, now, &scope, TerminationCause::ConnectorDeleted, actor)?.grants;
        sql::execute(connection, "DELETE FROM default_connections WHERE incarnation = ?1", [incarnation.0])?;
        diagnostics::remove(connection, incarnation)?;
        client_secrets::supersede(connection, now, incarnation, None)?;
    }
    client_secrets::destroy_unneeded(connection, now)?;
    outbox::write(connection, audit)?;
    Ok(Some(grants))
}

/// The incarnations of the grants and former grants at a connector.
fn incarnations(connection: &Connection, key: &ConnectorKey) -> Result<Vec<Incarnation>, SqliteError> {
    let of_key = [key.space.as_str(), key.id.as_str()];
    sql::all(connection, INCARNATIONS, of_key, |row| Ok(Incarnation(row.get(0)?)))
}
