//! Keeping renewed tokens: committed under the fence, or held in memory until they are (invariant 8).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;

use crate::authorization::{Authorization, AuthorizationId, AuthorizationRecord, GrantSecrets, Input, StateKind};
use crate::identity::Actor;
use crate::ports::{AuditEvent, AuditKind, ExpectedVersion, Lifetime, TokenResponse, WriteOutcome};
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::usecase::Connections;
use crate::usecase::audit::about_grant;
use crate::usecase::refresh::{RefreshOutcome, Step};

/// How often a store that fails at a commit is asked again before the caller is told to come back.
pub(super) const COMMIT_TRIES: u32 = 4;

/// Tokens received but not stored yet. Never dropped while the process lives.
#[derive(Default)]
pub(super) struct PendingCommits(Mutex<BTreeMap<AuthorizationId, Pending>>);

/// RefreshOutcome tokens and the record they belong to, as it was when its lease was taken.
#[derive(Clone)]
struct Pending {
    record: Arc<AuthorizationRecord>,
    tokens: Arc<GrantSecrets>,
}

/// Neither vault nor store could take the tokens yet.
struct CommitFailed;

impl PendingCommits {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<AuthorizationId, Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// Commits what came back under the fence; only then does anybody get it (R38).
    pub(super) async fn keep(
        self: &Arc<Self>,
        record: AuthorizationRecord,
        secrets: &GrantSecrets,
        answer: TokenResponse,
        sent_at: Timestamp,
    ) -> Step {
        let tokens = Arc::new(self.merged(secrets, answer, sent_at));
        let pending = Pending { record: Arc::new(record), tokens };
        let mut pause = Duration::from_millis(20);
        for _ in 0..COMMIT_TRIES {
            if let Ok(renewed) = self.save(&pending).await {
                return Step::Done(renewed);
            }
            self.ports.spawner.sleep(pause).await;
            pause *= 4;
        }
        self.keep_pending(pending);
        Step::Done(RefreshOutcome::Unavailable { retry_after: Duration::from_secs(1) })
    }

    /// What the new tokens are: a missing refresh token or scope keeps the old one, nothing else is dropped.
    pub(super) fn merged(&self, old: &GrantSecrets, answer: TokenResponse, sent_at: Timestamp) -> GrantSecrets {
        let rotated = answer.refresh_token.is_some();
        GrantSecrets {
            access_token: answer.access_token,
            refresh_token: answer.refresh_token.or_else(|| old.refresh_token.as_ref().map(Secret::clone_secret)),
            token_type: answer.token_type,
            granted_scopes: answer.scopes.unwrap_or_else(|| old.granted_scopes.clone()),
            issued_at: sent_at,
            expires_at: self.expiry(answer.lifetime, sent_at),
            refresh_expires_at: match answer.refresh_lifetime {
                Lifetime::For(span) => Some(sent_at.plus(span)),
                Lifetime::Never => None,
                Lifetime::Unknown if rotated => None,
                Lifetime::Unknown => old.refresh_expires_at,
            },
            revision: old.revision.next(),
            requested_scopes: old.requested_scopes.clone(),
            epoch: old.epoch,
            provider: old.provider.clone(),
            account: old.account.clone(),
        }
    }

    /// One try to commit renewed tokens.
    async fn save(self: &Arc<Self>, pending: &Pending) -> Result<RefreshOutcome, CommitFailed> {
        let Pending { record, tokens } = pending;
        let sealed = self.seal_grant(&record.owner, record.id, tokens).map_err(|_| CommitFailed)?;
        let sent_at = tokens.issued_at;
        let grant = Authorization::restore((**record).clone()).ok();
        let renewed = grant.and_then(|grant| grant.on(Input::TokensRefreshed(sealed), sent_at).ok());
        let audit = vec![about_grant(sent_at, Actor::System, AuditKind::Refreshed, &record.owner, record.id, "ok")];
        let written = match renewed {
            Some(renewed) => {
                self.ports.authorizations.replace(renewed.to_record(), ExpectedVersion::of(record), audit).await
            }
            // The lease is only given on grants, which can be renewed; if not so, the tokens have no grant to go to.
            None => Ok(WriteOutcome::NotFound),
        };
        match written.map_err(|_| CommitFailed)? {
            WriteOutcome::Written => Ok(RefreshOutcome::Current),
            // A commit whose answer was lost, or another node's newer tokens, which ours must not kill (R41).
            WriteOutcome::Stale(row) if row.state == StateKind::Authorized => Ok(RefreshOutcome::Current),
            WriteOutcome::Stale(_) | WriteOutcome::NotFound => {
                self.queue_unclaimed(&record.owner, tokens, sent_at).await;
                Ok(RefreshOutcome::Ended)
            }
        }
    }

    /// Keeps tokens that could not be stored, and goes on trying for as long as the process lives.
    fn keep_pending(self: &Arc<Self>, pending: Pending) {
        let id = pending.record.id;
        let (owner, at) = (pending.record.owner.clone(), pending.tokens.issued_at);
        self.unsaved.locked().insert(id, pending);
        let this = Arc::clone(self);
        let work = async move {
            let at = this.ports.authorizations.now().await.unwrap_or(at);
            let kind = AuditKind::CommitPending;
            let alarm: AuditEvent = about_grant(at, Actor::System, kind, &owner, id, "store_unavailable");
            this.note(alarm, None);
            let mut pause = Duration::from_millis(250);
            while !this.commit_pending(id).await {
                this.ports.spawner.sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        };
        self.ports.spawner.spawn(work.boxed());
    }

    /// Stores kept tokens of a grant, if there are any. `false` if they still cannot be stored.
    pub(super) async fn commit_pending(self: &Arc<Self>, id: AuthorizationId) -> bool {
        let pending = self.unsaved.locked().get(&id).cloned();
        let Some(pending) = pending else {
            return true;
        };
        if self.save(&pending).await.is_err() {
            return false;
        }
        let mut unsaved = self.unsaved.locked();
        // Others save as well; what they have put here since is not what was just saved.
        if unsaved.get(&id).is_some_and(|kept| kept.tokens.revision == pending.tokens.revision) {
            unsaved.remove(&id);
        }
        true
    }

    /// How many renewed grants wait for the store. Anything but zero is an alarm.
    pub fn pending_commits(&self) -> usize {
        self.unsaved.locked().len()
    }
}
