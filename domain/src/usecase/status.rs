//! Reporting the status of connections and flows.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::authorization::{Authorization, AuthorizationId, ConnectorStatus, FlowStatus, State, connector_status};
use crate::connector::{Connector, ConnectorKey};
use crate::identity::{Actor, ConnectionName, Role, SpaceId, UserId};
use crate::ports::{
    AuthorizationQueries, AuthorizationStore, Limited, Operation, RateLimiter, StatusRow, StoreClock, StoreError,
};
use crate::provider::Scopes;
use crate::time::Timestamp;
use crate::usecase::access::{Access, AccessError, user_of};
use crate::usecase::flows::limit_user;
use crate::usecase::policy::Policy;
use crate::usecase::sealer::Sealer;
use crate::usecase::settings::ConnectorSettings;

/// A flow, as the user who started it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowView {
    /// The flow.
    pub flow_id: AuthorizationId,
    /// Its connector.
    pub connector: ConnectorKey,
    /// Its connection.
    pub connection: ConnectionName,
    /// Its status.
    pub status: FlowStatus,
    /// When it expires, or would have expired.
    pub expires_at: Timestamp,
    /// Scopes that the connector requests or requires and the provider did not grant.
    pub missing_scopes: Scopes,
}

/// Why there is no status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StatusError {
    /// The caller has no access, or there is no such flow of this user.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Too many requests.
    #[error("too many requests")]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store is unavailable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StatusError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Access(error) => error.code(),
            Self::RateLimited { .. } => "rate_limited",
            Self::Store(_) => "store_unavailable",
        }
    }
}

impl From<Limited> for StatusError {
    fn from(limited: Limited) -> Self {
        Self::RateLimited { retry_after: limited.retry_after }
    }
}

/// Computes statuses.
pub(crate) struct Statuses {
    pub(super) store_clock: Arc<dyn StoreClock>,
    pub(super) authorizations: Arc<dyn AuthorizationStore>,
    pub(super) queries: Arc<dyn AuthorizationQueries>,
    pub(super) limiter: Arc<dyn RateLimiter>,
    pub(super) policy: Policy,
    pub(super) access: Access,
    pub(super) settings: ConnectorSettings,
    pub(super) sealer: Sealer,
}

impl Statuses {
    /// A flow of the user. Another user's flow and a missing one are not distinguished. `space` is `None` where the caller
    /// names none.
    pub(super) async fn flow(
        &self,
        actor: &Actor,
        space: Option<&SpaceId>,
        flow: AuthorizationId,
    ) -> Result<FlowView, StatusError> {
        let user = user_of(actor)?;
        limit_user(&*self.limiter, user, Operation::Status).await?;
        let found = self.authorizations.find(flow).await?.map(|stored| stored.value);
        let found =
            found.filter(|flow| flow.owner().user == *user && space.is_none_or(|space| *space == flow.owner().space));
        let flow = found.ok_or(AccessError::NotFound)?;
        let now = self.store_clock.now().await?;
        let expires_at = match flow.state() {
            State::Initiated(initiated) => initiated.deadline(),
            State::AwaitingCallback(awaiting) => awaiting.deadline(),
            State::Authorized(_) | State::Expired(_) | State::Revoked(_) => flow.created_at().plus(self.policy.flow_ttl),
        };
        Ok(FlowView {
            flow_id: flow.id(),
            connector: flow.owner().connector_key(),
            connection: flow.owner().connection.clone(),
            status: FlowStatus::of(&flow, now),
            missing_scopes: self.missing_scopes(&flow).await?,
            expires_at,
        })
    }

    /// What the provider did not grant to a finished flow; empty if that is not known any more.
    async fn missing_scopes(&self, flow: &Authorization) -> Result<Scopes, StoreError> {
        let granted = match flow.state() {
            State::Authorized(grant) => Some(&grant.tokens().scopes),
            State::Expired(ended) => ended.insufficient_scopes(),
            State::Initiated(_) | State::AwaitingCallback(_) | State::Revoked(_) => None,
        };
        let Some(granted) = granted else { return Ok(Scopes::default()) };
        let owner = flow.owner();
        let rows = self.queries.statuses(&owner.space, Some(owner.connector.clone()), &owner.user).await?;
        let row = rows.into_iter().find(|row| row.connector.incarnation == owner.incarnation);
        let required = row.and_then(|row| self.settings.required_binding(&row.connector));
        Ok(required.map(|required| required.missing(granted)).unwrap_or_default())
    }

    /// The user's status at every connector of a space, for a caller that counts against the rate limit.
    pub(super) async fn of_space(
        &self,
        actor: &Actor,
        space: &SpaceId,
    ) -> Result<Vec<(Connector, ConnectorStatus)>, StatusError> {
        limit_user(&*self.limiter, user_of(actor)?, Operation::Status).await?;
        self.in_space(actor, space).await
    }

    /// The user's status at every connector of a space, by one indexed query.
    pub(super) async fn in_space(
        &self,
        actor: &Actor,
        space: &SpaceId,
    ) -> Result<Vec<(Connector, ConnectorStatus)>, StatusError> {
        let user = self.access.authorize_user(actor, space, Role::Viewer).await?;
        let now = self.store_clock.now().await?;
        let rows = self.queries.statuses(space, None, user).await?;
        Ok(rows.into_iter().map(|row| self.of_row(row, now)).collect())
    }

    /// The user's status at one connector.
    pub(super) async fn at_connector(
        &self,
        user: &UserId,
        key: &ConnectorKey,
    ) -> Result<Option<(Connector, ConnectorStatus)>, StoreError> {
        let now = self.store_clock.now().await?;
        let rows = self.queries.statuses(&key.space, Some(key.id.clone()), user).await?;
        Ok(rows.into_iter().next().map(|row| self.of_row(row, now)))
    }

    fn of_row(&self, row: StatusRow, now: Timestamp) -> (Connector, ConnectorStatus) {
        let StatusRow { connector, connections, default_connection } = row;
        let required = self.settings.required_binding(&connector);
        let decrypts = |grant: &_| self.sealer.decrypts(grant);
        let status = connector_status(&connector, connections, default_connection, required.as_ref(), decrypts, now);
        (connector, status)
    }
}
