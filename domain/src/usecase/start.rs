//! Starting a flow: from a click to an authorization URL.

use std::time::Duration;

use thiserror::Error;

use crate::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, FailureCode, FlowCookieHash, FlowSecrets, Input, PAYLOAD_VERSION,
    RedirectIssued, State, StateHash,
};
use crate::connector::{AuthMode, ConnectorId, ConnectorKey};
use crate::encoding::base64url;
use crate::identity::{Actor, Role, SpaceId};
use crate::ports::{
    AssociatedData, AuditKind, AuthorizationRequest, ExpectedVersion, InsertOutcome, InvalidConfig, Operation,
    ProviderError, StoreError, WriteOutcome,
};
use crate::provider::{BindingKind, CallbackPath, EndpointSource, ProviderSettings, ProviderSnapshot};
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::usecase::audit::about_grant;
use crate::usecase::sealing::NoCredentials;
use crate::usecase::{Connections, Denied};

/// A user's wish to connect.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// Who: only a person can start (R05).
    pub actor: Actor,
    /// Where.
    pub space: SpaceId,
    /// To which connector.
    pub connector: ConnectorId,
    /// Where the browser returns to: a path on the public origin, already validated (R33).
    pub return_path: Option<String>,
    /// Whether another provider account than the present one is welcome (R35).
    pub allow_account_change: bool,
}

/// A flow that waits for its callback.
pub struct Started {
    /// Names the flow; part of the cookie's name.
    pub flow_id: AuthorizationId,
    /// Where the browser goes. Holds the `state`, so it is a secret until it is there.
    pub authorization_url: Secret,
    /// The `state` parameter.
    pub state: Secret,
    /// Value of the flow cookie (R03).
    pub flow_cookie: Secret,
    /// When the flow ends by itself.
    pub expires_at: Timestamp,
    /// How long that is from now.
    pub expires_in: Duration,
}

/// Why no flow was started. Nothing is left behind that could be completed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StartError {
    /// No such space or connector for this user.
    #[error("there is no such connector")]
    NotFound,
    /// Not a person, or not allowed to use connectors here.
    #[error("this is not allowed")]
    Forbidden,
    /// Too often, or too many unfinished flows (R18, R59).
    #[error("too many attempts")]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// A setting is missing; names it.
    #[error("the connector is not complete: {field} is missing")]
    Incomplete {
        /// The field.
        field: String,
    },
    /// The configuration can no longer be used; names the field.
    #[error(transparent)]
    ConnectorConfig(#[from] InvalidConfig),
    /// A shared connector has nothing to connect.
    #[error("this connector is shared; there is nothing to connect")]
    Shared,
    /// The provider could not be asked for its metadata.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Our own fault.
    #[error("an internal error")]
    Internal,
}

impl From<Denied> for StartError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotFound => Self::NotFound,
            Denied::Forbidden | Denied::DirectoryUnavailable => Self::Forbidden,
        }
    }
}

impl Connections {
    /// Starts a flow (R01–R07, R18).
    pub async fn start(&self, request: StartRequest) -> Result<Started, StartError> {
        let user = Self::person(&request.actor)?;
        self.authorize(user, &request.space, Role::Viewer).await?;
        let limited = self.ports.limiter.take(&format!("user:{user}"), Operation::Start).await;
        limited.map_err(|limited| StartError::RateLimited { retry_after: limited.retry_after })?;

        let key = ConnectorKey { space: request.space.clone(), id: request.connector.clone() };
        let connector = self.ports.connectors.get(&key).await?.ok_or(StartError::NotFound)?;
        if !connector.enabled {
            return Err(StartError::NotFound);
        }
        if connector.auth_mode == AuthMode::Shared {
            return Err(StartError::Shared);
        }
        let (settings, digest) = self.settings_of(&connector)?;
        if let Some(field) = settings.missing {
            return Err(StartError::Incomplete { field });
        }
        if settings.authentication.needs_secret() && !connector.has_client_secret {
            return Err(StartError::Incomplete { field: "secrets.clientSecret".to_owned() });
        }
        let provider = self.resolve(&connector, &settings).await?;

        let now = self.ports.authorizations.now().await?;
        let deadline = now.plus(self.policy.flow_ttl);
        let id = AuthorizationId::new(now, self.random().map_err(|_| StartError::Internal)?);
        let owner = AuthorizationKey {
            space: request.space.clone(),
            connector: request.connector.clone(),
            incarnation: connector.incarnation,
            epoch: connector.epoch,
            digest,
            user: user.clone(),
        };
        let flow = Authorization::start(id, owner.clone(), now, deadline);
        let audit = vec![about_grant(now, request.actor.clone(), AuditKind::FlowStarted, &owner, id, "ok")];
        match self.ports.authorizations.insert_pending(flow.to_record(), self.policy.pending, audit).await? {
            InsertOutcome::Inserted => {}
            InsertOutcome::TooManyPending => {
                return Err(StartError::RateLimited { retry_after: self.policy.flow_ttl });
            }
        }
        match self.issue(&request, flow.clone(), &settings, provider, now, deadline).await {
            Ok(started) => Ok(started),
            Err(error) => {
                self.abandon(flow, error.failure(), now).await;
                Err(error)
            }
        }
    }

    /// Settles the endpoints and refuses what the connector's callback kind does not allow (R09).
    async fn resolve(
        &self,
        connector: &crate::connector::Connector,
        settings: &ProviderSettings,
    ) -> Result<ProviderSnapshot, StartError> {
        let refused = StartError::Provider(ProviderError::BadMetadata);
        if !may_use_its_callback(settings) {
            return Err(refused);
        }
        let redirect_uri = self.redirect_uri(connector, settings.callback);
        let provider = self.ports.provider.resolve(settings, &redirect_uri, &connector.config.settings).await?;
        let shared = settings.callback == CallbackPath::Shared;
        if shared
            && settings.endpoint_source == EndpointSource::User
            && !(provider.issuer_in_response && provider.issuer.is_some())
        {
            return Err(refused);
        }
        Ok(provider)
    }

    /// Draws the flow's secrets, seals them, and issues the authorization URL.
    async fn issue(
        &self,
        request: &StartRequest,
        flow: Authorization,
        settings: &ProviderSettings,
        provider: ProviderSnapshot,
        now: Timestamp,
        deadline: Timestamp,
    ) -> Result<Started, StartError> {
        let (id, owner) = (flow.id(), flow.owner().clone());
        let random_text = || -> Result<Secret, StartError> {
            let bytes: [u8; 32] = self.random().map_err(|_| StartError::Internal)?;
            Ok(Secret::from_text(&base64url(&bytes)))
        };
        let (state, verifier, flow_cookie) = (random_text()?, random_text()?, random_text()?);
        let state_hash = StateHash(self.ports.vault.fingerprint(state.expose()));
        let flow_cookie_hash = FlowCookieHash(self.ports.vault.fingerprint(flow_cookie.expose()));
        let code_challenge = base64url(&self.ports.vault.fingerprint(verifier.expose())).to_string();
        let nonce = if settings.requested_scopes.contains("openid") {
            let bytes: [u8; 16] = self.random().map_err(|_| StartError::Internal)?;
            Some(base64url(&bytes).to_string())
        } else {
            None
        };
        let authorization = AuthorizationRequest {
            state: state.clone_secret(),
            code_challenge,
            scopes: settings.requested_scopes.clone(),
            nonce: nonce.clone(),
            login_hint: self.login_hint(&owner, request.allow_account_change).await,
        };
        let client = self
            .client_credentials_of(owner.incarnation, owner.epoch, provider.authentication.needs_secret())
            .await
            .map_err(|problem| match problem {
                NoCredentials::Missing => StartError::Incomplete { field: "secrets.clientSecret".to_owned() },
                NoCredentials::Unreadable => StartError::Internal,
                NoCredentials::Store(error) => StartError::Store(error),
            })?;
        let secrets = FlowSecrets {
            verifier,
            state: state.clone_secret(),
            nonce,
            provider: provider.clone(),
            requested_scopes: settings.requested_scopes.clone(),
            return_path: request.return_path.clone(),
            allow_account_change: request.allow_account_change,
            deadline,
            epoch: owner.epoch,
        };
        let binding = AssociatedData::Flow { owner, state: state_hash, flow_cookie_hash };
        let sealed =
            self.ports.vault.seal(&binding, PAYLOAD_VERSION, &secrets.encode()).map_err(|_| StartError::Internal)?;
        let before = ExpectedVersion::of(&flow.to_record());
        let issued = flow
            .on(Input::RedirectIssued(RedirectIssued { state_hash, flow_cookie_hash, sealed }), now)
            .map_err(|_| StartError::Internal)?;
        // The record is complete before anybody can come back with it.
        match self.ports.authorizations.replace(issued.to_record(), before, Vec::new()).await? {
            WriteOutcome::Written => {}
            WriteOutcome::Stale(_) | WriteOutcome::NotFound => return Err(StartError::NotFound),
        }
        let authorization_url = self.ports.provider.authorization_url(&provider, &client, authorization).await?;
        Ok(Started {
            flow_id: id,
            authorization_url,
            state,
            flow_cookie,
            expires_at: deadline,
            expires_in: self.policy.flow_ttl,
        })
    }

    /// Ends a flow that could not be issued, so that it does not count as pending.
    async fn abandon(&self, flow: Authorization, code: FailureCode, now: Timestamp) {
        let Ok(Some(record)) = self.ports.authorizations.find(flow.id()).await else {
            return;
        };
        let fence = ExpectedVersion::of(&record);
        let Ok(flow) = Authorization::restore(record) else {
            return;
        };
        let (id, owner) = (flow.id(), flow.owner().clone());
        if matches!(flow.state(), State::Initiated(_) | State::AwaitingCallback(_))
            && let Ok(ended) = flow.on(Input::Failed(code), now)
        {
            let audit = vec![about_grant(now, Actor::System, AuditKind::FlowEnded, &owner, id, code.as_str())];
            // If this fails too, the deadline ends the flow.
            let _ = self.ports.authorizations.replace(ended.to_record(), fence, audit).await;
        }
    }

    /// The redirect URI a connector registers at its provider (R07, R08).
    pub(super) fn redirect_uri(&self, connector: &crate::connector::Connector, callback: CallbackPath) -> String {
        let base = format!("{}/api/actions/connector/_oauth_callback", self.policy.public_base_url);
        match callback {
            CallbackPath::Shared => base,
            CallbackPath::PerConnector => format!("{base}/{}", connector.callback_id.to_text()),
        }
    }
}

/// The shared callback is for operator-approved profiles and for issuer mode, where the `iss` of the response is compared
/// with the expected issuer. Endpoints written by a user need a separate callback even if an issuer is given: they could
/// forward the browser to an honest server, which would confirm that issuer (RFC 9700 §4.4).
pub(super) fn may_use_its_callback(settings: &ProviderSettings) -> bool {
    settings.callback == CallbackPath::PerConnector
        || settings.endpoint_source == EndpointSource::Operator
        || settings.kind == BindingKind::Issuer
}

impl StartError {
    /// What an abandoned flow is recorded as.
    fn failure(&self) -> FailureCode {
        match self {
            Self::Provider(error) if error.is_misconfiguration() => FailureCode::ProviderMisconfigured,
            Self::Provider(_) => FailureCode::ProviderUnavailable,
            Self::NotFound
            | Self::Forbidden
            | Self::RateLimited { .. }
            | Self::Incomplete { .. }
            | Self::ConnectorConfig(_)
            | Self::Shared
            | Self::Store(_)
            | Self::Internal => FailureCode::Internal,
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::RateLimited { .. } => "rate_limited",
            Self::Incomplete { .. } => "connector_incomplete",
            Self::ConnectorConfig(invalid) if invalid.host_not_allowed => "host_not_allowed",
            Self::ConnectorConfig(_) | Self::Shared => "invalid_request",
            Self::Provider(error) if error.is_misconfiguration() => "provider_misconfigured",
            Self::Provider(_) => "provider_unavailable",
            Self::Store(_) => "store_unavailable",
            Self::Internal => "internal",
        }
    }
}
