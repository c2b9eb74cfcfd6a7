//! Telling users where they stand.

use std::time::Duration;

use thiserror::Error;

use crate::authorization::{
    AuthStatus, Authorization, AuthorizationId, AuthorizationRecord, FlowStatus, RequiredBinding, State, StatusView, status,
};
use crate::connector::{Connector, ConnectorId, ConnectorKey};
use crate::identity::{Actor, Role, SpaceId, UserId};
use crate::ports::{StatusRow, StoreError};
use crate::time::Timestamp;
use crate::usecase::access_token::restored;
use crate::usecase::{Connections, Denied};

/// A flow as its starter sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowView {
    /// The flow.
    pub flow_id: AuthorizationId,
    /// Its connector.
    pub connector: ConnectorId,
    /// Where it stands.
    pub status: FlowStatus,
    /// When it ends, or would have ended, by itself.
    pub expires_at: Timestamp,
}

/// Why there is no status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StatusError {
    /// Nothing here for this user.
    #[error("there is no such record")]
    NotFound,
    /// Not a person, or not allowed here.
    #[error("this is not allowed")]
    Forbidden,
    /// Too many requests.
    #[error("too many requests")]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StatusError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::RateLimited { .. } => "rate_limited",
            Self::Store(_) => "store_unavailable",
        }
    }
}

impl From<Denied> for StatusError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotFound => Self::NotFound,
            Denied::Forbidden | Denied::DirectoryUnavailable => Self::Forbidden,
        }
    }
}

impl Connections {
    /// A flow of the asking user. Another user's flow and a missing one look the same (R60). `space` is `None` where the
    /// route has no space.
    pub async fn flow_status(
        &self,
        actor: &Actor,
        space: Option<&SpaceId>,
        flow: AuthorizationId,
    ) -> Result<FlowView, StatusError> {
        let user = Self::person(actor)?;
        self.limit_status(user).await?;
        let record = self.ports.authorizations.find(flow).await?;
        let record = record.filter(|record| record.owner.user == *user).ok_or(StatusError::NotFound)?;
        if space.is_some_and(|space| *space != record.owner.space) {
            return Err(StatusError::NotFound);
        }
        let now = self.ports.authorizations.now().await?;
        let expires_at = record.deadline.unwrap_or_else(|| record.created_at.plus(self.policy.flow_ttl));
        let connector = record.owner.connector.clone();
        let status = FlowStatus::of(&restored(record)?, now);
        Ok(FlowView { flow_id: flow, connector, status, expires_at })
    }

    /// The user's status on every connector of a space, by one indexed query.
    pub async fn statuses(&self, actor: &Actor, space: &SpaceId) -> Result<Vec<(Connector, AuthStatus)>, StatusError> {
        self.limit_status(Self::person(actor)?).await?;
        self.statuses_unlimited(actor, space).await
    }

    pub(super) async fn statuses_unlimited(
        &self,
        actor: &Actor,
        space: &SpaceId,
    ) -> Result<Vec<(Connector, AuthStatus)>, StatusError> {
        let user = Self::person(actor)?;
        self.authorize(user, space, Role::Viewer).await?;
        let now = self.ports.authorizations.now().await?;
        let rows = self.ports.authorizations.statuses(space, None, user).await?;
        rows.into_iter().map(|row| self.judged(row, now)).collect::<Result<_, _>>().map_err(Into::into)
    }

    /// The user's status on one connector.
    pub(super) async fn status_of(
        &self,
        user: &UserId,
        key: &ConnectorKey,
    ) -> Result<Option<(Connector, AuthStatus)>, StoreError> {
        let now = self.ports.authorizations.now().await?;
        let rows = self.ports.authorizations.statuses(&key.space, Some(key.id.clone()), user).await?;
        rows.into_iter().next().map(|row| self.judged(row, now)).transpose()
    }

    fn judged(&self, row: StatusRow, now: Timestamp) -> Result<(Connector, AuthStatus), StoreError> {
        let read = |record: Option<AuthorizationRecord>| record.map(restored).transpose();
        let view = StatusView {
            grant: read(row.grant)?,
            former: read(row.former)?,
            pending: read(row.pending)?,
            connector: row.connector,
        };
        let demands = self
            .settings_of(&view.connector)
            .ok()
            .map(|(settings, digest)| RequiredBinding { digest, required_scopes: settings.required_scopes });
        let answer = status(&view, demands.as_ref(), |grant| self.opens(grant), now);
        Ok((view.connector, answer))
    }

    /// Whether a grant's envelope opens with the keys at hand.
    fn opens(&self, grant: &Authorization) -> bool {
        match grant.state() {
            State::Authorized(authorized) => {
                let tokens = authorized.tokens();
                self.open_grant(grant.owner(), grant.id(), &tokens.sealed, tokens.revision).is_ok()
            }
            State::Initiated(_) | State::AwaitingCallback(_) | State::Expired(_) | State::Revoked(_) => false,
        }
    }
}
