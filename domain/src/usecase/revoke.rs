//! The revocation worker: tells providers that tokens are over, durably and within a day (R50).

use std::sync::Arc;
use std::time::Duration;

use crate::authorization::{
    AuthorizationId, AuthorizationKey, AuthorizationRecord, GrantSecrets, PAYLOAD_VERSION, RevocationOutcome,
    RevocationRecord,
};
use crate::identity::Actor;
use crate::ports::{
    AssociatedData, AuditKind, ClientCredentials, ProviderError, RevocationJob, RevocationResponse, RevocationUpdate,
    StoreError, TokenKind, UnclaimedTokens,
};
use crate::time::Timestamp;
use crate::usecase::Connections;
use crate::usecase::audit::about_grant;
use crate::usecase::sealing::NoCredentials;

/// What one round of the worker did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RevocationRound {
    /// Revoked or otherwise settled.
    pub settled: u64,
    /// Put off.
    pub postponed: u64,
}

/// One claimed job, whatever kind of row it came from.
struct Job {
    id: AuthorizationId,
    owner: AuthorizationKey,
    since: Timestamp,
    attempts: u32,
    in_doubt: bool,
    secrets: Option<GrantSecrets>,
}

/// What refreshing before a revocation brought.
enum Refreshed {
    /// The live tokens.
    Received(Box<GrantSecrets>),
    /// A clear refusal: what is there is revoked.
    Refused,
    /// Still nobody knows.
    Unknown {
        /// When the provider wants to be asked again.
        retry_after: Option<Duration>,
    },
}

/// Tries after which a provider that answers, but refuses the client, is given up.
const REFUSED_TRIES: u32 = 12;

impl Connections {
    /// Works off every revocation that is due now.
    pub async fn revoke_due(self: &Arc<Self>) -> Result<RevocationRound, StoreError> {
        let mut round = RevocationRound::default();
        loop {
            let Ok(owner) = self.random() else {
                return Ok(round);
            };
            // Two requests at most, with their quarantine, fit into the claim.
            let length = self.policy.lease_length() * 2;
            let Some(claimed) = self.ports.authorizations.claim_revocation(owner, length).await? else {
                return Ok(round);
            };
            let job = self.understood(claimed);
            let now = self.ports.authorizations.now().await?;
            let end = self.worked_off(&job, now).await?;
            let audit = match &end {
                RevocationUpdate::Completed(outcome) => {
                    round.settled += 1;
                    let kind = AuditKind::RevocationCompleted;
                    vec![about_grant(now, Actor::System, kind, &job.owner, job.id, outcome.as_str())]
                }
                RevocationUpdate::Retry { .. } | RevocationUpdate::Refreshed { .. } => {
                    round.postponed += 1;
                    Vec::new()
                }
            };
            self.ports.authorizations.update_revocation(job.id, end, audit).await?;
        }
    }

    /// Opens the job's tokens; `secrets` is empty where they do not open.
    fn understood(&self, job: RevocationJob) -> Job {
        match job {
            RevocationJob::Former(record) => {
                let secrets = self.open_former(&record);
                let (in_doubt, attempts) = match record.revocation {
                    Some(RevocationRecord::Pending { in_doubt, attempts, .. }) => (in_doubt, attempts),
                    Some(RevocationRecord::Completed(_)) | None => (false, 0),
                };
                let since = record.since.unwrap_or(record.created_at);
                Job { id: record.id, owner: record.owner, since, attempts, in_doubt, secrets }
            }
            RevocationJob::Unclaimed(orphan) => {
                let UnclaimedTokens { id, owner, sealed, queued_at, attempts } = *orphan;
                let binding = AssociatedData::UnclaimedTokens { owner: owner.clone(), grant: id };
                let opened = self.ports.vault.open(&binding, &sealed).ok();
                let secrets = opened.and_then(|opened| GrantSecrets::decode(opened.version, &opened.payload).ok());
                Job { id, owner, since: queued_at, attempts, in_doubt: false, secrets }
            }
        }
    }

    fn open_former(&self, record: &AuthorizationRecord) -> Option<GrantSecrets> {
        self.open_grant(&record.owner, record.id, record.sealed.as_ref()?, record.revision).ok()
    }

    async fn worked_off(&self, job: &Job, now: Timestamp) -> Result<RevocationUpdate, StoreError> {
        if now >= self.abandon_at(job) {
            return Ok(RevocationUpdate::Completed(RevocationOutcome::Abandoned));
        }
        // Tokens that do not open now may open when their key is back.
        let Some(secrets) = &job.secrets else {
            return Ok(self.later(job, None, job.in_doubt, now));
        };
        if self.would_end_a_newer_grant(job, secrets).await? {
            return Ok(RevocationUpdate::Completed(RevocationOutcome::NotNeeded));
        }
        let needs_secret = secrets.provider.authentication.needs_secret();
        let client = match self.client_credentials_of(job.owner.incarnation, job.owner.epoch, needs_secret).await {
            Ok(client) => client,
            Err(NoCredentials::Store(error)) => return Err(error),
            Err(NoCredentials::Missing) => return Ok(RevocationUpdate::Completed(RevocationOutcome::Abandoned)),
            Err(NoCredentials::Unreadable) => return Ok(self.later(job, None, job.in_doubt, now)),
        };
        if !job.in_doubt {
            return Ok(self.revocation(job, secrets, &client, false, now).await);
        }
        Ok(match self.refreshed_once(job, secrets, &client, now).await {
            Refreshed::Received(tokens) => self.revocation(job, &tokens, &client, false, now).await,
            Refreshed::Refused => self.revocation(job, secrets, &client, true, now).await,
            Refreshed::Unknown { retry_after } => self.later(job, retry_after, true, now),
        })
    }

    /// Revokes, and says how the job goes on.
    async fn revocation(
        &self,
        job: &Job,
        secrets: &GrantSecrets,
        client: &ClientCredentials,
        in_doubt: bool,
        now: Timestamp,
    ) -> RevocationUpdate {
        match self.revoked(secrets, client).await {
            Ok(outcome) => RevocationUpdate::Completed(outcome),
            Err(error) if error.is_misconfiguration() && job.attempts >= REFUSED_TRIES => {
                RevocationUpdate::Completed(RevocationOutcome::Abandoned)
            }
            Err(ProviderError::Throttled { retry_after, .. }) => self.later(job, retry_after, in_doubt, now),
            Err(_) => self.later(job, None, in_doubt, now),
        }
    }

    /// Refreshes once before revoking, when it is unknown whether the provider has rotated the token: a provider with a
    /// grace period gives the live token to revoke, a strict one ends the whole family (R49). What is received replaces the
    /// job's tokens at once, so that a crash before the revocation does not lose it.
    async fn refreshed_once(
        &self,
        job: &Job,
        secrets: &GrantSecrets,
        client: &ClientCredentials,
        now: Timestamp,
    ) -> Refreshed {
        let Some(refresh_token) = &secrets.refresh_token else { return Refreshed::Refused };
        let call = self.ports.provider.refresh(&secrets.provider, client, refresh_token, &secrets.granted_scopes);
        match self.within(self.policy.request_deadline, call).await {
            Ok(answer) => {
                let renewed = self.merged(secrets, answer, now);
                let binding = AssociatedData::Grant { owner: job.owner.clone(), grant: job.id };
                if let Ok(sealed) = self.ports.vault.seal(&binding, PAYLOAD_VERSION, &renewed.encode()) {
                    let end = RevocationUpdate::Refreshed { sealed, revision: renewed.revision };
                    let audit = vec![about_grant(now, Actor::System, AuditKind::Refreshed, &job.owner, job.id, "to_revoke")];
                    // If they cannot be kept, they are revoked all the same, right now.
                    let _ = self.ports.authorizations.update_revocation(job.id, end, audit).await;
                }
                Refreshed::Received(Box::new(renewed))
            }
            Err(ProviderError::NoResponse | ProviderError::NotSent | ProviderError::Malformed) => {
                Refreshed::Unknown { retry_after: None }
            }
            Err(ProviderError::Throttled { retry_after, .. }) => Refreshed::Unknown { retry_after },
            Err(_) => Refreshed::Refused,
        }
    }

    /// Whether the tokens belong to the account whose newer grant a revocation would end as well: some providers revoke per
    /// client and user (R51). It comes to this when somebody reconnects before the job is done, or a reconnect fails.
    async fn would_end_a_newer_grant(&self, job: &Job, secrets: &GrantSecrets) -> Result<bool, StoreError> {
        let view = self.ports.authorizations.access_token_view(&job.owner.connector_key(), &job.owner.user).await?;
        let Some((connector, grant)) = view.and_then(|view| Some((view.connector, view.grant?))) else {
            return Ok(false);
        };
        let per_user = self.settings_of(&connector).is_ok_and(|(settings, _)| settings.revocation_is_per_user);
        if !per_user || grant.owner.digest != job.owner.digest {
            return Ok(false);
        }
        let opened =
            grant.sealed.as_ref().and_then(|sealed| self.open_grant(&grant.owner, grant.id, sealed, grant.revision).ok());
        let newer = opened.and_then(|secrets| secrets.account);
        Ok(match (&newer, &secrets.account) {
            (Some(newer), Some(former)) => newer.subject == former.subject,
            (Some(_), None) | (None, Some(_) | None) => true,
        })
    }

    /// Revokes each token in the provider's order, at the endpoint consented to (R42).
    async fn revoked(&self, secrets: &GrantSecrets, client: &ClientCredentials) -> Result<RevocationOutcome, ProviderError> {
        let mut outcome = RevocationOutcome::NotSupported;
        for kind in self.ports.provider.revocation_order(&secrets.provider) {
            let token = match kind {
                TokenKind::Access => Some(&secrets.access_token),
                TokenKind::Refresh => secrets.refresh_token.as_ref(),
            };
            let Some(token) = token else { continue };
            match self.ports.provider.revoke(&secrets.provider, client, token, kind).await? {
                RevocationResponse::Done => outcome = RevocationOutcome::Revoked,
                RevocationResponse::NotSupported => {}
            }
        }
        Ok(outcome)
    }

    /// When tokens and job are destroyed, whatever became of them.
    fn abandon_at(&self, job: &Job) -> Timestamp {
        job.since.plus(self.policy.abandon_revocation_after)
    }

    /// When to try again: when the provider said, else after a pause that doubles up to an hour. Never after the end of the
    /// job, which has to be seen as well.
    fn later(&self, job: &Job, asked: Option<Duration>, in_doubt: bool, now: Timestamp) -> RevocationUpdate {
        let back_off = (Duration::from_secs(5) * 2_u32.pow(job.attempts.min(10))).min(Duration::from_hours(1));
        let pause = asked.unwrap_or(back_off);
        let pause = if in_doubt { pause.max(self.policy.quarantine) } else { pause };
        RevocationUpdate::Retry { at: now.plus(pause).min(self.abandon_at(job)) }
    }
}
