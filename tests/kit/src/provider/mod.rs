//! A mock OAuth 2.0 authorization server with a small API behind it, on a real loopback socket.
//!
//! It is the provider of `grantry demo` and the fault-injecting server of the tests. It is written from the RFCs and
//! depends on no other code of Grantry.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use grantry_testkit::provider::{Client, Endpoint, Fault, MockProvider};
//!
//! let provider = MockProvider::builder().access_ttl(Duration::from_secs(60)).start().await?;
//! provider.register(Client::new("demo", "demo-secret").redirect_uri("http://127.0.0.1:8080/callback"));
//!
//! // The client under test creates an authorization URL; alice logs in and allows access.
//! # let authorization_url = "";
//! let callback = provider.approve(authorization_url, "alice").await?;
//!
//! provider.expire_access_tokens();
//! provider.faults().once(Endpoint::Token, Fault::DropResponse);
//! assert_eq!(provider.ledger().refreshes().len(), 0);
//! # Ok(())
//! # }
//! ```
//!
//! It enforces exact redirect URIs, PKCE with S256, single use of codes, client authentication, and rotation of refresh
//! tokens with reuse detection. It deviates from this only on demand: see [`Fault`], [`fault_catalogue`] and [`RedirectMatching`].

mod account;
mod api;
mod authorize;
mod builder;
mod catalogue;
mod client_auth;
mod clock;
mod config;
mod core;
mod endpoint;
mod fault;
mod gate;
mod id_token;
mod intercept;
mod ledger;
mod metadata;
mod oddity;
mod pages;
mod params;
mod routes;
mod scripted_user;
mod secret;
mod server;
mod session;
mod state;
mod state_file;
mod token;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use self::core::Core;
use self::server::Server;

pub use self::builder::{MockProviderBuilder, StartError};
pub use self::catalogue::{CatalogueEntry, FaultPlace, FaultValue, NamedFault, NamedFaultError, fault_catalogue};
pub use self::config::{Client, ClientAuth, Pkce, RedirectMatching, RefreshTokens, Rotation, User};
pub use self::endpoint::Endpoint;
pub use self::fault::{Compute, Edit, Fault, Faults, QueryEdit, ScriptedResponse, Transform};
pub use self::gate::Gate;
pub use self::ledger::{Call, Ledger, Subject};
pub use self::scripted_user::{ScriptedUser, ScriptedUserError};
pub use self::state::GrantEnd;

/// How long [`MockProvider::until`] waits before it panics.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running provider. Dropping it stops it at once; [`MockProvider::stop`] lets responses in progress finish.
#[derive(Debug)]
pub struct MockProvider {
    core: Arc<Core>,
    server: Server,
}

/// A grant in the state of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The user who gave it; absent for client credentials.
    pub username: Option<String>,
    /// The client that received it.
    pub client_id: String,
    /// Its scope.
    pub scope: Vec<String>,
    /// Why it ended; absent while it is active.
    pub ended: Option<GrantEnd>,
}

impl From<state::GrantRecord> for Grant {
    fn from(grant: state::GrantRecord) -> Self {
        Self { username: grant.username, client_id: grant.client_id, scope: grant.scope, ended: grant.ended }
    }
}

impl MockProvider {
    /// A builder with the default settings.
    pub fn builder() -> MockProviderBuilder {
        MockProviderBuilder::default()
    }

    /// `http://127.0.0.1:{port}`, or with another loopback address of the builder, without a trailing slash; also the issuer identifier.
    pub fn base_url(&self) -> &str {
        &self.core.issuer
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.core.port
    }

    /// The URL of a path (`/authorize`, `/token`, `/revoke`, `/par`, `/userinfo`, `/jwks`, `/api/me`, `/api/echo`).
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.core.issuer)
    }

    /// Registers a client, in place of one with the same id.
    pub fn register(&self, client: Client) {
        self.core.register(client);
    }

    /// Removes a client, as a provider does that evicts dynamically registered clients. Its authorization requests end on a
    /// page, and its other requests fail with `invalid_client`.
    pub fn unregister(&self, client_id: &str) {
        self.core.unregister(client_id);
    }

    /// The faults of the next requests.
    pub fn faults(&self) -> &Faults {
        &self.core.faults
    }

    /// All requests received so far.
    pub fn ledger(&self) -> Ledger {
        self.core.ledger.snapshot()
    }

    /// Removes all requests from the ledger.
    pub fn clear_ledger(&self) {
        self.core.ledger.clear();
    }

    /// Returns the ledger as soon as it meets the condition. For requests that the system under test sends in the
    /// background.
    ///
    /// # Panics
    /// If the condition is not met within half a minute.
    pub async fn until(&self, wanted: impl Fn(&Ledger) -> bool) -> Ledger {
        let mut changes = self.core.ledger.changes();
        let reached = async {
            loop {
                changes.mark_unchanged();
                let ledger = self.ledger();
                if wanted(&ledger) {
                    return ledger;
                }
                drop(changes.changed().await);
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("the awaited calls reach the provider")
    }

    /// Moves the provider's clock forward.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.core.change(|state, _| state.clock_offset_ms = state.clock_offset_ms.saturating_add(by));
    }

    /// Moves the clock until every access token issued so far has expired.
    pub fn expire_access_tokens(&self) {
        self.advance(self.core.settings.access_ttl + Duration::from_millis(1));
    }

    /// Every grant, including ended ones, oldest first.
    pub fn grants(&self) -> Vec<Grant> {
        self.core.read(|state, _| state.grants.values().cloned().map(Grant::from).collect())
    }

    /// The grant of a code that was redeemed, or of an access or refresh token, whether or not it is still valid, with the
    /// number of the grant.
    pub fn grant_of(&self, secret: &str) -> Option<(u64, Grant)> {
        self.core.read(|state, _| state.grant_of(secret).map(|(number, grant)| (number, grant.clone().into())))
    }

    /// Whether the API would accept this access token now.
    pub fn accepts_access_token(&self, token: &str) -> bool {
        self.core.read(|state, now| state.bearer(token, now).is_some())
    }

    /// Whether a refresh with this token would succeed now. A used token within its grace period does not count.
    pub fn accepts_refresh_token(&self, token: &str) -> bool {
        self.core.read(|state, now| state.accepts_refresh_token(token, now))
    }

    /// The user withdraws all access at the provider; the client is not notified.
    pub fn withdraw(&self, username: &str) {
        self.core.change(|state, _| state.withdraw(username, None));
    }

    /// `username` logs in and allows access. Returns the callback URL without requesting it.
    pub async fn approve(&self, authorization_url: &str, username: &str) -> Result<Url, ScriptedUserError> {
        self.scripted_user(username)?.approve(authorization_url).await
    }

    /// `username` logs in and denies access. Returns the callback URL without requesting it.
    pub async fn deny(&self, authorization_url: &str, username: &str) -> Result<Url, ScriptedUserError> {
        self.scripted_user(username)?.deny(authorization_url).await
    }

    /// Stops the provider: accepts no new connections, waits briefly for responses in progress, then frees the port.
    pub async fn stop(self) {
        self.server.stop().await;
    }

    fn scripted_user(&self, username: &str) -> Result<ScriptedUser, ScriptedUserError> {
        let user = self.core.user(username).ok_or(ScriptedUserError::LogInRefused)?;
        Ok(ScriptedUser::new(&user.username, &user.password))
    }
}

#[cfg(test)]
mod tests;
