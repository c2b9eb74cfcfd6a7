//! Refreshing a grant exactly once on all nodes, without losing rotated tokens.
//!
//! In this process there is one flight per grant and goal; between nodes there is a lease that marks the grant in doubt; the
//! commit expects the token revision that was read. If one of them is missing, a grant can be lost, or an ended grant can
//! return.

mod circuit_breaker;
mod commit;
mod forced;
mod refusal;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use circuit_breaker::{CircuitBreaker, Permit, RefusedRequest};
pub(crate) use commit::COMMIT_ATTEMPTS;

use self::commit::PendingCommits;
use self::forced::{ForcedRefreshes, Instant};
use self::refusal::{Meaning, ends_grant};
use crate::authorization::{Authorization, AuthorizationId, GrantSecrets, Input};
use crate::connector::Connector;
use crate::encoding::sha256;
use crate::identity::Actor;
use crate::ports::{
    AuditEvent, AuditKind, AuditOutcome, AuthorizationServer, AuthorizationStore, ClientCredentials, Clock, ConnectorStore,
    FailedAttempt, Lease, LeaseRequest, ProviderError, ProviderErrorKind, ProviderOperation, RefreshLeases, Refusal,
    SecureRandom, Spawner, StoreClock, StoreError, Versioned, WriteOutcome,
};
use crate::provider::ProviderSnapshot;
use crate::time::Timestamp;
use crate::usecase::audit_buffer::AuditBuffer;
use crate::usecase::detached::SingleFlight;
use crate::usecase::failure_recorder::{FailingConnector, FailureRecorder};
use crate::usecase::policy::Policy;
use crate::usecase::requests::{random_bytes, with_deadline};
use crate::usecase::revocation::RevocationWorker;
use crate::usecase::sealer::{NoCredentials, Sealer};
use crate::usecase::settings::ConnectorSettings;
use crate::usecase::settled_clock::{SettledClock, is_step};
use crate::usecase::token_lifetime::{Freshness, is_issuable};

/// The longest pause between two attempts for one grant, also if the provider requests a longer one.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// What a caller needs. Callers with the same goal share one flight; the lease keeps different goals apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefreshGoal {
    /// A token that does not expire soon.
    Fresh,
    /// Any token but the one with this SHA-256, which the API rejected.
    Replace([u8; 32]),
}

/// How a refresh ended. Contains no token: every waiter reads the committed grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// The stored grant meets the goal.
    Current,
    /// The grant has ended.
    Ended,
    /// No new token at the moment; the present one may still be valid.
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// The provider refuses to refresh without a reason that ends the grant; the present token may still be valid.
    Refused {
        /// When to try again.
        retry_after: Duration,
        /// The HTTP status, if there was one.
        http_status: Option<u16>,
    },
    /// The operator has to repair the connector.
    Misconfigured,
}

/// What a [`Refresher`] needs.
pub struct RefresherPorts {
    /// The clock of the store.
    pub store_clock: Arc<dyn StoreClock>,
    /// Authorizations.
    pub authorizations: Arc<dyn AuthorizationStore>,
    /// Leases.
    pub leases: Arc<dyn RefreshLeases>,
    /// Connectors.
    pub connectors: Arc<dyn ConnectorStore>,
    /// The provider.
    pub provider: Arc<dyn AuthorizationServer>,
    /// The clock of the process, for request deadlines.
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

/// Refreshes grants.
pub struct Refresher {
    ports: RefresherPorts,
    policy: Policy,
    sealer: Sealer,
    settings: ConnectorSettings,
    audit: AuditBuffer,
    revocations: Arc<RevocationWorker>,
    breaker: Arc<CircuitBreaker>,
    flights: SingleFlight<(AuthorizationId, RefreshGoal), RefreshOutcome>,
    pending: PendingCommits,
    forced: ForcedRefreshes,
    running: Mutex<BTreeSet<AuthorizationId>>,
}

/// An attempt of this process; there is at most one per grant.
struct Running<'a> {
    all: &'a Mutex<BTreeSet<AuthorizationId>>,
    id: AuthorizationId,
}

impl<'a> Running<'a> {
    fn enter(all: &'a Mutex<BTreeSet<AuthorizationId>>, id: AuthorizationId) -> Option<Self> {
        let is_first = all.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        is_first.then_some(Self { all, id })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

type Step = ControlFlow<RefreshOutcome>;

const RETRY_SOON: RefreshOutcome = RefreshOutcome::Unavailable { retry_after: Duration::from_secs(1) };

/// A grant that needs a refresh, with everything that can be checked before its lease is taken.
struct Candidate {
    grant: Versioned<Authorization>,
    client: ClientCredentials,
    permit: Permit,
    goal: RefreshGoal,
    /// The live settings. They have the digest that was consented to, so they differ in nothing that decides where tokens go.
    config: String,
    read_at: Timestamp,
}

/// One attempt under a lease.
struct Attempt {
    grant: Versioned<Authorization>,
    holder: [u8; 16],
    goal: RefreshGoal,
    /// Whether the outcome of an earlier attempt is unknown.
    was_in_doubt: bool,
    /// When it began, by both clocks.
    read_at: Timestamp,
    started: Duration,
}

impl Refresher {
    /// A refresher.
    pub fn new(
        ports: RefresherPorts,
        policy: Policy,
        sealer: Sealer,
        settings: ConnectorSettings,
        audit: AuditBuffer,
        revocations: Arc<RevocationWorker>,
        breaker: Arc<CircuitBreaker>,
    ) -> Arc<Self> {
        Arc::new(Self {
            ports,
            policy,
            sealer,
            settings,
            audit,
            revocations,
            breaker,
            flights: SingleFlight::default(),
            pending: PendingCommits::default(),
            forced: ForcedRefreshes::default(),
            running: Mutex::default(),
        })
    }

    /// Refreshes a grant, together with all callers of this process that have the same goal.
    pub async fn refresh(self: &Arc<Self>, id: AuthorizationId, goal: RefreshGoal) -> RefreshOutcome {
        let this = Arc::clone(self);
        let refreshed = self.flights.join(&*self.ports.spawner, (id, goal), async move { this.run(id, goal).await }).await;
        refreshed.unwrap_or(RETRY_SOON)
    }

    /// How many grants have refreshed tokens in memory that the store did not accept yet. More than zero is an alarm.
    pub fn pending_commits(&self) -> usize {
        self.pending.len()
    }

    /// Repeats steps until one ends the refresh, for a bounded time.
    async fn run(self: Arc<Self>, id: AuthorizationId, goal: RefreshGoal) -> RefreshOutcome {
        let started = self.ports.clock.monotonic();
        let Ok(began_at) = self.ports.store_clock.now().await else { return RETRY_SOON };
        let patience = self.policy.request_deadline + Duration::from_secs(5);
        let mut pause = Duration::from_millis(50);
        loop {
            let waited = self.ports.clock.monotonic().saturating_sub(started);
            match self.step(id, goal, began_at.plus(waited), waited < patience).await {
                Ok(ControlFlow::Break(outcome)) => return outcome,
                // Bounds the total wait even if the stored grant keeps changing.
                Ok(ControlFlow::Continue(())) if waited >= 2 * patience => return RETRY_SOON,
                Ok(ControlFlow::Continue(())) => {
                    self.ports.spawner.sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(400));
                }
                Err(_) => return RETRY_SOON,
            }
        }
    }

    /// `expected` is the present time as far as the monotonic clock shows it.
    async fn step(
        self: &Arc<Self>,
        id: AuthorizationId,
        goal: RefreshGoal,
        expected: Timestamp,
        may_wait: bool,
    ) -> Result<Step, StoreError> {
        if !self.commit_pending(id).await {
            return Ok(ControlFlow::Break(RETRY_SOON));
        }
        let now = self.ports.store_clock.now().await?;
        self.ports.settled.note(now);
        // A clock that was set during this refresh must not end the grant. The next refresh relies on it.
        if is_step(expected, now) {
            return Ok(ControlFlow::Break(RETRY_SOON));
        }
        let candidate = match self.candidate(id, goal, now).await? {
            ControlFlow::Continue(candidate) => candidate,
            ControlFlow::Break(step) => return Ok(step),
        };
        let step = self.attempt(candidate, may_wait).await?;
        if let (RefreshGoal::Replace(rejected), ControlFlow::Break(RefreshOutcome::Current)) = (goal, step) {
            self.forced.record(id, rejected, Instant { wall: now, monotonic: self.ports.clock.monotonic() });
        }
        Ok(step)
    }

    /// Checks everything that can fail without a request to the provider. `Break` contains the step to return.
    async fn candidate(
        &self,
        id: AuthorizationId,
        goal: RefreshGoal,
        now: Timestamp,
    ) -> Result<ControlFlow<Step, Candidate>, StoreError> {
        let end = |outcome| Ok(ControlFlow::Break(ControlFlow::Break(outcome)));
        let Some(stored) = self.ports.authorizations.find(id).await? else {
            return end(RefreshOutcome::Ended);
        };
        let grant = stored.value.clone().at(now);
        if grant.as_grant().is_none() {
            self.record_expiry(&stored, grant, now).await?;
            return end(RefreshOutcome::Ended);
        }
        let Ok(secrets) = self.sealer.open_grant(&grant) else {
            return end(RefreshOutcome::Ended);
        };
        if meets(goal, &secrets, id, now, self.longest_margin(&grant).await?) {
            return end(RefreshOutcome::Current);
        }
        if secrets.refresh_token.is_none() {
            let ended = self.end(&stored, Input::AccessTokenExpired, now).await?;
            return Ok(ControlFlow::Break(ended));
        }
        if let RefreshGoal::Replace(rejected) = goal
            && self.forced.is_exhausted(id, rejected, Instant { wall: now, monotonic: self.ports.clock.monotonic() })
        {
            return end(RefreshOutcome::Current);
        }
        let connector = match self.unchanged_connector(&grant).await? {
            ControlFlow::Continue(connector) => connector,
            ControlFlow::Break(outcome) => return end(outcome),
        };
        let Some(permit) = self.breaker.admit(&connector, now) else {
            return end(RefreshOutcome::Misconfigured);
        };
        let needs_secret = secrets.provider.authentication.needs_secret();
        let owner = grant.owner();
        match self.sealer.client_of(owner, needs_secret).await {
            Ok(client) => Ok(ControlFlow::Continue(Candidate {
                grant: stored,
                client,
                permit,
                goal,
                config: connector.config.settings,
                read_at: now,
            })),
            Err(NoCredentials::Store(error)) => Err(error),
            Err(NoCredentials::Missing | NoCredentials::Undecryptable) => {
                let endpoint = secrets.provider.endpoints.for_refresh();
                self.ports.failures.record_missing_secret(owner, ProviderOperation::Refresh, endpoint);
                end(RefreshOutcome::Misconfigured)
            }
        }
    }

    /// How early the provider refreshes at most. Nothing else of the live settings matters here.
    async fn longest_margin(&self, grant: &Authorization) -> Result<Option<Duration>, StoreError> {
        let connector = self.ports.connectors.get(&grant.owner().connector_key()).await?;
        let settings = connector.and_then(|connector| self.settings.read(&connector).ok());
        Ok(settings.and_then(|settings| settings.provider.refresh_margin))
    }

    /// The live connector, if it is the one consented to; else no request is sent.
    async fn unchanged_connector(
        &self,
        grant: &Authorization,
    ) -> Result<ControlFlow<RefreshOutcome, Connector>, StoreError> {
        let owner = grant.owner();
        let Some(connector) = self.ports.connectors.get(&owner.connector_key()).await? else {
            return Ok(ControlFlow::Break(RefreshOutcome::Ended));
        };
        let same = connector.incarnation == owner.incarnation && connector.epoch == owner.epoch;
        match self.settings.of(&connector) {
            Ok(settings) if same && settings.required.digest == owner.digest => Ok(ControlFlow::Continue(connector)),
            Ok(_) => Ok(ControlFlow::Break(RefreshOutcome::Ended)),
            Err(unusable) => {
                self.ports.failures.record_unusable_settings(&connector, &unusable);
                Ok(ControlFlow::Break(RefreshOutcome::Misconfigured))
            }
        }
    }

    /// Takes the lease and sends the request, or waits for the attempt that has the lease.
    async fn attempt(self: &Arc<Self>, candidate: Candidate, may_wait: bool) -> Result<Step, StoreError> {
        let Candidate { grant, client, permit, goal, config, read_at } = candidate;
        // The lease expires by a clock that can be set, so attempts of this process do not rely on it alone.
        let Some(_running) = Running::enter(&self.running, grant.value.id()) else {
            return Ok(if may_wait { ControlFlow::Continue(()) } else { ControlFlow::Break(RETRY_SOON) });
        };
        // A lease of another node looks ended after the clock was set, while its request is still under way.
        if is_leased(&grant.value) && self.ports.settled.has_stepped_within(self.policy.lease_length()) {
            return Ok(if may_wait { ControlFlow::Continue(()) } else { ControlFlow::Break(RETRY_SOON) });
        }
        let Ok(holder) = random_bytes(&*self.ports.random) else {
            return Ok(ControlFlow::Break(RETRY_SOON));
        };
        // Measured from before the lease, so that the request ends within it even if the process is suspended in between.
        let started = self.ports.clock.monotonic();
        let length = self.policy.lease_length();
        let request = LeaseRequest {
            id: grant.value.id(),
            revision: grant.version.revision,
            holder,
            length,
            longest: length.max(LONGEST_PAUSE) * 2,
        };
        let attempt = match self.ports.leases.take_lease(request).await? {
            Lease::Taken { grant, was_in_doubt } => Attempt { grant: *grant, holder, goal, was_in_doubt, read_at, started },
            Lease::Held { until, grant } if !may_wait || !is_leased(&grant.value) => {
                let now = self.ports.store_clock.now().await?;
                let outcome = paused(&grant.value, until, now);
                let is_refused = matches!(outcome, RefreshOutcome::Refused { .. });
                let outcome = if is_refused && permit.is_probe() { RefreshOutcome::Misconfigured } else { outcome };
                return Ok(ControlFlow::Break(outcome));
            }
            Lease::Held { .. } | Lease::Stale(_) => return Ok(ControlFlow::Continue(())),
            Lease::NotFound => return Ok(ControlFlow::Break(RefreshOutcome::Ended)),
        };
        // The grant may have changed since the candidate was read: use the tokens of the leased version.
        let Ok(secrets) = self.sealer.open_grant(&attempt.grant.value) else {
            return self.postpone(&attempt, None, permit, &ProviderErrorKind::NotSent.into()).await;
        };
        let Some(refresh_token) = &secrets.refresh_token else {
            return self.postpone(&attempt, None, permit, &ProviderErrorKind::NotSent.into()).await;
        };
        let sent_at = self.ports.store_clock.now().await?;
        let elapsed = self.ports.clock.monotonic().saturating_sub(started);
        let response = match self.policy.request_deadline.checked_sub(elapsed) {
            Some(left) if !left.is_zero() => {
                // An editor can correct how responses are read without a new consent.
                let provider = ProviderSnapshot { config, ..secrets.provider.clone() };
                let call = self.ports.provider.refresh(&provider, &client, refresh_token, &secrets.granted_scopes);
                with_deadline(&*self.ports.spawner, left, call).await
            }
            Some(_) | None => Err(ProviderErrorKind::NotSent.into()),
        };
        if let Err(error) = &response {
            let (owner, endpoint) = (attempt.grant.value.owner(), secrets.provider.endpoints.for_refresh());
            self.ports.failures.record(owner, ProviderOperation::Refresh, endpoint, error);
        }
        match response {
            Ok(response) => {
                let is_news = permit.succeeded(sent_at);
                let connector = FailingConnector::from(attempt.grant.value.owner());
                let outcome = self.commit(attempt.grant, &secrets, response, sent_at).await;
                if is_news {
                    self.ports.failures.client_accepted(&connector).await;
                }
                Ok(ControlFlow::Break(outcome))
            }
            Err(ProviderError { kind: ProviderErrorKind::InvalidGrant, .. }) => {
                self.end(&attempt.grant, Input::RefreshRejected, sent_at).await
            }
            Err(error) => self.postpone(&attempt, secrets.expires_at, permit, &error).await,
        }
    }

    /// Records a failure and the instant of the next attempt. A refusal that has lasted too long ends the grant instead.
    async fn postpone(
        &self,
        attempt: &Attempt,
        access_token_expires_at: Option<Timestamp>,
        permit: Permit,
        error: &ProviderError,
    ) -> Result<Step, StoreError> {
        let now = self.ports.store_clock.now().await?;
        let id = attempt.grant.value.id();
        let meaning = Meaning::of(error.kind);
        let before = attempt.grant.value.as_grant().map(|grant| grant.refresh().clone()).unwrap_or_default();
        let may_end = meaning == Meaning::Unclear;
        // A clock that was set forwards during the attempt must not shorten the window.
        let elapsed = self.ports.clock.monotonic().saturating_sub(attempt.started);
        let judged_at = now.min(attempt.read_at.plus(elapsed));
        if may_end && ends_grant(&self.policy, &before, attempt.goal, access_token_expires_at, judged_at) {
            let ended = self.end(&attempt.grant, Input::RefreshRefused, now).await?;
            self.revocations.wake();
            return Ok(ended);
        }
        // An error gives no information about an earlier attempt.
        let outcome_known = error.outcome_is_known() && !attempt.was_in_doubt;
        let pause = match error.kind {
            ProviderErrorKind::Throttled { retry_after: Some(requested), .. } => requested.min(LONGEST_PAUSE),
            ProviderErrorKind::ClientRefused
            | ProviderErrorKind::GrantTypeRefused
            | ProviderErrorKind::Refused
            | ProviderErrorKind::NotAllowed
            | ProviderErrorKind::BadMetadata
            | ProviderErrorKind::InvalidGrant
            | ProviderErrorKind::OtherOauthError
            | ProviderErrorKind::Throttled { retry_after: None, .. }
            | ProviderErrorKind::NotSent
            | ProviderErrorKind::NoResponse
            | ProviderErrorKind::Malformed => Duration::from_secs(1) * 2_u32.pow(before.failed_attempts.min(6)),
        };
        let pause = if outcome_known { pause } else { pause.max(self.policy.quarantine) };
        let jitter = pause / 5 / 255 * u32::from(attempt.holder[0]);
        let not_before = now.plus((pause + jitter).min(LONGEST_PAUSE));
        let is_open = match meaning {
            Meaning::Client => {
                let (_, revision) = permit.connector();
                let since = permit.refused(RefusedRequest::Refresh(id), now);
                if let Some(since) = since {
                    let connector = FailingConnector::from(attempt.grant.value.owner());
                    self.ports.failures.client_refused(&connector, revision, since).await;
                }
                since.is_some()
            }
            Meaning::Rejected | Meaning::Unclear | Meaning::NotAllowed | Meaning::Unavailable => false,
        };
        let event = AuditEvent::of_system(AuditKind::RefreshFailed, now).about(attempt.grant.value.owner(), id);
        let audit = vec![event.outcome(error)];
        let http_status = error.diagnosis.http_status;
        let refusal = matches!(meaning, Meaning::Unclear | Meaning::Client)
            .then(|| Refusal { http_status: http_status.unwrap_or_default(), counts: meaning == Meaning::Unclear });
        let failure = FailedAttempt { outcome_known, not_before, refusal };
        self.ports.leases.fail_attempt(id, attempt.holder, failure, audit).await?;
        let retry_after = not_before.since(now).max(Duration::from_secs(1));
        Ok(ControlFlow::Break(match meaning {
            Meaning::NotAllowed => RefreshOutcome::Misconfigured,
            Meaning::Client if is_open => RefreshOutcome::Misconfigured,
            Meaning::Client | Meaning::Unclear | Meaning::Rejected => RefreshOutcome::Refused { retry_after, http_status },
            Meaning::Unavailable => RefreshOutcome::Unavailable { retry_after },
        }))
    }

    /// Ends a grant; another step follows if a concurrent writer won.
    async fn end(&self, stored: &Versioned<Authorization>, input: Input, now: Timestamp) -> Result<Step, StoreError> {
        let Ok(ended) = stored.value.clone().on(input, now) else {
            return Ok(ControlFlow::Continue(()));
        };
        let audit = vec![AuditEvent::of_termination(&ended, Actor::System, now)];
        match self.ports.authorizations.replace(ended, stored.version, audit).await? {
            WriteOutcome::Written => Ok(ControlFlow::Break(RefreshOutcome::Ended)),
            WriteOutcome::Stale(_) | WriteOutcome::NotFound => Ok(ControlFlow::Continue(())),
        }
    }

    /// Writes an expiry that was found while reading. Returns whether the grant has ended in the store; a concurrent write
    /// takes precedence. Shortly after the clock was set, nothing is written.
    pub(super) async fn record_expiry(
        &self,
        stored: &Versioned<Authorization>,
        expired: Authorization,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if stored.value.as_grant().is_none() {
            return Ok(true);
        }
        if self.ports.settled.now().await?.is_none() {
            return Ok(false);
        }
        let audit = vec![AuditEvent::of_termination(&expired, Actor::System, now)];
        Ok(match self.ports.authorizations.replace(expired, stored.version, audit).await? {
            WriteOutcome::Written => true,
            WriteOutcome::Stale(_) | WriteOutcome::NotFound => false,
        })
    }
}

/// Whether stored tokens meet a goal.
fn meets(
    goal: RefreshGoal,
    secrets: &GrantSecrets,
    id: AuthorizationId,
    now: Timestamp,
    longest_margin: Option<Duration>,
) -> bool {
    match goal {
        RefreshGoal::Fresh => is_issuable(secrets, id, now, Freshness::Fresh, longest_margin),
        RefreshGoal::Replace(rejected) => sha256(secrets.access_token.expose()) != rejected,
    }
}

/// The outcome during the pause after a failed attempt.
fn paused(grant: &Authorization, until: Timestamp, now: Timestamp) -> RefreshOutcome {
    let retry_after = until.since(now).max(Duration::from_secs(1));
    match grant.as_grant().and_then(|grant| grant.refresh().last_refusal) {
        Some(status) => RefreshOutcome::Refused { retry_after, http_status: (status > 0).then_some(status) },
        None => RefreshOutcome::Unavailable { retry_after },
    }
}

/// Whether an attempt has the lease, in contrast to the pause after a failed one.
fn is_leased(grant: &Authorization) -> bool {
    grant.as_grant().is_some_and(|grant| grant.refresh().holder.is_some())
}

impl From<&ProviderError> for AuditOutcome {
    fn from(error: &ProviderError) -> Self {
        Self::of(error.as_str())
    }
}
