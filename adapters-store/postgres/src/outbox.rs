//! The audit outbox. Each event is a row, written in the transaction of the change it describes. The delivery numbers the rows.

use std::collections::BTreeMap;

use async_trait::async_trait;
use grantry_domain::authorization::AuthorizationId;
use grantry_domain::connector::ConnectorId;
use grantry_domain::identity::{Actor, ConnectionName, SpaceId, UserId};
use grantry_domain::ports::{AuditDetail, AuditEvent, AuditKind, AuditOutbox, AuditOutcome, RecordedEvent, StoreError};
use grantry_domain::time::Timestamp;
use tokio_postgres::Row;

use crate::connection::Connection;
use crate::error::PgError;
use crate::records::{Columns, signed};
use crate::sql::{self, Value, params};
use crate::store::PostgresStore;
use crate::transaction::Transaction;

/// The days of last use, for grants that were used later than their rows contain. Locks the rows in the order of their ids.
const RECORD_USE: &str = "WITH used AS (SELECT * FROM unnest($1::bytea[], $2::bigint[]) AS u (id, day)), \
     locked AS MATERIALIZED (SELECT a.id FROM authorizations AS a JOIN used AS u ON a.id = u.id \
         WHERE a.role = 'grant' AND a.last_used_day < u.day ORDER BY a.id FOR UPDATE OF a) \
     UPDATE authorizations AS a SET last_used_day = greatest(a.last_used_day, u.day) \
     FROM used AS u, locked AS l WHERE a.id = u.id AND l.id = u.id";

#[async_trait]
impl AuditOutbox for PostgresStore {
    async fn record(&self, audit: Vec<AuditEvent>) -> Result<(), StoreError> {
        let audit = &audit;
        self.write(move |transaction| async move { write(&transaction, audit).await }).await
    }

    async fn record_use(&self, uses: Vec<(AuthorizationId, i64)>) -> Result<(), StoreError> {
        let mut latest = BTreeMap::new();
        for (id, day) in uses {
            let kept = latest.entry(id).or_insert(day);
            *kept = day.max(*kept);
        }
        let latest = &latest;
        self.write(move |transaction| async move {
            let ids: Vec<&[u8]> = latest.keys().map(|id| id.as_bytes().as_slice()).collect();
            let days: Vec<i64> = latest.values().copied().collect();
            sql::execute(&transaction, RECORD_USE, &params![ids, days]).await?;
            Ok(())
        })
        .await
    }

    async fn pending_events(&self, limit: u32) -> Result<Vec<RecordedEvent>, StoreError> {
        if self.point_read(PENDING, &[]).await?.is_empty() {
            return Ok(Vec::new());
        }
        self.write(move |transaction| async move { deliver(self, &transaction, limit).await }).await
    }

    async fn forget_events(&self, through: u64) -> Result<(), StoreError> {
        self.write(move |transaction| async move {
            sql::execute(&transaction, "DELETE FROM events WHERE sequence <= $1", &params![signed(through)]).await?;
            Ok(())
        })
        .await
    }
}

/// Whether there are events. Each part reads the first entry of an index.
const PENDING: &str = "(SELECT 1 FROM events WHERE sequence IS NULL ORDER BY added LIMIT 1) \
     UNION ALL (SELECT 1 FROM events WHERE sequence IS NOT NULL ORDER BY sequence LIMIT 1)";

/// The oldest events that have a number.
const OLDEST: &str = "SELECT sequence, at, actor_kind, actor, kind, space, connector, user_id, connection, \
     authorization_id, outcome, details FROM events WHERE sequence IS NOT NULL ORDER BY sequence LIMIT $1";

/// Numbers events that have none, in the order in which they were added. All of them are committed: a transaction that commits
/// later gets greater numbers.
const NUMBER: &str = "WITH oldest AS MATERIALIZED (SELECT id, added FROM events WHERE sequence IS NULL \
         ORDER BY added LIMIT $1 FOR UPDATE SKIP LOCKED), \
     numbers AS (SELECT id, row_number() OVER (ORDER BY added) AS number FROM oldest), \
     numbered AS (UPDATE events AS e SET sequence = $2 + n.number FROM numbers AS n \
         WHERE e.id = n.id AND e.id = ANY (ARRAY(SELECT id FROM oldest)) RETURNING 1) \
     UPDATE event_delivery SET last_sequence = $2 + (SELECT count(*) FROM numbered)";

/// Takes the delivery for this node, unless another node has it, and returns the oldest events.
async fn deliver(store: &PostgresStore, transaction: &Transaction, limit: u32) -> Result<Vec<RecordedEvent>, PgError> {
    const DELIVERY: &str = "SELECT last_sequence, holder, held_since, held_until FROM event_delivery FOR UPDATE";
    const TAKE: &str = "UPDATE event_delivery SET holder = $1, held_since = $2, held_until = $3";
    let row = sql::first(transaction, DELIVERY, &[]).await?;
    let Some(row) = row else {
        return Err(crate::error::inconsistent("event_delivery", 1, "the row of the delivery exists"));
    };
    let mut columns = Columns::of_group(&row, "event_delivery");
    let (last, holder) = (columns.integer()?, columns.optional_array::<16>()?);
    let (since, until) = (columns.optional_time()?, columns.optional_time()?);
    let (now, claim) = (transaction.now().await?, store.event_claim());
    if !claim.is_zero() {
        // A claim that begins later is the result of a clock that was set back.
        let is_held = since.is_some_and(|since| since <= now) && until.is_some_and(|until| until > now);
        if is_held && holder != Some(store.node()) {
            transaction.undo();
            return Ok(Vec::new());
        }
        let parameters = params![store.node(), now.as_millis(), now.plus(claim).as_millis()];
        sql::execute(transaction, TAKE, &parameters).await?;
    }
    let mut rows = sql::rows(transaction, OLDEST, &params![limit]).await?;
    let missing = i64::from(limit) - i64::try_from(rows.len()).unwrap_or(i64::MAX);
    if missing > 0 {
        sql::execute(transaction, NUMBER, &params![missing, last]).await?;
        rows = sql::rows(transaction, OLDEST, &params![limit]).await?;
    }
    rows.iter().map(|row| readable(row, now)).collect()
}

/// Ends the claim of the delivery by this node, so that another node can take it at once.
pub(crate) async fn release(store: &PostgresStore) -> Result<(), StoreError> {
    const GIVE_UP: &str = "UPDATE event_delivery SET holder = NULL, held_since = NULL, held_until = NULL WHERE holder = $1";
    if store.event_claim().is_zero() {
        return Ok(());
    }
    store
        .write(|transaction| async move {
            sql::execute(&transaction, GIVE_UP, &params![store.node()]).await?;
            Ok(())
        })
        .await
}

/// The most events of one statement.
const LARGEST_INSERT: usize = 500;

/// Adds events, in their order.
pub(crate) async fn write(connection: &Connection, events: &[AuditEvent]) -> Result<(), PgError> {
    const INSERT: &str = "INSERT INTO events \
         (at, actor_kind, actor, kind, space, connector, user_id, connection, authorization_id, outcome, details) \
         SELECT at, actor_kind, actor, kind, space, connector, user_id, connection, authorization_id, outcome, details \
         FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], \
             $9::bytea[], $10::text[], $11::text[]) WITH ORDINALITY AS e (at, actor_kind, actor, kind, space, connector, \
             user_id, connection, authorization_id, outcome, details, number) ORDER BY number";
    for events in events.chunks(LARGEST_INSERT) {
        sql::execute(connection, INSERT, &columns_of(events)).await?;
    }
    Ok(())
}

/// The columns of events, each as an array.
fn columns_of(events: &[AuditEvent]) -> [Value<'_>; 11] {
    let actors = || events.iter().map(|event| actor_columns(&event.actor));
    params![
        events.iter().map(|event| event.at.as_millis()).collect::<Vec<_>>(),
        actors().map(|(kind, _)| kind).collect::<Vec<_>>(),
        actors().map(|(_, actor)| actor).collect::<Vec<_>>(),
        events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(),
        events.iter().map(|event| event.space.as_ref().map(SpaceId::as_str)).collect::<Vec<_>>(),
        events.iter().map(|event| event.connector.as_ref().map(ConnectorId::as_str)).collect::<Vec<_>>(),
        events.iter().map(|event| event.user.as_ref().map(UserId::as_str)).collect::<Vec<_>>(),
        events.iter().map(|event| event.connection.as_ref().map(ConnectionName::as_str)).collect::<Vec<_>>(),
        events.iter().map(|event| event.authorization.as_ref().map(|id| id.as_bytes().as_slice())).collect::<Vec<_>>(),
        events.iter().map(|event| event.outcome.as_str()).collect::<Vec<_>>(),
        events.iter().map(|event| details_column(&event.details)).collect::<Vec<_>>(),
    ]
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
fn readable(stored: &Row, now: Timestamp) -> Result<RecordedEvent, PgError> {
    match event(stored) {
        Err(PgError::Store(error @ StoreError::Inconsistent { row, .. })) => {
            tracing::error!(%error, "an audit event cannot be read; its row is reported and removed");
            // Sequence numbers begin with one. Forgetting zero removes every row below it.
            let sequence = u64::try_from(row).unwrap_or(0);
            let event = AuditEvent::of_system(AuditKind::AuditEventUnreadable, now).outcome(AuditOutcome::Malformed);
            Ok(RecordedEvent { sequence, event })
        }
        event => event,
    }
}

fn event(row: &Row) -> Result<RecordedEvent, PgError> {
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
