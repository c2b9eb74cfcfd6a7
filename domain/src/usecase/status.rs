//! Reporting the status of connections and flows.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::authorization::{
    Authorization, AuthorizationId, ConnectorStatus, FailureCode, FlowFailure, FlowStatus, State, Termination,
    connector_status,
};
use crate::connector::{AuthMode, Connector, ConnectorKey};
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
use crate::usecase::settings::{ConnectorSettings, UnusableConnector};

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
    /// The accounts, if it failed because of the one that was used.
    pub accounts: Option<FlowAccounts>,
    /// When it expires, or would have expired.
    pub expires_at: Timestamp,
    /// Scopes that the connector requests or requires and the provider did not grant.
    pub missing_scopes: Scopes,
}

/// The accounts of a flow that failed because of the account that was used at the provider. Labels for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowAccounts {
    /// The account that was used.
    pub used: String,
    /// The account of the flow's connection, if another one was used than that.
    pub connected: Option<String>,
    /// A name that none of the user's connections at the connector has, for connecting the used account beside it.
    pub unused_name: ConnectionName,
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
        let status = FlowStatus::of(&flow, now);
        Ok(FlowView {
            accounts: self.accounts_of(&flow, status).await?,
            flow_id: flow.id(),
            connector: flow.owner().connector_key(),
            connection: flow.owner().connection.clone(),
            status,
            missing_scopes: self.missing_scopes(&flow).await?,
            expires_at,
        })
    }

    async fn accounts_of(&self, flow: &Authorization, status: FlowStatus) -> Result<Option<FlowAccounts>, StoreError> {
        let mismatch = FlowStatus::Failed(FlowFailure::Code(FailureCode::AccountMismatch));
        let Some(used) = flow.termination().filter(|_| flow.authorized_at().is_none()).and_then(Termination::account) else {
            return Ok(None);
        };
        let owner = flow.owner();
        let rows = self.queries.statuses(&owner.space, Some(owner.connector.clone()), &owner.user).await?;
        let connections = rows.into_iter().next().map(|row| row.connections).unwrap_or_default();
        let names: Vec<_> = connections.iter().map(|view| view.name.clone()).collect();
        let own = connections.iter().find(|view| view.name == owner.connection);
        let connected = own
            .and_then(|view| view.grant.as_ref().or(view.former.as_ref()))
            .and_then(|before| self.sealer.account_label(before).ok()?);
        Ok(Some(FlowAccounts {
            used: used.to_owned(),
            connected: connected.filter(|_| status == mismatch),
            unused_name: unused_name(used, &names),
        }))
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
        let settings = row.and_then(|row| self.settings.read(&row.connector).ok());
        Ok(settings.map(|settings| settings.required.missing(granted)).unwrap_or_default())
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
        let StatusRow { connector, client_refused_since, connections, default_connection } = row;
        let settings = self.settings.read(&connector);
        // A mode that is not authentic must not hide grants, which their users can end.
        let is_tampered = matches!(settings, Err(UnusableConnector::Tampered(_)));
        let per_user = is_tampered.then(|| Connector { auth_mode: AuthMode::PerUser, ..connector.clone() });
        let shown = per_user.as_ref().unwrap_or(&connector);
        let required = settings.ok();
        let decrypts = |grant: &_| self.sealer.decrypts(grant);
        let status = connector_status(
            shown,
            connections,
            default_connection,
            required.as_ref().map(|settings| &settings.required),
            decrypts,
            now,
        );
        (connector, status.with_client_refused(client_refused_since))
    }
}

/// A connection name made of the first part of an account label, such as `bob` of `bob@example.test`.
fn unused_name(label: &str, taken: &[ConnectionName]) -> ConnectionName {
    let first = label.split('@').next().unwrap_or_default().to_ascii_lowercase();
    let plain: String = first.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(32).collect();
    let base = if plain.is_empty() { "account".to_owned() } else { plain };
    let numbered = (2_u32..).map(|number| format!("{base}-{number}"));
    let names = std::iter::once(base.clone()).chain(numbered).filter_map(|name| ConnectionName::new(name).ok());
    // The candidates do not end, so that one of them is not taken.
    names.into_iter().find(|name| !taken.contains(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_another_connection_is_made_of_its_account_and_not_taken() {
        let name = |text: &str| ConnectionName::new(text).unwrap();
        for (label, expected) in [
            ("bob@example.test", "bob"),
            ("Bob.Miller@x", "bob.miller"),
            ("@x", "account"),
            ("", "account"),
            ("\u{fc}\u{202e}", "account"),
            ("octocat", "octocat"),
            ("<b>x</b>", "bxb"),
        ] {
            assert_eq!(unused_name(label, &[]), name(expected), "{label}");
        }
        let taken = [name("bob"), name("bob-2")];
        assert_eq!(unused_name("bob@x", &taken), name("bob-3"));
        assert_eq!(unused_name(&"x".repeat(300), &[]).as_str().len(), 32);
    }
}
