//! Reads that may be long.

use std::collections::BTreeMap;

use grantry_domain::authorization::{AuthorizationId, AuthorizationRecord, StateKind};
use grantry_domain::connector::ConnectorId;
use grantry_domain::identity::{SpaceId, UserId};
use grantry_domain::ports::{AuthorizationFilter, AuthorizationPage, KeyId};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, ToSql, params};

use crate::fault::Fault;
use crate::records::{Authorization, Reader, authorization};
use crate::sql;

/// Grants and former grants of a space, newest first.
pub(super) fn page(
    connection: &Connection,
    space: &SpaceId,
    filter: &AuthorizationFilter,
    after: Option<AuthorizationId>,
    limit: u32,
) -> Result<AuthorizationPage, Fault> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // One more than asked for tells whether there is another page.
    let rows = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let connector = filter.connector.as_ref().map(ConnectorId::as_str);
    let user = filter.user.as_ref().map(UserId::as_str);
    let state = filter.state.map(StateKind::as_str);
    let after = after.map(|id| *id.as_bytes());
    let space = space.as_str();
    let mut parameters: Vec<&dyn ToSql> = vec![&space, &rows];
    let mut conditions = Vec::new();
    let mut narrow = |condition: &str, value| {
        parameters.push(value);
        conditions.push(format!(" AND {condition} ?{}", parameters.len()));
    };
    if let Some(after) = &after {
        narrow("a.id <", after);
    }
    if let Some(connector) = &connector {
        narrow("a.connector =", connector);
    }
    if let Some(user) = &user {
        // The first term lets the index of users serve; it holds for every grant and former grant.
        narrow("a.role <> 'over' AND a.user =", user);
    }
    if let Some(state) = &state {
        narrow("a.state =", state);
    }
    let query = format!("{}{} ORDER BY a.id DESC LIMIT ?2", page_start(), conditions.concat());
    let read = |row: &rusqlite::Row<'_>| Ok(authorization(row, 0)?.record);
    let mut records = sql::all(connection, &query, parameters.as_slice(), read)?;
    let more = records.len() > limit;
    records.truncate(limit);
    let next = records.last().filter(|_| more).map(|record| record.id);
    Ok(AuthorizationPage { records, next })
}

pub(super) fn page_start() -> String {
    format!("SELECT {} FROM authorizations AS a WHERE a.space = ?1 AND a.authorized_at IS NOT NULL", Authorization::COLUMNS)
}

/// Pairs of user and space with a grant, in order.
pub(super) fn holders(
    connection: &Connection,
    after: Option<&(UserId, SpaceId)>,
    limit: u32,
) -> Result<Vec<(UserId, SpaceId)>, Fault> {
    // No id is empty, so a pair of empty texts comes before all.
    let (user, space) = after.map_or(("", ""), |(user, space)| (user.as_str(), space.as_str()));
    sql::all(connection, HOLDERS, params![user, space, limit], |row| {
        let mut columns = Reader::new(row, 0, "authorizations");
        Ok((columns.user()?, columns.space()?))
    })
}

pub(super) const HOLDERS: &str = "SELECT DISTINCT user, space FROM authorizations \
     WHERE role <> 'over' AND role = 'grant' AND (user, space) > (?1, ?2) ORDER BY user, space LIMIT ?3";

/// Grants in use that lapse soon and can be renewed, first those that lapse first.
pub(super) fn due_for_refresh(
    connection: &Connection,
    used_since_day: i64,
    expiring_before: Timestamp,
    limit: u32,
) -> Result<Vec<AuthorizationRecord>, Fault> {
    let parameters = params![expiring_before.as_millis(), used_since_day, limit];
    sql::all(connection, &due_query(), parameters, |row| Ok(authorization(row, 0)?.record))
}

pub(super) fn due_query() -> String {
    format!(
        "SELECT {} FROM authorizations AS a \
         WHERE a.role = 'grant' AND a.refreshable = 1 AND a.expires_at < ?1 AND a.last_used_day >= ?2 \
         ORDER BY a.expires_at, a.id LIMIT ?3",
        Authorization::COLUMNS
    )
}

/// How many envelopes each key has sealed, over all tables (R75).
pub(super) fn key_usage(connection: &Connection) -> Result<Vec<(KeyId, u64)>, Fault> {
    const COUNT: &str = "SELECT kid, count(*) FROM authorizations WHERE kid IS NOT NULL GROUP BY kid \
         UNION ALL SELECT kid, count(*) FROM client_secrets WHERE kid IS NOT NULL GROUP BY kid \
         UNION ALL SELECT kid, count(*) FROM unclaimed_tokens WHERE kid IS NOT NULL GROUP BY kid";
    let mut usage = BTreeMap::new();
    let counts = sql::all(connection, COUNT, [], |row| {
        let mut columns = Reader::new(row, 0, "authorizations");
        Ok((KeyId(columns.array()?), columns.unsigned()?))
    })?;
    for (key, count) in counts {
        *usage.entry(key).or_insert(0) += count;
    }
    Ok(usage.into_iter().collect())
}
