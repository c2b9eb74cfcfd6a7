//! Committing refreshed tokens: a write that expects the version read, repeated from memory until the store accepts it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;

use super::{RETRY_SOON, RefreshOutcome, Refresher};
use crate::authorization::{Authorization, AuthorizationId, GrantSecrets, Input};
use crate::identity::Actor;
use crate::ports::{AuditEvent, AuditKind, AuditOutcome, TokenResponse, Versioned, WriteOutcome};
use crate::time::Timestamp;
use crate::usecase::token_lifetime;

/// How often a commit is tried before the caller gets an error.
pub(crate) const COMMIT_ATTEMPTS: u32 = 4;

/// Tokens received but not stored yet. Never dropped while the process lives.
#[derive(Default)]
pub(super) struct PendingCommits(Mutex<BTreeMap<AuthorizationId, PendingCommit>>);

/// Refreshed tokens, and the grant as it was when its lease was taken.
#[derive(Clone)]
struct PendingCommit {
    grant: Arc<Versioned<Authorization>>,
    tokens: Arc<GrantSecrets>,
    /// Written in the transaction of the commit.
    anomalies: Option<AuditEvent>,
}

/// Neither vault nor store accepted the tokens yet.
struct CommitFailed;

impl PendingCommits {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<AuthorizationId, PendingCommit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.locked().len()
    }
}

impl Refresher {
    /// Commits the tokens of a response. Callers get the result after the commit.
    pub(super) async fn commit(
        self: &Arc<Self>,
        grant: Versioned<Authorization>,
        before: &GrantSecrets,
        response: TokenResponse,
        sent_at: Timestamp,
    ) -> RefreshOutcome {
        self.ports.failures.record_anomalies(grant.value.owner(), &response.anomalies);
        let anomalies = AuditEvent::of_anomalies(&response.anomalies, Actor::System, sent_at)
            .map(|event| event.about(grant.value.owner(), grant.value.id()));
        let tokens = token_lifetime::refreshed(before, response, sent_at, self.policy.assumed_lifetime);
        let commit = PendingCommit { grant: Arc::new(grant), tokens: Arc::new(tokens), anomalies };
        let mut pause = Duration::from_millis(20);
        for _ in 0..COMMIT_ATTEMPTS {
            if let Ok(outcome) = self.try_commit(&commit).await {
                return outcome;
            }
            self.ports.spawner.sleep(pause).await;
            pause *= 4;
        }
        self.keep_pending(commit);
        RETRY_SOON
    }

    async fn try_commit(&self, commit: &PendingCommit) -> Result<RefreshOutcome, CommitFailed> {
        let PendingCommit { grant, tokens, anomalies } = commit;
        let (id, owner) = (grant.value.id(), grant.value.owner());
        let sealed = self.sealer.seal_grant(owner, id, tokens).map_err(|_| CommitFailed)?;
        let refreshed = grant.value.clone().on(Input::TokensRefreshed(sealed), tokens.issued_at);
        let event = AuditEvent::of_system(AuditKind::Refreshed, tokens.issued_at).about(owner, id);
        let audit = std::iter::once(event).chain(anomalies.clone()).collect();
        let written = match refreshed {
            Ok(refreshed) => self.ports.authorizations.replace(refreshed, grant.version, audit).await,
            // A lease is taken on a refreshable grant only, so this does not happen. The tokens count as unclaimed.
            Err(_) => Ok(WriteOutcome::NotFound),
        };
        match written.map_err(|_| CommitFailed)? {
            WriteOutcome::Written => Ok(RefreshOutcome::Current),
            // A commit whose response was lost, or newer tokens of another node, which must not be revoked.
            WriteOutcome::Stale(stored) if stored.value.as_grant().is_some() => Ok(RefreshOutcome::Current),
            WriteOutcome::Stale(_) | WriteOutcome::NotFound => {
                self.revocations.queue_unclaimed(owner, tokens, tokens.issued_at).await;
                Ok(RefreshOutcome::Ended)
            }
        }
    }

    /// Keeps tokens that could not be stored and tries again for as long as the process lives.
    fn keep_pending(self: &Arc<Self>, commit: PendingCommit) {
        let id = commit.grant.value.id();
        let (owner, at) = (commit.grant.value.owner().clone(), commit.tokens.issued_at);
        self.pending.locked().insert(id, commit);
        let this = Arc::clone(self);
        let work = async move {
            let at = this.ports.store_clock.now().await.unwrap_or(at);
            let alarm = AuditEvent::of_system(AuditKind::CommitPending, at).about(&owner, id);
            this.audit.record(alarm.outcome(AuditOutcome::StoreUnavailable));
            let mut pause = Duration::from_millis(250);
            while !this.commit_pending(id).await {
                this.ports.spawner.sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        };
        self.ports.spawner.spawn(work.boxed());
    }

    /// Stores the pending tokens of a grant, if there are any. `false` if they still cannot be stored.
    pub(super) async fn commit_pending(&self, id: AuthorizationId) -> bool {
        let commit = self.pending.locked().get(&id).cloned();
        let Some(commit) = commit else {
            return true;
        };
        if self.try_commit(&commit).await.is_err() {
            return false;
        }
        let mut pending = self.pending.locked();
        // Another task may have committed these and added newer ones in the meantime.
        if pending.get(&id).is_some_and(|kept| kept.tokens.revision == commit.tokens.revision) {
            pending.remove(&id);
        }
        true
    }
}
