//! Completing a flow: from the provider's redirect to a committed grant or a reported failure.
//!
//! The order of the checks is part of the contract: consume (state, user, browser), callback URL, `iss`, provider error,
//! live connector equals sealed snapshot, exchange, identification of the account, access, account conflict,
//! required scopes, commit.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::authorization::{
    Authorization, AuthorizationId, FailureCode, FlowCookieHash, FlowFailure, FlowSecrets, GrantSecrets, Input, State,
    StateHash, TerminationCause, VerifiedCallback,
};
use crate::connector::ConnectorId;
use crate::encoding::sha256;
use crate::identity::{Actor, ConnectionName, Role, SpaceId, UserId};
use crate::ports::{
    AssociatedData, AuditDetail, AuditEvent, AuditKind, AuditOutcome, CallbackKey, CodeExchange, CommitOutcome,
    ConsumeOutcome, Identified, Limited, Operation, ProviderError, ProviderErrorKind, ProviderOperation, StoreError,
    Versioned, WriteOutcome,
};
use crate::provider::{Callback, CallbackPath};
use crate::secret::{Secret, equal_in_constant_time};
use crate::time::Timestamp;
use crate::usecase::access::AccessError;
use crate::usecase::detached::detached;
use crate::usecase::flows::{Flows, limit_address};
use crate::usecase::refresh::COMMIT_ATTEMPTS;
use crate::usecase::sealer::NoCredentials;
use crate::usecase::settings::{AuthenticSettings, UnusableConnector};
use crate::usecase::token_lifetime;

/// The request that the provider redirects the browser to.
pub struct CallbackRequest {
    /// The user of the session.
    pub user: UserId,
    /// Values of all flow cookies the browser sent.
    pub flow_cookies: Vec<Secret>,
    /// The callback that the request arrived at.
    pub callback: Callback,
    /// The `state` parameter.
    pub state: Secret,
    /// The `iss` parameter (RFC 9207).
    pub issuer: Option<String>,
    /// Code or error.
    pub response: AuthorizationResponse,
    /// Further parameters, for providers that name the API of the grant in them. Each name occurs once.
    pub parameters: Vec<(String, String)>,
}

/// Code or error (RFC 6749 §4.1.2, §4.1.2.1).
pub enum AuthorizationResponse {
    /// An authorization code.
    Code(Secret),
    /// An error code. Only `access_denied` is distinguished; no text of the provider is stored.
    Error {
        /// Whether it is `access_denied`.
        denied: bool,
    },
}

/// How a flow ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The grant is committed.
    Connected,
    /// It failed.
    Failed(FlowFailure),
}

/// A flow that this callback completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// The flow.
    pub flow_id: AuthorizationId,
    /// Its space, from the sealed state and not from the URL.
    pub space: SpaceId,
    /// Its connector.
    pub connector: ConnectorId,
    /// Its connection.
    pub connection: ConnectionName,
    /// Where the browser returns to.
    pub return_path: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
}

/// A callback that completed nothing. No flow was consumed and no request was sent to a provider.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CallbackRefused {
    /// No flow has this state.
    #[error("there is no such flow")]
    NotFound,
    /// The flow belongs to another user.
    #[error("the flow belongs to another user")]
    UserMismatch,
    /// The flow was started in another browser.
    #[error("the flow was started in another browser")]
    BrowserMismatch,
    /// The deadline has passed.
    #[error("the flow has expired")]
    Expired {
        /// The flow.
        flow_id: AuthorizationId,
    },
    /// It has ended without a grant: cancelled, replaced by a newer flow, or failed.
    #[error("the flow has ended")]
    Ended {
        /// The flow.
        flow_id: AuthorizationId,
    },
    /// It was used already.
    #[error("the flow was already used")]
    AlreadyUsed {
        /// The flow.
        flow_id: AuthorizationId,
    },
    /// Too many requests.
    #[error("too many attempts")]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store is unavailable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CallbackRefused {
    /// For a flow with nothing left to consume.
    fn over(flow: &Authorization) -> Self {
        let flow_id = flow.id();
        if flow.has_ended_without_grant() { Self::Ended { flow_id } } else { Self::AlreadyUsed { flow_id } }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "flow_not_found",
            Self::UserMismatch => "user_mismatch",
            Self::BrowserMismatch => "browser_mismatch",
            Self::Expired { .. } => "flow_expired",
            Self::Ended { .. } | Self::AlreadyUsed { .. } => "flow_already_used",
            Self::RateLimited { .. } => "rate_limited",
            Self::Store(_) => "store_unavailable",
        }
    }
}

impl From<Limited> for CallbackRefused {
    fn from(limited: Limited) -> Self {
        Self::RateLimited { retry_after: limited.retry_after }
    }
}

/// A consumed flow on its way to a grant.
struct Running {
    stored: Versioned<Authorization>,
    secrets: FlowSecrets,
    state_hash: StateHash,
}

/// What the live connector defines for the grant of a flow.
struct Live {
    /// Whether a superseded grant is to be revoked.
    revoke_superseded: bool,
    /// The settings of the connector.
    read: Arc<AuthenticSettings>,
}

/// Why a running flow fails, with the tokens received by then.
struct Failure {
    cause: FlowFailure,
    received: Option<Box<GrantSecrets>>,
}

impl Failure {
    fn with_tokens(code: FailureCode, received: GrantSecrets) -> Self {
        Self { cause: FlowFailure::Code(code), received: Some(Box::new(received)) }
    }

    /// The account because of which the flow fails, for its page.
    fn account(&self) -> Option<String> {
        let of_account =
            matches!(self.cause, FlowFailure::Code(FailureCode::AccountMismatch | FailureCode::AccountAlreadyConnected));
        let account = self.received.as_ref().filter(|_| of_account)?.account.as_ref()?;
        Some(account.label.clone())
    }
}

impl From<FailureCode> for Failure {
    fn from(code: FailureCode) -> Self {
        Self { cause: FlowFailure::Code(code), received: None }
    }
}

impl From<StoreError> for Failure {
    fn from(_: StoreError) -> Self {
        FailureCode::Internal.into()
    }
}

/// Whether the browser that started a waiting flow sent these cookies.
fn is_of_browser(flow: &Authorization, cookies: &[Secret]) -> bool {
    let State::AwaitingCallback(awaiting) = flow.state() else { return false };
    let FlowCookieHash(expected) = awaiting.flow_cookie_hash();
    !awaiting.is_consumed() && cookies.iter().any(|cookie| equal_in_constant_time(&sha256(cookie.expose()), &expected))
}

impl Flows {
    /// Counts a request to the callback without a session.
    pub(super) async fn count_anonymous_callback(&self, address: &str) -> Result<(), CallbackRefused> {
        Ok(limit_address(&*self.limiter, address, Operation::Callback).await?)
    }

    /// Completes a flow. The work is detached: a closed connection does not stop it.
    pub(super) async fn complete(self: &Arc<Self>, callback: CallbackRequest) -> Result<Completed, CallbackRefused> {
        let named = self.authorizations.find_by_state(StateHash(sha256(callback.state.expose()))).await?;
        let named = named.map(|stored| stored.value).filter(|flow| flow.owner().user == callback.user);
        // Another site can send a browser to the callback any number of times. Those requests must not use up the limit of the
        // one that completes a flow; flows are limited when they start.
        if !named.as_ref().is_some_and(|flow| is_of_browser(flow, &callback.flow_cookies)) {
            self.limit_user(&callback.user, Operation::Callback).await?;
        }
        let this = Arc::clone(self);
        let completed = detached(&*self.spawner, async move { this.run_callback(callback, named).await }).await;
        completed.unwrap_or(Err(StoreError::OutcomeUnknown.into()))
    }

    /// `named` is the flow of this user that the state names, if there is one.
    async fn run_callback(
        self: Arc<Self>,
        callback: CallbackRequest,
        named: Option<Authorization>,
    ) -> Result<Completed, CallbackRefused> {
        let state_hash = StateHash(sha256(callback.state.expose()));
        let flow_cookies = callback.flow_cookies.iter().map(|cookie| FlowCookieHash(sha256(cookie.expose())));
        let key = CallbackKey { state_hash, user: callback.user.clone(), flow_cookies: flow_cookies.collect() };
        let now = self.store_clock.now().await?;
        let audit = named.map(|flow| {
            let actor = Actor::Person(callback.user.clone());
            AuditEvent::new(AuditKind::CallbackConsumed, actor, now).about(flow.owner(), flow.id())
        });
        let (stored, sealed) = match self.authorizations.consume(key, audit.into_iter().collect()).await? {
            ConsumeOutcome::Consumed { flow, secrets } => (*flow, secrets),
            refused @ (ConsumeOutcome::NotFound
            | ConsumeOutcome::UserMismatch(_)
            | ConsumeOutcome::BrowserMismatch(_)
            | ConsumeOutcome::Expired(_)
            | ConsumeOutcome::AlreadyUsed(_)) => {
                return Err(self.refused(refused, &callback, now).await);
            }
        };
        let owner = stored.value.owner().clone();
        let mut completed = Completed {
            flow_id: stored.value.id(),
            space: owner.space.clone(),
            connector: owner.connector.clone(),
            connection: owner.connection.clone(),
            return_path: None,
            outcome: Outcome::Failed(FlowFailure::Code(FailureCode::Internal)),
        };
        let State::AwaitingCallback(awaiting) = stored.value.state() else {
            self.fail(stored, FailureCode::Internal.into(), now).await;
            return Ok(completed);
        };
        let flow_cookie_hash = awaiting.flow_cookie_hash();
        let associated = AssociatedData::Flow { owner: owner.clone(), state: state_hash, flow_cookie_hash };
        let secrets = match self.sealer.open_flow(&associated, &sealed) {
            Ok(secrets) => secrets,
            Err(error) => {
                let event = AuditEvent::of_system(AuditKind::DecryptFailed, now).about(&owner, stored.value.id());
                // The failure of the flow is reported whether or not this event can be written.
                let _ = self.outbox.record(vec![event.outcome(error)]).await;
                self.fail(stored, FailureCode::Internal.into(), now).await;
                return Ok(completed);
            }
        };
        completed.return_path.clone_from(&secrets.return_path);
        let flow = Running { stored, secrets, state_hash };
        completed.outcome = match self.finish(&flow, callback).await {
            Ok(()) => Outcome::Connected,
            Err(failure) => {
                let cause = failure.cause;
                let now = self.store_clock.now().await.unwrap_or(now);
                self.fail(flow.stored, failure, now).await;
                Outcome::Failed(cause)
            }
        };
        Ok(completed)
    }

    /// Everything between the consumed flow and the committed grant.
    async fn finish(&self, flow: &Running, callback: CallbackRequest) -> Result<(), Failure> {
        let secrets = &flow.secrets;
        let now = self.store_clock.now().await?;
        // Sealed values take precedence over the columns that the store compared.
        let in_time = flow.consumed_at().is_some_and(|consumed_at| consumed_at < secrets.deadline);
        if !in_time || secrets.epoch != flow.stored.value.owner().epoch {
            return Err(FailureCode::Internal.into());
        }
        if self.settings.callback_url(callback.callback) != secrets.provider.redirect_uri {
            return Err(FailureCode::CallbackMismatch.into());
        }
        self.check_issuer(flow, callback.issuer.as_deref(), now).await?;
        let code = match callback.response {
            AuthorizationResponse::Code(code) => code,
            AuthorizationResponse::Error { denied: true } => {
                return Err(Failure { cause: FlowFailure::AccessDenied, received: None });
            }
            AuthorizationResponse::Error { denied: false } => return Err(FailureCode::ProviderError.into()),
        };
        let live = self.check_connector(flow).await?;
        let verified = VerifiedCallback::new(flow.state_hash);
        let received = self.exchange(flow, code, callback.parameters, &live).await?;
        let owner = flow.stored.value.owner();
        let is_news = self.breaker.accepted(owner.incarnation, now);
        let committed = self.commit(flow, verified, received, &live).await;
        if is_news {
            self.failures.client_accepted(&owner.into()).await;
        }
        committed
    }

    /// RFC 9207: an announced `iss` is required, and a present `iss` must be the expected one.
    async fn check_issuer(&self, flow: &Running, presented: Option<&str>, now: Timestamp) -> Result<(), Failure> {
        let provider = &flow.secrets.provider;
        let matches = match (presented, provider.issuer.as_deref()) {
            (Some(presented), Some(expected)) => presented == expected,
            (None, _) => !provider.issuer_in_response,
            // Without an expected issuer there is nothing to compare.
            (Some(_), None) => true,
        };
        if matches {
            return Ok(());
        }
        let event = flow.event(AuditKind::IssuerMismatch, now).outcome(AuditOutcome::Refused);
        let difference = AuditDetail::parse(issuer_difference(presented, provider.issuer.as_deref()));
        let event = AuditEvent { details: difference.into_iter().collect(), ..event };
        // The refusal does not change if the event cannot be written.
        let _ = self.outbox.record(vec![event]).await;
        Err(FailureCode::IssuerMismatch.into())
    }

    /// The live connector must equal the sealed snapshot before the code is sent.
    async fn check_connector(&self, flow: &Running) -> Result<Live, Failure> {
        let owner = flow.stored.value.owner();
        let found = self.connectors.get(&owner.connector_key()).await?;
        let connector = found.filter(|connector| connector.incarnation == owner.incarnation);
        let connector = connector.ok_or(FailureCode::ConnectorGone)?;
        let read = self.settings.of(&connector).map_err(|unusable| {
            self.failures.record_unusable_settings(&connector, &unusable);
            match unusable {
                UnusableConnector::Config(_) => FailureCode::ConnectorChanged,
                UnusableConnector::Tampered(_) => FailureCode::ConnectorTampered,
            }
        })?;
        let (settings, digest) = (&read.provider, read.required.digest);
        let redirect_uri = self.settings.redirect_uri(&connector, settings.callback);
        let same_callback =
            settings.callback != CallbackPath::PerConnector || redirect_uri == flow.secrets.provider.redirect_uri;
        if digest != owner.digest || connector.epoch != owner.epoch || !same_callback {
            return Err(FailureCode::ConnectorChanged.into());
        }
        let revoke_superseded = !settings.revocation_is_per_user;
        Ok(Live { revoke_superseded, read })
    }

    /// Exchanges the code at the sealed endpoint (RFC 6749 §4.1.3) and determines the account.
    async fn exchange(
        &self,
        flow: &Running,
        code: Secret,
        parameters: Vec<(String, String)>,
        live: &Live,
    ) -> Result<GrantSecrets, Failure> {
        let (owner, secrets) = (flow.stored.value.owner(), &flow.secrets);
        let provider = &secrets.provider;
        let client = self.client_of(owner, provider.authentication.needs_secret()).await;
        let client = client.map_err(|problem| match problem {
            NoCredentials::Missing | NoCredentials::Undecryptable => {
                let endpoint = &provider.endpoints.token;
                self.failures.record_missing_secret(owner, ProviderOperation::Exchange, endpoint);
                FailureCode::ProviderMisconfigured
            }
            NoCredentials::Store(_) => FailureCode::Internal,
        })?;
        // The lifetime counts from the instant before the request is sent.
        let sent_at = self.store_clock.now().await?;
        let exchange = CodeExchange { code, verifier: secrets.verifier.clone_secret(), parameters };
        let response = self.provider.exchange(provider, &client, &exchange).await;
        let mut response = response.map_err(|error| {
            self.failures.record(owner, ProviderOperation::Exchange, &provider.endpoints.token, &error);
            exchange_failure(&error)
        })?;
        let identified = self.provider.identify(provider, &client, &response, secrets.nonce.clone()).await;
        let issuer = provider.issuer.as_deref().unwrap_or(&provider.endpoints.token);
        let account = identified.map(|Identified { account, api_base, anomalies, failure }| {
            response.anomalies.extend(anomalies);
            response.api_base = api_base.or(response.api_base.take());
            if let Some(failure) = failure {
                self.failures.record(owner, ProviderOperation::Userinfo, issuer, &failure);
            }
            account
        });
        self.failures.record_anomalies(owner, &response.anomalies);
        if let Some(event) = AuditEvent::of_anomalies(&response.anomalies, Actor::Person(owner.user.clone()), sent_at) {
            // The grant does not depend on this event.
            let _ = self.outbox.record(vec![event.about(owner, flow.stored.value.id())]).await;
        }
        let assumed = self.policy.assumed_lifetime;
        let mut received = token_lifetime::exchanged(secrets, owner.epoch, response, sent_at, assumed);
        match account {
            Ok(account) => received.account = account,
            // The tokens are not those of this consent.
            Err(error) => {
                self.failures.record(owner, ProviderOperation::Userinfo, issuer, &error);
                return Err(Failure::with_tokens(FailureCode::ExchangeFailed, received));
            }
        }
        let (settings, api) = (&live.read.provider, received.provider.api.as_ref());
        if api.map_or(settings.base_url.is_none(), |api| !settings.allows_api(api)) {
            let error = ProviderErrorKind::Malformed.because("the response names no API that the profile allows");
            self.failures.record(owner, ProviderOperation::Exchange, &provider.endpoints.token, &error);
            return Err(Failure::with_tokens(FailureCode::ExchangeFailed, received));
        }
        Ok(received)
    }

    /// Asks the directory again, compares accounts, and commits under lock.
    async fn commit(
        &self,
        flow: &Running,
        verified: VerifiedCallback,
        received: GrantSecrets,
        live: &Live,
    ) -> Result<(), Failure> {
        let (owner, id) = (flow.stored.value.owner(), flow.stored.value.id());
        if let Err(refusal) = self.access.authorize(&owner.user, &owner.space, Role::Viewer).await {
            let code = match refusal {
                AccessError::DirectoryUnavailable => FailureCode::Internal,
                AccessError::Forbidden | AccessError::NotFound => FailureCode::PermissionLost,
            };
            return Err(Failure::with_tokens(code, received));
        }
        let conflict = self.accounts.conflict(owner, received.account.as_ref(), flow.secrets.allow_account_change).await;
        // If the former account cannot be read, nothing is connected.
        if let Some(code) = conflict.unwrap_or(Some(FailureCode::Internal)) {
            return Err(Failure::with_tokens(code, received));
        }
        let Ok(now) = self.store_clock.now().await else {
            return Err(Failure::with_tokens(FailureCode::Internal, received));
        };
        // Without a refresh token, a token that has expired on arrival would be shown as connected and could not be used.
        let is_dead = received.refresh_token.is_none() && received.expires_at.is_some_and(|expires_at| expires_at <= now);
        if is_dead {
            return Err(Failure::with_tokens(FailureCode::ExchangeFailed, received));
        }
        let Ok(tokens) = self.sealer.seal_grant(owner, id, &received) else {
            return Err(Failure::with_tokens(FailureCode::Internal, received));
        };
        if !received.granted_scopes.covers(&live.read.provider.required_scopes) {
            return Err(self.refuse_scopes(flow, Input::ScopesRefused(verified, tokens), received, now).await);
        }
        let Ok(granted) = flow.stored.value.clone().on(Input::TokensGranted(verified, tokens), now) else {
            return Err(Failure::with_tokens(FailureCode::Internal, received));
        };
        let mut audit = vec![flow.event(AuditKind::Connected, now)];
        if !received.requested_scopes.covers(&received.granted_scopes) {
            audit.push(flow.event(AuditKind::ScopeWidened, now).outcome(AuditOutcome::Widened));
        }
        let code = match self.commit_with_retries(&granted, live.revoke_superseded, &audit).await {
            Ok(CommitOutcome::Committed) => return Ok(()),
            Ok(CommitOutcome::ConnectorChanged) => FailureCode::ConnectorChanged,
            Ok(CommitOutcome::ConnectorGone) => FailureCode::ConnectorGone,
            Ok(CommitOutcome::UserGone) => FailureCode::UserDeprovisioned,
            Ok(CommitOutcome::FlowEnded) => FailureCode::Interrupted,
            Err(_) => FailureCode::Internal,
        };
        Err(Failure::with_tokens(code, received))
    }

    /// Ends a flow whose tokens lack a required scope. An existing grant of the connection is not changed. The tokens received
    /// are revoked, unless that would end another grant.
    async fn refuse_scopes(&self, flow: &Running, input: Input, received: GrantSecrets, now: Timestamp) -> Failure {
        const CODE: FailureCode = FailureCode::InsufficientScope;
        let Ok(ended) = flow.stored.value.clone().on(input, now) else {
            return Failure::with_tokens(FailureCode::Internal, received);
        };
        let ended = ended.ended_by(&Actor::Person(flow.stored.value.owner().user.clone()));
        let audit = vec![flow.event(AuditKind::FlowEnded, now).outcome(CODE)];
        match self.authorizations.replace(ended, flow.stored.version, audit).await {
            Ok(WriteOutcome::Written) => {
                self.revocations.wake();
                CODE.into()
            }
            // The flow was ended concurrently, or the result is unknown.
            Ok(WriteOutcome::Stale(_) | WriteOutcome::NotFound) | Err(_) => Failure::with_tokens(CODE, received),
        }
    }

    /// Commits, and tries again after transient errors, so that a busy database does not require another consent. If a
    /// response was lost, the stored authorization shows whether the commit was made.
    async fn commit_with_retries(
        &self,
        grant: &Authorization,
        revoke_superseded: bool,
        audit: &[AuditEvent],
    ) -> Result<CommitOutcome, StoreError> {
        let (mut unknown, mut pause) = (false, Duration::from_millis(20));
        for _ in 0..COMMIT_ATTEMPTS {
            match self.authorizations.commit_grant(grant.clone(), revoke_superseded, audit.to_vec()).await {
                Ok(CommitOutcome::FlowEnded) if unknown => {
                    let stored = self.authorizations.find(grant.id()).await?;
                    let committed = stored.is_some_and(|stored| stored.value.authorized_at().is_some());
                    return Ok(if committed { CommitOutcome::Committed } else { CommitOutcome::FlowEnded });
                }
                Ok(outcome) => return Ok(outcome),
                Err(error) if !error.is_transient() => return Err(error),
                Err(error) => unknown |= error == StoreError::OutcomeUnknown,
            }
            self.spawner.sleep(pause).await;
            pause *= 4;
        }
        Err(StoreError::Unavailable)
    }

    /// Ends a consumed flow, and queues received tokens for revocation.
    async fn fail(&self, stored: Versioned<Authorization>, failure: Failure, now: Timestamp) {
        let (owner, account) = (stored.value.owner().clone(), failure.account());
        if let Some(received) = &failure.received {
            self.revocations.queue_unclaimed(&owner, received, now).await;
        }
        let (input, outcome) = end_of(failure.cause);
        let id = stored.value.id();
        let Ok(ended) = stored.value.on(input, now) else {
            return;
        };
        let actor = Actor::Person(owner.user.clone());
        let ended = match account {
            Some(label) => ended.with_used_account(label),
            None => ended,
        };
        let ended = ended.ended_by(&actor);
        let event = AuditEvent::new(AuditKind::FlowEnded, actor, now).about(&owner, id);
        // If this cannot be written, or the flow was ended concurrently, the sweeper ends it as `interrupted`.
        let _ = self.authorizations.replace(ended, stored.version, vec![event.outcome(outcome)]).await;
    }

    /// The reason why nothing was consumed; a mismatch leaves an audit event while there is something to consume.
    async fn refused(&self, refused: ConsumeOutcome, callback: &CallbackRequest, now: Timestamp) -> CallbackRefused {
        let (flow, refusal) = match refused {
            ConsumeOutcome::Consumed { .. } | ConsumeOutcome::NotFound => return CallbackRefused::NotFound,
            ConsumeOutcome::UserMismatch(flow) => (flow, CallbackRefused::UserMismatch),
            // The cookie of a cancelled or completed flow is removed. The user is the right one, and nothing is left to consume.
            ConsumeOutcome::BrowserMismatch(flow) if !flow.clone().at(now).is_flow() => {
                return CallbackRefused::over(&flow.at(now));
            }
            ConsumeOutcome::BrowserMismatch(flow) => (flow, CallbackRefused::BrowserMismatch),
            ConsumeOutcome::Expired(flow) => return CallbackRefused::Expired { flow_id: flow.id() },
            ConsumeOutcome::AlreadyUsed(flow) => return CallbackRefused::over(&flow),
        };
        let presented = Actor::Person(callback.user.clone());
        let event = AuditEvent::new(AuditKind::BindingMismatch, presented, now).about(flow.owner(), flow.id());
        // The refusal does not change if the event cannot be written.
        let _ = self.outbox.record(vec![event.outcome(AuditOutcome::of(refusal.code()))]).await;
        refusal
    }
}

impl Running {
    fn consumed_at(&self) -> Option<Timestamp> {
        match self.stored.value.state() {
            State::AwaitingCallback(awaiting) => awaiting.consumed_at(),
            State::Initiated(_) | State::Authorized(_) | State::Expired(_) | State::Revoked(_) => None,
        }
    }

    fn event(&self, kind: AuditKind, now: Timestamp) -> AuditEvent {
        let owner = self.stored.value.owner();
        AuditEvent::new(kind, Actor::Person(owner.user.clone()), now).about(owner, self.stored.value.id())
    }
}

/// How the `iss` of a response differs from the expected one, as a detail of the audit event.
fn issuer_difference(presented: Option<&str>, expected: Option<&str>) -> &'static str {
    let trimmed = |issuer: Option<&str>| issuer.map(|issuer| issuer.trim_end_matches('/').to_owned());
    match presented {
        None => "iss=missing",
        Some(_) if trimmed(presented) == trimmed(expected) => "iss=slash",
        Some(_) => "iss=other",
    }
}

/// How a failure ends its flow, and the outcome in the audit event.
pub(super) fn end_of(failure: FlowFailure) -> (Input, AuditOutcome) {
    match failure {
        FlowFailure::AccessDenied => {
            (Input::Terminated { cause: TerminationCause::Denied, revoke: false }, AuditOutcome::Denied)
        }
        FlowFailure::Code(code) => (Input::Failed(code), code.into()),
    }
}

/// The failure of a flow whose exchange failed.
fn exchange_failure(error: &ProviderError) -> Failure {
    let code = match error.kind {
        ProviderErrorKind::InvalidGrant
        | ProviderErrorKind::OtherOauthError
        | ProviderErrorKind::Refused
        | ProviderErrorKind::Malformed => FailureCode::ExchangeFailed,
        ProviderErrorKind::ClientRefused
        | ProviderErrorKind::GrantTypeRefused
        | ProviderErrorKind::NotAllowed
        | ProviderErrorKind::BadMetadata => FailureCode::ProviderMisconfigured,
        ProviderErrorKind::Throttled { .. } | ProviderErrorKind::NotSent | ProviderErrorKind::NoResponse => {
            FailureCode::ProviderUnavailable
        }
    };
    code.into()
}
