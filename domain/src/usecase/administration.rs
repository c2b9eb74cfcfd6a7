//! What administrators and the host do with the grants of other users.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use crate::authorization::{
    Authorization, AuthorizationId, ConnectionStatus, ConnectionView, RevokedCause, StateKind, StatusKind, TerminalCause,
    TerminationCause, connection_status,
};
use crate::connector::{Connector, ConnectorId, ConnectorName, Incarnation};
use crate::identity::{Actor, ConnectionName, Role, SpaceId, UserId};
use crate::named::named;
use crate::ports::{
    AuthorizationFilter, AuthorizationQueries, AuthorizationStore, ConnectorStore, StoreClock, StoreError, TerminationScope,
};
use crate::time::Timestamp;
use crate::usecase::access::{Access, AccessError};
use crate::usecase::disconnect::Terminations;
use crate::usecase::settings::{AuthenticSettings, ConnectorSettings};

/// How many pages of the store are read for one page of results at most, when a status filter drops most of them.
const MOST_READS: u32 = 20;
/// The largest page.
const LARGEST_PAGE: u32 = 200;

/// Why an administrator's request was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The caller is no administrator here, or there is no such grant.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The store is unavailable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AdminError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Access(error) => error.code(),
            Self::Store(_) => "store_unavailable",
        }
    }
}

named!(
    /// The status of a grant or former grant, for administrators. It differs from the status of its connection where an
    /// administrator revoked it: its user must consent again, and its grant is revoked.
    GrantStatus {
        /// A usable grant.
        Connected = "connected",
        /// A grant, or a former grant that time, the provider or an edit ended, whose user must consent again.
        NeedsReauthorization = "needs_reauthorization",
        /// An administrator revoked it.
        Revoked = "revoked",
        /// Ended otherwise.
        NotConnected = "not_connected",
    }
);

/// Which grants to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantFilter {
    /// Only of this connector.
    pub connector: Option<ConnectorId>,
    /// Only of this user.
    pub user: Option<UserId>,
    /// Only with this status.
    pub status: Option<GrantStatus>,
}

/// A grant or former grant, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantView {
    /// Its id.
    pub id: AuthorizationId,
    /// The space.
    pub space: SpaceId,
    /// The connector.
    pub connector: ConnectorId,
    /// The connector's name, while it exists.
    pub connector_name: Option<ConnectorName>,
    /// The user.
    pub user: UserId,
    /// The connection.
    pub connection: ConnectionName,
    /// Its status.
    pub status: GrantStatus,
    /// The status of its connection that follows from it.
    pub connection_status: ConnectionStatus,
    /// When the user's consent was committed.
    pub connected_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Who ended it; the system where time or the provider did.
    pub ended_by: Option<Actor>,
    /// Whether its tokens are stored, so that revoking it has an effect.
    pub has_tokens: bool,
    /// Why it ended.
    pub cause: Option<TerminalCause>,
}

/// One page of grants, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantPage {
    /// The grants.
    pub grants: Vec<GrantView>,
    /// Where the next page starts, if there is one.
    pub next: Option<AuthorizationId>,
}

/// Lists and terminates the grants of other users.
pub(crate) struct Administration {
    pub(super) store_clock: Arc<dyn StoreClock>,
    pub(super) authorizations: Arc<dyn AuthorizationStore>,
    pub(super) queries: Arc<dyn AuthorizationQueries>,
    pub(super) connectors: Arc<dyn ConnectorStore>,
    pub(super) access: Access,
    pub(super) settings: ConnectorSettings,
    pub(super) terminations: Arc<Terminations>,
}

/// The live connectors of a space, with what they require of grants.
type LiveConnectors = BTreeMap<Incarnation, (Connector, Option<Arc<AuthenticSettings>>)>;

impl Administration {
    /// Grants and former grants of a space, newest first.
    pub(super) async fn list_grants(
        &self,
        actor: &Actor,
        space: &SpaceId,
        filter: GrantFilter,
        mut after: Option<AuthorizationId>,
        limit: u32,
    ) -> Result<GrantPage, AdminError> {
        self.access.authorize_user(actor, space, Role::Admin).await?;
        let limit = limit.clamp(1, LARGEST_PAGE);
        let now = self.store_clock.now().await?;
        let connectors = self.connectors.list(space).await?.into_iter().map(|connector| {
            let required = self.settings.read(&connector).ok();
            (connector.incarnation, (connector, required))
        });
        let connectors: LiveConnectors = connectors.collect();
        // Only `connected` implies a state; the other statuses depend on the live connector.
        let state = (filter.status == Some(GrantStatus::Connected)).then_some(StateKind::Authorized);
        let stored = AuthorizationFilter { connector: filter.connector, user: filter.user, state };
        let (mut grants, mut left) = (Vec::new(), limit);
        for _ in 0..MOST_READS {
            let page = self.queries.list(space, stored.clone(), after, left).await?;
            let views = page.authorizations.into_iter().filter_map(|grant| view(grant, &connectors, now));
            grants.extend(views.filter(|view| filter.status.is_none_or(|status| view.status == status)));
            after = page.next;
            left = limit.saturating_sub(u32::try_from(grants.len()).unwrap_or(u32::MAX));
            if left == 0 || after.is_none() {
                break;
            }
        }
        Ok(GrantPage { grants, next: after })
    }

    /// Terminates a grant in a space that the caller administers. For a former grant whose tokens are not revoked yet, the
    /// pending revocation is tried if it is due.
    pub(super) async fn revoke_grant(
        &self,
        actor: &Actor,
        space: &SpaceId,
        grant: AuthorizationId,
    ) -> Result<(), AdminError> {
        self.access.authorize_user(actor, space, Role::Admin).await?;
        let stored = self.authorizations.find(grant).await?.filter(|stored| stored.value.owner().space == *space);
        let stored = stored.ok_or(AccessError::NotFound)?.value;
        let scope = TerminationScope::One(grant);
        self.terminations.terminate(scope, TerminationCause::Admin, actor.clone()).await?;
        if stored.termination().is_some_and(|end| end.pending_revocation().is_some()) {
            self.terminations.revoke_due();
        }
        Ok(())
    }
}

/// `None` for an authorization that never was a grant.
fn view(authorization: Authorization, connectors: &LiveConnectors, now: Timestamp) -> Option<GrantView> {
    let owner = authorization.owner().clone();
    let connected_at = authorization.authorized_at()?;
    let ended_at = authorization.termination().map(|end| end.since);
    let ended_by = authorization.termination().map(|end| end.by.clone());
    let pending = authorization.termination().is_some_and(|end| end.pending_revocation().is_some());
    let has_tokens = authorization.as_grant().is_some() || pending;
    let (id, cause) = (authorization.id(), authorization.terminal_cause());
    let live = connectors.get(&owner.incarnation);
    let (grant, former) =
        if authorization.as_grant().is_some() { (Some(authorization), None) } else { (None, Some(authorization)) };
    let connection_status = if let Some((connector, required)) = live {
        let view = ConnectionView { name: owner.connection.clone(), grant, former, pending: None };
        // Whether an envelope can be decrypted is part of its user's status, not of a list.
        connection_status(connector, view, required.as_ref().map(|settings| &settings.required), |_| true, now)
    } else {
        let account = former.as_ref().and_then(|former| former.termination()?.account().map(str::to_owned));
        let plain = ConnectionStatus::plain(owner.connection.clone(), StatusKind::NotConnected);
        ConnectionStatus { account, ..plain }
    };
    let by_admin = TerminalCause::Revoked(RevokedCause::Terminated(TerminationCause::Admin));
    let status = match connection_status.kind {
        _ if cause == Some(by_admin) => GrantStatus::Revoked,
        StatusKind::Connected => GrantStatus::Connected,
        StatusKind::NeedsReauthorization => GrantStatus::NeedsReauthorization,
        StatusKind::NotConnected | StatusKind::Connecting => GrantStatus::NotConnected,
    };
    Some(GrantView {
        id,
        space: owner.space,
        connector: owner.connector,
        connector_name: live.map(|(connector, _)| connector.name.clone()),
        user: owner.user,
        connection: owner.connection,
        status,
        connection_status,
        connected_at,
        ended_at,
        ended_by,
        has_tokens,
        cause,
    })
}
