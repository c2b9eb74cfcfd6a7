//! Disconnecting: committed first, revoked at the provider afterwards by a durable job.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::authorization::{AuthorizationId, ConnectionView, StateKind, TerminationCause};
use crate::connector::ConnectorKey;
use crate::identity::{Actor, ConnectionName, Role, UserId};
use crate::ports::{
    AuditEvent, AuditKind, AuthorizationFilter, AuthorizationQueries, AuthorizationStore, Clock, Limited, Operation,
    RateLimiter, Spawner, StatusRow, StoreClock, StoreError, TerminationReport, TerminationRequest, TerminationScope,
};
use crate::usecase::access::{Access, AccessError};
use crate::usecase::flows::limit_user;
use crate::usecase::open_connections::{labels, open_connections};
use crate::usecase::policy::Policy;
use crate::usecase::revocation::RevocationWorker;
use crate::usecase::settings::{ConnectorSettings, UnusableConnector};
use crate::usecase::token::ConnectionLabel;

/// The pause between two checks for a running refresh.
const POLL: Duration = Duration::from_millis(100);
/// How many grants are read at once.
const GRANTS_PER_PAGE: u32 = 100;

/// Why no connection was ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DisconnectError {
    /// The caller has no access.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The user has several connections, none of them is the default, and none was named.
    #[error("there are several connections; name one")]
    ConnectionAmbiguous {
        /// The connections.
        connections: Vec<ConnectionLabel>,
    },
    /// The user has no connection of this name.
    #[error("there is no such connection")]
    ConnectionNotFound,
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

impl DisconnectError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Access(error) => error.code(),
            Self::ConnectionAmbiguous { .. } => "connection_ambiguous",
            Self::ConnectionNotFound => "connection_not_found",
            Self::RateLimited { .. } => "rate_limited",
            Self::Store(_) => "store_unavailable",
        }
    }
}

impl From<Limited> for DisconnectError {
    fn from(limited: Limited) -> Self {
        Self::RateLimited { retry_after: limited.retry_after }
    }
}

/// Ends authorizations and starts their revocations.
pub(crate) struct Terminations {
    pub(super) store_clock: Arc<dyn StoreClock>,
    pub(super) authorizations: Arc<dyn AuthorizationStore>,
    pub(super) queries: Arc<dyn AuthorizationQueries>,
    pub(super) limiter: Arc<dyn RateLimiter>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) spawner: Arc<dyn Spawner>,
    pub(super) policy: Policy,
    pub(super) access: Access,
    pub(super) settings: ConnectorSettings,
    pub(super) revocations: Arc<RevocationWorker>,
}

impl Terminations {
    /// Ends the grant and the flows of one connection of the user. Idempotent. After it returns, no node issues an access
    /// token of this grant; its revocation goes on in the background.
    pub(super) async fn disconnect(
        &self,
        actor: &Actor,
        connector: &ConnectorKey,
        connection: Option<ConnectionName>,
    ) -> Result<TerminationReport, DisconnectError> {
        let user = self.access.authorize_user(actor, &connector.space, Role::Viewer).await?;
        limit_user(&*self.limiter, user, Operation::Disconnect).await?;
        let rows = self.queries.statuses(&connector.space, Some(connector.id.clone()), user).await?;
        let mut row = rows.into_iter().next().ok_or(AccessError::NotFound)?;
        // A connector with invalid settings can be disconnected. Of a row that is not authentic, only the key is used.
        if let Err(UnusableConnector::Tampered(_)) = self.settings.of(&row.connector) {
            row.connections = self.connections_by_key(connector, user).await?;
        }
        let Some(connection) = chosen(&row, connection)? else {
            return Ok(TerminationReport::default());
        };
        let found = row.connections.iter().find(|row| row.name == connection);
        if let Some(grant) = found.and_then(|row| row.grant.as_ref()) {
            self.wait_for_refresh(grant.id()).await?;
        }
        let scope = TerminationScope::Connection { connector: connector.clone(), user: user.clone(), connection };
        Ok(self.terminate(scope, TerminationCause::Disconnected, actor.clone()).await?)
    }

    /// The connections of a user that have a grant, found without the connector's row.
    async fn connections_by_key(&self, key: &ConnectorKey, user: &UserId) -> Result<Vec<ConnectionView>, StoreError> {
        let filter = AuthorizationFilter {
            connector: Some(key.id.clone()),
            user: Some(user.clone()),
            state: Some(StateKind::Authorized),
        };
        let (mut connections, mut after) = (Vec::new(), None);
        loop {
            let page = self.queries.list(&key.space, filter.clone(), after, GRANTS_PER_PAGE).await?;
            connections.extend(page.authorizations.into_iter().map(|grant| ConnectionView {
                name: grant.owner().connection.clone(),
                grant: Some(grant),
                former: None,
                pending: None,
            }));
            after = page.next;
            if after.is_none() {
                return Ok(connections);
            }
        }
    }

    /// Sets or clears the default connection of the user.
    pub(super) async fn set_default_connection(
        &self,
        actor: &Actor,
        connector: &ConnectorKey,
        connection: Option<ConnectionName>,
    ) -> Result<(), DisconnectError> {
        let user = self.access.authorize_user(actor, &connector.space, Role::Viewer).await?;
        limit_user(&*self.limiter, user, Operation::Disconnect).await?;
        let view = self.queries.access_token_view(connector, user, None).await?.ok_or(AccessError::NotFound)?;
        let event = AuditEvent::new(AuditKind::DefaultConnectionSet, actor.clone(), view.now);
        let event = AuditEvent { connection: connection.clone(), ..event.at_connector(connector).of_user(user) };
        let incarnation = view.connector.incarnation;
        let set = self.authorizations.set_default_connection(incarnation, user.clone(), connection, vec![event]).await?;
        if set { Ok(()) } else { Err(DisconnectError::ConnectionNotFound) }
    }

    /// Terminates authorizations, and starts the revocations that are pending now.
    pub(super) async fn terminate(
        &self,
        scope: TerminationScope,
        cause: TerminationCause,
        actor: Actor,
    ) -> Result<TerminationReport, StoreError> {
        let report = self.authorizations.terminate(scope, TerminationRequest { cause, actor }).await?;
        if report.queued > 0 {
            self.revocations.wake();
        }
        Ok(report)
    }

    /// Starts the revocations that are due.
    pub(super) fn revoke_due(&self) {
        self.revocations.wake();
    }

    /// Waits for a running refresh on any node, for a bounded time. A refresh that takes longer leaves its in-doubt mark,
    /// which the revocation handles.
    async fn wait_for_refresh(&self, id: AuthorizationId) -> Result<(), StoreError> {
        let started = self.clock.monotonic();
        loop {
            let now = self.store_clock.now().await?;
            let Some(stored) = self.authorizations.find(id).await? else {
                return Ok(());
            };
            let refreshing = stored.value.as_grant().is_some_and(|grant| {
                let refresh = grant.refresh();
                refresh.holder.is_some() && refresh.held_until.is_some_and(|until| now < until)
            });
            let waited = self.clock.monotonic().saturating_sub(started);
            if !refreshing || waited >= self.policy.disconnect_wait {
                return Ok(());
            }
            self.spawner.sleep(POLL).await;
        }
    }
}

/// The connection to end: the one named, the only one, or the default one. `None` without any.
fn chosen(row: &StatusRow, named: Option<ConnectionName>) -> Result<Option<ConnectionName>, DisconnectError> {
    if named.is_some() {
        return Ok(named);
    }
    // Connections that were disconnected before do not count.
    let open = open_connections(row);
    match open.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.name.clone())),
        several => {
            let default = row.default_connection.as_ref();
            let default = default.filter(|name| several.iter().any(|row| row.name == **name));
            if let Some(name) = default {
                return Ok(Some(name.clone()));
            }
            Err(DisconnectError::ConnectionAmbiguous { connections: labels(several) })
        }
    }
}
