//! Reading authorizations: the view of a run, statuses, pages.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use grantry_domain::authorization::{Authorization, AuthorizationId, ConnectionView, StateKind};
use grantry_domain::connector::{ConnectorId, ConnectorKey, Incarnation};
use grantry_domain::identity::{ConnectionName, SpaceId, UserId};
use grantry_domain::ports::{
    AccessTokenView, AuthorizationFilter, AuthorizationPage, AuthorizationQueries, StatusRow, StoreError,
};
use grantry_domain::time::Timestamp;

use crate::transaction::Transaction;
use crate::{AuthorizationRow, AuthorizationSelection, ConnectorRow, Database, DefaultConnection, TableStore};

impl Transaction<'_> {
    fn access_token_view(
        &mut self,
        connector: &ConnectorKey,
        user: UserId,
        connection: Option<&ConnectionName>,
    ) -> Result<Option<AccessTokenView>, StoreError> {
        let Some(ConnectorRow { connector, .. }) = self.get::<ConnectorRow>(connector)? else { return Ok(None) };
        let rows = self.rows_of(connector.incarnation, &user)?;
        let has_expired_connections = connection.is_none() && has_expired_connections(&rows);
        let is_asked = |row: &AuthorizationRow| connection.is_none_or(|name| row.owner().connection == *name);
        let mut grants: Vec<_> = rows.into_iter().filter(|row| row.is_grant() && is_asked(row)).collect();
        grants.sort_by(|left, right| left.owner().connection.cmp(&right.owner().connection));
        let grants = grants.iter().map(AuthorizationRow::stored).collect();
        let default_connection = self.default_connection(connector.incarnation, user)?;
        let now = self.now;
        Ok(Some(AccessTokenView { connector, grants, default_connection, has_expired_connections, now }))
    }

    fn statuses(&mut self, space: SpaceId, only: Option<ConnectorId>, user: &UserId) -> Result<Vec<StatusRow>, StoreError> {
        let connectors = match only {
            Some(id) => self.get::<ConnectorRow>(&ConnectorKey { space, id })?.into_iter().collect(),
            None => self.connectors_of(&space)?,
        };
        connectors.into_iter().map(|row| self.status_of(row, user)).collect()
    }

    fn status_of(&mut self, row: ConnectorRow, user: &UserId) -> Result<StatusRow, StoreError> {
        let ConnectorRow { connector, diagnostics } = row;
        let rows = self.rows_of(connector.incarnation, user)?;
        let mut by_name: BTreeMap<&ConnectionName, Vec<&AuthorizationRow>> = BTreeMap::new();
        for row in &rows {
            by_name.entry(&row.owner().connection).or_default().push(row);
        }
        let connections = by_name.into_iter().filter_map(|(name, rows)| connection_view(name, &rows, self.now)).collect();
        let default_connection = self.default_connection(connector.incarnation, user.clone())?;
        let client_refused_since = diagnostics.client_refused_since(connector.revision);
        Ok(StatusRow { connector, client_refused_since, connections, default_connection })
    }

    fn list(
        &mut self,
        space: SpaceId,
        filter: AuthorizationFilter,
        before: Option<AuthorizationId>,
        limit: u32,
    ) -> Result<AuthorizationPage, StoreError> {
        let limit = limit as usize;
        let listed = AuthorizationSelection::Listed { space, filter, before };
        let found = self.some::<AuthorizationRow>(&listed, limit.saturating_add(1))?;
        let has_more = found.len() > limit;
        let authorizations: Vec<_> = found.into_iter().take(limit).map(|row| row.authorization).collect();
        let next = authorizations.last().filter(|_| has_more).map(Authorization::id);
        Ok(AuthorizationPage { authorizations, next })
    }

    fn count_connected_users(&mut self, incarnation: Incarnation) -> Result<u64, StoreError> {
        let grants = self.all::<AuthorizationRow>(&AuthorizationSelection::GrantsAt(incarnation))?;
        Ok(grants.iter().map(|row| &row.owner().user).collect::<BTreeSet<_>>().len() as u64)
    }

    fn default_connection(&mut self, incarnation: Incarnation, user: UserId) -> Result<Option<ConnectionName>, StoreError> {
        Ok(self.get::<DefaultConnection>(&(incarnation, user))?.map(|default| default.connection))
    }

    /// A user's rows at a connector, oldest first. Matches the incarnation, so that rows of an earlier connector with the
    /// same id are not among them.
    pub(crate) fn rows_of(&mut self, incarnation: Incarnation, user: &UserId) -> Result<Vec<AuthorizationRow>, StoreError> {
        self.all(&AuthorizationSelection::OfUserAt(incarnation, user.clone()))
    }
}

/// Whether one of these rows is an expired grant of a connection without a grant.
fn has_expired_connections(rows: &[AuthorizationRow]) -> bool {
    let is_expired = |row: &&AuthorizationRow| row.authorization.state().kind() == StateKind::Expired && row.is_consented();
    let granted: BTreeSet<_> = rows.iter().filter(|row| row.is_grant()).map(|row| &row.owner().connection).collect();
    rows.iter().filter(is_expired).any(|row| !granted.contains(&row.owner().connection))
}

/// The view of one connection from its rows, oldest first; `None` if it has only ended flows.
fn connection_view(name: &ConnectionName, rows: &[&AuthorizationRow], now: Timestamp) -> Option<ConnectionView> {
    let grant = rows.iter().find(|row| row.is_grant());
    let consented_at = |row: &&AuthorizationRow| row.authorization.authorized_at();
    // Every instant is later than none.
    let former = rows.iter().filter(|row| !row.is_grant() && consented_at(row) > grant.and_then(consented_at));
    let former = former.max_by_key(|row| (row.authorization.authorized_at(), row.authorization.id()));
    let pending = rows.iter().rfind(|row| row.is_running_flow(now));
    grant.or(former).or(pending)?;
    let authorization = |row: Option<&&AuthorizationRow>| row.map(|row| row.authorization.clone());
    Some(ConnectionView {
        name: name.clone(),
        grant: authorization(grant),
        former: authorization(former),
        pending: authorization(pending),
    })
}

#[async_trait]
impl<D: Database> AuthorizationQueries for TableStore<D> {
    async fn access_token_view(
        &self,
        connector: &ConnectorKey,
        user: &UserId,
        connection: Option<ConnectionName>,
    ) -> Result<Option<AccessTokenView>, StoreError> {
        let (connector, user) = (connector.clone(), user.clone());
        self.read(move |rules| rules.access_token_view(&connector, user, connection.as_ref())).await
    }

    async fn statuses(
        &self,
        space: &SpaceId,
        only: Option<ConnectorId>,
        user: &UserId,
    ) -> Result<Vec<StatusRow>, StoreError> {
        let (space, user) = (space.clone(), user.clone());
        self.read(move |rules| rules.statuses(space, only, &user)).await
    }

    async fn list(
        &self,
        space: &SpaceId,
        filter: AuthorizationFilter,
        after: Option<AuthorizationId>,
        limit: u32,
    ) -> Result<AuthorizationPage, StoreError> {
        let space = space.clone();
        self.read(move |rules| rules.list(space, filter, after, limit)).await
    }

    async fn count_connected_users(&self, incarnation: Incarnation) -> Result<u64, StoreError> {
        self.read(move |rules| rules.count_connected_users(incarnation)).await
    }
}
