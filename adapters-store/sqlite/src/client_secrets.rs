//! Sealed client secrets by connector and epoch. One of an earlier epoch stays only while a revocation may need it (R50).

use std::time::Duration;

use grantry_domain::authorization::{Envelope, INTERRUPTED_AFTER};
use grantry_domain::connector::ConnectorKey;
use grantry_domain::connector::{Epoch, Incarnation};
use grantry_domain::ports::{ClientSecretKey, ClientSecretRecord};
use grantry_domain::provider::BindingDigest;
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, params};

use crate::fault::Fault;
use crate::records::{Reader, signed};
use crate::sql;

/// How long a superseded secret is kept at most, whatever still needs it.
const LONGEST: Duration = Duration::from_hours(24);

/// Adds a secret, or replaces the one of the same key.
pub(crate) fn put(connection: &Connection, secret: &ClientSecretRecord) -> Result<(), Fault> {
    const PUT: &str = "INSERT INTO client_secrets (incarnation, epoch, space, connector, digest, sealed, kid) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
         ON CONFLICT DO UPDATE SET digest = excluded.digest, sealed = excluded.sealed, kid = excluded.kid";
    let parameters = params![
        secret.key.incarnation.0,
        signed(secret.key.epoch.0),
        secret.connector.space.as_str(),
        secret.connector.id.as_str(),
        secret.digest.0,
        secret.sealed.0,
        secret.sealed.key_id(),
    ];
    sql::execute(connection, PUT, parameters)?;
    Ok(())
}

/// One secret.
pub(crate) fn get(connection: &Connection, key: ClientSecretKey) -> Result<Option<ClientSecretRecord>, Fault> {
    const GET: &str = "SELECT space, connector, digest, sealed FROM client_secrets WHERE incarnation = ?1 AND epoch = ?2";
    sql::first(connection, GET, params![key.incarnation.0, signed(key.epoch.0)], |row| {
        let mut columns = Reader::new(row, 0, "client_secrets");
        Ok(ClientSecretRecord {
            key,
            connector: ConnectorKey { space: columns.space()?, id: columns.connector()? },
            digest: BindingDigest(columns.array()?),
            sealed: Envelope(columns.bytes()?.to_vec()),
        })
    })
}

/// Marks the secrets of a connector that are not of its present epoch; `None` if the connector is gone.
pub(crate) fn supersede(
    connection: &Connection,
    now: Timestamp,
    incarnation: Incarnation,
    present: Option<Epoch>,
) -> Result<(), Fault> {
    const MARK: &str = "UPDATE client_secrets SET superseded_at = ?2 \
         WHERE incarnation = ?1 AND superseded_at IS NULL AND (?3 IS NULL OR epoch <> ?3)";
    let present = present.map(|epoch| signed(epoch.0));
    sql::execute(connection, MARK, params![incarnation.0, now.as_millis(), present])?;
    Ok(())
}

/// Destroys superseded secrets that nothing can need any more: no revocation of their epoch is owed, and no exchange or
/// renewal of their epoch can still bring tokens to revoke. Answers how many.
pub(crate) fn destroy_unneeded(connection: &Connection, now: Timestamp) -> Result<u64, Fault> {
    let parameters = [now.minus(LONGEST).as_millis(), now.minus(INTERRUPTED_AFTER).as_millis()];
    sql::execute(connection, DESTROY, parameters)
}

pub(crate) const DESTROY: &str = "DELETE FROM client_secrets AS s WHERE superseded_at IS NOT NULL AND (superseded_at <= ?1 OR NOT ( \
     EXISTS (SELECT 1 FROM unclaimed_tokens AS o WHERE o.incarnation = s.incarnation AND o.epoch = s.epoch) \
     OR EXISTS (SELECT 1 FROM authorizations AS a \
         WHERE a.revocation = 'pending' AND a.incarnation = s.incarnation AND a.epoch = s.epoch) \
     OR EXISTS (SELECT 1 FROM authorizations AS a \
         WHERE a.role = 'grant' AND a.incarnation = s.incarnation AND a.epoch = s.epoch) \
     OR EXISTS (SELECT 1 FROM authorizations AS a \
         WHERE a.role = 'pending' AND a.incarnation = s.incarnation AND a.epoch = s.epoch) \
     OR EXISTS (SELECT 1 FROM authorizations AS a \
         WHERE a.role = 'running' AND a.incarnation = s.incarnation AND a.epoch = s.epoch) \
     OR EXISTS (SELECT 1 FROM authorizations AS a \
         WHERE a.role IN ('over', 'former') AND a.since > ?2 AND a.incarnation = s.incarnation AND a.epoch = s.epoch)))";
