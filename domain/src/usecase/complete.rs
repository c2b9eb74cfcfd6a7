//! Finishing a flow: from the provider's redirect to a committed grant, or to an honest failure.
//!
//! The order of the checks is part of the contract: consume (state, user, browser) → path's callback id → `iss` → provider error
//! → live connector equals sealed snapshot → exchange → account → directory asked again → commit under lock.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use thiserror::Error;

use crate::authorization::{
    Authorization, AuthorizationId, AuthorizationRecord, FailureCode, FlowCookieHash, FlowFailure, FlowSecrets,
    GrantSecrets, Input, Revision, StateHash, TerminationCause, VerifiedCallback,
};
use crate::connector::{CallbackId, ConnectorId};
use crate::identity::{Actor, Role, SpaceId, UserId};
use crate::ports::{
    AssociatedData, AuditEvent, AuditKind, CallbackKey, CommitOutcome, ConsumeOutcome, ExpectedVersion, Lifetime, Operation,
    ProviderError, StoreError, TokenResponse, WriteOutcome,
};
use crate::provider::CallbackPath;
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::usecase::audit::about_grant;
use crate::usecase::keep::COMMIT_TRIES;
use crate::usecase::sealing::NoCredentials;
use crate::usecase::{Connections, Denied};

/// What the provider's redirect brought.
pub struct CallbackRequest {
    /// The user of the session (R05, R22).
    pub user: UserId,
    /// Rate limits are taken from the address as well, since the callback is the one route anybody can be sent to.
    pub address: Option<String>,
    /// Values of all flow cookies the browser sent (R03).
    pub flow_cookies: Vec<Secret>,
    /// The callback id in the callback's path; `None` on the shared path.
    pub callback_id: Option<CallbackId>,
    /// The `state` parameter.
    pub state: Secret,
    /// The `iss` parameter (RFC 9207).
    pub issuer: Option<String>,
    /// Code or error: exactly one of them.
    pub answer: AuthorizationResponse,
}

/// Code or error (RFC 6749 §4.1.2, §4.1.2.1).
pub enum AuthorizationResponse {
    /// An authorization code.
    Code(Secret),
    /// An error code. Only `access_denied` is told apart; no text of the provider is kept (R31).
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

/// A flow that this callback finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// The flow.
    pub flow_id: AuthorizationId,
    /// Its space, from the sealed state and not from the URL (R23).
    pub space: SpaceId,
    /// Its connector.
    pub connector: ConnectorId,
    /// Where the browser returns to.
    pub return_path: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
}

/// A callback that finished nothing. Nothing was consumed and no provider was called.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CallbackRefused {
    /// No flow has this state.
    #[error("there is no such flow")]
    NotFound,
    /// Another user's flow.
    #[error("the flow belongs to another user")]
    UserMismatch,
    /// Not the browser the flow was started in.
    #[error("the flow was started in another browser")]
    BrowserMismatch,
    /// Too late.
    #[error("the flow has expired")]
    Expired {
        /// The flow.
        flow_id: AuthorizationId,
    },
    /// It was used already.
    #[error("the flow was already used")]
    AlreadyUsed {
        /// The flow.
        flow_id: AuthorizationId,
    },
    /// Too often (R59).
    #[error("too many attempts")]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CallbackRefused {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "flow_not_found",
            Self::UserMismatch => "user_mismatch",
            Self::BrowserMismatch => "browser_mismatch",
            Self::Expired { .. } => "flow_expired",
            Self::AlreadyUsed { .. } => "flow_already_used",
            Self::RateLimited { .. } => "rate_limited",
            Self::Store(_) => "store_unavailable",
        }
    }
}

/// A consumed flow on its way to a grant.
struct Running {
    record: AuthorizationRecord,
    secrets: FlowSecrets,
    state_hash: StateHash,
}

/// Why a running flow fails, and what becomes of tokens received by then.
struct Failure {
    cause: Cause,
    received: Option<GrantSecrets>,
}

#[derive(Clone, Copy)]
enum Cause {
    Denied,
    Code(FailureCode),
}

impl From<FailureCode> for Failure {
    fn from(code: FailureCode) -> Self {
        Self { cause: Cause::Code(code), received: None }
    }
}

impl Connections {
    /// Finishes a flow (R20–R28). The work is detached: a dropped connection does not stop it (R26).
    pub async fn complete(self: &Arc<Self>, callback: CallbackRequest) -> Result<Completed, CallbackRefused> {
        let mut who = vec![format!("user:{}", callback.user)];
        who.extend(callback.address.as_ref().map(|address| format!("address:{address}")));
        for key in who {
            let limited = self.ports.limiter.take(&key, Operation::Callback).await;
            limited.map_err(|limited| CallbackRefused::RateLimited { retry_after: limited.retry_after })?;
        }
        let this = Arc::clone(self);
        let work = async move { this.run_callback(callback).await }.boxed().shared();
        self.ports.spawner.spawn(work.clone().map(|_| ()).boxed());
        work.await
    }

    async fn run_callback(self: Arc<Self>, callback: CallbackRequest) -> Result<Completed, CallbackRefused> {
        let state_hash = StateHash(self.ports.vault.fingerprint(callback.state.expose()));
        let flow_cookies =
            callback.flow_cookies.iter().map(|secret| FlowCookieHash(self.ports.vault.fingerprint(secret.expose())));
        let key = CallbackKey { state_hash, user: callback.user.clone(), flow_cookies: flow_cookies.collect() };
        let now = self.ports.authorizations.now().await?;
        let audit = self.consumed_by(state_hash, &callback.user, now).await?;
        let (record, sealed) = match self.ports.authorizations.consume(key, audit).await? {
            ConsumeOutcome::Consumed { record, sealed } => (record, sealed),
            refused @ (ConsumeOutcome::NotFound
            | ConsumeOutcome::UserMismatch(_)
            | ConsumeOutcome::BrowserMismatch(_)
            | ConsumeOutcome::Expired(_)
            | ConsumeOutcome::AlreadyUsed(_)) => {
                return Err(self.refuse(refused, &callback, now).await);
            }
        };
        let mut finished = Completed {
            flow_id: record.id,
            space: record.owner.space.clone(),
            connector: record.owner.connector.clone(),
            return_path: None,
            outcome: Outcome::Failed(FlowFailure::Code(FailureCode::Internal)),
        };
        let Some(flow_cookie_hash) = record.flow_cookie_hash else {
            self.fail(&record, FailureCode::Internal.into(), now).await;
            return Ok(finished);
        };
        let binding = AssociatedData::Flow { owner: record.owner.clone(), state: state_hash, flow_cookie_hash };
        let secrets = match self.open_flow(&binding, &sealed) {
            Ok(secrets) => secrets,
            Err(failure) => {
                self.audit_open_failure(&record, failure.as_str(), now).await;
                self.fail(&record, FailureCode::Internal.into(), now).await;
                return Ok(finished);
            }
        };
        finished.return_path.clone_from(&secrets.return_path);
        let flow = Running { record: *record, secrets, state_hash };
        finished.outcome = match self.finish(&flow, callback).await {
            Ok(()) => Outcome::Connected,
            Err(failure) => {
                let cause = failure.cause;
                let now = self.ports.authorizations.now().await.unwrap_or(now);
                self.fail(&flow.record, failure, now).await;
                Outcome::Failed(match cause {
                    Cause::Denied => FlowFailure::AccessDenied,
                    Cause::Code(code) => FlowFailure::Code(code),
                })
            }
        };
        Ok(finished)
    }

    /// The event that goes into the transaction that consumes the flow. Nothing of a foreign flow is put into it: then it is
    /// not written either.
    async fn consumed_by(&self, state: StateHash, user: &UserId, now: Timestamp) -> Result<Vec<AuditEvent>, StoreError> {
        let own = self.ports.authorizations.find_by_state(state).await?.filter(|record| record.owner.user == *user);
        let event = own.map(|record| {
            let person = Actor::Person(user.clone());
            about_grant(now, person, AuditKind::CallbackConsumed, &record.owner, record.id, "ok")
        });
        Ok(event.into_iter().collect())
    }

    /// Everything between the consumed flow and the committed grant.
    async fn finish(&self, flow: &Running, callback: CallbackRequest) -> Result<(), Failure> {
        let Running { record, secrets, .. } = flow;
        let now = self.ports.authorizations.now().await.map_err(|_| FailureCode::Internal)?;
        // What is sealed wins over the columns that the store went by (R76).
        let in_time = record.consumed_at.is_some_and(|consumed_at| consumed_at < secrets.deadline);
        if !in_time || secrets.epoch != record.owner.epoch {
            return Err(FailureCode::Internal.into());
        }
        let context_matches = match callback.callback_id {
            None => secrets.provider.redirect_uri.ends_with("/_oauth_callback"),
            Some(callback_id) => {
                secrets.provider.redirect_uri.ends_with(&format!("/_oauth_callback/{}", callback_id.to_text()))
            }
        };
        if !context_matches {
            return Err(FailureCode::CallbackMismatch.into());
        }
        self.check_issuer(flow, callback.issuer.as_deref(), now).await?;
        let code = match callback.answer {
            AuthorizationResponse::Code(code) => code,
            AuthorizationResponse::Error { denied: true } => {
                return Err(Failure { cause: Cause::Denied, received: None });
            }
            AuthorizationResponse::Error { denied: false } => {
                return Err(FailureCode::ProviderError.into());
            }
        };
        let revoke_superseded = self.check_connector(record, secrets).await?;
        let verified = VerifiedCallback::new(flow.state_hash);
        let received = self.exchange(record, secrets, &code).await?;
        self.commit(flow, verified, received, revoke_superseded).await
    }

    /// RFC 9207: an announced `iss` must be there, and whatever is there must be the one (R10).
    async fn check_issuer(&self, flow: &Running, presented: Option<&str>, now: Timestamp) -> Result<(), Failure> {
        let provider = &flow.secrets.provider;
        let matches = match (presented, provider.issuer.as_deref()) {
            (Some(presented), Some(expected)) => presented == expected,
            (None, _) => !provider.issuer_in_response,
            // An issuer we know nothing to compare with says nothing.
            (Some(_), None) => true,
        };
        if matches {
            return Ok(());
        }
        let event = about_grant(
            now,
            Actor::Person(flow.record.owner.user.clone()),
            AuditKind::IssuerMismatch,
            &flow.record.owner,
            flow.record.id,
            "refused",
        );
        // The refusal stands whether or not the note of it can be written.
        let _ = self.ports.authorizations.record(vec![event]).await;
        Err(FailureCode::IssuerMismatch.into())
    }

    /// The live connector must still be the one consented to, before the code leaves the process (R25). Answers whether a
    /// superseded grant is to be revoked (R51).
    async fn check_connector(&self, record: &AuthorizationRecord, secrets: &FlowSecrets) -> Result<bool, Failure> {
        let found = self.ports.connectors.get(&record.owner.connector_key()).await.map_err(|_| FailureCode::Internal)?;
        let connector = found
            .filter(|connector| connector.enabled && connector.incarnation == record.owner.incarnation)
            .ok_or(FailureCode::ConnectorGone)?;
        let (settings, digest) = self.settings_of(&connector).map_err(|_| FailureCode::ConnectorChanged)?;
        let own_path = settings.callback == CallbackPath::PerConnector;
        let redirect_uri = self.redirect_uri(&connector, settings.callback);
        let same_callback = !own_path || redirect_uri == secrets.provider.redirect_uri;
        if digest != record.owner.digest || connector.epoch != record.owner.epoch || !same_callback {
            return Err(FailureCode::ConnectorChanged.into());
        }
        Ok(!settings.revocation_is_per_user)
    }

    /// Exchanges the code at the sealed endpoint and learns whose account it is.
    async fn exchange(
        &self,
        record: &AuthorizationRecord,
        secrets: &FlowSecrets,
        code: &Secret,
    ) -> Result<GrantSecrets, Failure> {
        let provider = &secrets.provider;
        let needs_secret = provider.authentication.needs_secret();
        let client = self.client_credentials_of(record.owner.incarnation, record.owner.epoch, needs_secret).await;
        let client = client.map_err(|problem| match problem {
            NoCredentials::Missing => FailureCode::ProviderMisconfigured,
            NoCredentials::Unreadable | NoCredentials::Store(_) => FailureCode::Internal,
        })?;
        // Life counts from the instant before the request is sent (R46).
        let sent_at = self.ports.authorizations.now().await.map_err(|_| FailureCode::Internal)?;
        let answer =
            self.ports.provider.exchange(provider, &client, code, &secrets.verifier).await.map_err(exchange_failure)?;
        let identified = self.ports.provider.identify(provider, &answer, secrets.nonce.clone()).await;
        let mut received = self.received(record, secrets, answer, sent_at);
        match identified {
            Ok(account) => received.account = account,
            // The account is a label: a provider that does not tell it does not cost the user the grant. An ID token that is
            // not for us does.
            Err(ProviderError::Malformed | ProviderError::BadMetadata) => {
                return Err(Failure { cause: Cause::Code(FailureCode::ExchangeFailed), received: Some(received) });
            }
            Err(_) => {}
        }
        Ok(received)
    }

    fn received(
        &self,
        record: &AuthorizationRecord,
        secrets: &FlowSecrets,
        answer: TokenResponse,
        sent_at: Timestamp,
    ) -> GrantSecrets {
        GrantSecrets {
            granted_scopes: answer.scopes.unwrap_or_else(|| secrets.requested_scopes.clone()),
            requested_scopes: secrets.requested_scopes.clone(),
            access_token: answer.access_token,
            refresh_token: answer.refresh_token,
            token_type: answer.token_type,
            issued_at: sent_at,
            expires_at: self.expiry(answer.lifetime, sent_at),
            refresh_expires_at: match answer.refresh_lifetime {
                Lifetime::For(span) => Some(sent_at.plus(span)),
                Lifetime::Never | Lifetime::Unknown => None,
            },
            revision: Revision::FIRST,
            epoch: record.owner.epoch,
            provider: secrets.provider.clone(),
            account: None,
        }
    }

    /// When an access token lapses; an unknown life is the configured maximum (R46).
    pub(super) fn expiry(&self, lifetime: Lifetime, sent_at: Timestamp) -> Option<Timestamp> {
        match lifetime {
            Lifetime::For(span) => Some(sent_at.plus(span)),
            Lifetime::Unknown => Some(sent_at.plus(self.policy.assumed_lifetime)),
            Lifetime::Never => None,
        }
    }

    /// Asks the directory again, compares accounts, and commits under lock (R26, R35).
    async fn commit(
        &self,
        flow: &Running,
        verified: VerifiedCallback,
        received: GrantSecrets,
        revoke_superseded: bool,
    ) -> Result<(), Failure> {
        let owner = &flow.record.owner;
        let fail = |code, received| Failure { cause: Cause::Code(code), received: Some(received) };
        match self.authorize(&owner.user, &owner.space, Role::Viewer).await {
            Ok(()) => {}
            Err(Denied::Forbidden | Denied::NotFound | Denied::DirectoryUnavailable) => {
                return Err(fail(FailureCode::PermissionLost, received));
            }
        }
        if !flow.secrets.allow_account_change
            && let Some(account) = &received.account
            && self.account_before(owner).await.is_some_and(|before| !before.is(account))
        {
            return Err(fail(FailureCode::AccountMismatch, received));
        }
        let Ok(now) = self.ports.authorizations.now().await else {
            return Err(fail(FailureCode::Internal, received));
        };
        let Ok(tokens) = self.seal_grant(owner, flow.record.id, &received) else {
            return Err(fail(FailureCode::Internal, received));
        };
        let granted = Authorization::restore(flow.record.clone())
            .ok()
            .and_then(|grant| grant.on(Input::TokensGranted(verified, tokens), now).ok());
        let Some(granted) = granted else {
            return Err(fail(FailureCode::Internal, received));
        };
        let person = Actor::Person(owner.user.clone());
        let mut audit = vec![about_grant(now, person.clone(), AuditKind::Connected, owner, flow.record.id, "ok")];
        if !received.requested_scopes.covers(&received.granted_scopes) {
            audit.push(about_grant(now, person, AuditKind::ScopeWidened, owner, flow.record.id, "widened"));
        }
        match self.commit_persistently(&granted.to_record(), revoke_superseded, &audit).await {
            Ok(CommitOutcome::Committed) => Ok(()),
            Ok(CommitOutcome::ConnectorChanged) => Err(fail(FailureCode::ConnectorChanged, received)),
            Ok(CommitOutcome::ConnectorGone) => Err(fail(FailureCode::ConnectorGone, received)),
            Ok(CommitOutcome::UserGone) => Err(fail(FailureCode::PermissionLost, received)),
            Ok(CommitOutcome::FlowEnded) => Err(fail(FailureCode::Interrupted, received)),
            Err(_) => Err(fail(FailureCode::Internal, received)),
        }
    }

    /// Commits, and asks again while the store merely fails: nobody should have to consent twice because a database was busy.
    /// When the answer was lost, the record tells whether the change was made.
    async fn commit_persistently(
        &self,
        grant: &AuthorizationRecord,
        revoke_superseded: bool,
        audit: &[AuditEvent],
    ) -> Result<CommitOutcome, StoreError> {
        let (mut unsure, mut pause) = (false, Duration::from_millis(20));
        for _ in 0..COMMIT_TRIES {
            match self.ports.authorizations.commit_grant(grant.clone(), revoke_superseded, audit.to_vec()).await {
                Ok(CommitOutcome::FlowEnded) if unsure => {
                    let record = self.ports.authorizations.find(grant.id).await?;
                    let committed = record.is_some_and(|record| record.authorized_at.is_some());
                    return Ok(if committed { CommitOutcome::Committed } else { CommitOutcome::FlowEnded });
                }
                Ok(answer) => return Ok(answer),
                Err(error) if !error.is_transient() => return Err(error),
                Err(error) => unsure |= error == StoreError::OutcomeUnknown,
            }
            self.ports.spawner.sleep(pause).await;
            pause *= 4;
        }
        Err(StoreError::Unavailable)
    }

    /// Ends a consumed flow, and queues what was received for revocation (R26).
    async fn fail(self: &Arc<Self>, record: &AuthorizationRecord, failure: Failure, now: Timestamp) {
        if let Some(received) = &failure.received {
            self.queue_unclaimed(&record.owner, received, now).await;
        }
        let (input, outcome) = match failure.cause {
            Cause::Denied => (Input::Terminated { cause: TerminationCause::Denied, revoke: false }, "access_denied"),
            Cause::Code(code) => (Input::Failed(code), code.as_str()),
        };
        let Ok(flow) = Authorization::restore(record.clone()) else {
            return;
        };
        let Ok(ended) = flow.on(input, now) else {
            return;
        };
        let person = Actor::Person(record.owner.user.clone());
        let audit = vec![about_grant(now, person, AuditKind::FlowEnded, &record.owner, record.id, outcome)];
        // If it cannot be written, or somebody ended the flow meanwhile, the sweeper's `interrupted` is just as honest.
        let _: Result<WriteOutcome, StoreError> =
            self.ports.authorizations.replace(ended.to_record(), ExpectedVersion::of(record), audit).await;
    }

    /// Says why nothing was consumed, and leaves an audit event where a binding did not fit (R80).
    async fn refuse(&self, refused: ConsumeOutcome, callback: &CallbackRequest, now: Timestamp) -> CallbackRefused {
        let (record, answer) = match refused {
            ConsumeOutcome::Consumed { .. } | ConsumeOutcome::NotFound => {
                return CallbackRefused::NotFound;
            }
            ConsumeOutcome::UserMismatch(record) => (record, CallbackRefused::UserMismatch),
            ConsumeOutcome::BrowserMismatch(record) => (record, CallbackRefused::BrowserMismatch),
            ConsumeOutcome::Expired(record) => return CallbackRefused::Expired { flow_id: record.id },
            ConsumeOutcome::AlreadyUsed(record) => {
                return CallbackRefused::AlreadyUsed { flow_id: record.id };
            }
        };
        let presented = Actor::Person(callback.user.clone());
        let event = about_grant(now, presented, AuditKind::BindingMismatch, &record.owner, record.id, answer.code());
        // The refusal stands whether or not the note of it can be written.
        let _ = self.ports.authorizations.record(vec![event]).await;
        answer
    }

    pub(super) async fn audit_open_failure(&self, record: &AuthorizationRecord, outcome: &str, now: Timestamp) {
        let event = about_grant(now, Actor::System, AuditKind::OpenFailed, &record.owner, record.id, outcome);
        // The failure itself is what the caller reports.
        let _ = self.ports.authorizations.record(vec![event]).await;
    }
}

/// What a failed exchange is called.
fn exchange_failure(error: ProviderError) -> Failure {
    let code = match error {
        ProviderError::InvalidGrant | ProviderError::OtherOauthError | ProviderError::Malformed => {
            FailureCode::ExchangeFailed
        }
        ProviderError::ClientRefused | ProviderError::NotAllowed | ProviderError::BadMetadata => {
            FailureCode::ProviderMisconfigured
        }
        ProviderError::Throttled { .. } | ProviderError::NotSent | ProviderError::NoResponse => {
            FailureCode::ProviderUnavailable
        }
    };
    code.into()
}
