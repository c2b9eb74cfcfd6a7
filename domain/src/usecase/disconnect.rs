//! Disconnecting: committed first, revoked at the provider afterwards by a durable job (R49).

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use thiserror::Error;

use crate::authorization::{AuthorizationId, TerminationCause};
use crate::connector::{AuthMode, ConnectorKey};
use crate::identity::{Actor, Role};
use crate::ports::{Operation, StoreError, TerminationReport, TerminationRequest, TerminationScope};
use crate::usecase::{Connections, Denied};

/// Why nothing was disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DisconnectError {
    /// No such space or connector for this user.
    #[error("there is no such connector")]
    NotFound,
    /// Not a person, or not allowed here.
    #[error("this is not allowed")]
    Forbidden,
    /// Too often (R59).
    #[error("too many requests")]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DisconnectError {
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

impl From<Denied> for DisconnectError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotFound => Self::NotFound,
            Denied::Forbidden | Denied::DirectoryUnavailable => Self::Forbidden,
        }
    }
}

impl Connections {
    /// Ends the user's grant and attempts for a connector. Idempotent. When this returns, no node hands out any more; the
    /// revocation at the provider goes on by itself.
    pub async fn disconnect(
        self: &Arc<Self>,
        actor: &Actor,
        connector: &ConnectorKey,
    ) -> Result<TerminationReport, DisconnectError> {
        let user = Self::person(actor)?.clone();
        self.authorize(&user, &connector.space, Role::Viewer).await?;
        let limited = self.ports.limiter.take(&format!("user:{user}"), Operation::Disconnect).await;
        limited.map_err(|limited| DisconnectError::RateLimited { retry_after: limited.retry_after })?;
        // A disabled connector or one whose settings are broken can be disconnected all the same (R65).
        let view = self.ports.authorizations.access_token_view(connector, &user).await?.ok_or(DisconnectError::NotFound)?;
        if view.connector.auth_mode == AuthMode::Shared {
            return Ok(TerminationReport::default());
        }
        if let Some(grant) = &view.grant {
            self.let_renewal_finish(grant.id).await?;
        }
        let scope = TerminationScope::UserConnector { incarnation: view.connector.incarnation, user };
        self.end_and_revoke(scope, TerminationRequest { cause: TerminationCause::Disconnected, actor: actor.clone() })
            .await
            .map_err(Into::into)
    }

    /// Ends authorizations, and starts on the revocations that are now owed.
    pub(super) async fn end_and_revoke(
        self: &Arc<Self>,
        scope: TerminationScope,
        ending: TerminationRequest,
    ) -> Result<TerminationReport, StoreError> {
        let ended = self.ports.authorizations.end(scope, ending).await?;
        if ended.queued > 0 {
            self.revoke_soon();
        }
        Ok(ended)
    }

    /// Starts the revocation worker now instead of at its next round.
    pub(super) fn revoke_soon(self: &Arc<Self>) {
        let this = Arc::clone(self);
        self.ports.spawner.spawn(
            async move {
                // What cannot be done now is done by the next round.
                let _ = this.revoke_due().await;
            }
            .boxed(),
        );
    }

    /// Waits for a renewal under way, here or on another node, but not for long: one that outlives the wait leaves its
    /// in-doubt mark, and the revocation deals with that.
    async fn let_renewal_finish(&self, id: AuthorizationId) -> Result<(), StoreError> {
        let started = self.ports.clock.monotonic();
        loop {
            let now = self.ports.authorizations.now().await?;
            let Some(record) = self.ports.authorizations.find(id).await? else {
                return Ok(());
            };
            let renewing = record.refresh.owner.is_some() && record.refresh.held_until.is_some_and(|until| now < until);
            let waited = self.ports.clock.monotonic().saturating_sub(started);
            if !renewing || waited >= self.policy.disconnect_wait {
                return Ok(());
            }
            self.ports.spawner.sleep(Duration::from_millis(100)).await;
        }
    }
}
