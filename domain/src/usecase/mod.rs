//! The use cases, one a file. They await ports and nothing else.
//!
//! A host assembles [`Ports`], chooses a [`Policy`], and talks to [`Connections`]. Authorization is decided in here, by
//! asking the host's directory; the caller only vouches for who is asking.

mod access_token;
mod account;
mod audit;
mod cancel;
mod complete;
mod connectors;
mod disconnect;
mod execute;
mod grants;
mod housekeeping;
mod http_stubs;
mod keep;
mod launch;
mod orphan;
mod policy;
mod refresh;
mod revoke;
mod sealing;
mod shared_token;
mod single_flight;
mod start;
mod status;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

pub use access_token::{AccessTokenRequest, IssuedAccessToken, TokenError};
pub use cancel::{CancelError, CancelKey};
pub use complete::{AuthorizationResponse, CallbackRefused, CallbackRequest, Completed, Outcome};
pub use connectors::{ConnectorDraft, ConnectorError, ConnectorView, EditOutcome};
pub use disconnect::DisconnectError;
pub use execute::{ExecuteError, Execution};
pub use grants::{AdminError, Deprovisioned};
pub use housekeeping::{HousekeepingError, Progress, Reconciled};
pub use http_stubs::{FlowResult, GrantFilter, GrantPage, GrantView};
pub use launch::LaunchError;
pub use policy::{InvalidPolicy, Policy, PublicBaseUrl};
pub use revoke::RevocationRound;
pub use start::{StartError, StartRequest, Started};
pub use status::{FlowView, StatusError};

use crate::connector::ConnectorKey;
use crate::identity::{Actor, Role, SpaceId, UserId};
use crate::ports::{
    AuthorizationServer, AuthorizationStore, Clock, ConnectorStore, Directory, EventSink, ProviderError, ProviderProfiles,
    RandomUnavailable, RateLimiter, ResourceServer, SecureRandom, Spawner, TokenVault,
};

/// Everything the use cases need from outside. Plain data without a default, so that a forgotten port does not compile.
pub struct Ports {
    /// Authorizations.
    pub authorizations: Arc<dyn AuthorizationStore>,
    /// Connectors.
    pub connectors: Arc<dyn ConnectorStore>,
    /// Sealing.
    pub vault: Arc<dyn TokenVault>,
    /// OAuth.
    pub provider: Arc<dyn AuthorizationServer>,
    /// Provider profiles.
    pub profiles: Arc<dyn ProviderProfiles>,
    /// APIs behind connectors.
    pub resource: Arc<dyn ResourceServer>,
    /// The host's users and spaces.
    pub directory: Arc<dyn Directory>,
    /// Rate limits.
    pub limiter: Arc<dyn RateLimiter>,
    /// Where audit events go.
    pub sink: Arc<dyn EventSink>,
    /// Clocks.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn SecureRandom>,
    /// Detached work.
    pub spawner: Arc<dyn Spawner>,
}

/// The system as a host uses it. Cheap to share; all state that must survive is in the stores.
pub struct Connections {
    ports: Ports,
    policy: Policy,
    renewals:
        single_flight::SingleFlight<(crate::authorization::AuthorizationId, refresh::RefreshGoal), refresh::RefreshOutcome>,
    unsaved: keep::PendingCommits,
    forced: refresh::ForcedRefreshes,
    breaker: refresh::CircuitBreaker,
    shared_tokens: shared_token::SharedTokens,
    trail: audit::Trail,
}

impl Connections {
    /// Assembles the system, after checking the policy as a whole.
    pub fn new(ports: Ports, policy: Policy) -> Result<Arc<Self>, InvalidPolicy> {
        policy.check()?;
        Ok(Arc::new(Self {
            ports,
            policy,
            renewals: single_flight::SingleFlight::default(),
            unsaved: keep::PendingCommits::default(),
            forced: refresh::ForcedRefreshes::default(),
            breaker: refresh::CircuitBreaker::default(),
            shared_tokens: shared_token::SharedTokens::default(),
            trail: audit::Trail::default(),
        }))
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The ports, for a host that wants to look beside the use cases.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The link that lets a user connect: a confirm page, safe to send by chat or mail (R04).
    pub fn start_link(&self, connector: &ConnectorKey) -> String {
        let space = &connector.space;
        let prefix = if space.is_default() { String::new() } else { format!("/s/{space}") };
        format!("{}{prefix}/api/actions/connector/{}/oauth/start", self.policy.public_base_url, connector.id)
    }

    /// A request to a provider, given up after a span of our own clock: then it is unknown what became of it.
    async fn within<T>(
        &self,
        span: Duration,
        request: impl Future<Output = Result<T, ProviderError>> + Unpin,
    ) -> Result<T, ProviderError> {
        match select(request, self.ports.spawner.sleep(span)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(ProviderError::NoResponse),
        }
    }

    /// Random bytes, or nothing goes on (R74).
    fn random<const N: usize>(&self) -> Result<[u8; N], RandomUnavailable> {
        let mut bytes = [0; N];
        self.ports.random.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Whether a person may act in a space with at least a role. A closed space and a missing one look the same (R60);
    /// a directory that does not answer means no (R06).
    async fn authorize(&self, user: &UserId, space: &SpaceId, least: Role) -> Result<(), Denied> {
        let standing = self.ports.directory.membership(user, space).await.map_err(|_| Denied::DirectoryUnavailable)?;
        if standing.may(least) {
            Ok(())
        } else if standing.may(Role::Viewer) {
            Err(Denied::Forbidden)
        } else {
            Err(Denied::NotFound)
        }
    }

    /// The person behind an actor; agents and the system are nobody (R05).
    fn person(actor: &Actor) -> Result<&UserId, Denied> {
        match actor {
            Actor::Person(user) => Ok(user),
            Actor::Agent(_) | Actor::System => Err(Denied::Forbidden),
        }
    }
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denied {
    /// They may be here, but not do this.
    Forbidden,
    /// For them, there is nothing here.
    NotFound,
    /// The directory did not answer; nobody is let in.
    DirectoryUnavailable,
}
