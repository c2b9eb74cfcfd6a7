//! Stand-ins for use cases that the domain branch adds. To be dropped at merge.

use std::collections::HashMap;

use crate::authorization::{
    AuthStatus, Authorization, AuthorizationId, AuthorizationRecord, FlowStatus, RequiredBinding, StateKind, StatusKind,
    StatusView, status,
};
use crate::connector::{ConnectorId, Incarnation};
use crate::identity::{Actor, ConnectionName, SpaceId, UserId};
use crate::ports::{AuthorizationFilter, Operation};
use crate::provider::Scopes;
use crate::time::Timestamp;
use crate::usecase::access_token::restored;
use crate::usecase::{AdminError, CallbackRefused, Connections, ConnectorError, ConnectorView, StatusError};

/// Which grants to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantFilter {
    /// Only of this connector.
    pub connector: Option<ConnectorId>,
    /// Only of this user.
    pub user: Option<UserId>,
    /// Only with this status.
    pub status: Option<StatusKind>,
}

/// A page of grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantPage {
    /// The grants.
    pub grants: Vec<GrantView>,
    /// Cursor of the next page.
    pub next: Option<AuthorizationId>,
}

/// A grant or former grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantView {
    /// Its id.
    pub id: AuthorizationId,
    /// Its connector.
    pub connector: ConnectorId,
    /// Name of the connector, while it exists.
    pub connector_name: Option<String>,
    /// Its space.
    pub space: SpaceId,
    /// Its user.
    pub user: UserId,
    /// Name of the connection.
    pub connection: ConnectionName,
    /// Status.
    pub status: AuthStatus,
    /// Granted scopes.
    pub scopes: Scopes,
    /// When it was committed.
    pub connected_at: Timestamp,
    /// Day of last use.
    pub last_used_day: Option<i64>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    pub ended_reason: Option<String>,
}

/// The result of a flow, for the result page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowResult {
    /// The flow.
    pub flow: AuthorizationId,
    /// Its space.
    pub space: SpaceId,
    /// Its connector.
    pub connector: ConnectorId,
    /// Name of the connector, while the user can see it.
    pub connector_name: Option<String>,
    /// The status.
    pub status: FlowStatus,
}

impl Connections {
    pub(super) async fn limit_status(&self, user: &UserId) -> Result<(), StatusError> {
        let limited = self.ports.limiter.take(&format!("user:{user}"), Operation::Status).await;
        limited.map_err(|limited| StatusError::RateLimited { retry_after: limited.retry_after })
    }

    /// Takes the rate limit of the callback by address.
    pub async fn admit_callback(&self, address: Option<&str>) -> Result<(), CallbackRefused> {
        let Some(address) = address else { return Ok(()) };
        let limited = self.ports.limiter.take(&format!("address:{address}"), Operation::Callback).await;
        limited.map_err(|limited| CallbackRefused::RateLimited { retry_after: limited.retry_after })
    }

    /// The result of a flow, for the user who started it.
    pub async fn flow_result(&self, actor: &Actor, flow: AuthorizationId) -> Result<FlowResult, StatusError> {
        let user = Self::person(actor)?;
        let record = self.ports.authorizations.find(flow).await?;
        let record = record.filter(|record| record.owner.user == *user).ok_or(StatusError::NotFound)?;
        let now = self.ports.authorizations.now().await?;
        let key = record.owner.connector_key();
        let view = self.connector(actor, &key).await.ok();
        Ok(FlowResult {
            flow,
            space: key.space,
            connector: key.id,
            connector_name: view.map(|view| view.connector.name.as_str().to_owned()),
            status: FlowStatus::of(&restored(record)?, now),
        })
    }

    /// Grants and former grants of a space, newest first.
    pub async fn list_grants(
        &self,
        actor: &Actor,
        space: &SpaceId,
        filter: GrantFilter,
        cursor: Option<AuthorizationId>,
        limit: u32,
    ) -> Result<GrantPage, AdminError> {
        let now = self.ports.authorizations.now().await?;
        let views = self.connectors(actor, space).await.map_err(|error| match error {
            ConnectorError::NotFound => AdminError::NotFound,
            ConnectorError::Store(error) => AdminError::Store(error),
            ConnectorError::Forbidden
            | ConnectorError::IdTaken
            | ConnectorError::Conflict
            | ConnectorError::ConnectorConfig(_)
            | ConnectorError::Fixed { .. }
            | ConnectorError::SecretRequired { .. }
            | ConnectorError::Internal => AdminError::Forbidden,
        })?;
        let connectors: HashMap<Incarnation, ConnectorView> =
            views.into_iter().map(|view| (view.connector.incarnation, view)).collect();
        let state = (filter.status == Some(StatusKind::Connected)).then_some(StateKind::Authorized);
        let records = AuthorizationFilter { connector: filter.connector, user: filter.user, state };
        let (mut grants, mut next) = (Vec::new(), cursor);
        for _ in 0..20 {
            let page = self.list_records(actor, space, records.clone(), next, limit).await?;
            let found = page.records.into_iter().filter_map(|record| {
                let connector = connectors.get(&record.owner.incarnation);
                self.grant_view(record, connector, now)
            });
            grants.extend(found.filter(|grant| filter.status.is_none_or(|status| grant.status.kind == status)));
            next = page.next;
            if grants.len() >= limit as usize || next.is_none() {
                break;
            }
        }
        Ok(GrantPage { grants, next })
    }

    fn grant_view(
        &self,
        record: AuthorizationRecord,
        connector: Option<&ConnectorView>,
        now: Timestamp,
    ) -> Option<GrantView> {
        let connected_at = record.authorized_at?;
        let judged = match (connector, Authorization::restore(record.clone())) {
            (Some(connector), Ok(grant)) => {
                let demands = self
                    .settings_of(&connector.connector)
                    .ok()
                    .map(|(settings, digest)| RequiredBinding { digest, required_scopes: settings.required_scopes });
                let is_current = record.state == StateKind::Authorized;
                let (grant, former) = if is_current { (Some(grant), None) } else { (None, Some(grant)) };
                let view = StatusView { connector: connector.connector.clone(), grant, former, pending: None };
                status(&view, demands.as_ref(), |_| true, now)
            }
            _ => AuthStatus::plain(StatusKind::NotConnected),
        };
        Some(GrantView {
            id: record.id,
            connector: record.owner.connector,
            connector_name: connector.map(|view| view.connector.name.as_str().to_owned()),
            space: record.owner.space,
            user: record.owner.user,
            connection: ConnectionName::default(),
            status: AuthStatus { account: judged.account.or(record.account), ..judged },
            scopes: record.scopes,
            connected_at,
            last_used_day: record.last_used_day,
            ended_at: record.since,
            ended_reason: record.cause,
        })
    }
}
