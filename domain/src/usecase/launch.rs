//! Redirecting a user's browser to the provider from a same-origin page that has only the flow id.

use thiserror::Error;

use crate::authorization::{AuthorizationId, FlowCookieHash, State};
use crate::encoding::{base64url, sha256};
use crate::identity::{Actor, SpaceId};
use crate::ports::{AssociatedData, AuthorizationRequest, ProviderOperation, StoreError};
use crate::secret::{Secret, equal_in_constant_time};
use crate::usecase::access::user_of;
use crate::usecase::flows::Flows;
use crate::usecase::sealer::NoCredentials;

/// Why a browser is not redirected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The user has no such flow in this space.
    #[error("there is no such flow")]
    NotFound,
    /// The user was deprovisioned.
    #[error("the user was deprovisioned")]
    UserDeprovisioned,
    /// The flow was started in another browser.
    #[error("the flow was started in another browser")]
    BrowserMismatch,
    /// The flow has ended, or its callback has arrived.
    #[error("the flow has ended")]
    Over,
    /// The store is unavailable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Decrypting failed, or the URL cannot be built.
    #[error("an internal error")]
    Internal,
}

impl LaunchError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFound => "flow_not_found",
            Self::UserDeprovisioned => "user_deprovisioned",
            Self::BrowserMismatch => "browser_mismatch",
            Self::Over => "flow_expired",
            Self::Store(_) => "store_unavailable",
            Self::Internal => "internal",
        }
    }
}

impl Flows {
    /// The authorization URL of a waiting flow, for the user and the browser that started it. Changes nothing.
    pub(super) async fn launch(
        &self,
        actor: &Actor,
        space: &SpaceId,
        flow: AuthorizationId,
        flow_cookies: &[Secret],
    ) -> Result<Secret, LaunchError> {
        let user = user_of(actor).map_err(|_| LaunchError::NotFound)?;
        let found = self.authorizations.find(flow).await?.map(|stored| stored.value);
        let flow = found.filter(|flow| flow.owner().user == *user && flow.owner().space == *space);
        let flow = flow.ok_or(LaunchError::NotFound)?;
        if self.users.removed_at(user).await?.is_some() {
            return Err(LaunchError::UserDeprovisioned);
        }
        let flow = flow.at(self.store_clock.now().await?);
        let State::AwaitingCallback(awaiting) = flow.state() else { return Err(LaunchError::Over) };
        let FlowCookieHash(expected) = awaiting.flow_cookie_hash();
        if !flow_cookies.iter().any(|cookie| equal_in_constant_time(&sha256(cookie.expose()), &expected)) {
            return Err(LaunchError::BrowserMismatch);
        }
        let sealed = awaiting.sealed().ok_or(LaunchError::Over)?;
        let owner = flow.owner();
        let associated = AssociatedData::Flow {
            owner: owner.clone(),
            state: awaiting.state_hash(),
            flow_cookie_hash: awaiting.flow_cookie_hash(),
        };
        let secrets = self.sealer.open_flow(&associated, sealed).map_err(|_| LaunchError::Internal)?;
        let request = AuthorizationRequest {
            code_challenge: base64url(&sha256(secrets.verifier.expose())).to_string(),
            state: secrets.state,
            scopes: secrets.requested_scopes,
            nonce: secrets.nonce,
            login_hint: self.accounts.login_hint(owner, secrets.allow_account_change).await,
            select_account: secrets.select_account,
        };
        let client = self.client_of(owner, secrets.provider.authentication.needs_secret()).await;
        let client = client.map_err(|problem| match problem {
            NoCredentials::Store(error) => LaunchError::Store(error),
            NoCredentials::Missing | NoCredentials::Undecryptable => LaunchError::Internal,
        })?;
        let url = self.provider.authorization_url(&secrets.provider, &client, request).await;
        url.map_err(|error| {
            let endpoint = &secrets.provider.endpoints.authorization;
            self.failures.record(owner, ProviderOperation::Authorization, endpoint, &error);
            LaunchError::Internal
        })
    }
}
