//! What administrators and the host do with other people's grants.

use std::sync::Arc;

use thiserror::Error;

use crate::authorization::{AuthorizationId, TerminationCause};
use crate::connector::Connector;
use crate::identity::{Actor, Role, SpaceId, UserId};
use crate::ports::{
    AuthorizationFilter, AuthorizationPage, StoreError, TerminationReport, TerminationRequest, TerminationScope,
};
use crate::usecase::{Connections, Denied};

/// Why an administrator's request was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AdminError {
    /// No such space or grant for this administrator.
    #[error("there is no such record")]
    NotFound,
    /// Not an administrator here.
    #[error("this is not allowed")]
    Forbidden,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AdminError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Store(_) => "store_unavailable",
        }
    }
}

impl From<Denied> for AdminError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotFound => Self::NotFound,
            Denied::Forbidden | Denied::DirectoryUnavailable => Self::Forbidden,
        }
    }
}

/// What off-boarding a person did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deprovisioned {
    /// Grants ended.
    pub revoked: u64,
    /// Revocations now owed at providers.
    pub queued: u64,
}

impl Connections {
    /// Grants and former grants of a space, newest first, without secrets.
    pub(super) async fn list_records(
        &self,
        actor: &Actor,
        space: &SpaceId,
        filter: AuthorizationFilter,
        after: Option<AuthorizationId>,
        limit: u32,
    ) -> Result<AuthorizationPage, AdminError> {
        self.authorize(Self::person(actor)?, space, Role::Admin).await?;
        Ok(self.ports.authorizations.list(space, filter, after, limit.clamp(1, 200)).await?)
    }

    /// Ends anybody's grant in a space one administers.
    pub async fn revoke_grant(
        self: &Arc<Self>,
        actor: &Actor,
        space: &SpaceId,
        grant: AuthorizationId,
    ) -> Result<(), AdminError> {
        self.authorize(Self::person(actor)?, space, Role::Admin).await?;
        let record = self.ports.authorizations.find(grant).await?;
        if record.is_none_or(|record| record.owner.space != *space) {
            return Err(AdminError::NotFound);
        }
        self.end_and_revoke(
            TerminationScope::One(grant),
            TerminationRequest { cause: TerminationCause::Admin, actor: actor.clone() },
        )
        .await?;
        Ok(())
    }

    /// Ends everything a person has, in every space; nothing is committed for them any more. The caller must administer
    /// every space given, which is every space the host has.
    pub async fn deprovision_user(
        self: &Arc<Self>,
        actor: &Actor,
        spaces: &[SpaceId],
        user: &UserId,
    ) -> Result<Deprovisioned, AdminError> {
        let administrator = Self::person(actor)?;
        // Administering every space of none would be anybody's right.
        if spaces.is_empty() {
            return Err(AdminError::Forbidden);
        }
        for space in spaces {
            self.authorize(administrator, space, Role::Admin).await?;
        }
        self.remove_user(actor.clone(), user).await.map_err(Into::into)
    }

    /// The host's own word that a user is gone for good.
    pub async fn remove_user(self: &Arc<Self>, actor: Actor, user: &UserId) -> Result<Deprovisioned, StoreError> {
        let ending = TerminationRequest { cause: TerminationCause::UserRemoved, actor };
        let TerminationReport { grants, queued, .. } =
            self.end_and_revoke(TerminationScope::User(user.clone()), ending).await?;
        Ok(Deprovisioned { revoked: grants, queued })
    }

    /// How many people an edit of a connector would disconnect.
    pub(super) async fn connected_users(&self, connector: &Connector) -> Result<u64, StoreError> {
        self.ports.connectors.count_grants(connector.incarnation).await
    }
}
