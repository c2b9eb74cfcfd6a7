//! Point reads: one indexed query each, seen at one instant.

use std::sync::LazyLock;

use grantry_domain::authorization::{AuthorizationId, AuthorizationRecord, INTERRUPTED_AFTER, StateHash, StateKind};
use grantry_domain::connector::{ConnectorId, ConnectorKey};
use grantry_domain::identity::{SpaceId, UserId};
use grantry_domain::ports::{AccessTokenView, StatusRow};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::fault::Fault;
use crate::records::{Authorization, CONNECTOR_COLUMNS, CONNECTOR_WIDTH, authorization, connector};
use crate::sql;

static FIND: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM authorizations AS a WHERE a.id = ?1", Authorization::COLUMNS));

static BY_STATE: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM authorizations AS a WHERE a.state_hash = ?1", Authorization::COLUMNS));

pub(super) static ACCESS_TOKEN_VIEW: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {CONNECTOR_COLUMNS}, {} FROM connectors AS c \
         LEFT JOIN authorizations AS a ON a.incarnation = c.incarnation AND a.user = ?3 AND a.role = 'grant' \
         WHERE c.space = ?1 AND c.connector = ?2",
        Authorization::COLUMNS
    )
});

pub(super) static STATUS: LazyLock<String> = LazyLock::new(|| statuses_query("AND c.connector = ?3 "));

pub(super) static STATUSES: LazyLock<String> = LazyLock::new(|| statuses_query(""));

/// All rows of the user that are not ended flows: few per connector, next to each other in one index.
fn statuses_query(one: &str) -> String {
    format!(
        "SELECT {CONNECTOR_COLUMNS}, {} FROM connectors AS c \
         LEFT JOIN authorizations AS a \
             ON a.user = ?2 AND a.space = c.space AND a.incarnation = c.incarnation AND a.role <> 'over' \
         WHERE c.space = ?1 {one}ORDER BY c.name, c.connector",
        Authorization::COLUMNS
    )
}

/// One record.
pub(super) fn find(connection: &Connection, id: AuthorizationId) -> Result<Option<AuthorizationRecord>, Fault> {
    sql::first(connection, &FIND, [id.as_bytes()], |row| Ok(authorization(row, 0)?.record))
}

/// The flow with this state hash, whatever became of it.
pub(super) fn by_state(connection: &Connection, state: StateHash) -> Result<Option<Authorization>, Fault> {
    sql::first(connection, &BY_STATE, [state.0], |row| authorization(row, 0))
}

/// The flow with this state hash, while it awaits its callback or is being worked on.
pub(super) fn awaiting(connection: &Connection, state: StateHash) -> Result<Option<AuthorizationRecord>, Fault> {
    let found = by_state(connection, state)?.map(|found| found.record);
    Ok(found.filter(|record| record.state == StateKind::AwaitingCallback))
}

/// The authorization joined to a connector, if there is one.
fn joined(row: &Row<'_>) -> Result<Option<AuthorizationRecord>, Fault> {
    let none = matches!(row.get_ref(CONNECTOR_WIDTH)?, rusqlite::types::ValueRef::Null);
    if none { Ok(None) } else { Ok(Some(authorization(row, CONNECTOR_WIDTH)?.record)) }
}

/// Connector and grant.
pub(super) fn access_token_view(
    connection: &Connection,
    key: &ConnectorKey,
    user: &UserId,
    now: Timestamp,
) -> Result<Option<AccessTokenView>, Fault> {
    let parameters = params![key.space.as_str(), key.id.as_str(), user.as_str()];
    sql::first(connection, &ACCESS_TOKEN_VIEW, parameters, |row| {
        Ok(AccessTokenView { connector: connector(row)?, grant: joined(row)?, now })
    })
}

/// Connectors of a space, each with what its status depends on.
pub(super) fn statuses(
    connection: &Connection,
    space: &SpaceId,
    only: Option<&ConnectorId>,
    user: &UserId,
    now: Timestamp,
) -> Result<Vec<StatusRow>, Fault> {
    let mut rows: Vec<StatusRow> = Vec::new();
    let mut add = |row: &Row<'_>| {
        let key = (row.get_ref(0)?.as_bytes().ok(), row.get_ref(1)?.as_bytes().ok());
        let same = |last: &StatusRow| {
            let last = &last.connector.key;
            key == (Some(last.space.as_str().as_bytes()), Some(last.id.as_str().as_bytes()))
        };
        if !rows.last().is_some_and(same) {
            rows.push(StatusRow { connector: connector(row)?, grant: None, former: None, pending: None });
        }
        if let (Some(last), Some(record)) = (rows.last_mut(), joined(row)?) {
            assign(last, record, now);
        }
        Ok(())
    };
    match only {
        Some(id) => sql::all(connection, &STATUS, params![space.as_str(), user.as_str(), id.as_str()], &mut add)?,
        None => sql::all(connection, &STATUSES, params![space.as_str(), user.as_str()], &mut add)?,
    };
    for row in &mut rows {
        if row.grant.is_some() {
            row.former = None;
        }
    }
    Ok(rows)
}

/// Puts a record where it belongs, if it is newer than what stands there.
fn assign(row: &mut StatusRow, record: AuthorizationRecord, now: Timestamp) {
    let (place, newer): (_, fn(&AuthorizationRecord, &AuthorizationRecord) -> bool) = match record.state {
        StateKind::Authorized => (&mut row.grant, |_, _| true),
        StateKind::Expired | StateKind::Revoked => {
            (&mut row.former, |record, other| (record.authorized_at, record.id) > (other.authorized_at, other.id))
        }
        StateKind::Initiated | StateKind::AwaitingCallback if is_over(&record, now) => return,
        StateKind::Initiated | StateKind::AwaitingCallback => (&mut row.pending, |record, other| record.id > other.id),
    };
    if place.as_ref().is_none_or(|other| newer(&record, other)) {
        *place = Some(record);
    }
}

/// Whether a flow has timed out or was interrupted, swept or not.
fn is_over(flow: &AuthorizationRecord, now: Timestamp) -> bool {
    match flow.consumed_at {
        Some(consumed) => now >= consumed.plus(INTERRUPTED_AFTER),
        None => flow.deadline.is_none_or(|deadline| now >= deadline),
    }
}
