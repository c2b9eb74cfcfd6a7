//! RefreshState: exactly once, never lost (R36–R42).
//!
//! In this process a single flight per grant; between nodes a lease that marks the grant in doubt; the commit is fenced by
//! the token revision. Removing any one of them lets a grant be lost or resurrected.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::authorization::{Authorization, AuthorizationId, AuthorizationRecord, Input, State, StateKind};
use crate::connector::{Connector, Incarnation};
use crate::identity::Actor;
use crate::ports::{
    AuditKind, ExpectedVersion, FailedAttempt, Lease, LeaseRequest, ProviderError, StoreError, WriteOutcome,
};
use crate::time::Timestamp;
use crate::usecase::Connections;
use crate::usecase::access_token::{is_fresh, restored};
use crate::usecase::audit::about_grant;
use crate::usecase::sealing::NoCredentials;

/// What a caller needs. Callers with the same want share one flight; the lease keeps different wants apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RefreshGoal {
    /// A token that is not about to lapse.
    Fresh,
    /// Any token but the one with this fingerprint, which the API refused.
    Replace([u8; 32]),
}

/// How a renewal ended. Carries no token: every waiter reads the committed row itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefreshOutcome {
    /// The row holds what was wanted.
    Current,
    /// The grant is over.
    Ended,
    /// No new token at the moment; the one there may still be alive.
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// The operator must act.
    Misconfigured,
}

/// Connectors whose client the provider refused: no request until then, or until an editor has changed something.
#[derive(Default)]
pub(super) struct CircuitBreaker(Mutex<BTreeMap<Incarnation, (u64, Timestamp)>>);

impl CircuitBreaker {
    pub(super) fn is_open(&self, connector: &Connector, now: Timestamp) -> bool {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&connector.incarnation).is_some_and(|(revision, until)| *revision == connector.revision && now < *until)
    }

    pub(super) fn open(&self, connector: &Connector, until: Timestamp, now: Timestamp) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, (_, until)| now < *until);
        open.insert(connector.incarnation, (connector.revision, until));
    }
}

/// How long a connector whose client was refused is left alone.
pub(super) const BREAK: Duration = Duration::from_mins(1);
/// The longest pause between two attempts for one grant, also if the provider asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// After a renewal that a 401 forced, the next one is not forced before this: an API that refuses every token must not
/// become a storm of refreshes (R47).
const FORCED_PAUSE: Duration = Duration::from_secs(30);
/// How long a token is remembered that has forced a renewal, for providers that answer with the same token again.
const FORCED_MEMORY: Duration = Duration::from_hours(1);

/// The last renewal of each grant that a 401 forced in this process (R47).
#[derive(Default)]
pub(super) struct ForcedRefreshes(Mutex<BTreeMap<AuthorizationId, ([u8; 32], Timestamp)>>);

impl ForcedRefreshes {
    /// Whether a refused token forces nothing any more: it has done so already, or another one has just now.
    fn is_pointless(&self, id: AuthorizationId, refused: [u8; 32], now: Timestamp) -> bool {
        let forced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forced.get(&id).is_some_and(|(token, at)| {
            let ago = now.since(*at);
            ago < FORCED_PAUSE || (*token == refused && ago < FORCED_MEMORY)
        })
    }

    fn note(&self, id: AuthorizationId, refused: [u8; 32], now: Timestamp) {
        let mut forced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forced.retain(|_, (_, at)| now.since(*at) < FORCED_MEMORY);
        forced.insert(id, (refused, now));
    }
}

/// One step of a renewal: done, or look again because the row has moved.
pub(super) enum Step {
    Done(RefreshOutcome),
    Again,
}

impl Connections {
    /// Renews a grant, together with everybody else in this process who wants the same.
    pub(super) async fn renewed(self: &Arc<Self>, id: AuthorizationId, want: RefreshGoal) -> RefreshOutcome {
        let this = Arc::clone(self);
        self.renewals.join(&*self.ports.spawner, (id, want), async move { this.renew(id, want).await }).await
    }

    /// The renewal itself, judged from the row inside the single flight.
    async fn renew(self: Arc<Self>, id: AuthorizationId, want: RefreshGoal) -> RefreshOutcome {
        let started = self.ports.clock.monotonic();
        let patience = self.policy.request_deadline + Duration::from_secs(5);
        let mut pause = Duration::from_millis(50);
        loop {
            let waited = self.ports.clock.monotonic().saturating_sub(started);
            match self.step(id, want, waited < patience).await {
                Ok(Step::Done(renewed)) => return renewed,
                // Whatever keeps the row from coming to rest, nobody waits for ever.
                Ok(Step::Again) if waited >= 2 * patience => {
                    return RefreshOutcome::Unavailable { retry_after: Duration::from_secs(1) };
                }
                Ok(Step::Again) => {
                    self.ports.spawner.sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(400));
                }
                Err(_) => {
                    return RefreshOutcome::Unavailable { retry_after: Duration::from_secs(1) };
                }
            }
        }
    }

    async fn step(self: &Arc<Self>, id: AuthorizationId, want: RefreshGoal, may_wait: bool) -> Result<Step, StoreError> {
        if !self.commit_pending(id).await {
            return Ok(Step::Done(RefreshOutcome::Unavailable { retry_after: Duration::from_secs(1) }));
        }
        let now = self.ports.authorizations.now().await?;
        let Some(record) = self.ports.authorizations.find(id).await? else {
            return Ok(Step::Done(RefreshOutcome::Ended));
        };
        let fence = ExpectedVersion::of(&record);
        let grant = restored(record.clone())?.at(now);
        let State::Authorized(authorized) = grant.state() else {
            self.record_expiry(&record, fence, &grant, now).await?;
            return Ok(Step::Done(RefreshOutcome::Ended));
        };
        let tokens = authorized.tokens();
        let Ok(secrets) = self.open_grant(&record.owner, id, &tokens.sealed, tokens.revision) else {
            return Ok(Step::Done(RefreshOutcome::Ended));
        };
        let satisfied = match want {
            RefreshGoal::Fresh => is_fresh(&secrets, id, now),
            RefreshGoal::Replace(refused) => self.fingerprint_of(&secrets.access_token) != refused,
        };
        if satisfied {
            return Ok(Step::Done(RefreshOutcome::Current));
        }
        if secrets.refresh_token.is_none() {
            let ended = self
                .apply(&record, fence, Input::AccessTokenExpired, AuditKind::GrantExpired, "access_token_expired", now)
                .await?;
            return Ok(if ended { Step::Done(RefreshOutcome::Ended) } else { Step::Again });
        }
        if let RefreshGoal::Replace(refused) = want
            && self.forced.is_pointless(id, refused, now)
        {
            return Ok(Step::Done(RefreshOutcome::Current));
        }
        let Some(connector) = self.ports.connectors.get(&record.owner.connector_key()).await? else {
            return Ok(Step::Done(RefreshOutcome::Ended));
        };
        let same =
            connector.enabled && connector.incarnation == record.owner.incarnation && connector.epoch == record.owner.epoch;
        // R42: a connector that is not the one consented to gets no request.
        match self.settings_of(&connector) {
            Ok((_, digest)) if same && digest == record.owner.digest => {}
            Ok(_) => return Ok(Step::Done(RefreshOutcome::Ended)),
            Err(_) => return Ok(Step::Done(RefreshOutcome::Misconfigured)),
        }
        if self.breaker.is_open(&connector, now) {
            return Ok(Step::Done(RefreshOutcome::Misconfigured));
        }
        let needs_secret = secrets.provider.authentication.needs_secret();
        let step = self.attempt(&connector, &record, needs_secret, may_wait, now).await?;
        if let (RefreshGoal::Replace(refused), Step::Done(RefreshOutcome::Current)) = (want, &step) {
            self.forced.note(id, refused, now);
        }
        Ok(step)
    }

    /// Takes the lease and asks the provider, or says whom to wait for.
    async fn attempt(
        self: &Arc<Self>,
        connector: &Connector,
        record: &AuthorizationRecord,
        needs_secret: bool,
        may_wait: bool,
        now: Timestamp,
    ) -> Result<Step, StoreError> {
        // Whatever can fail without the provider fails before the lease is taken.
        let client = match self.client_credentials_of(record.owner.incarnation, record.owner.epoch, needs_secret).await {
            Ok(client) => client,
            Err(NoCredentials::Store(error)) => return Err(error),
            Err(NoCredentials::Missing | NoCredentials::Unreadable) => {
                return Ok(Step::Done(RefreshOutcome::Misconfigured));
            }
        };
        let Ok(owner) = self.random() else {
            return Ok(Step::Done(RefreshOutcome::Unavailable { retry_after: Duration::from_secs(1) }));
        };
        // The deadline runs from before the lease, so that the owner stops well inside it, however long a pause was (R40).
        let started = self.ports.clock.monotonic();
        let length = self.policy.lease_length();
        let longest = length.max(LONGEST_PAUSE) * 2;
        let request = LeaseRequest { id: record.id, revision: record.revision, owner, length, longest };
        let (record, was_in_doubt) = match self.ports.authorizations.take_lease(request).await? {
            Lease::Taken { record, was_in_doubt } => (record, was_in_doubt),
            Lease::Held { until, record } if record.refresh.owner.is_none() || !may_wait => {
                return Ok(Step::Done(RefreshOutcome::Unavailable {
                    retry_after: until.since(now).max(Duration::from_secs(1)),
                }));
            }
            Lease::Held { .. } | Lease::Stale(_) => return Ok(Step::Again),
            Lease::NotFound => return Ok(Step::Done(RefreshOutcome::Ended)),
        };
        // Open what the lease was taken on: nothing read before it counts.
        let opened = record
            .sealed
            .as_ref()
            .and_then(|sealed| self.open_grant(&record.owner, record.id, sealed, record.revision).ok());
        let Some(secrets) = opened else {
            return self.postpone(connector, &record, owner, ProviderError::NotSent, was_in_doubt).await;
        };
        let Some(refresh_token) = &secrets.refresh_token else {
            return self.postpone(connector, &record, owner, ProviderError::NotSent, was_in_doubt).await;
        };
        let sent_at = self.ports.authorizations.now().await?;
        let elapsed = self.ports.clock.monotonic().saturating_sub(started);
        let answer = match self.policy.request_deadline.checked_sub(elapsed) {
            Some(left) if !left.is_zero() => {
                let call = self.ports.provider.refresh(&secrets.provider, &client, refresh_token, &secrets.granted_scopes);
                self.within(left, call).await
            }
            Some(_) | None => Err(ProviderError::NotSent),
        };
        match answer {
            Ok(answer) => Ok(self.keep(*record, &secrets, answer, sent_at).await),
            Err(ProviderError::InvalidGrant) => {
                let fence = ExpectedVersion::of(&record);
                let (input, kind) = (Input::RefreshRejected, AuditKind::GrantExpired);
                let ended = self.apply(&record, fence, input, kind, "refresh_rejected", sent_at).await?;
                Ok(if ended { Step::Done(RefreshOutcome::Ended) } else { Step::Again })
            }
            Err(error) => self.postpone(connector, &record, owner, error, was_in_doubt).await,
        }
    }

    /// Notes a failure that does not end the grant, and when the next attempt is worth it.
    async fn postpone(
        &self,
        connector: &Connector,
        record: &AuthorizationRecord,
        owner: [u8; 16],
        error: ProviderError,
        was_in_doubt: bool,
    ) -> Result<Step, StoreError> {
        let now = self.ports.authorizations.now().await?;
        // An error tells what became of this request, never what became of an earlier one (R37).
        let outcome_known = error.outcome_is_known() && !was_in_doubt;
        let attempts = record.refresh.failed_attempts.min(6);
        let back_off = Duration::from_secs(1) * 2_u32.pow(attempts);
        let pause = match error {
            ProviderError::Throttled { retry_after: Some(asked), .. } => asked.min(LONGEST_PAUSE),
            // After a refused client the breaker holds everybody back, and an editor's repair closes it at once.
            ProviderError::ClientRefused
            | ProviderError::NotAllowed
            | ProviderError::BadMetadata
            | ProviderError::InvalidGrant
            | ProviderError::OtherOauthError
            | ProviderError::Throttled { retry_after: None, .. }
            | ProviderError::NotSent
            | ProviderError::NoResponse
            | ProviderError::Malformed => back_off,
        };
        let pause = if outcome_known { pause } else { pause.max(self.policy.quarantine) };
        let jitter = pause / 5 / 255 * u32::from(owner[0]);
        let not_before = now.plus((pause + jitter).min(LONGEST_PAUSE));
        if error.is_misconfiguration() {
            self.breaker.open(connector, now.plus(BREAK), now);
        }
        let audit =
            vec![about_grant(now, Actor::System, AuditKind::RefreshFailed, &record.owner, record.id, error.as_str())];
        self.ports.authorizations.fail_attempt(record.id, owner, FailedAttempt { outcome_known, not_before }, audit).await?;
        Ok(Step::Done(if error.is_misconfiguration() {
            RefreshOutcome::Misconfigured
        } else {
            RefreshOutcome::Unavailable { retry_after: not_before.since(now).max(Duration::from_secs(1)) }
        }))
    }

    /// Writes a transition under its fence; `false` if the row has moved on.
    async fn apply(
        &self,
        record: &AuthorizationRecord,
        fence: ExpectedVersion,
        input: Input,
        kind: AuditKind,
        outcome: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Ok(next) = restored(record.clone())?.on(input, now) else {
            return Ok(false);
        };
        let audit = vec![about_grant(now, Actor::System, kind, &record.owner, record.id, outcome)];
        Ok(self.ports.authorizations.replace(next.to_record(), fence, audit).await? == WriteOutcome::Written)
    }

    /// Writes down a lapse that was noticed on the way.
    async fn record_expiry(
        &self,
        record: &AuthorizationRecord,
        fence: ExpectedVersion,
        expired: &Authorization,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if record.state == StateKind::Authorized {
            let next = expired.to_record();
            let outcome = next.cause.clone().unwrap_or_default();
            let audit = vec![about_grant(now, Actor::System, AuditKind::GrantExpired, &record.owner, record.id, outcome)];
            // If somebody was faster, theirs is the truth.
            self.ports.authorizations.replace(next, fence, audit).await?;
        }
        Ok(())
    }
}
