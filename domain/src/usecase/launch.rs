//! Sending a user's own browser on to the provider, from a same-origin page that knows only the flow's id (R17).

use thiserror::Error;

use crate::authorization::{AuthorizationId, FlowCookieHash, State};
use crate::encoding::base64url;
use crate::identity::{Actor, SpaceId};
use crate::ports::{AssociatedData, AuthorizationRequest, StoreError};
use crate::secret::{Secret, equal_in_constant_time};
use crate::usecase::Connections;
use crate::usecase::access_token::restored;
use crate::usecase::sealing::NoCredentials;

/// Why a browser is not sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// No such flow of this user in this space.
    #[error("there is no such flow")]
    NotFound,
    /// Not the browser the flow was started in.
    #[error("the flow was started in another browser")]
    BrowserMismatch,
    /// The flow is over, or its callback has arrived.
    #[error("the flow is over")]
    Over,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Our own fault.
    #[error("an internal error")]
    Internal,
}

impl LaunchError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFound => "flow_not_found",
            Self::BrowserMismatch => "browser_mismatch",
            Self::Over => "flow_expired",
            Self::Store(_) => "store_unavailable",
            Self::Internal => "internal",
        }
    }
}

impl Connections {
    /// The authorization URL of a waiting flow, for its own user in its own browser. Changes nothing.
    pub async fn launch(
        &self,
        actor: &Actor,
        space: &SpaceId,
        flow: AuthorizationId,
        flow_cookies: &[Secret],
    ) -> Result<Secret, LaunchError> {
        let Actor::Person(user) = actor else { return Err(LaunchError::NotFound) };
        let record = self.ports.authorizations.find(flow).await?;
        let record = record.filter(|record| record.owner.user == *user && record.owner.space == *space);
        let record = record.ok_or(LaunchError::NotFound)?;
        let now = self.ports.authorizations.now().await?;
        let sealed = record.sealed.clone();
        let flow = restored(record)?.at(now);
        let State::AwaitingCallback(awaiting) = flow.state() else { return Err(LaunchError::Over) };
        let FlowCookieHash(expected) = awaiting.flow_cookie_hash();
        let mut presented = flow_cookies.iter().map(|secret| self.ports.vault.fingerprint(secret.expose()));
        if !presented.any(|hash| equal_in_constant_time(&hash, &expected)) {
            return Err(LaunchError::BrowserMismatch);
        }
        let sealed = sealed.filter(|_| !awaiting.is_consumed()).ok_or(LaunchError::Over)?;
        let owner = flow.owner().clone();
        let binding = AssociatedData::Flow {
            owner: owner.clone(),
            state: awaiting.state_hash(),
            flow_cookie_hash: awaiting.flow_cookie_hash(),
        };
        let secrets = self.open_flow(&binding, &sealed).map_err(|_| LaunchError::Internal)?;
        let request = AuthorizationRequest {
            code_challenge: base64url(&self.ports.vault.fingerprint(secrets.verifier.expose())).to_string(),
            state: secrets.state,
            scopes: secrets.requested_scopes,
            nonce: secrets.nonce,
            login_hint: self.login_hint(&owner, secrets.allow_account_change).await,
        };
        let needs_secret = secrets.provider.authentication.needs_secret();
        let client = self.client_credentials_of(owner.incarnation, owner.epoch, needs_secret).await;
        let client = client.map_err(|problem| match problem {
            NoCredentials::Store(error) => LaunchError::Store(error),
            NoCredentials::Missing | NoCredentials::Unreadable => LaunchError::Internal,
        })?;
        let url = self.ports.provider.authorization_url(&secrets.provider, &client, request).await;
        url.map_err(|_| LaunchError::Internal)
    }
}
