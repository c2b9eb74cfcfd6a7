//! Sealed client secrets by connector and epoch. A secret of an earlier epoch is kept only while a revocation may need it.

use std::time::Duration;

use grantry_domain::authorization::Envelope;
use grantry_domain::connector::{ConnectorKey, Epoch, Incarnation};
use grantry_domain::ports::{ClientSecretKey, ClientSecretRecord};
use grantry_domain::provider::BindingDigest;
use grantry_domain::time::Timestamp;
use tokio_postgres::Row;

use crate::connection::Connection;
use crate::error::PgError;
use crate::records::{Columns, interrupted_before, signed};
use crate::sql::{self, params};

/// How long a superseded secret is kept at most, even if a revocation still needs it.
const LONGEST: Duration = Duration::from_hours(24);

/// Adds a secret, or replaces the one of the same key.
pub(crate) async fn put(connection: &Connection, secret: &ClientSecretRecord) -> Result<(), PgError> {
    const PUT: &str = "INSERT INTO client_secrets (incarnation, epoch, space, connector, digest, sealed, kid) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (incarnation, epoch) \
         DO UPDATE SET digest = excluded.digest, sealed = excluded.sealed, kid = excluded.kid";
    let parameters = params![
        secret.key.incarnation.0,
        signed(secret.key.epoch.0),
        secret.connector.space.as_str(),
        secret.connector.id.as_str(),
        secret.digest.0,
        secret.sealed.0.as_slice(),
        secret.sealed.key_id(),
    ];
    sql::execute(connection, PUT, &parameters).await?;
    Ok(())
}

/// One secret, by incarnation and epoch.
pub(crate) const GET: &str =
    "SELECT seq, space, connector, digest, sealed FROM client_secrets WHERE incarnation = $1 AND epoch = $2";

/// Reads the secret of a key.
pub(crate) fn secret(row: &Row, key: ClientSecretKey) -> Result<ClientSecretRecord, PgError> {
    let mut columns = Columns::numbered(row, 0, "client_secrets")?;
    Ok(ClientSecretRecord {
        key,
        connector: ConnectorKey { space: columns.space()?, id: columns.connector()? },
        digest: BindingDigest(columns.array()?),
        sealed: Envelope(columns.bytes()?.to_vec()),
    })
}

/// Marks the secrets of a connector that are not of its present epoch; of a deleted connector (`None`), all.
pub(crate) async fn supersede(
    connection: &Connection,
    now: Timestamp,
    incarnation: Incarnation,
    present: Option<Epoch>,
) -> Result<(), PgError> {
    const MARK: &str = "UPDATE client_secrets SET superseded_at = $2 \
         WHERE incarnation = $1 AND superseded_at IS NULL AND ($3::bigint IS NULL OR epoch <> $3)";
    let present = present.map(|epoch| signed(epoch.0));
    sql::execute(connection, MARK, &params![incarnation.0, now.as_millis(), present]).await?;
    Ok(())
}

/// Destroys superseded secrets that are not needed any more: no revocation of their epoch is pending, and no exchange or
/// refresh of their epoch can still bring tokens to revoke. Returns how many.
///
/// A transaction that makes a secret needed again cannot run beside this: an authorization of an earlier epoch is never added,
/// and tokens of one are queued within the time after its end in which the secret is kept.
pub(crate) async fn destroy_unneeded(connection: &Connection, now: Timestamp) -> Result<u64, PgError> {
    let parameters = params![now.minus(LONGEST).as_millis(), interrupted_before(now)];
    sql::execute(connection, DESTROY, &parameters).await
}

/// Each need is a scalar subquery: the planner would compute `EXISTS` from a hash of all grants.
const DESTROY: &str = "DELETE FROM client_secrets AS s WHERE superseded_at IS NOT NULL AND (superseded_at <= $1 OR ( \
     (SELECT 1 FROM unclaimed_tokens AS u WHERE u.incarnation = s.incarnation AND u.epoch = s.epoch LIMIT 1) IS NULL \
     AND (SELECT 1 FROM authorizations AS a \
         WHERE a.revocation = 'pending' AND a.incarnation = s.incarnation AND a.epoch = s.epoch LIMIT 1) IS NULL \
     AND (SELECT 1 FROM authorizations AS a WHERE a.incarnation = s.incarnation AND a.epoch = s.epoch \
         AND a.role IN ('grant', 'pending', 'running') LIMIT 1) IS NULL \
     AND (SELECT 1 FROM authorizations AS a WHERE a.incarnation = s.incarnation AND a.epoch = s.epoch \
         AND a.role IN ('ended_flow', 'former_grant') AND a.since > $2 LIMIT 1) IS NULL))";
