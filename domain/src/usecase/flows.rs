//! What the use cases of a flow share: start, callback, cancel and launch, and the test of a connector.

use std::sync::Arc;

use crate::authorization::AuthorizationKey;
use crate::identity::UserId;
use crate::ports::{
    AuditOutbox, AuthorizationServer, AuthorizationStore, ClientCredentials, ConnectorStore, Limited, Operation,
    RandomUnavailable, RateLimiter, ResourceServer, SecureRandom, Spawner, StoreClock, UserStore,
};
use crate::usecase::access::Access;
use crate::usecase::failure_recorder::FailureRecorder;
use crate::usecase::login_hint::Accounts;
use crate::usecase::policy::Policy;
use crate::usecase::refresh::CircuitBreaker;
use crate::usecase::requests::random_bytes;
use crate::usecase::revocation::RevocationWorker;
use crate::usecase::sealer::{NoCredentials, Sealer};
use crate::usecase::settings::ConnectorSettings;

/// Starts, completes, cancels and launches flows, and tests connectors.
pub(crate) struct Flows {
    pub(super) store_clock: Arc<dyn StoreClock>,
    pub(super) authorizations: Arc<dyn AuthorizationStore>,
    pub(super) connectors: Arc<dyn ConnectorStore>,
    pub(super) users: Arc<dyn UserStore>,
    pub(super) outbox: Arc<dyn AuditOutbox>,
    pub(super) provider: Arc<dyn AuthorizationServer>,
    pub(super) resource: Arc<dyn ResourceServer>,
    pub(super) limiter: Arc<dyn RateLimiter>,
    pub(super) random: Arc<dyn SecureRandom>,
    pub(super) spawner: Arc<dyn Spawner>,
    pub(super) policy: Policy,
    pub(super) access: Access,
    pub(super) settings: ConnectorSettings,
    pub(super) sealer: Sealer,
    pub(super) accounts: Accounts,
    pub(super) revocations: Arc<RevocationWorker>,
    pub(super) breaker: Arc<CircuitBreaker>,
    pub(super) failures: FailureRecorder,
}

impl Flows {
    pub(super) fn random<const N: usize>(&self) -> Result<[u8; N], RandomUnavailable> {
        random_bytes(&*self.random)
    }

    pub(super) async fn limit_user(&self, user: &UserId, operation: Operation) -> Result<(), Limited> {
        limit_user(&*self.limiter, user, operation).await
    }

    /// The client credentials of the epoch the user consented to.
    pub(super) async fn client_of(
        &self,
        owner: &AuthorizationKey,
        needs_secret: bool,
    ) -> Result<ClientCredentials, NoCredentials> {
        self.sealer.client_of(owner, needs_secret).await
    }
}

/// Counts an operation of a user.
pub(super) async fn limit_user(limiter: &dyn RateLimiter, user: &UserId, operation: Operation) -> Result<(), Limited> {
    limiter.take(&format!("user:{user}"), operation).await
}

/// Counts an operation from an address.
pub(super) async fn limit_address(limiter: &dyn RateLimiter, address: &str, operation: Operation) -> Result<(), Limited> {
    limiter.take(&format!("address:{address}"), operation).await
}
