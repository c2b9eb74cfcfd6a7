//! Cancelling a flow.

use thiserror::Error;

use crate::authorization::{AuthorizationId, Input, StateHash, TerminationCause};
use crate::connector::ConnectorKey;
use crate::encoding::sha256;
use crate::identity::{Actor, Role};
use crate::ports::{AuditEvent, AuditKind, AuditOutcome, StoreError, WriteOutcome};
use crate::secret::Secret;
use crate::usecase::access::AccessError;
use crate::usecase::flows::Flows;

/// The flow to cancel.
pub enum CancelKey {
    /// By its `state`.
    State(Secret),
    /// By its id.
    Flow(AuthorizationId),
}

/// Why no flow was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CancelError {
    /// The caller has no access, or the flow belongs to another user. Flow ids cannot be guessed, so this reveals nothing.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The store is unavailable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CancelError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Access(error) => error.code(),
            Self::Store(_) => "store_unavailable",
        }
    }
}

impl Flows {
    /// Ends a flow of the user. Idempotent: an ended or unknown flow counts as cancelled. A grant is never changed. Returns the
    /// flow if it is stored, so that the caller can remove its cookie.
    pub(super) async fn cancel(
        &self,
        actor: &Actor,
        connector: &ConnectorKey,
        key: CancelKey,
    ) -> Result<Option<AuthorizationId>, CancelError> {
        let user = self.access.authorize_user(actor, &connector.space, Role::Viewer).await?;
        let found = match key {
            CancelKey::Flow(id) => self.authorizations.find(id).await?,
            CancelKey::State(state) => self.authorizations.find_by_state(StateHash(sha256(state.expose()))).await?,
        };
        let Some(stored) = found else {
            // A flow can outlive its connector. If neither exists, the path is unknown.
            let exists = self.connectors.get(connector).await?.is_some();
            return if exists { Ok(None) } else { Err(AccessError::NotFound.into()) };
        };
        let (id, owner) = (stored.value.id(), stored.value.owner().clone());
        if owner.user != *user || owner.connector_key() != *connector {
            return Err(AccessError::Forbidden.into());
        }
        let now = self.store_clock.now().await?;
        let flow = stored.value.at(now);
        if !flow.is_flow() {
            return Ok(Some(id));
        }
        let Ok(ended) = flow.on(Input::Terminated { cause: TerminationCause::Cancelled, revoke: false }, now) else {
            return Ok(Some(id));
        };
        let event = AuditEvent::new(AuditKind::FlowEnded, actor.clone(), now).about(&owner, id);
        let audit = vec![event.outcome(AuditOutcome::Cancelled)];
        match self.authorizations.replace(ended.ended_by(actor), stored.version, audit).await? {
            // A concurrent writer ended the flow, or completed it before the cancellation.
            WriteOutcome::Written | WriteOutcome::Stale(_) | WriteOutcome::NotFound => Ok(Some(id)),
        }
    }
}
