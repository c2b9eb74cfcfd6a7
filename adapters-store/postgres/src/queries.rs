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
use tokio_postgres::Row;

use crate::error::{NO_ROW, PgError, inconsistent};
use crate::records::{AUTHORIZATION_COLUMNS, CONNECTOR_COLUMNS, CONNECTOR_WIDTH, authorization, connector, stored};
use crate::sql::{self, NOW, Value, params};
use crate::store::PostgresStore;

#[async_trait]
impl AuthorizationQueries for PostgresStore {
    async fn access_token_view(
        &self,
        connector: &ConnectorKey,
        user: &UserId,
        connection: Option<ConnectionName>,
    ) -> Result<Option<AccessTokenView>, StoreError> {
        let (space, id, user) = (connector.space.as_str(), connector.id.as_str(), user.as_str());
        let rows = match &connection {
            Some(name) => self.point_read(&ACCESS_TOKEN_VIEW_OF_ONE, &params![space, id, user, name.as_str()]).await?,
            None => self.point_read(&ACCESS_TOKEN_VIEW, &params![space, id, user]).await?,
        };
        let view = access_token_view(&rows)?;
        Ok(view.map(|view| AccessTokenView { now: self.clock_or(view.now), ..view }))
    }

    async fn statuses(
        &self,
        space: &SpaceId,
        only: Option<ConnectorId>,
        user: &UserId,
    ) -> Result<Vec<StatusRow>, StoreError> {
        let (space, user) = (space.as_str(), user.as_str());
        let rows = match &only {
            Some(id) => self.point_read(&STATUS, &params![space, user, id.as_str()]).await?,
            None => self.long_read(&STATUSES, &params![space, user]).await?,
        };
        Ok(statuses(self, &rows)?)
    }

    async fn list(
        &self,
        space: &SpaceId,
        filter: AuthorizationFilter,
        after: Option<AuthorizationId>,
        limit: u32,
    ) -> Result<AuthorizationPage, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (conditions, parameters) = page_filter(space, &filter, after.as_ref(), limit);
        let rows = self.long_read(&page_query(&conditions), &parameters).await?;
        let mut authorizations = rows.iter().map(authorization).collect::<Result<Vec<_>, _>>()?;
        let more = authorizations.len() > limit;
        authorizations.truncate(limit);
        let next = authorizations.last().filter(|_| more).map(Authorization::id);
        Ok(AuthorizationPage { authorizations, next })
    }

    async fn count_connected_users(&self, incarnation: Incarnation) -> Result<u64, StoreError> {
        let rows = self.long_read(CONNECTED_USERS, &params![incarnation.0]).await?;
        Ok(u64::try_from(sql::number_of(rows.first())?).unwrap_or(0))
    }
}

const CONNECTED_USERS: &str = "SELECT count(DISTINCT user_id) FROM authorizations WHERE role = 'grant' AND incarnation = $1";

/// Whether the user has a former grant that expired, in a connection without a grant.
const HAS_EXPIRED: &str = "EXISTS (SELECT 1 FROM authorizations AS e \
     WHERE e.incarnation = c.incarnation AND e.user_id = $3 AND e.role = 'former_grant' AND e.state = 'expired' \
         AND NOT EXISTS (SELECT 1 FROM authorizations AS g WHERE g.incarnation = e.incarnation AND g.user_id = e.user_id \
             AND g.connection = e.connection AND g.role = 'grant'))";

static ACCESS_TOKEN_VIEW: LazyLock<String> = LazyLock::new(|| view_query("", HAS_EXPIRED));

static ACCESS_TOKEN_VIEW_OF_ONE: LazyLock<String> = LazyLock::new(|| view_query("AND a.connection = $4 ", "FALSE"));

static STATUS: LazyLock<String> = LazyLock::new(|| statuses_query("AND c.connector = $3 "));

static STATUSES: LazyLock<String> = LazyLock::new(|| statuses_query(""));

/// The columns after those of the connector: the default connection, one that depends on the query, the clock of the database,
/// and those of an authorization.
const DEFAULT: usize = CONNECTOR_WIDTH;
const EXTRA: usize = DEFAULT + 1;
const CLOCK: usize = EXTRA + 1;
const AUTHORIZATION: usize = CLOCK + 1;

/// The columns of a connector, of the default connection of the user there, one at [`EXTRA`], the clock, and those of an
/// authorization. Columns are read by number: the driver compares names one by one.
fn joined_columns(extra: &str) -> String {
    format!("{CONNECTOR_COLUMNS}, d.connection, {extra}, {NOW}, {AUTHORIZATION_COLUMNS}")
}

/// The column at [`EXTRA`] is [`AccessTokenView::has_expired_connections`].
fn view_query(one: &str, has_expired: &str) -> String {
    format!(
        "SELECT {} FROM connectors AS c \
         LEFT JOIN default_connections AS d ON d.incarnation = c.incarnation AND d.user_id = $3 \
         LEFT JOIN authorizations AS a ON a.incarnation = c.incarnation AND a.user_id = $3 AND a.role = 'grant' {one}\
         WHERE c.space = $1 AND c.connector = $2 ORDER BY a.connection",
        joined_columns(has_expired)
    )
}

/// All rows of the user that are not ended flows: a few per connector, adjacent in one index. The column at [`EXTRA`] is the time
/// since when the provider has refused the client.
fn statuses_query(one: &str) -> String {
    format!(
        "SELECT {} FROM connectors AS c \
         LEFT JOIN client_refusals AS r ON r.incarnation = c.incarnation AND r.revision = c.revision \
         LEFT JOIN default_connections AS d ON d.incarnation = c.incarnation AND d.user_id = $2 \
         LEFT JOIN authorizations AS a \
             ON a.user_id = $2 AND a.space = c.space AND a.incarnation = c.incarnation AND a.role <> 'ended_flow' \
         WHERE c.space = $1 {one}ORDER BY c.name, c.connector",
        joined_columns("r.since")
    )
}

/// A column of a row of [`joined_columns`].
fn at<'r, T: tokio_postgres::types::FromSql<'r>>(row: &'r Row, column: usize) -> Result<T, PgError> {
    row.try_get(column).map_err(|_| inconsistent("database", NO_ROW, "a column contains a value of its declared type"))
}

/// The default connection of a row of [`joined_columns`].
fn joined_default(row: &Row) -> Result<Option<ConnectionName>, PgError> {
    let Some(name) = at::<Option<&str>>(row, DEFAULT)? else { return Ok(None) };
    let name = ConnectionName::new(name);
    name.map(Some).map_err(|_| inconsistent("default_connections", NO_ROW, "a connection name is well formed"))
}

/// The authorization of a row of [`joined_columns`].
fn joined_authorization(row: &Row) -> Result<Option<Authorization>, PgError> {
    let number: Option<i64> = at(row, AUTHORIZATION)?;
    number.map(|_| Ok(stored(row, AUTHORIZATION)?.authorization)).transpose()
}

fn access_token_view(rows: &[Row]) -> Result<Option<AccessTokenView>, PgError> {
    let Some(first) = rows.first() else { return Ok(None) };
    let grants = rows.iter().filter_map(|row| joined_authorization(row).transpose());
    Ok(Some(AccessTokenView {
        connector: connector(first)?,
        grants: grants.map(|grant| grant.map(Versioned::stored)).collect::<Result<_, _>>()?,
        default_connection: joined_default(first)?,
        has_expired_connections: at(first, EXTRA)?,
        now: Timestamp::from_millis(at(first, CLOCK)?),
    }))
}

fn statuses(store: &PostgresStore, joined: &[Row]) -> Result<Vec<StatusRow>, PgError> {
    let mut rows: Vec<StatusRow> = Vec::new();
    // The number of the connector whose rows are being read.
    let mut current = None;
    for row in joined {
        let number: i64 = at(row, 0)?;
        if current != Some(number) {
            current = Some(number);
            let (connector, default_connection) = (connector(row)?, joined_default(row)?);
            let client_refused_since = at::<Option<i64>>(row, EXTRA)?.map(Timestamp::from_millis);
            rows.push(StatusRow { connector, client_refused_since, connections: Vec::new(), default_connection });
        }
        if let (Some(status), Some(authorization)) = (rows.last_mut(), joined_authorization(row)?) {
            let now = store.clock_or(Timestamp::from_millis(at(row, CLOCK)?));
            add_to(&mut status.connections, authorization, now);
        }
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

/// The conditions of a filter, and the parameters of [`page_query`].
fn page_filter<'f>(
    space: &'f SpaceId,
    filter: &'f AuthorizationFilter,
    after: Option<&'f AuthorizationId>,
    limit: usize,
) -> (String, Vec<Value<'f>>) {
    // One row more than requested shows whether there is another page.
    let rows = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut parameters = vec![Value::from(space.as_str()), rows.into()];
    let mut conditions = Vec::new();
    let mut narrow = |condition: &str, value: Value<'f>| {
        parameters.push(value);
        conditions.push(format!(" AND {condition} ${}", parameters.len()));
    };
    if let Some(after) = after {
        narrow("a.id <", after.as_bytes().into());
    }
    if let Some(connector) = &filter.connector {
        narrow("a.connector =", connector.as_str().into());
    }
    if let Some(user) = &filter.user {
        // The first term holds for every grant and former grant; it lets the index by user apply.
        narrow("a.role <> 'ended_flow' AND a.user_id =", user.as_str().into());
    }
    if let Some(state) = filter.state {
        narrow("a.state =", StateKind::as_str(state).into());
    }
    (conditions.concat(), parameters)
}

fn page_query(conditions: &str) -> String {
    format!(
        "SELECT {AUTHORIZATION_COLUMNS} FROM authorizations AS a \
         WHERE a.space = $1 AND a.authorized_at IS NOT NULL{conditions} ORDER BY a.id DESC LIMIT $2"
    )
}
