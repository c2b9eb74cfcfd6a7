//! Starting a flow: from a request of a user to an authorization URL.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, FlowCookieHash, FlowSecrets, Input, RedirectIssued, StateHash,
};
use crate::connector::{AuthMode, Connector, ConnectorKey};
use crate::encoding::{base64url, sha256};
use crate::identity::{Actor, ConnectionName, Role, UserId};
use crate::ports::{
    AssociatedData, AuditEvent, AuditKind, AuthorizationRequest, InsertOutcome, InvalidConfig, Limited, Obsolete, Operation,
    ProviderError, ProviderErrorKind, ProviderOperation, RandomUnavailable, StoreError,
};
use crate::provider::{BindingKind, CallbackPath, EndpointSource, ProviderSettings, ProviderSnapshot};
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::usecase::access::AccessError;
use crate::usecase::consent_version::ConsentVersion;
use crate::usecase::failure_recorder::FailingConnector;
use crate::usecase::flows::Flows;
use crate::usecase::sealer::NoCredentials;
use crate::usecase::settings::{AuthenticSettings, ConnectorTampered, UnusableConnector};

/// A user's request to connect.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// The caller: only users can start flows.
    pub actor: Actor,
    /// The connector.
    pub connector: ConnectorKey,
    /// The name of the connection.
    pub connection: ConnectionName,
    /// The version of what the user was shown before the start. `None`: not known.
    pub shown: Option<ConsentVersion>,
    /// Where the browser returns to: a validated path on the public origin.
    pub return_path: Option<String>,
    /// Whether another provider account than the present one is accepted.
    pub allow_account_change: bool,
    /// Whether the provider is asked to let the user choose the account, such as after another one was used.
    pub select_account: bool,
}

/// A flow that waits for its callback.
pub struct Started {
    /// The flow id; part of the cookie's name.
    pub flow_id: AuthorizationId,
    /// Where the browser goes. Contains the `state`, so it is a secret until the browser has it.
    pub authorization_url: Secret,
    /// The `state` parameter.
    pub state: Secret,
    /// Value of the flow cookie.
    pub flow_cookie: Secret,
    /// When the flow expires.
    pub expires_at: Timestamp,
    /// Time until then.
    pub expires_in: Duration,
}

/// Why no flow was started. Nothing that could be completed was stored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The caller has no access.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The user was deprovisioned; an administrator can reinstate the user.
    #[error("the user was deprovisioned")]
    UserDeprovisioned,
    /// Too many requests, or too many flows that are not finished.
    #[error("too many attempts")]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// A setting is missing.
    #[error("the connector is not complete: {field} is missing")]
    Incomplete {
        /// The field.
        field: String,
    },
    /// The configuration cannot be used any more; names the field.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The connector is not the one that the user consented to.
    #[error("the connector was changed after the user saw what it connects to")]
    ConnectorChanged,
    /// A shared connector has nothing to connect.
    #[error("this connector is shared; there is nothing to connect")]
    Shared,
    /// The row of the connector is not authentic.
    #[error(transparent)]
    ConnectorTampered(#[from] ConnectorTampered),
    /// The provider's metadata is not available or not acceptable.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The store is unavailable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Sealing failed, or there is no randomness.
    #[error("an internal error")]
    Internal,
}

impl StartError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Access(error) => error.code(),
            Self::UserDeprovisioned => "user_deprovisioned",
            Self::RateLimited { .. } => "rate_limited",
            Self::Incomplete { .. } => "connector_incomplete",
            Self::Config(invalid) if invalid.host_not_allowed => "host_not_allowed",
            Self::Config(_) | Self::Shared => "invalid_request",
            Self::ConnectorTampered(tampered) => tampered.code(),
            Self::ConnectorChanged => "connector_changed",
            Self::Provider(error) if error.is_misconfiguration() => "provider_misconfigured",
            Self::Provider(_) => "provider_unavailable",
            Self::Store(_) => "store_unavailable",
            Self::Internal => "internal",
        }
    }
}

impl From<UnusableConnector> for StartError {
    fn from(unusable: UnusableConnector) -> Self {
        match unusable {
            UnusableConnector::Config(invalid) => Self::Config(invalid),
            UnusableConnector::Tampered(tampered) => Self::ConnectorTampered(tampered),
        }
    }
}

impl From<Limited> for StartError {
    fn from(limited: Limited) -> Self {
        Self::RateLimited { retry_after: limited.retry_after }
    }
}

impl From<RandomUnavailable> for StartError {
    fn from(_: RandomUnavailable) -> Self {
        Self::Internal
    }
}

impl From<NoCredentials> for StartError {
    fn from(problem: NoCredentials) -> Self {
        match problem {
            // One that was entered for another configuration must be entered again.
            NoCredentials::Missing | NoCredentials::Undecryptable => missing_secret(),
            NoCredentials::Store(error) => Self::Store(error),
        }
    }
}

fn missing_secret() -> StartError {
    StartError::Incomplete { field: "secrets.clientSecret".to_owned() }
}

impl Flows {
    pub(super) async fn start(&self, request: StartRequest) -> Result<Started, StartError> {
        let key = &request.connector;
        let user = self.access.authorize_user(&request.actor, &key.space, Role::Viewer).await?;
        self.limit_user(user, Operation::Start).await?;
        self.refuse_deprovisioned(user).await?;

        let (connector, read) = self.per_user_connector(key).await?;
        let (settings, digest) = (&read.provider, read.required.digest);
        if request.shown.is_some_and(|shown| !shown.is_of(read.consent, settings)) {
            return Err(StartError::ConnectorChanged);
        }
        if let Some(field) = &settings.missing {
            return Err(StartError::Incomplete { field: field.clone() });
        }
        if settings.authentication.needs_secret() && !connector.has_client_secret {
            return Err(missing_secret());
        }
        let provider = self.resolve(&connector, settings).await?;
        if request.shown.is_some_and(|shown| !shown.allows(&provider.endpoints)) {
            return Err(StartError::ConnectorChanged);
        }

        let now = self.store_clock.now().await?;
        let deadline = now.plus(self.policy.flow_ttl);
        let owner = AuthorizationKey {
            space: key.space.clone(),
            connector: key.id.clone(),
            incarnation: connector.incarnation,
            epoch: connector.epoch,
            digest,
            user: user.clone(),
            connection: request.connection.clone(),
        };
        let flow = Authorization::start(AuthorizationId::new(now, self.random()?), owner, now, deadline);
        let (flow, started) = self.issue(&request, flow, settings, provider, now, deadline).await?;
        // The flow is stored completely before its URL leaves this function.
        let audit = AuditEvent::new(AuditKind::FlowStarted, request.actor.clone(), now).about(flow.owner(), flow.id());
        match self.authorizations.insert_flow(flow, self.policy.pending, vec![audit]).await? {
            InsertOutcome::Inserted => Ok(started),
            InsertOutcome::TooManyPending => Err(StartError::RateLimited { retry_after: self.policy.flow_ttl }),
            InsertOutcome::Obsolete(Obsolete::ConnectorChanged) => Err(StartError::ConnectorChanged),
            InsertOutcome::Obsolete(Obsolete::ConnectorGone) => Err(AccessError::NotFound.into()),
            InsertOutcome::Obsolete(Obsolete::UserGone) => Err(StartError::UserDeprovisioned),
        }
    }

    /// A connector at which users connect, and its settings.
    pub(super) async fn per_user_connector(
        &self,
        key: &ConnectorKey,
    ) -> Result<(Connector, Arc<AuthenticSettings>), StartError> {
        let connector = self.connectors.get(key).await?.ok_or(AccessError::NotFound)?;
        let settings = self.settings.of(&connector)?;
        match connector.auth_mode {
            AuthMode::PerUser => Ok((connector, settings)),
            AuthMode::Shared => Err(StartError::Shared),
        }
    }

    /// No grant would be committed for a deprovisioned user, so the user is not sent to the provider.
    pub(super) async fn refuse_deprovisioned(&self, user: &UserId) -> Result<(), StartError> {
        match self.users.removed_at(user).await? {
            Some(_) => Err(StartError::UserDeprovisioned),
            None => Ok(()),
        }
    }

    /// Resolves the endpoints and refuses those that the connector's callback URL does not allow.
    pub(super) async fn resolve(
        &self,
        connector: &Connector,
        settings: &ProviderSettings,
    ) -> Result<ProviderSnapshot, ProviderError> {
        self.resolve_checked(connector, settings).await.inspect_err(|error| {
            let issuer = settings.issuer.as_deref().unwrap_or_default();
            self.failures.record(connector, ProviderOperation::Discovery, issuer, error);
        })
    }

    /// The same, and a failure is not recorded.
    pub(super) async fn resolve_checked(
        &self,
        connector: &Connector,
        settings: &ProviderSettings,
    ) -> Result<ProviderSnapshot, ProviderError> {
        if !may_use_its_callback(settings) {
            return Err(
                ProviderErrorKind::BadMetadata.because("endpoints that an editor entered need a separate callback URL")
            );
        }
        let redirect_uri = self.settings.redirect_uri(connector, settings.callback);
        let provider = self.provider.resolve(settings, &redirect_uri, &connector.config.settings).await?;
        let announces_issuer = provider.issuer_in_response && provider.issuer.is_some();
        if settings.callback == CallbackPath::Issuers && !announces_issuer {
            let problem = "the callback URL of issuers needs an issuer that announces iss in its responses (RFC 9207)";
            return Err(ProviderErrorKind::BadMetadata.because(problem));
        }
        Ok(provider)
    }

    /// Draws the flow's secrets, seals them, and builds the authorization URL.
    async fn issue(
        &self,
        request: &StartRequest,
        flow: Authorization,
        settings: &ProviderSettings,
        provider: ProviderSnapshot,
        now: Timestamp,
        deadline: Timestamp,
    ) -> Result<(Authorization, Started), StartError> {
        let (id, owner) = (flow.id(), flow.owner().clone());
        let (state, verifier, flow_cookie) = (self.random_text()?, self.random_text()?, self.random_text()?);
        let state_hash = StateHash(sha256(state.expose()));
        let flow_cookie_hash = FlowCookieHash(sha256(flow_cookie.expose()));
        let nonce = if settings.requested_scopes.contains("openid") {
            Some(base64url(&self.random::<16>()?).to_string())
        } else {
            None
        };
        let authorization = AuthorizationRequest {
            state: state.clone_secret(),
            code_challenge: base64url(&sha256(verifier.expose())).to_string(),
            scopes: settings.requested_scopes.clone(),
            nonce: nonce.clone(),
            login_hint: self.accounts.login_hint(&owner, request.allow_account_change).await,
            select_account: request.select_account,
        };
        let client = self.client_of(&owner, provider.authentication.needs_secret()).await?;
        let failing = FailingConnector::from(&owner);
        let secrets = FlowSecrets {
            verifier,
            state: state.clone_secret(),
            nonce,
            provider: provider.clone(),
            requested_scopes: settings.requested_scopes.clone(),
            return_path: request.return_path.clone(),
            allow_account_change: request.allow_account_change,
            select_account: request.select_account,
            deadline,
            epoch: owner.epoch,
        };
        let associated = AssociatedData::Flow { owner, state: state_hash, flow_cookie_hash };
        let sealed = self.sealer.seal_flow(&associated, &secrets).map_err(|_| StartError::Internal)?;
        let issued = RedirectIssued { state_hash, flow_cookie_hash, sealed };
        let issued = flow.on(Input::RedirectIssued(issued), now).map_err(|_| StartError::Internal)?;
        let authorization_url = self.provider.authorization_url(&provider, &client, authorization).await;
        let authorization_url = authorization_url.inspect_err(|error| {
            self.failures.record(failing, ProviderOperation::Authorization, &provider.endpoints.authorization, error);
        })?;
        let started = Started {
            flow_id: id,
            authorization_url,
            state,
            flow_cookie,
            expires_at: deadline,
            expires_in: self.policy.flow_ttl,
        };
        Ok((issued, started))
    }

    fn random_text(&self) -> Result<Secret, RandomUnavailable> {
        Ok(Secret::from_text(&base64url(&self.random::<32>()?)))
    }
}

/// Whether the providers at a callback cannot be mixed up (RFC 9700 §4.4).
///
/// Responses at the callback of issuers carry an `iss`, which is compared with the expected issuer. A provider that sends none
/// must not share that callback, even if it is trusted: some accept redirect URIs with a query, so that the browser could be
/// sent to it with a redirect URI that contains the `iss` of another one. Endpoints written by a user need a separate callback
/// even if an issuer is given: they could forward the browser to an honest server, which would confirm that issuer.
pub(super) fn may_use_its_callback(settings: &ProviderSettings) -> bool {
    match settings.callback {
        CallbackPath::Issuers => settings.kind == BindingKind::Issuer,
        CallbackPath::Profiles => settings.endpoint_source == EndpointSource::Operator,
        CallbackPath::PerConnector => true,
    }
}
