//! The audit outbox. Each event is a row, written in the transaction of the change it describes.

use async_trait::async_trait;
use grantry_domain::authorization::AuthorizationId;
use grantry_domain::connector::ConnectorId;
use grantry_domain::identity::{Actor, ConnectionName, SpaceId, UserId};
use grantry_domain::ports::{AuditDetail, AuditEvent, AuditKind, AuditOutbox, AuditOutcome, RecordedEvent, StoreError};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::error::SqliteError;
use crate::records::{Columns, signed};
use crate::sql;
use crate::store::SqliteStore;

#[async_trait]
impl AuditOutbox for SqliteStore {
    async fn record(&self, audit: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.write(move |connection, _| write(connection, &audit)).await
    }

    async fn record_use(&self, uses: Vec<(AuthorizationId, i64)>) -> Result<(), StoreError> {
        const RECORD: &str =
            "UPDATE authorizations SET last_used_day = ?2 WHERE id = ?1 AND role = 'grant' AND last_used_day < ?2";
        self.write(move |connection, _| {
            for (id, day) in &uses {
                sql::execute(connection, RECORD, params![id.as_bytes(), day])?;
            }
            Ok(())
        })
        .await
    }

    async fn pending_events(&self, limit: u32) -> Result<Vec<RecordedEvent>, StoreError> {
        const OLDEST: &str = "SELECT sequence, at, actor_kind, actor, kind, space, connector, user, connection, \
             authorization_id, outcome, details FROM events ORDER BY sequence LIMIT ?1";
        let now = self.clock();
        self.long_read(move |connection| sql::all(connection, OLDEST, [limit], |row| readable(row, now))).await
    }

    async fn forget_events(&self, through: u64) -> Result<(), StoreError> {
        self.write(move |connection, _| {
            sql::execute(connection, "DELETE FROM events WHERE sequence <= ?1", [signed(through)])?;
            Ok(())
        })
        .await
    }
}

/// Adds events.
pub(crate) fn write(connection: &Connection, events: &[AuditEvent]) -> Result<(), SqliteError> {
    const INSERT: &str = "INSERT INTO events \
         (at, actor_kind, actor, kind, space, connector, user, connection, authorization_id, outcome, details) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    for event in events {
        let (actor_kind, actor) = actor_columns(&event.actor);
        let parameters = params![
            event.at.as_millis(),
            actor_kind,
            actor,
            event.kind.as_str(),
            event.space.as_ref().map(SpaceId::as_str),
            event.connector.as_ref().map(ConnectorId::as_str),
            event.user.as_ref().map(UserId::as_str),
            event.connection.as_ref().map(ConnectionName::as_str),
            event.authorization.as_ref().map(AuthorizationId::as_bytes),
            event.outcome.as_str(),
            details_column(&event.details),
        ];
        sql::execute(connection, INSERT, parameters)?;
    }
    Ok(())
}

/// The details, separated by spaces.
fn details_column(details: &[AuditDetail]) -> Option<String> {
    let texts: Vec<&str> = details.iter().map(AuditDetail::as_str).collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}

/// Kind and name of an actor.
pub(crate) fn actor_columns(actor: &Actor) -> (&'static str, Option<&str>) {
    match actor {
        Actor::Person(user) => ("user", Some(user.as_str())),
        Actor::Agent(name) => ("agent", Some(name)),
        Actor::System => ("system", None),
    }
}

/// The event of a row. A row that this program cannot have written is an event that reports it, so that it does not keep the
/// others from being delivered.
fn readable(stored: &Row<'_>, now: Timestamp) -> Result<RecordedEvent, SqliteError> {
    match event(stored) {
        Err(SqliteError::Store(error @ StoreError::Inconsistent { row, .. })) => {
            tracing::error!(%error, "an audit event cannot be read; its row is reported and removed");
            // Sequence numbers begin with one. Forgetting zero removes every row below it.
            let sequence = u64::try_from(row).unwrap_or(0);
            let event = AuditEvent::of_system(AuditKind::AuditEventUnreadable, now).outcome(AuditOutcome::Malformed);
            Ok(RecordedEvent { sequence, event })
        }
        event => event,
    }
}

fn event(row: &Row<'_>) -> Result<RecordedEvent, SqliteError> {
    let mut columns = Columns::numbered(row, 0, "events")?;
    let sequence = u64::try_from(columns.number()).map_err(|_| columns.broken("a sequence number is not negative"))?;
    let at = columns.time()?;
    let actor = match (columns.text()?, columns.optional_text()?) {
        ("user", Some(user)) => Actor::Person(UserId::new(user).map_err(|_| columns.broken("an actor is well formed"))?),
        ("agent", Some(name)) => Actor::Agent(name.to_owned()),
        ("system", None) => Actor::System,
        _ => return Err(columns.broken("the kind of actor is a known one")),
    };
    let event = AuditEvent {
        at,
        actor,
        kind: AuditKind::parse(columns.text()?).ok_or_else(|| columns.broken("the kind of event is a known one"))?,
        space: columns.optional_space()?,
        connector: columns.optional_connector()?,
        user: columns.optional_user()?,
        connection: columns.optional_connection()?,
        authorization: columns.optional_array()?.map(AuthorizationId::from_bytes),
        outcome: AuditOutcome::parse(columns.text()?).ok_or_else(|| columns.broken("the outcome is a known one"))?,
        details: match columns.optional_text()? {
            None => Vec::new(),
            Some(text) => {
                let details = text.split(' ').map(AuditDetail::parse).collect::<Option<_>>();
                details.ok_or_else(|| columns.broken("the details are well formed"))?
            }
        },
    };
    Ok(RecordedEvent { sequence, event })
}
