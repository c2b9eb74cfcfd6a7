//! Reading authorizations: the access token view, statuses, pages.

use std::cmp::Ordering;
use std::sync::LazyLock;

use async_trait::async_trait;
use grantry_domain::authorization::{Authorization, AuthorizationId, ConnectionView, State, StateKind};
use grantry_domain::connector::{ConnectorId, ConnectorKey, Incarnation};
use grantry_domain::identity::{ConnectionName, SpaceId, UserId};
use grantry_domain::ports::{
    AccessTokenView, AuthorizationFilter, AuthorizationPage, AuthorizationQueries, StatusRow, StoreError, Versioned,
};
use grantry_domain::time::Timestamp;
use rusqlite::{Connection, Row, ToSql, params};

use crate::error::SqliteError;
use crate::records::{AUTHORIZATION_COLUMNS, CONNECTOR_COLUMNS, CONNECTOR_WIDTH, Columns, authorization, connector, stored};
use crate::sql;
use crate::store::SqliteStore;

#[async_trait]
impl AuthorizationQueries for SqliteStore {
    async fn access_token_view(
        &self,
        connector: &ConnectorKey,
        user: &UserId,
        connection: Option<ConnectionName>,
    ) -> Result<Option<AccessTokenView>, StoreError> {
        let (key, user, name, now) = (connector.clone(), user.clone(), connection, self.clock());
        self.point_read(move |connection| access_token_view(connection, &key, &user, name.as_ref(), now)).await
    }

    async fn statuses(
        &self,
        space: &SpaceId,
        only: Option<ConnectorId>,
        user: &UserId,
    ) -> Result<Vec<StatusRow>, StoreError> {
        let (space, user, now) = (space.clone(), user.clone(), self.clock());
        match only {
            Some(id) => self.point_read(move |connection| statuses(connection, &space, Some(&id), &user, now)).await,
            None => self.long_read(move |connection| statuses(connection, &space, None, &user, now)).await,
        }
    }

    async fn list(
        &self,
        space: &SpaceId,
        filter: AuthorizationFilter,
        after: Option<AuthorizationId>,
        limit: u32,
    ) -> Result<AuthorizationPage, StoreError> {
        let space = space.clone();
        self.long_read(move |connection| page(connection, &space, &filter, after, limit)).await
    }

    async fn count_connected_users(&self, incarnation: Incarnation) -> Result<u64, StoreError> {
        let count = self.long_read(move |connection| sql::number(connection, CONNECTED_USERS, [incarnation.0])).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

pub(crate) const CONNECTED_USERS: &str =
    "SELECT count(DISTINCT user) FROM authorizations WHERE role = 'grant' AND incarnation = ?1";

/// Whether the user has a former grant that expired, in a connection without a grant.
const HAS_EXPIRED: &str = "EXISTS (SELECT 1 FROM authorizations AS e \
     WHERE e.incarnation = c.incarnation AND e.user = ?3 AND e.role = 'former_grant' AND e.state = 'expired' \
         AND NOT EXISTS (SELECT 1 FROM authorizations AS g WHERE g.incarnation = e.incarnation AND g.user = e.user \
             AND g.connection = e.connection AND g.role = 'grant'))";

pub(crate) static ACCESS_TOKEN_VIEW: LazyLock<String> = LazyLock::new(|| view_query("", HAS_EXPIRED));

pub(crate) static ACCESS_TOKEN_VIEW_OF_ONE: LazyLock<String> = LazyLock::new(|| view_query("AND a.connection = ?4 ", "0"));

pub(crate) static STATUS: LazyLock<String> = LazyLock::new(|| statuses_query("AND c.connector = ?3 "));

pub(crate) static STATUSES: LazyLock<String> = LazyLock::new(|| statuses_query(""));

/// The column after those of the connector and of the default connection.
const EXTRA: usize = CONNECTOR_WIDTH + 2;

/// The columns of a connector, of the default connection of the user there, one at [`EXTRA`], and those of an authorization.
/// Columns are read by number: the driver compares names one by one.
fn joined_columns(extra: &str) -> String {
    format!("{CONNECTOR_COLUMNS}, d.rowid, d.connection, {extra}, {AUTHORIZATION_COLUMNS}")
}

/// The column at [`EXTRA`] is [`AccessTokenView::has_expired_connections`].
fn view_query(one: &str, has_expired: &str) -> String {
    format!(
        "SELECT {} FROM connectors AS c \
         LEFT JOIN default_connections AS d ON d.incarnation = c.incarnation AND d.user = ?3 \
         LEFT JOIN authorizations AS a ON a.incarnation = c.incarnation AND a.user = ?3 AND a.role = 'grant' {one}\
         WHERE c.space = ?1 AND c.connector = ?2 ORDER BY a.connection",
        joined_columns(has_expired)
    )
}

/// All rows of the user that are not ended flows: a few per connector, adjacent in one index. The column at [`EXTRA`] is the time
/// since when the provider has refused the client.
fn statuses_query(one: &str) -> String {
    format!(
        "SELECT {} FROM connectors AS c \
         LEFT JOIN client_refusals AS r ON r.incarnation = c.incarnation AND r.revision = c.revision \
         LEFT JOIN default_connections AS d ON d.incarnation = c.incarnation AND d.user = ?2 \
         LEFT JOIN authorizations AS a \
             ON a.user = ?2 AND a.space = c.space AND a.incarnation = c.incarnation AND a.role <> 'ended_flow' \
         WHERE c.space = ?1 {one}ORDER BY c.name, c.connector",
        joined_columns("r.since")
    )
}

fn is_null(row: &Row<'_>, column: usize) -> Result<bool, SqliteError> {
    Ok(matches!(row.get_ref(column)?, rusqlite::types::ValueRef::Null))
}

/// The default connection of a row of [`joined_columns`].
fn joined_default(row: &Row<'_>) -> Result<Option<ConnectionName>, SqliteError> {
    if is_null(row, CONNECTOR_WIDTH)? {
        return Ok(None);
    }
    Columns::numbered(row, CONNECTOR_WIDTH, "default_connections")?.connection().map(Some)
}

/// The authorization of a row of [`joined_columns`].
fn joined_authorization(row: &Row<'_>) -> Result<Option<Authorization>, SqliteError> {
    let at = EXTRA + 1;
    if is_null(row, at)? { Ok(None) } else { Ok(Some(stored(row, at)?.authorization)) }
}

fn access_token_view(
    connection: &Connection,
    key: &ConnectorKey,
    user: &UserId,
    name: Option<&ConnectionName>,
    now: Timestamp,
) -> Result<Option<AccessTokenView>, SqliteError> {
    let mut view: Option<AccessTokenView> = None;
    let add = |row: &Row<'_>| {
        let grant = joined_authorization(row)?.map(Versioned::stored);
        match &mut view {
            Some(view) => view.grants.extend(grant),
            None => {
                view = Some(AccessTokenView {
                    connector: connector(row)?,
                    grants: grant.into_iter().collect(),
                    default_connection: joined_default(row)?,
                    has_expired_connections: row.get(EXTRA)?,
                    now,
                });
            }
        }
        Ok(())
    };
    let (space, id, user) = (key.space.as_str(), key.id.as_str(), user.as_str());
    match name {
        Some(name) => sql::each(connection, &ACCESS_TOKEN_VIEW_OF_ONE, [space, id, user, name.as_str()], add)?,
        None => sql::each(connection, &ACCESS_TOKEN_VIEW, [space, id, user], add)?,
    }
    Ok(view)
}

fn statuses(
    connection: &Connection,
    space: &SpaceId,
    only: Option<&ConnectorId>,
    user: &UserId,
    now: Timestamp,
) -> Result<Vec<StatusRow>, SqliteError> {
    let mut rows: Vec<StatusRow> = Vec::new();
    // The number of the connector whose rows are being read.
    let mut current = None;
    let add = |row: &Row<'_>| {
        let number: i64 = row.get(0)?;
        if current != Some(number) {
            current = Some(number);
            let (connector, default_connection) = (connector(row)?, joined_default(row)?);
            let client_refused_since = row.get::<_, Option<i64>>(EXTRA)?.map(Timestamp::from_millis);
            rows.push(StatusRow { connector, client_refused_since, connections: Vec::new(), default_connection });
        }
        if let (Some(status), Some(authorization)) = (rows.last_mut(), joined_authorization(row)?) {
            add_to(&mut status.connections, authorization, now);
        }
        Ok(())
    };
    match only {
        Some(id) => sql::each(connection, &STATUS, params![space.as_str(), user.as_str(), id.as_str()], add)?,
        None => sql::each(connection, &STATUSES, params![space.as_str(), user.as_str()], add)?,
    }
    for connection in rows.iter_mut().flat_map(|status| &mut status.connections) {
        if let (Some(grant), Some(former)) = (&connection.grant, &connection.former)
            && former.authorized_at() <= grant.authorized_at()
        {
            connection.former = None;
        }
    }
    Ok(rows)
}

/// Adds an authorization to the row of its connection, if it is newer than the one of its kind there.
fn add_to(connections: &mut Vec<ConnectionView>, authorization: Authorization, now: Timestamp) {
    // A flow that has timed out or was interrupted is not pending, swept or not.
    if authorization.is_flow() && !authorization.clone().at(now).is_flow() {
        return;
    }
    let name = &authorization.owner().connection;
    let position = connections.binary_search_by(|row| row.name.cmp(name)).unwrap_or_else(|position| {
        let row = ConnectionView { name: name.clone(), grant: None, former: None, pending: None };
        connections.insert(position, row);
        position
    });
    let row = &mut connections[position];
    let place = match authorization.state() {
        State::Authorized(_) => &mut row.grant,
        State::Expired(_) | State::Revoked(_) => &mut row.former,
        State::Initiated(_) | State::AwaitingCallback(_) => &mut row.pending,
    };
    if place.as_ref().is_none_or(|other| by_age(&authorization, other) == Ordering::Greater) {
        *place = Some(authorization);
    }
}

/// Orders former grants by their consent, flows by their start.
fn by_age(left: &Authorization, right: &Authorization) -> Ordering {
    (left.authorized_at(), left.id()).cmp(&(right.authorized_at(), right.id()))
}

fn page(
    connection: &Connection,
    space: &SpaceId,
    filter: &AuthorizationFilter,
    after: Option<AuthorizationId>,
    limit: u32,
) -> Result<AuthorizationPage, SqliteError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // One row more than requested shows whether there is another page.
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
        // The first term holds for every grant and former grant; it lets the index by user apply.
        narrow("a.role <> 'ended_flow' AND a.user =", user);
    }
    if let Some(state) = &state {
        narrow("a.state =", state);
    }
    let query = page_query(&conditions.concat());
    let mut authorizations = sql::all(connection, &query, parameters.as_slice(), authorization)?;
    let more = authorizations.len() > limit;
    authorizations.truncate(limit);
    let next = authorizations.last().filter(|_| more).map(Authorization::id);
    Ok(AuthorizationPage { authorizations, next })
}

pub(crate) fn page_query(conditions: &str) -> String {
    format!(
        "SELECT {AUTHORIZATION_COLUMNS} FROM authorizations AS a \
         WHERE a.space = ?1 AND a.authorized_at IS NOT NULL{conditions} ORDER BY a.id DESC LIMIT ?2"
    )
}
