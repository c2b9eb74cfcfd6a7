//! Revokes tokens at the provider (RFC 7009), durably and for at most a day.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::authorization::{AuthorizationId, AuthorizationKey, GrantSecrets, RevocationOutcome};
use crate::identity::Actor;
use crate::ports::{
    AuditEvent, AuditKind, AuditOutbox, AuditOutcome, AuthorizationQueries, AuthorizationServer, ClientCredentials, Clock,
    LeftOut, ProviderError, ProviderErrorKind, ProviderOperation, RevocationJob, RevocationQueue, RevocationResponse,
    RevocationUpdate, SecureRandom, Spawner, StoreClock, StoreError, TokenKind, UnclaimedTokens,
};
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::usecase::busy_origins::{BusyOrigins, Limits, Place, Refused};
use crate::usecase::failure_recorder::FailureRecorder;
use crate::usecase::policy::Policy;
use crate::usecase::requests::{random_bytes, with_deadline};
use crate::usecase::sealer::{NoCredentials, Sealer};
use crate::usecase::settings::ConnectorSettings;
use crate::usecase::settled_clock::SettledClock;
use crate::usecase::{token_lifetime, url_parts};

/// What one round of the worker did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RevocationRound {
    /// Completed, with any outcome.
    pub completed: u64,
    /// Postponed.
    pub postponed: u64,
}

/// One claimed job.
struct Job {
    id: AuthorizationId,
    /// The worker that has claimed it: another one for each claim.
    worker: [u8; 16],
    owner: AuthorizationKey,
    since: Timestamp,
    attempts: u32,
    in_doubt: bool,
    /// `None` where the tokens cannot be decrypted.
    secrets: Option<GrantSecrets>,
}

/// The result of refreshing before a revocation.
enum Refreshed {
    /// The live tokens.
    Received(Box<GrantSecrets>),
    /// The present tokens are the newest ones that can be had: they are revoked.
    Refused,
    /// The provider did not decide about the token, and an earlier request may have rotated it.
    Undecided,
    /// Still unknown.
    Unknown {
        /// When the provider accepts another request.
        retry_after: Option<Duration>,
    },
}

/// At least one token of a job is not revoked.
struct NotRevoked {
    /// Whether the operator has to repair the connector before any of the failed requests can succeed.
    is_misconfiguration: bool,
    /// When the provider accepts another request.
    retry_after: Option<Duration>,
}

impl NotRevoked {
    fn of(error: &ProviderError) -> Self {
        Self { is_misconfiguration: error.is_misconfiguration(), retry_after: requested_pause(error.kind) }
    }

    fn and(self, earlier: Option<Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        Self {
            is_misconfiguration: self.is_misconfiguration && earlier.is_misconfiguration,
            retry_after: self.retry_after.max(earlier.retry_after),
        }
    }
}

/// Unclaimed tokens could not be queued yet.
struct NotQueued;

/// A claimed job.
enum Begun<'a> {
    /// It can be worked on.
    Running(Place<'a>),
    /// It has ended, or is put back.
    Done(RevocationRound),
}

/// How many jobs one process works on at the same time. One user, and one origin that responds slowly or not at all, delay
/// only their own jobs.
const CONCURRENT: Limits = Limits { in_total: 16, per_origin: 2, per_user: 1 };
/// For how long a job that found no place waits if it cannot be left out.
const PUT_BACK: Duration = Duration::from_mins(5);
/// A failed attempt that takes this long shows that the origin does not respond.
const SLOW: Duration = Duration::from_secs(2);
/// Attempts after which the revocation is abandoned at a provider that responds but refuses the client.
const REFUSED_ATTEMPTS: u32 = 12;
/// More attempts than fit into the time after which a revocation is abandoned. They end a job that began after the present
/// instant, before the clock was set back.
const MOST_ATTEMPTS: u32 = 48;

/// What a [`RevocationWorker`] needs.
pub struct RevocationPorts {
    /// The clock of the store.
    pub store_clock: Arc<dyn StoreClock>,
    /// The queue.
    pub queue: Arc<dyn RevocationQueue>,
    /// Takes the event of a refresh in doubt before its request is sent.
    pub outbox: Arc<dyn AuditOutbox>,
    /// Finds a newer grant of the same account.
    pub queries: Arc<dyn AuthorizationQueries>,
    /// The provider.
    pub provider: Arc<dyn AuthorizationServer>,
    /// The clock of the process.
    pub clock: Arc<dyn Clock>,
    /// Whether the clock of the store was set.
    pub settled: Arc<SettledClock>,
    /// Randomness.
    pub random: Arc<dyn SecureRandom>,
    /// Detached tasks.
    pub spawner: Arc<dyn Spawner>,
    /// Failures at providers.
    pub failures: FailureRecorder,
}

/// Queues tokens for revocation and revokes them.
pub struct RevocationWorker {
    ports: RevocationPorts,
    policy: Policy,
    sealer: Sealer,
    settings: ConnectorSettings,
    origins: BusyOrigins,
}

impl RevocationWorker {
    /// A worker.
    pub fn new(ports: RevocationPorts, policy: Policy, sealer: Sealer, settings: ConnectorSettings) -> Arc<Self> {
        Arc::new(Self { ports, policy, sealer, settings, origins: BusyOrigins::new(CONCURRENT) })
    }

    /// Revokes everything that is due now, several jobs at a time. After an error no other job is claimed.
    pub async fn revoke_due(&self) -> Result<RevocationRound, StoreError> {
        let (mut round, mut running) = (RevocationRound::default(), FuturesUnordered::new());
        let (mut is_claiming, mut failed) = (true, None);
        loop {
            while is_claiming && let Some(place) = self.origins.reserve() {
                let left_out = self.origins.left_out(self.ports.clock.monotonic());
                // Jobs that are left out are claimed when one of those that are running is done.
                let is_partial = left_out != LeftOut::default();
                let job = match self.claim(left_out).await {
                    Ok(Some(job)) => job,
                    Ok(None) => {
                        is_claiming = is_partial;
                        break;
                    }
                    Err(error) => {
                        (is_claiming, failed) = (false, Some(error));
                        break;
                    }
                };
                match self.begin(&job, place).await {
                    Ok(Begun::Running(place)) => running.push(self.finish(job, place)),
                    Ok(Begun::Done(done)) => round.add(done),
                    Err(error) => (is_claiming, failed) = (false, Some(error)),
                }
            }
            match running.next().await {
                Some(Ok(done)) => round.add(done),
                Some(Err(error)) => (is_claiming, failed) = (false, Some(error)),
                // Another round occupies the origins, or they do not respond.
                None => return failed.map_or(Ok(round), Err),
            }
        }
    }

    /// Claims a job that is due.
    async fn claim(&self, left_out: LeftOut) -> Result<Option<Job>, StoreError> {
        let Ok(worker) = random_bytes(&*self.ports.random) else { return Ok(None) };
        // A claim lasts as long as two requests with their quarantine.
        let length = self.policy.lease_length() * 2;
        let longest = self.policy.abandon_revocation_after;
        let claimed = self.ports.queue.claim_revocation(worker, length, longest, left_out).await?;
        Ok(claimed.map(|job| self.decrypted(job, worker)))
    }

    /// Finds a place for a claimed job. A job that is over ends, and one without a place is put back.
    async fn begin<'a>(&'a self, job: &Job, place: Place<'a>) -> Result<Begun<'a>, StoreError> {
        let now = self.ports.store_clock.now().await?;
        // A job that only a wrong clock ends is tried again.
        if self.is_over(job, now) && self.ports.settled.now().await?.is_some_and(|now| self.is_over(job, now)) {
            return Ok(Begun::Done(self.store(job, RevocationUpdate::Completed(RevocationOutcome::Abandoned), now).await?));
        }
        let Some(origin) = job.origin(self.refreshes_first(job, now)) else { return Ok(Begun::Running(place)) };
        let pause = match place.occupy(origin, &job.owner, self.ports.clock.monotonic()) {
            Ok(place) => return Ok(Begun::Running(place)),
            // It is left out until there is a place, unless it is past its end.
            Err(Refused::LeftOut) if !self.is_over(job, now) => Duration::ZERO,
            Err(Refused::LeftOut | Refused::Crowded) => PUT_BACK,
        };
        let at = self.not_after_the_end(job, now.plus(pause), now);
        Ok(Begun::Done(self.store(job, RevocationUpdate::Deferred { at }, now).await?))
    }

    /// Works on a job and stores the result.
    async fn finish(&self, job: Job, place: Place<'_>) -> Result<RevocationRound, StoreError> {
        let now = self.ports.store_clock.now().await?;
        let update = self.process(&job, now).await?;
        drop(place);
        self.store(&job, update, now).await
    }

    async fn store(&self, job: &Job, update: RevocationUpdate, now: Timestamp) -> Result<RevocationRound, StoreError> {
        let (done, audit) = match &update {
            RevocationUpdate::Completed(outcome) => {
                let event = job.event(AuditKind::RevocationCompleted, now).outcome(*outcome);
                (RevocationRound { completed: 1, postponed: 0 }, vec![event])
            }
            RevocationUpdate::Retry { .. } | RevocationUpdate::Deferred { .. } | RevocationUpdate::Refreshed { .. } => {
                (RevocationRound { completed: 0, postponed: 1 }, Vec::new())
            }
        };
        let is_stored = self.ports.queue.update_revocation(job.id, job.worker, update, audit).await?;
        // Another worker has the job, and counts it.
        Ok(if is_stored { done } else { RevocationRound::default() })
    }

    /// Sends a request. One that fails slowly closes its origin for a while.
    async fn call<T>(
        &self,
        url: &str,
        request: impl Future<Output = Result<T, ProviderError>> + Unpin,
    ) -> Result<T, ProviderError> {
        let started = self.ports.clock.monotonic();
        let response = with_deadline(&*self.ports.spawner, self.policy.request_deadline, request).await;
        let now = self.ports.clock.monotonic();
        if response.is_err() && now.saturating_sub(started) >= SLOW {
            self.origins.close(url_parts::origin(url), now.saturating_add(self.policy.request_deadline));
        }
        response
    }

    /// Starts a round now, detached. A failed round is repeated by the periodic job.
    pub fn wake(self: &Arc<Self>) {
        let this = Arc::clone(self);
        self.ports.spawner.spawn(
            async move {
                let _ = this.revoke_due().await;
            }
            .boxed(),
        );
    }

    /// Queues tokens whose flow or grant has ended and revokes them. They are sealed as unclaimed tokens, so that they
    /// cannot be used as those of a grant. Until vault and store accept them, they stay in memory and queueing is repeated.
    pub async fn queue_unclaimed(self: &Arc<Self>, owner: &AuthorizationKey, tokens: &GrantSecrets, now: Timestamp) {
        let encoded = tokens.encode();
        if self.try_queue(owner, &encoded, now).await.is_ok() {
            self.wake();
            return;
        }
        let (this, owner) = (Arc::clone(self), owner.clone());
        let work = async move {
            let mut pause = Duration::from_millis(250);
            let mut waited = Duration::ZERO;
            // For as long as a queued revocation would be tried.
            while waited < this.policy.abandon_revocation_after {
                this.ports.spawner.sleep(pause).await;
                waited += pause;
                if this.try_queue(&owner, &encoded, now).await.is_ok() {
                    this.wake();
                    return;
                }
                pause = (pause * 2).min(Duration::from_mins(1));
            }
        };
        self.ports.spawner.spawn(work.boxed());
    }

    async fn try_queue(&self, owner: &AuthorizationKey, encoded: &Secret, now: Timestamp) -> Result<(), NotQueued> {
        let id = AuthorizationId::new(now, random_bytes(&*self.ports.random).map_err(|_| NotQueued)?);
        let sealed = self.sealer.seal_unclaimed(owner, id, encoded).map_err(|_| NotQueued)?;
        let tokens = UnclaimedTokens { id, owner: owner.clone(), sealed, queued_at: now, attempts: 0 };
        let event = AuditEvent::of_system(AuditKind::UnclaimedTokensQueued, now).about(owner, id);
        let audit = vec![event.outcome(AuditOutcome::Queued)];
        self.ports.queue.queue_unclaimed(tokens, audit).await.map_err(|_| NotQueued)
    }

    fn decrypted(&self, job: RevocationJob, worker: [u8; 16]) -> Job {
        match job {
            RevocationJob::FormerGrant(former) => {
                let end = former.termination();
                let pending = end.and_then(|end| end.pending_revocation());
                Job {
                    id: former.id(),
                    worker,
                    owner: former.owner().clone(),
                    since: end.map_or(former.created_at(), |end| end.since),
                    attempts: pending.map_or(0, |pending| pending.attempts),
                    in_doubt: pending.is_some_and(|pending| pending.in_doubt),
                    secrets: self.sealer.open_grant(&former).ok(),
                }
            }
            RevocationJob::Unclaimed(tokens) => {
                let UnclaimedTokens { id, owner, sealed, queued_at, attempts } = *tokens;
                let secrets = self.sealer.open_unclaimed(&owner, id, &sealed).ok();
                Job { id, worker, owner, since: queued_at, attempts, in_doubt: false, secrets }
            }
        }
    }

    async fn process(&self, job: &Job, now: Timestamp) -> Result<RevocationUpdate, StoreError> {
        // Their key may be available again at a later attempt.
        let Some(secrets) = &job.secrets else {
            return Ok(self.retry(job, None, job.in_doubt, now));
        };
        if self.would_end_a_live_grant(job, secrets).await? {
            return Ok(RevocationUpdate::Completed(RevocationOutcome::NotNeeded));
        }
        let needs_secret = secrets.provider.authentication.needs_secret();
        let client = match self.sealer.client_of(&job.owner, needs_secret).await {
            Ok(client) => client,
            Err(NoCredentials::Store(error)) => return Err(error),
            Err(NoCredentials::Missing) => return Ok(RevocationUpdate::Completed(RevocationOutcome::Abandoned)),
            Err(NoCredentials::Undecryptable) => return Ok(self.retry(job, None, job.in_doubt, now)),
        };
        if !self.refreshes_first(job, now) {
            return Ok(self.revoke(job, secrets, &client, false, now).await);
        }
        Ok(match self.refresh_once(job, secrets, &client, now).await? {
            Refreshed::Received(tokens) => self.revoke(job, &tokens, &client, false, now).await,
            Refreshed::Refused => self.revoke(job, secrets, &client, job.in_doubt, now).await,
            Refreshed::Undecided => self.revoke_in_doubt(job, secrets, &client, now).await,
            Refreshed::Unknown { retry_after } => self.retry(job, retry_after, true, now),
        })
    }

    /// Whether the job needs newer tokens than it has: where the provider may have rotated them, and where it ends a grant by the
    /// access token only, which has expired. The refresh token would stay valid otherwise.
    fn refreshes_first(&self, job: &Job, now: Timestamp) -> bool {
        let lacks_a_valid_token = |secrets: &GrantSecrets| {
            let order = self.ports.provider.revocation_order(&secrets.provider);
            secrets.expires_at.is_some_and(|end| end <= now)
                && secrets.provider.endpoints.revocation.is_some()
                && order.contains(&TokenKind::Access)
                && !order.contains(&TokenKind::Refresh)
        };
        let has_refresh_token = |secrets: &&GrantSecrets| secrets.refresh_token.is_some();
        job.in_doubt || job.secrets.as_ref().filter(has_refresh_token).is_some_and(lacks_a_valid_token)
    }

    /// Sends the revocation requests and returns how the job goes on.
    async fn revoke(
        &self,
        job: &Job,
        secrets: &GrantSecrets,
        client: &ClientCredentials,
        in_doubt: bool,
        now: Timestamp,
    ) -> RevocationUpdate {
        match self.send(job, secrets, client).await {
            Ok(outcome) => RevocationUpdate::Completed(outcome),
            Err(failed) if failed.is_misconfiguration && job.attempts >= REFUSED_ATTEMPTS => {
                RevocationUpdate::Completed(RevocationOutcome::Abandoned)
            }
            Err(failed) => self.retry(job, failed.retry_after, in_doubt, now),
        }
    }

    /// Revokes the present tokens while there can be newer ones, which a later attempt asks for again. Without a response that decides
    /// about the token, the outcome is that the revocation was abandoned.
    async fn revoke_in_doubt(
        &self,
        job: &Job,
        secrets: &GrantSecrets,
        client: &ClientCredentials,
        now: Timestamp,
    ) -> RevocationUpdate {
        let sent = self.send(job, secrets, client).await;
        if job.attempts >= REFUSED_ATTEMPTS {
            return RevocationUpdate::Completed(RevocationOutcome::Abandoned);
        }
        self.retry(job, sent.err().and_then(|failed| failed.retry_after), true, now)
    }

    /// Refreshes once before revoking. When it is unknown whether the provider has rotated the refresh token, one with a grace
    /// period issues the live token, and a strict one ends the whole token family; the audit event is written before the
    /// request then, which a provider can report as reuse. The tokens received replace the job's at once, so that a crash
    /// before the revocation does not lose them.
    async fn refresh_once(
        &self,
        job: &Job,
        secrets: &GrantSecrets,
        client: &ClientCredentials,
        now: Timestamp,
    ) -> Result<Refreshed, StoreError> {
        let Some(refresh_token) = &secrets.refresh_token else { return Ok(Refreshed::Refused) };
        // An earlier attempt of this job may have sent the token as well.
        let may_be_used = job.in_doubt || job.attempts > 0;
        if may_be_used {
            let event = job.event(AuditKind::RefreshRetried, now).outcome(AuditOutcome::ToRevoke);
            self.ports.outbox.record(vec![event]).await?;
        }
        let call = self.ports.provider.refresh(&secrets.provider, client, refresh_token, &secrets.granted_scopes);
        let endpoint = secrets.provider.endpoints.for_refresh();
        let response = self.call(endpoint, call).await;
        if let Err(error) = &response {
            self.ports.failures.record(&job.owner, ProviderOperation::Refresh, endpoint, error);
        }
        Ok(match response {
            Ok(response) => {
                self.ports.failures.record_anomalies(&job.owner, &response.anomalies);
                let anomalies = AuditEvent::of_anomalies(&response.anomalies, Actor::System, now);
                let tokens = token_lifetime::refreshed(secrets, response, now, self.policy.assumed_lifetime);
                if let Ok(sealed) = self.sealer.seal_grant(&job.owner, job.id, &tokens) {
                    let update = RevocationUpdate::Refreshed { sealed: sealed.sealed, revision: tokens.revision };
                    let mut audit = vec![job.event(AuditKind::Refreshed, now).outcome(AuditOutcome::ToRevoke)];
                    audit.extend(anomalies.map(|event| event.about(&job.owner, job.id)));
                    // If they cannot be stored, they are still revoked below.
                    let _ = self.ports.queue.update_revocation(job.id, job.worker, update, audit).await;
                }
                Refreshed::Received(Box::new(tokens))
            }
            Err(error) => match error.kind {
                ProviderErrorKind::NoResponse
                | ProviderErrorKind::NotSent
                | ProviderErrorKind::Malformed
                | ProviderErrorKind::Throttled { .. } => Refreshed::Unknown { retry_after: requested_pause(error.kind) },
                // The token is not valid any more (RFC 6749 §5.2). A provider that detects reuse has ended its family.
                ProviderErrorKind::InvalidGrant => Refreshed::Refused,
                // About the client or the request, and not about the token.
                ProviderErrorKind::ClientRefused
                | ProviderErrorKind::GrantTypeRefused
                | ProviderErrorKind::OtherOauthError
                | ProviderErrorKind::Refused
                | ProviderErrorKind::NotAllowed
                | ProviderErrorKind::BadMetadata => {
                    if may_be_used {
                        Refreshed::Undecided
                    } else {
                        Refreshed::Refused
                    }
                }
            },
        })
    }

    /// Whether a revocation would also end a live grant: one that has the same tokens, or a newer one of the same account
    /// where the provider revokes per client and user. This happens when a user reconnects before the job is done, or when
    /// a reconnect fails.
    async fn would_end_a_live_grant(&self, job: &Job, secrets: &GrantSecrets) -> Result<bool, StoreError> {
        let view = self.ports.queries.access_token_view(&job.owner.connector_key(), &job.owner.user, None).await?;
        let Some(view) = view else {
            return Ok(false);
        };
        let per_user = self.settings.of(&view.connector).is_ok_and(|settings| settings.provider.revocation_is_per_user);
        let same_client = view.grants.iter().filter(|grant| grant.value.owner().digest == job.owner.digest);
        let mut live = same_client.map(|grant| self.sealer.open_grant(&grant.value).ok());
        Ok(live.any(|live| match live {
            Some(live) => live.shares_a_token(secrets) || (per_user && may_be_same_account(&live, secrets)),
            None => per_user,
        }))
    }

    /// Revokes each token in the provider's order, at the endpoint consented to. A failure for one token does not prevent the
    /// request for the other. A later attempt sends all of them again: a revoked token is unknown to the provider, which
    /// counts as revoked (RFC 7009 §2.2), so the job needs no record of the tokens that are done.
    async fn send(
        &self,
        job: &Job,
        secrets: &GrantSecrets,
        client: &ClientCredentials,
    ) -> Result<RevocationOutcome, NotRevoked> {
        let (mut outcome, mut failed) = (RevocationOutcome::NotSupported, None);
        for kind in self.ports.provider.revocation_order(&secrets.provider) {
            let token = match kind {
                TokenKind::Access => Some(&secrets.access_token),
                TokenKind::Refresh => secrets.refresh_token.as_ref(),
            };
            let Some(token) = token else { continue };
            let call = self.ports.provider.revoke(&secrets.provider, client, token, kind);
            let endpoint = secrets.provider.endpoints.revocation.as_deref().unwrap_or_default();
            match self.call(endpoint, call).await {
                Ok(RevocationResponse::Done) => outcome = RevocationOutcome::Revoked,
                Ok(RevocationResponse::NotSupported) => {}
                Err(error) => {
                    self.ports.failures.record(&job.owner, ProviderOperation::Revocation, endpoint, &error);
                    failed = Some(NotRevoked::of(&error).and(failed));
                }
            }
        }
        failed.map_or(Ok(outcome), Err)
    }

    /// When tokens and job are destroyed, with any outcome.
    fn abandon_at(&self, job: &Job, now: Timestamp) -> Timestamp {
        job.since.min(now).plus(self.policy.abandon_revocation_after)
    }

    /// The next attempt, or the end of the job if that is earlier. A job past its end goes on while the clock is unsettled.
    fn not_after_the_end(&self, job: &Job, at: Timestamp, now: Timestamp) -> Timestamp {
        let end = self.abandon_at(job, now);
        if end > now { at.min(end) } else { at }
    }

    /// Whether the job has been tried for long enough.
    fn is_over(&self, job: &Job, now: Timestamp) -> bool {
        now >= self.abandon_at(job, now) || (job.since > now && job.attempts >= MOST_ATTEMPTS)
    }

    /// The next attempt: when the provider accepts one, else after a pause that doubles up to an hour, but not after the
    /// instant at which the job is abandoned.
    fn retry(&self, job: &Job, requested: Option<Duration>, in_doubt: bool, now: Timestamp) -> RevocationUpdate {
        let back_off = (Duration::from_secs(5) * 2_u32.pow(job.attempts.min(10))).min(Duration::from_hours(1));
        let pause = requested.unwrap_or(back_off);
        let pause = if in_doubt { pause.max(self.policy.quarantine) } else { pause };
        RevocationUpdate::Retry { at: self.not_after_the_end(job, now.plus(pause), now) }
    }
}

/// Whether two grants can be of the same account at the provider.
fn may_be_same_account(live: &GrantSecrets, former: &GrantSecrets) -> bool {
    match (&live.account, &former.account) {
        (Some(live), Some(former)) => live.subject == former.subject,
        (Some(_), None) | (None, Some(_) | None) => true,
    }
}

/// When the provider accepts another request, if it names an instant.
fn requested_pause(kind: ProviderErrorKind) -> Option<Duration> {
    match kind {
        ProviderErrorKind::Throttled { retry_after, .. } => retry_after,
        ProviderErrorKind::InvalidGrant
        | ProviderErrorKind::ClientRefused
        | ProviderErrorKind::GrantTypeRefused
        | ProviderErrorKind::OtherOauthError
        | ProviderErrorKind::Refused
        | ProviderErrorKind::NotAllowed
        | ProviderErrorKind::NotSent
        | ProviderErrorKind::NoResponse
        | ProviderErrorKind::Malformed
        | ProviderErrorKind::BadMetadata => None,
    }
}

impl RevocationRound {
    fn add(&mut self, other: Self) {
        self.completed += other.completed;
        self.postponed += other.postponed;
    }
}

impl Job {
    /// The origin that receives its first request. `None` if no request is possible.
    fn origin(&self, refreshes_first: bool) -> Option<&str> {
        let endpoints = &self.secrets.as_ref()?.provider.endpoints;
        let revocation = endpoints.revocation.as_ref().filter(|_| !refreshes_first);
        Some(url_parts::origin(revocation.unwrap_or(&endpoints.token)))
    }

    fn event(&self, kind: AuditKind, now: Timestamp) -> AuditEvent {
        AuditEvent::of_system(kind, now).about(&self.owner, self.id)
    }
}
