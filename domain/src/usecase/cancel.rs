//! Cancelling an attempt.

use thiserror::Error;

use crate::authorization::{Authorization, AuthorizationId, Input, State, StateHash, TerminationCause};
use crate::connector::ConnectorKey;
use crate::identity::{Actor, Role};
use crate::ports::{AuditKind, ExpectedVersion, StoreError, WriteOutcome};
use crate::secret::Secret;
use crate::usecase::audit::about_grant;
use crate::usecase::{Connections, Denied};

/// Which flow is meant.
pub enum CancelKey {
    /// By its `state`.
    State(Secret),
    /// By its id.
    Flow(AuthorizationId),
}

/// Why nothing was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CancelError {
    /// No such space or connector for this user.
    #[error("there is no such connector")]
    NotFound,
    /// Another user's flow, or not a person. Flow ids are unguessable, so saying so gives nothing away (R60).
    #[error("this is not allowed")]
    Forbidden,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CancelError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Store(_) => "store_unavailable",
        }
    }
}

impl From<Denied> for CancelError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotFound => Self::NotFound,
            Denied::Forbidden | Denied::DirectoryUnavailable => Self::Forbidden,
        }
    }
}

impl Connections {
    /// Ends the user's own attempt. Idempotent: a flow that is over, or that nobody knows, is as good as cancelled. A grant
    /// is never touched.
    pub async fn cancel(&self, actor: &Actor, connector: &ConnectorKey, key: CancelKey) -> Result<(), CancelError> {
        let user = Self::person(actor)?;
        self.authorize(user, &connector.space, Role::Viewer).await?;
        let found = match key {
            CancelKey::Flow(id) => self.ports.authorizations.find(id).await?,
            CancelKey::State(state) => {
                let hash = StateHash(self.ports.vault.fingerprint(state.expose()));
                self.ports.authorizations.find_by_state(hash).await?
            }
        };
        let Some(record) = found else {
            // A flow outlives its connector, but where there is neither, the path names nothing (R60).
            let known = self.ports.connectors.get(connector).await?.is_some();
            return if known { Ok(()) } else { Err(CancelError::NotFound) };
        };
        if record.owner.user != *user || record.owner.connector_key() != *connector {
            return Err(CancelError::Forbidden);
        }
        let now = self.ports.authorizations.now().await?;
        let (id, owner, fence) = (record.id, record.owner.clone(), ExpectedVersion::of(&record));
        let flow = Authorization::restore(record)
            .map_err(|violation| StoreError::Inconsistent { table: "authorizations", rule: violation.0 })?
            .at(now);
        if !matches!(flow.state(), State::Initiated(_) | State::AwaitingCallback(_)) {
            return Ok(());
        }
        let Ok(ended) = flow.on(Input::Terminated { cause: TerminationCause::Cancelled, revoke: false }, now) else {
            return Ok(());
        };
        let audit = vec![about_grant(now, actor.clone(), AuditKind::FlowEnded, &owner, id, "cancelled")];
        match self.ports.authorizations.replace(ended.to_record(), fence, audit).await? {
            // Whoever moved it on has ended it, or has finished it before the cancel came.
            WriteOutcome::Written | WriteOutcome::Stale(_) | WriteOutcome::NotFound => Ok(()),
        }
    }
}
