//! Failures and anomalies of connectors.

use async_trait::async_trait;
use grantry_domain::connector::Incarnation;
use grantry_domain::ports::{
    Anomaly, AnomalyKind, AuditOutcome, ConnectorDiagnostics, ConnectorFailure, Diagnostics, ProviderOperation,
    RECENT_ANOMALIES, StoreError,
};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::error::SqliteError;
use crate::records::{Columns, signed};
use crate::sql;
use crate::store::SqliteStore;

const ACCEPT: &str = "DELETE FROM client_refusals WHERE incarnation = ?1";
const EXISTS: &str = "SELECT 1 FROM connectors WHERE incarnation = ?1";

#[async_trait]
impl ConnectorDiagnostics for SqliteStore {
    async fn record_failure(&self, connector: Incarnation, failure: ConnectorFailure) -> Result<(), StoreError> {
        const REPLACE: &str = "INSERT OR REPLACE INTO connector_failures \
             (incarnation, operation, code, http_status, oauth_error, endpoint_host, hint, correlation_id, at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        self.write(move |connection, now| {
            if sql::exists(connection, EXISTS, [connector.0])? {
                let parameters = params![
                    connector.0,
                    failure.operation.as_str(),
                    failure.code.as_str(),
                    failure.http_status,
                    failure.oauth_error,
                    failure.endpoint_host,
                    failure.hint,
                    failure.correlation_id,
                    now.as_millis(),
                ];
                sql::execute(connection, REPLACE, parameters)?;
            }
            Ok(())
        })
        .await
    }

    async fn record_anomalies(&self, connector: Incarnation, anomalies: Vec<Anomaly>) -> Result<(), StoreError> {
        self.write(move |connection, now| {
            if sql::exists(connection, EXISTS, [connector.0])? {
                add_anomalies(connection, connector, &anomalies, now)?;
            }
            Ok(())
        })
        .await
    }

    async fn client_refused(&self, connector: Incarnation, revision: u64, since: Timestamp) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO client_refusals (incarnation, revision, since) VALUES (?1, ?2, ?3) \
             ON CONFLICT (incarnation) DO UPDATE SET revision = excluded.revision, since = excluded.since \
             WHERE revision <> excluded.revision";
        self.write(move |connection, _| {
            if sql::exists(connection, EXISTS, [connector.0])? {
                sql::execute(connection, INSERT, params![connector.0, signed(revision), since.as_millis()])?;
            }
            Ok(())
        })
        .await
    }

    async fn client_accepted(&self, connector: Incarnation) -> Result<(), StoreError> {
        self.write(move |connection, _| sql::execute(connection, ACCEPT, [connector.0]).map(drop)).await
    }

    async fn diagnostics(&self, connector: Incarnation) -> Result<Diagnostics, StoreError> {
        const REFUSAL: &str = "SELECT revision, since FROM client_refusals WHERE incarnation = ?1";
        const FAILURE: &str = "SELECT operation, code, http_status, oauth_error, endpoint_host, hint, correlation_id, at \
             FROM connector_failures WHERE incarnation = ?1";
        const ANOMALIES: &str =
            "SELECT seq, member, kind, at FROM connector_anomalies WHERE incarnation = ?1 ORDER BY seq DESC";
        self.point_read(move |connection| {
            let last_failure = sql::first(connection, FAILURE, [connector.0], failure)?;
            let anomalies = sql::all(connection, ANOMALIES, [connector.0], anomaly)?;
            let client_refused = sql::first(connection, REFUSAL, [connector.0], refusal)?;
            Ok(Diagnostics { last_failure, client_refused, anomalies })
        })
        .await
    }
}

/// Removes what belongs to a connector.
pub(crate) fn remove(connection: &Connection, connector: Incarnation) -> Result<(), SqliteError> {
    sql::execute(connection, ACCEPT, [connector.0])?;
    sql::execute(connection, "DELETE FROM connector_failures WHERE incarnation = ?1", [connector.0])?;
    sql::execute(connection, "DELETE FROM connector_anomalies WHERE incarnation = ?1", [connector.0])?;
    Ok(())
}

/// A replaced row gets a new, greater `seq`.
fn add_anomalies(
    connection: &Connection,
    connector: Incarnation,
    anomalies: &[Anomaly],
    now: Timestamp,
) -> Result<(), SqliteError> {
    const REPLACE: &str = "INSERT OR REPLACE INTO connector_anomalies (seq, incarnation, member, kind, at) \
         VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM connector_anomalies), ?1, ?2, ?3, ?4)";
    const FORGET: &str = "DELETE FROM connector_anomalies WHERE incarnation = ?1 AND seq NOT IN \
         (SELECT seq FROM connector_anomalies WHERE incarnation = ?1 ORDER BY seq DESC LIMIT ?2)";
    for anomaly in anomalies {
        let parameters = params![connector.0, anomaly.member.as_str(), anomaly.kind.as_str(), now.as_millis()];
        sql::execute(connection, REPLACE, parameters)?;
    }
    let kept = i64::try_from(RECENT_ANOMALIES).unwrap_or(i64::MAX);
    sql::execute(connection, FORGET, params![connector.0, kept])?;
    Ok(())
}

fn failure(row: &Row<'_>) -> Result<(ConnectorFailure, Timestamp), SqliteError> {
    let mut columns = Columns::of_group(row, "connector_failures");
    let operation = ProviderOperation::parse(columns.text()?);
    let code = AuditOutcome::parse(columns.text()?);
    let (Some(operation), Some(code)) = (operation, code) else {
        return Err(columns.broken("operation and code are known"));
    };
    let status = columns.optional_integer()?.map(u16::try_from).transpose();
    let mut text = || Ok::<_, SqliteError>(columns.optional_text()?.map(str::to_owned));
    let (oauth_error, endpoint_host, hint, correlation_id) = (text()?, text()?, text()?, text()?);
    let http_status = status.map_err(|_| columns.broken("a status has three digits"))?;
    let at = columns.time()?;
    Ok((ConnectorFailure { operation, code, http_status, oauth_error, endpoint_host, hint, correlation_id }, at))
}

fn refusal(row: &Row<'_>) -> Result<(u64, Timestamp), SqliteError> {
    let mut columns = Columns::of_group(row, "client_refusals");
    Ok((columns.unsigned()?, columns.time()?))
}

fn anomaly(row: &Row<'_>) -> Result<(Anomaly, Timestamp), SqliteError> {
    let mut columns = Columns::numbered(row, 0, "connector_anomalies")?;
    let member = columns.text()?;
    let kind = AnomalyKind::parse(columns.text()?).ok_or_else(|| columns.broken("a kind is known"))?;
    Ok((Anomaly::new(member, kind), columns.time()?))
}
