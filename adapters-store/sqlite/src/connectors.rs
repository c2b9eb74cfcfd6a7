//! Connectors. An edit and the authorizations it ends are one transaction (R52), without any cryptography in it.

use async_trait::async_trait;
use grantry_domain::authorization::{ExpiredCause, FailureCode, RevokedCause, StateKind, TerminationCause};
use grantry_domain::connector::{Connector, ConnectorKey, Incarnation};
use grantry_domain::identity::{Actor, SpaceId};
use grantry_domain::ports::{
    AuditEvent, Cascade, ClientSecretKey, ClientSecretRecord, ConnectorStore, Created, StoreError, Updated,
};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, params};

use crate::authorizations::end::{Scope, Tokens, Transition, end_all};
use crate::fault::Fault;
use crate::records::{CONNECTOR_COLUMNS, connector, signed};
use crate::store::SqliteStore;
use crate::{client_secrets, outbox, sql};

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
        cascade: Cascade,
        actor: Actor,
        audit: Vec<AuditEvent>,
    ) -> Result<Updated, StoreError> {
        self.write(move |connection, now| {
            let updated = update(connection, now, &next, expected, cascade, &actor)?;
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

    async fn count_grants(&self, incarnation: Incarnation) -> Result<u64, StoreError> {
        const COUNT: &str = "SELECT count(*) FROM authorizations WHERE role = 'grant' AND incarnation = ?1";
        self.long_read(move |connection| Ok(u64::try_from(sql::number(connection, COUNT, [incarnation.0])?).unwrap_or(0)))
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
) -> Result<Created, Fault> {
    const INSERT: &str = "INSERT INTO connectors (space, connector, incarnation, epoch, name, profile, config, client_id, \
         auth_mode, callback_id, enabled, has_client_secret, revision, created_at, updated_at) \
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
        new.enabled,
        new.has_client_secret,
        signed(new.revision),
        new.created_at.as_millis(),
        new.updated_at.as_millis(),
    ];
    if sql::execute(connection, INSERT, parameters)? == 0 {
        return Ok(Created::Taken);
    }
    secret.iter().try_for_each(|secret| client_secrets::put(connection, secret))?;
    outbox::write(connection, audit)?;
    Ok(Created::Done)
}

fn get(connection: &Connection, key: &ConnectorKey) -> Result<Option<Connector>, Fault> {
    let query = format!("SELECT {CONNECTOR_COLUMNS} FROM connectors AS c WHERE c.space = ?1 AND c.connector = ?2");
    sql::first(connection, &query, [key.space.as_str(), key.id.as_str()], connector)
}

fn list(connection: &Connection, space: &SpaceId) -> Result<Vec<Connector>, Fault> {
    let query = format!("SELECT {CONNECTOR_COLUMNS} FROM connectors AS c WHERE c.space = ?1 ORDER BY c.name, c.connector");
    sql::all(connection, &query, [space.as_str()], connector)
}

fn update(
    connection: &Connection,
    now: Timestamp,
    next: &Connector,
    expected: u64,
    cascade: Cascade,
    actor: &Actor,
) -> Result<Updated, Fault> {
    const UPDATE: &str = "UPDATE connectors SET epoch = ?4, name = ?5, profile = ?6, config = ?7, client_id = ?8, \
         auth_mode = ?9, callback_id = ?10, enabled = ?11, has_client_secret = ?12, revision = ?13, created_at = ?14, \
         updated_at = ?15 WHERE space = ?1 AND connector = ?2 AND incarnation = ?3";
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
        next.enabled,
        next.has_client_secret,
        signed(next.revision),
        next.created_at.as_millis(),
        next.updated_at.as_millis(),
    ];
    sql::execute(connection, UPDATE, parameters)?;
    let ended_grants = end_for(connection, now, next.incarnation, cascade, actor)?;
    Ok(Updated::Done { ended_grants })
}

/// Ends what an edit ends, and answers how many grants that were. Former grants stay what they are.
fn end_for(
    connection: &Connection,
    now: Timestamp,
    incarnation: Incarnation,
    cascade: Cascade,
    actor: &Actor,
) -> Result<u64, Fault> {
    let changed = RevokedCause::Failed(FailureCode::ConnectorChanged).to_record();
    let (flow_cause, grant_state, grant_cause) = match cascade {
        Cascade::Keep => return Ok(0),
        Cascade::Changed => (changed.as_str(), StateKind::Expired, ExpiredCause::ConnectorChanged.as_str()),
        Cascade::Disabled => {
            let cause = TerminationCause::ConnectorDisabled.as_str();
            (cause, StateKind::Revoked, cause)
        }
    };
    let scope = Scope::connector(incarnation);
    let flows = Transition { actor, now, state: StateKind::Revoked, cause: flow_cause };
    flows.end_pending(connection, &scope)?;
    flows.end_running(connection, &scope)?;
    let grants = Transition { actor, now, state: grant_state, cause: grant_cause };
    grants.end_grants(connection, &scope, Tokens::Owed)
}

fn delete(
    connection: &Connection,
    now: Timestamp,
    key: &ConnectorKey,
    actor: &Actor,
    audit: &[AuditEvent],
) -> Result<Option<u64>, Fault> {
    const DELETE: &str = "DELETE FROM connectors WHERE space = ?1 AND connector = ?2 RETURNING incarnation";
    let deleted = sql::first(connection, DELETE, [key.space.as_str(), key.id.as_str()], |row| Ok(row.get(0)?))?;
    let Some(incarnation) = deleted.map(Incarnation) else { return Ok(None) };
    let ended = end_all(connection, now, &Scope::connector(incarnation), TerminationCause::ConnectorDeleted, actor)?;
    client_secrets::supersede(connection, now, incarnation, None)?;
    client_secrets::destroy_unneeded(connection, now)?;
    outbox::write(connection, audit)?;
    Ok(Some(ended.grants))
}
