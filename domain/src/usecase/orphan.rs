//! Tokens that never became a grant, or lost their grant while they were on their way: they are queued for revocation (R26,
//! R41).

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::authorization::{AuthorizationId, AuthorizationKey, GrantSecrets, PAYLOAD_VERSION};
use crate::identity::Actor;
use crate::ports::{AssociatedData, AuditKind, UnclaimedTokens};
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::usecase::Connections;
use crate::usecase::audit::about_grant;

/// Why tokens could not be queued yet.
struct NotQueued;

impl Connections {
    /// Queues tokens for revocation and starts on it. They are sealed as orphans, so that no other code can mistake them for
    /// a grant's. While neither store nor vault can take them they stay in memory, and queueing is tried again.
    pub(super) async fn queue_unclaimed(self: &Arc<Self>, owner: &AuthorizationKey, tokens: &GrantSecrets, now: Timestamp) {
        let payload = tokens.encode();
        if self.try_to_queue(owner, &payload, now).await.is_ok() {
            self.revoke_soon();
            return;
        }
        let (this, owner) = (Arc::clone(self), owner.clone());
        let work = async move {
            let started = this.ports.clock.monotonic();
            let mut pause = Duration::from_millis(250);
            // As long as a queued one would be tried.
            while this.ports.clock.monotonic().saturating_sub(started) < this.policy.abandon_revocation_after {
                this.ports.spawner.sleep(pause).await;
                if this.try_to_queue(&owner, &payload, now).await.is_ok() {
                    this.revoke_soon();
                    return;
                }
                pause = (pause * 2).min(Duration::from_mins(1));
            }
        };
        self.ports.spawner.spawn(work.boxed());
    }

    async fn try_to_queue(&self, owner: &AuthorizationKey, payload: &Secret, now: Timestamp) -> Result<(), NotQueued> {
        let id = AuthorizationId::new(now, self.random().map_err(|_| NotQueued)?);
        let binding = AssociatedData::UnclaimedTokens { owner: owner.clone(), grant: id };
        let sealed = self.ports.vault.seal(&binding, PAYLOAD_VERSION, payload).map_err(|_| NotQueued)?;
        let orphan = UnclaimedTokens { id, owner: owner.clone(), sealed, queued_at: now, attempts: 0 };
        let audit = vec![about_grant(now, Actor::System, AuditKind::UnclaimedTokensQueued, owner, id, "queued")];
        self.ports.authorizations.queue_unclaimed(orphan, audit).await.map_err(|_| NotQueued)
    }
}
