//! The audit outbox: events are rows, written in the transaction of the change they tell of (R80).

use grantry_domain::authorization::AuthorizationId;
use grantry_domain::connector::ConnectorId;
use grantry_domain::identity::{Actor, SpaceId, UserId};
use grantry_domain::ports::{AuditEvent, AuditKind, RecordedEvent};
use rusqlite::{Connection, params};

use crate::fault::Fault;
use crate::records::{Reader, signed};
use crate::sql;

/// Adds events.
pub(crate) fn write(connection: &Connection, events: &[AuditEvent]) -> Result<(), Fault> {
    const INSERT: &str = "INSERT INTO events (at, actor_kind, actor, kind, space, connector, user, authorization_id, outcome) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
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
            event.grant.as_ref().map(AuthorizationId::as_bytes),
            event.outcome,
        ];
        sql::execute(connection, INSERT, parameters)?;
    }
    Ok(())
}

/// Kind and name of an actor.
pub(crate) fn actor_columns(actor: &Actor) -> (&'static str, Option<&str>) {
    match actor {
        Actor::Person(user) => ("user", Some(user.as_str())),
        Actor::Agent(name) => ("agent", Some(name)),
        Actor::System => ("system", None),
    }
}

/// The oldest events.
pub(crate) fn pending(connection: &Connection, limit: u32) -> Result<Vec<RecordedEvent>, Fault> {
    const OLDEST: &str = "SELECT sequence, at, actor_kind, actor, kind, space, connector, user, authorization_id, outcome \
         FROM events ORDER BY sequence LIMIT ?1";
    sql::all(connection, OLDEST, [limit], |row| {
        let mut columns = Reader::new(row, 0, "events");
        let sequence = columns.unsigned()?;
        let at = columns.time()?;
        let actor = match (columns.text()?, columns.optional_text()?) {
            ("user", Some(user)) => Actor::Person(UserId::new(user).map_err(|_| columns.broken("an actor is well formed"))?),
            ("agent", Some(name)) => Actor::Agent(name.to_owned()),
            ("system", None) => Actor::System,
            _ => return Err(columns.broken("the kind of actor is known")),
        };
        let kind = AuditKind::parse(columns.text()?).ok_or_else(|| columns.broken("the kind of event is known"))?;
        let malformed = |_| columns_fault("an id is well formed");
        let space = columns.optional_text()?.map(SpaceId::new).transpose().map_err(malformed)?;
        let connector = columns.optional_text()?.map(ConnectorId::new).transpose().map_err(malformed)?;
        let user = columns.optional_text()?.map(UserId::new).transpose().map_err(malformed)?;
        let grant = columns.optional_array()?.map(AuthorizationId::from_bytes);
        let outcome = columns.text()?.to_owned();
        Ok(RecordedEvent { sequence, event: AuditEvent { at, actor, kind, space, connector, user, grant, outcome } })
    })
}

fn columns_fault(rule: &'static str) -> Fault {
    crate::fault::inconsistent("events", rule)
}

/// Forgets delivered events.
pub(crate) fn forget(connection: &Connection, through: u64) -> Result<(), Fault> {
    sql::execute(connection, "DELETE FROM events WHERE sequence <= ?1", [signed(through)])?;
    Ok(())
}
