//! Failures and anomalies of connectors.

use async_trait::async_trait;
use grantry_domain::connector::Incarnation;
use grantry_domain::ports::{
    Anomaly, AnomalyKind, AuditOutcome, ConnectorDiagnostics, ConnectorFailure, Diagnostics, ProviderOperation,
    RECENT_ANOMALIES, StoreError,
};
use grantry_domain::time::Timestamp;
use tokio_postgres::Row;

use crate::connection::Connection;
use crate::error::PgError;
use crate::records::{Columns, signed};
use crate::sql::{self, Value, params};
use crate::store::PostgresStore;

const ACCEPT: &str = "DELETE FROM client_refusals WHERE incarnation = $1";

#[async_trait]
impl ConnectorDiagnostics for PostgresStore {
    async fn record_failure(&self, connector: Incarnation, failure: ConnectorFailure) -> Result<(), StoreError> {
        const REPLACE: &str = "INSERT INTO connector_failures \
             (incarnation, operation, code, http_status, oauth_error, endpoint_host, hint, correlation_id, at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (incarnation) DO UPDATE SET operation = excluded.operation, code = excluded.code, \
                 http_status = excluded.http_status, oauth_error = excluded.oauth_error, \
                 endpoint_host = excluded.endpoint_host, hint = excluded.hint, \
                 correlation_id = excluded.correlation_id, at = excluded.at";
        let failure = &failure;
        self.write(move |transaction| async move {
            if is_locked(&transaction, connector).await? {
                let parameters = params![
                    connector.0,
                    failure.operation.as_str(),
                    failure.code.as_str(),
                    failure.http_status.map(i64::from),
                    failure.oauth_error.as_deref(),
                    failure.endpoint_host.as_deref(),
                    failure.hint.as_deref(),
                    failure.correlation_id.as_deref(),
                    transaction.began().as_millis(),
                ];
                sql::execute(&transaction, REPLACE, &parameters).await?;
            }
            Ok(())
        })
        .await
    }

    async fn record_anomalies(&self, connector: Incarnation, anomalies: Vec<Anomaly>) -> Result<(), StoreError> {
        let anomalies = &anomalies;
        self.write(move |transaction| async move {
            if is_locked(&transaction, connector).await? {
                add_anomalies(&transaction, connector, anomalies, transaction.began()).await?;
            }
            Ok(())
        })
        .await
    }

    async fn client_refused(&self, connector: Incarnation, revision: u64, since: Timestamp) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO client_refusals AS r (incarnation, revision, since) VALUES ($1, $2, $3) \
             ON CONFLICT (incarnation) DO UPDATE SET revision = excluded.revision, since = excluded.since \
             WHERE r.revision <> excluded.revision";
        self.write(move |transaction| async move {
            if is_locked(&transaction, connector).await? {
                let parameters = params![connector.0, signed(revision), since.as_millis()];
                sql::execute(&transaction, INSERT, &parameters).await?;
            }
            Ok(())
        })
        .await
    }

    async fn client_accepted(&self, connector: Incarnation) -> Result<(), StoreError> {
        self.write(move |transaction| async move {
            sql::execute(&transaction, ACCEPT, &params![connector.0]).await?;
            Ok(())
        })
        .await
    }

    async fn diagnostics(&self, connector: Incarnation) -> Result<Diagnostics, StoreError> {
        // One statement, so that all parts are of one moment.
        const DIAGNOSTICS: &str = "SELECT f.operation, f.code, f.http_status, f.oauth_error, f.endpoint_host, f.hint, \
                 f.correlation_id, f.at, r.revision, r.since, a.seq, a.member, a.kind, a.at \
             FROM (SELECT $1::bytea AS incarnation) AS c \
             LEFT JOIN connector_failures AS f ON f.incarnation = c.incarnation \
             LEFT JOIN client_refusals AS r ON r.incarnation = c.incarnation \
             LEFT JOIN (SELECT * FROM connector_anomalies WHERE incarnation = $1 ORDER BY seq DESC LIMIT $2) AS a ON TRUE \
             ORDER BY a.seq DESC";
        let rows = self.point_read(DIAGNOSTICS, &[connector.0.into(), kept()]).await?;
        let first = rows.first();
        Ok(Diagnostics {
            last_failure: first.map(failure).transpose()?.flatten(),
            client_refused: first.map(refusal).transpose()?.flatten(),
            anomalies: rows.iter().filter_map(|row| anomaly(row).transpose()).collect::<Result<_, _>>()?,
        })
    }
}

/// The columns of a row of the diagnostics at which a failure, a refusal and an anomaly begin. Those of a part that is
/// missing are null.
const FAILURE: usize = 0;
const REFUSAL: usize = 8;
const ANOMALY: usize = 10;

/// Whether the connector exists. It is not deleted before the end of the transaction.
async fn is_locked(connection: &Connection, connector: Incarnation) -> Result<bool, PgError> {
    const LOCK: &str = "SELECT 1 FROM connectors WHERE incarnation = $1 FOR SHARE";
    sql::exists(connection, LOCK, &params![connector.0]).await
}

/// Removes what belongs to a connector.
pub(crate) async fn remove(connection: &Connection, connector: Incarnation) -> Result<(), PgError> {
    let parameters = params![connector.0];
    sql::execute(connection, ACCEPT, &parameters).await?;
    sql::execute(connection, "DELETE FROM connector_failures WHERE incarnation = $1", &parameters).await?;
    sql::execute(connection, "DELETE FROM connector_anomalies WHERE incarnation = $1", &parameters).await?;
    Ok(())
}

fn kept() -> Value<'static> {
    Value::from(i64::try_from(RECENT_ANOMALIES).unwrap_or(i64::MAX))
}

/// A replaced row gets a new, greater `seq`. Two nodes that add at the same time may keep more than the newest until the next
/// call; no more are read.
async fn add_anomalies(
    connection: &Connection,
    connector: Incarnation,
    anomalies: &[Anomaly],
    now: Timestamp,
) -> Result<(), PgError> {
    const REPLACE: &str = "INSERT INTO connector_anomalies (incarnation, member, kind, at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (incarnation, member, kind) DO UPDATE SET seq = excluded.seq, at = excluded.at";
    const FORGET: &str = "DELETE FROM connector_anomalies WHERE incarnation = $1 AND seq NOT IN \
         (SELECT seq FROM connector_anomalies WHERE incarnation = $1 ORDER BY seq DESC LIMIT $2)";
    for anomaly in anomalies {
        let parameters = params![connector.0, anomaly.member.as_str(), anomaly.kind.as_str(), now.as_millis()];
        sql::execute(connection, REPLACE, &parameters).await?;
    }
    sql::execute(connection, FORGET, &[connector.0.into(), kept()]).await?;
    Ok(())
}

fn failure(row: &Row) -> Result<Option<(ConnectorFailure, Timestamp)>, PgError> {
    let mut columns = Columns::at(row, FAILURE, "connector_failures");
    let Some(operation) = columns.optional_text()? else { return Ok(None) };
    let (operation, code) = (ProviderOperation::parse(operation), AuditOutcome::parse(columns.text()?));
    let (Some(operation), Some(code)) = (operation, code) else {
        return Err(columns.broken("operation and code are known"));
    };
    let status = columns.optional_integer()?.map(u16::try_from).transpose();
    let mut text = || Ok::<_, PgError>(columns.optional_text()?.map(str::to_owned));
    let (oauth_error, endpoint_host, hint, correlation_id) = (text()?, text()?, text()?, text()?);
    let http_status = status.map_err(|_| columns.broken("a status has three digits"))?;
    let at = columns.time()?;
    Ok(Some((ConnectorFailure { operation, code, http_status, oauth_error, endpoint_host, hint, correlation_id }, at)))
}

fn refusal(row: &Row) -> Result<Option<(u64, Timestamp)>, PgError> {
    if Columns::at(row, REFUSAL, "client_refusals").optional_integer()?.is_none() {
        return Ok(None);
    }
    let mut columns = Columns::at(row, REFUSAL, "client_refusals");
    Ok(Some((columns.unsigned()?, columns.time()?)))
}

fn anomaly(row: &Row) -> Result<Option<(Anomaly, Timestamp)>, PgError> {
    if Columns::at(row, ANOMALY, "connector_anomalies").optional_integer()?.is_none() {
        return Ok(None);
    }
    let mut columns = Columns::numbered(row, ANOMALY, "connector_anomalies")?;
    let member = columns.text()?;
    let kind = AnomalyKind::parse(columns.text()?).ok_or_else(|| columns.broken("a kind is known"))?;
    Ok(Some((Anomaly::new(member, kind), columns.time()?)))
}
