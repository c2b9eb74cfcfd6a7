//! Reading authorizations: the view of a run, statuses, pages.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use async_trait::async_trait;
use grantry_domain::authorization::{Authorization, AuthorizationId, ConnectionView, StateKind};
use grantry_domain::connector::{Connector, ConnectorId, ConnectorKey, Incarnation};
use grantry_domain::identity::{ConnectionName, SpaceId, UserId};
use grantry_domain::ports::{
    AccessTokenView, AuthorizationFilter, AuthorizationPage, AuthorizationQueries, StatusRow, StoreError,
};
use grantry_domain::time::Timestamp;

use crate::MemoryStore;
use crate::data::{Data, Row};

impl Data {
    fn access_token_view(
        &self,
        connector: &ConnectorKey,
        user: &UserId,
        connection: Option<&ConnectionName>,
        now: Timestamp,
    ) -> Option<AccessTokenView> {
        let connector = self.connectors.get(connector)?.clone();
        let grants = self.grants_of(connector.incarnation, user);
        let mut grants: Vec<_> =
            grants.filter(|row| connection.is_none_or(|name| row.owner().connection == *name)).collect();
        grants.sort_by_key(|row| &row.owner().connection);
        let grants = grants.into_iter().map(Row::stored).collect();
        let default_connection = self.default_connection(connector.incarnation, user);
        let has_expired_connections = connection.is_none() && self.has_expired_connections(connector.incarnation, user);
        Some(AccessTokenView { connector, grants, default_connection, has_expired_connections, now })
    }

    fn statuses(&self, space: &SpaceId, only: Option<&ConnectorId>, user: &UserId, now: Timestamp) -> Vec<StatusRow> {
        let connectors = self.connectors_of(space).into_iter();
        let connectors = connectors.filter(|connector| only.is_none_or(|only| connector.key.id == *only));
        connectors.map(|connector| self.status_of(connector, user, now)).collect()
    }

    fn status_of(&self, connector: Connector, user: &UserId, now: Timestamp) -> StatusRow {
        let mut by_name: BTreeMap<&ConnectionName, Vec<&Row>> = BTreeMap::new();
        for row in self.rows_of(connector.incarnation, user) {
            by_name.entry(&row.owner().connection).or_default().push(row);
        }
        let connections = by_name.into_iter().filter_map(|(name, rows)| connection_row(name, &rows, now)).collect();
        let default_connection = self.default_connection(connector.incarnation, user);
        let refused = self.diagnostics.get(&connector.incarnation).and_then(|diagnostics| diagnostics.client_refused);
        let refused = refused.filter(|(revision, _)| *revision == connector.revision);
        let client_refused_since = refused.map(|(_, since)| since);
        StatusRow { connector, client_refused_since, connections, default_connection }
    }

    /// The connectors of a space, by name, then by id.
    pub(crate) fn connectors_of(&self, space: &SpaceId) -> Vec<Connector> {
        let in_space = self.connectors.values().filter(|connector| connector.key.space == *space);
        let mut found: Vec<_> = in_space.cloned().collect();
        found.sort_by(|left, right| (left.name.as_str(), &left.key.id).cmp(&(right.name.as_str(), &right.key.id)));
        found
    }

    fn list(
        &self,
        space: &SpaceId,
        filter: &AuthorizationFilter,
        after: Option<AuthorizationId>,
        limit: u32,
    ) -> AuthorizationPage {
        let older = (Bound::Unbounded, after.map_or(Bound::Unbounded, Bound::Excluded));
        let listed = |authorization: &&Authorization| {
            let owner = authorization.owner();
            authorization.authorized_at().is_some()
                && owner.space == *space
                && filter.connector.as_ref().is_none_or(|connector| owner.connector == *connector)
                && filter.user.as_ref().is_none_or(|user| owner.user == *user)
                && filter.state.is_none_or(|state| authorization.state().kind() == state)
        };
        let mut found = self.rows.range(older).rev().map(|(_, row)| &row.authorization).filter(listed);
        let authorizations: Vec<_> = found.by_ref().take(limit as usize).cloned().collect();
        let next = found.next().and(authorizations.last()).map(Authorization::id);
        AuthorizationPage { authorizations, next }
    }

    fn count_connected_users(&self, incarnation: Incarnation) -> u64 {
        let grants = self.rows.values().filter(|row| row.owner().incarnation == incarnation && row.is_authorized());
        grants.map(|row| &row.owner().user).collect::<BTreeSet<_>>().len() as u64
    }

    fn has_expired_connections(&self, incarnation: Incarnation, user: &UserId) -> bool {
        let is_expired = |row: &&Row| {
            row.authorization.state().kind() == StateKind::Expired && row.authorization.authorized_at().is_some()
        };
        let has_grant = |name: &ConnectionName| self.grants_of(incarnation, user).any(|row| row.owner().connection == *name);
        self.rows_of(incarnation, user).filter(is_expired).any(|row| !has_grant(&row.owner().connection))
    }

    fn default_connection(&self, incarnation: Incarnation, user: &UserId) -> Option<ConnectionName> {
        self.defaults.get(&(incarnation, user.clone())).cloned()
    }

    pub(crate) fn grants_of(&self, incarnation: Incarnation, user: &UserId) -> impl Iterator<Item = &Row> {
        self.rows_of(incarnation, user).filter(|row| row.is_authorized())
    }

    /// A user's rows at a connector, oldest first. Matches the incarnation, so that rows of an earlier connector with the
    /// same id are not among them.
    fn rows_of(&self, incarnation: Incarnation, user: &UserId) -> impl Iterator<Item = &Row> {
        self.rows.values().filter(move |row| row.owner().incarnation == incarnation && row.owner().user == *user)
    }
}

/// The status of one connection from its rows, oldest first; `None` if it has only ended flows.
fn connection_row(name: &ConnectionName, rows: &[&Row], now: Timestamp) -> Option<ConnectionView> {
    let grant = rows.iter().find(|row| row.is_authorized());
    let consented_at = |row: &&Row| row.authorization.authorized_at();
    // Every instant is later than none.
    let former = rows.iter().filter(|row| !row.is_authorized() && consented_at(row) > grant.and_then(consented_at));
    let former = former.max_by_key(|row| (row.authorization.authorized_at(), row.authorization.id()));
    let pending = rows.iter().rfind(|row| row.is_running_flow(now));
    grant.or(former).or(pending)?;
    let authorization = |row: Option<&&Row>| row.map(|row| row.authorization.clone());
    Some(ConnectionView {
        name: name.clone(),
        grant: authorization(grant),
        former: authorization(former),
        pending: authorization(pending),
    })
}

#[async_trait]
impl AuthorizationQueries for MemoryStore {
    async fn access_token_view(
        &self,
        connector: &ConnectorKey,
        user: &UserId,
        connection: Option<ConnectionName>,
    ) -> Result<Option<AccessTokenView>, StoreError> {
        Ok(self.transact(|data, now| data.access_token_view(connector, user, connection.as_ref(), now)))
    }

    async fn statuses(
        &self,
        space: &SpaceId,
        only: Option<ConnectorId>,
        user: &UserId,
    ) -> Result<Vec<StatusRow>, StoreError> {
        Ok(self.transact(|data, now| data.statuses(space, only.as_ref(), user, now)))
    }

    async fn list(
        &self,
        space: &SpaceId,
        filter: AuthorizationFilter,
        after: Option<AuthorizationId>,
        limit: u32,
    ) -> Result<AuthorizationPage, StoreError> {
        Ok(self.transact(|data, _| data.list(space, &filter, after, limit)))
    }

    async fn count_connected_users(&self, incarnation: Incarnation) -> Result<u64, StoreError> {
        Ok(self.transact(|data, _| data.count_connected_users(incarnation)))
    }
}
