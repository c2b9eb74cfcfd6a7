//! The users of the host: listing, deprovisioning and reinstating them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::authorization::{Authorization, State, TerminationCause};
use crate::connector::{ConnectorId, ConnectorName};
use crate::identity::{Actor, ConnectionName, Role, SpaceId, UserId};
use crate::ports::{
    AuditEvent, AuditKind, ConnectorStore, Directory, StoreClock, StoreError, TerminationReport, TerminationScope,
    UserListing, UserStore,
};
use crate::time::Timestamp;
use crate::usecase::access::{Access, AccessError, user_of};
use crate::usecase::administration::AdminError;
use crate::usecase::disconnect::Terminations;
use crate::usecase::open_connections::account_label;

/// Users per read of the store.
const PAGE: u32 = 1000;

/// A user of the host, or a user with records in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSummary {
    /// The user.
    pub id: UserId,
    /// A name for display.
    pub name: Option<String>,
    /// Whether the user is disabled at the host, or unknown to a host that lists all its users.
    pub disabled: bool,
    /// When the user was deprovisioned.
    pub deprovisioned_at: Option<Timestamp>,
}

/// Users, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSummaries {
    /// The users.
    pub users: Vec<UserSummary>,
    /// Whether the host lists all its users. If not, users without records in the store may be missing.
    pub complete: bool,
}

/// A user, and what deprovisioning would end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserDetails {
    /// The user.
    pub user: UserSummary,
    /// Flows, grants, and former grants that need a new consent, in every space.
    pub open: Vec<OpenAuthorization>,
}

/// An authorization that deprovisioning would end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAuthorization {
    /// Its space.
    pub space: SpaceId,
    /// Its connector.
    pub connector: ConnectorId,
    /// The name of the connector, while it exists.
    pub connector_name: Option<ConnectorName>,
    /// Its connection.
    pub connection: ConnectionName,
    /// Account label at the provider.
    pub account: Option<String>,
    /// What it is.
    pub kind: OpenKind,
}

/// What deprovisioning would end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenKind {
    /// A flow.
    Flow,
    /// A grant.
    Grant,
    /// A former grant that needs a new consent.
    NeedsConsent,
}

impl UserDetails {
    /// How many authorizations of a kind deprovisioning would end.
    pub fn count(&self, kind: OpenKind) -> usize {
        self.open.iter().filter(|open| open.kind == kind).count()
    }
}

/// The result of deprovisioning a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deprovisioned {
    /// Grants terminated.
    pub revoked: u64,
    /// Revocations that are pending at providers now.
    pub queued: u64,
}

/// Lists, deprovisions and reinstates users.
pub(crate) struct Users {
    pub(super) store_clock: Arc<dyn StoreClock>,
    pub(super) stored: Arc<dyn UserStore>,
    pub(super) connectors: Arc<dyn ConnectorStore>,
    pub(super) directory: Arc<dyn Directory>,
    pub(super) access: Access,
    pub(super) terminations: Arc<Terminations>,
}

impl Users {
    pub(super) async fn list(&self, actor: &Actor, spaces: &[SpaceId]) -> Result<UserSummaries, AdminError> {
        self.authorize(actor, spaces).await?;
        self.all().await
    }

    /// The users that the directory lists, and the users in the store.
    pub(super) async fn all(&self) -> Result<UserSummaries, AdminError> {
        let UserListing { users: listed, complete } = self.listing().await?;
        let mut users: BTreeMap<UserId, UserSummary> = BTreeMap::new();
        for user in listed {
            let summary =
                UserSummary { id: user.id.clone(), name: user.name, disabled: user.disabled, deprovisioned_at: None };
            users.insert(user.id, summary);
        }
        let mut after = None;
        loop {
            let page = self.stored.stored_users(after.take(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            for stored in page {
                let unlisted = UserSummary { id: stored.id.clone(), name: None, disabled: complete, deprovisioned_at: None };
                users.entry(stored.id).or_insert(unlisted).deprovisioned_at = stored.removed_at;
            }
        }
        Ok(UserSummaries { users: users.into_values().collect(), complete })
    }

    /// A user, and what deprovisioning would end.
    pub(super) async fn details(&self, actor: &Actor, spaces: &[SpaceId], user: &UserId) -> Result<UserDetails, AdminError> {
        self.authorize(actor, spaces).await?;
        let summary = self.known(user).await?;
        let authorizations = self.stored.open_authorizations(user).await?;
        let mut open = Vec::with_capacity(authorizations.len());
        for authorization in authorizations {
            open.push(self.described(&authorization).await?);
        }
        Ok(UserDetails { user: summary, open })
    }

    async fn described(&self, authorization: &Authorization) -> Result<OpenAuthorization, StoreError> {
        let owner = authorization.owner();
        let connector = self.connectors.get(&owner.connector_key()).await?;
        let connector = connector.filter(|connector| connector.incarnation == owner.incarnation);
        let kind = match authorization.state() {
            State::Initiated(_) | State::AwaitingCallback(_) => OpenKind::Flow,
            State::Authorized(_) => OpenKind::Grant,
            State::Expired(_) | State::Revoked(_) => OpenKind::NeedsConsent,
        };
        Ok(OpenAuthorization {
            space: owner.space.clone(),
            connector: owner.connector.clone(),
            connector_name: connector.map(|connector| connector.name),
            connection: owner.connection.clone(),
            account: account_label(authorization),
            kind,
        })
    }

    /// Terminates all authorizations of a user, in every space; no grant is committed for this user until the user is
    /// reinstated. Writes nothing for an unknown user, so that a mistyped id is not reserved.
    pub(super) async fn deprovision(
        &self,
        actor: &Actor,
        spaces: &[SpaceId],
        user: &UserId,
    ) -> Result<Deprovisioned, AdminError> {
        self.authorize(actor, spaces).await?;
        self.known(user).await?;
        Ok(self.remove(actor.clone(), user).await?)
    }

    /// Terminates all authorizations of a user whom the host has removed.
    pub(super) async fn remove(&self, actor: Actor, user: &UserId) -> Result<Deprovisioned, StoreError> {
        let scope = TerminationScope::User(user.clone());
        let report = self.terminations.terminate(scope, TerminationCause::UserRemoved, actor).await?;
        let TerminationReport { grants, queued, .. } = report;
        Ok(Deprovisioned { revoked: grants, queued })
    }

    /// Lifts the deprovisioning of a known user.
    pub(super) async fn reinstate(&self, actor: &Actor, spaces: &[SpaceId], user: &UserId) -> Result<(), AdminError> {
        self.authorize(actor, spaces).await?;
        self.known(user).await?;
        self.reinstate_for_host(actor.clone(), user).await?;
        Ok(())
    }

    /// Lifts the deprovisioning of a user in the name of the host.
    pub(super) async fn reinstate_for_host(&self, actor: Actor, user: &UserId) -> Result<bool, StoreError> {
        let now = self.store_clock.now().await?;
        let event = AuditEvent::new(AuditKind::UserReinstated, actor, now).of_user(user);
        self.stored.reinstate(user.clone(), vec![event]).await
    }

    /// The user, if the directory lists the user or the store has records of the user.
    async fn known(&self, user: &UserId) -> Result<UserSummary, AdminError> {
        let UserListing { users, complete } = self.listing().await?;
        let stored = self.stored.stored_user(user).await?;
        let deprovisioned_at = stored.as_ref().and_then(|stored| stored.removed_at);
        if let Some(listed) = users.into_iter().find(|listed| listed.id == *user) {
            let (name, disabled) = (listed.name, listed.disabled);
            return Ok(UserSummary { id: listed.id, name, disabled, deprovisioned_at });
        }
        if stored.is_none() {
            return Err(AccessError::NotFound.into());
        }
        Ok(UserSummary { id: user.clone(), name: None, disabled: complete, deprovisioned_at })
    }

    async fn listing(&self) -> Result<UserListing, AdminError> {
        Ok(self.directory.users().await.map_err(|_| AccessError::DirectoryUnavailable)?)
    }

    /// The caller must administer every space given, which is every space of the host.
    async fn authorize(&self, actor: &Actor, spaces: &[SpaceId]) -> Result<(), AdminError> {
        let administrator = user_of(actor)?;
        // Without any space the check below would pass for every caller.
        if spaces.is_empty() {
            return Err(AccessError::Forbidden.into());
        }
        for space in spaces {
            self.access.authorize(administrator, space, Role::Admin).await?;
        }
        Ok(())
    }
}
