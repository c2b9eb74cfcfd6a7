//! Reading authorizations: the view of a run, statuses, pages.

use async_trait::async_trait;

use crate::authorization::{Authorization, AuthorizationId, ConnectionView, StateKind};
use crate::connector::{Connector, ConnectorId, ConnectorKey, Incarnation};
use crate::identity::{ConnectionName, SpaceId, UserId};
use crate::ports::{StoreError, Versioned};
use crate::time::Timestamp;

/// All that issuing an access token needs, read at one instant by one indexed query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessTokenView {
    /// The connector.
    pub connector: Connector,
    /// The user's `Authorized` authorizations for this incarnation, by connection name; of one connection where one was
    /// asked for.
    pub grants: Vec<Versioned<Authorization>>,
    /// The connection the user chose as default, whether or not it has a grant.
    pub default_connection: Option<ConnectionName>,
    /// Whether a connection without a grant has a former grant in the state `Expired`, which needs a new consent. Always
    /// false where one connection was asked for.
    pub has_expired_connections: bool,
    /// The store's clock.
    pub now: Timestamp,
}

/// All that the status of one user at one connector needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRow {
    /// The connector.
    pub connector: Connector,
    /// Since when the provider refuses the client of this revision of the connector, as any node recorded it.
    pub client_refused_since: Option<Timestamp>,
    /// The connections that have a grant, a former grant or a pending flow, by name.
    pub connections: Vec<ConnectionView>,
    /// The connection the user chose as default, whether or not it is among them.
    pub default_connection: Option<ConnectionName>,
}

/// Which grants to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthorizationFilter {
    /// Only of this connector.
    pub connector: Option<ConnectorId>,
    /// Only of this user.
    pub user: Option<UserId>,
    /// Only in this state.
    pub state: Option<StateKind>,
}

/// One page of grants and former grants, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationPage {
    /// The authorizations.
    pub authorizations: Vec<Authorization>,
    /// Where the next page starts, if there is one.
    pub next: Option<AuthorizationId>,
}

/// Reads authorizations. Changes nothing.
///
/// ```
/// use grantry_domain::connector::Incarnation;
/// use grantry_domain::ports::{AuthorizationQueries, StoreError};
///
/// /// Whether a user is connected to a connector.
/// async fn is_used(queries: &dyn AuthorizationQueries, connector: Incarnation) -> Result<bool, StoreError> {
///     Ok(queries.count_connected_users(connector).await? > 0)
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuthorizationQueries: Send + Sync {
    /// Connector and grants for issuing an access token; `None` if there is no such connector.
    async fn access_token_view(
        &self,
        connector: &ConnectorKey,
        user: &UserId,
        connection: Option<ConnectionName>,
    ) -> Result<Option<AccessTokenView>, StoreError>;

    /// A user's connections at every connector of a space, or at one, ordered by connector name.
    async fn statuses(
        &self,
        space: &SpaceId,
        only: Option<ConnectorId>,
        user: &UserId,
    ) -> Result<Vec<StatusRow>, StoreError>;

    /// Grants and former grants of a space, newest first.
    async fn list(
        &self,
        space: &SpaceId,
        filter: AuthorizationFilter,
        after: Option<AuthorizationId>,
        limit: u32,
    ) -> Result<AuthorizationPage, StoreError>;

    /// How many users have a grant at this connector now.
    async fn count_connected_users(&self, incarnation: Incarnation) -> Result<u64, StoreError>;
}
