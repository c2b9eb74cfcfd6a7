//! The domain without HTTP, database, network or real time: the memory store and the doubles of the test kit.
//!
//! `cargo run -p grantry --example domain_only` prints the result of a whole flow. Unit tests of a host that uses
//! `grantry-domain` are written in this way. `docs/embedding.md` explains each step.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use grantry_domain::connector::{AuthMode, ConnectorName, ProfileId};
use grantry_domain::identity::{Actor, ConnectionName, Role};
use grantry_domain::ports::{Store, StorePorts};
use grantry_domain::provider::Callback;
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{
    AccessTokenRequest, AuthorizationResponse, CallbackRequest, ConnectorDraft, Outcome, StartRequest, TokenError,
};
use grantry_domain::usecase::{Connections, Policy, Ports};
use grantry_store_memory::MemoryStore;
use grantry_testkit::doubles::fixtures::{connector_key, origin, user};
use grantry_testkit::doubles::{
    Call, CollectingFailureLog, CollectingSink, PlainVault, ScriptedAuthorizationServer, ScriptedResourceServer,
    SeededRandom, TestClock, TestDirectory, TestProfiles, TestUrls, TokioSpawner, UnlimitedRate,
};

/// What a whole flow leaves behind.
pub(crate) struct Report {
    /// The outcome of the token request before the user connected.
    pub(crate) before: TokenError,
    /// The outcome of the flow.
    pub(crate) outcome: Outcome,
    /// The token after consent, and the one two hours later.
    pub(crate) tokens: Vec<String>,
    /// The outcome of the token request after the user disconnected.
    pub(crate) after: TokenError,
    /// The tokens that were revoked at the provider, in order.
    pub(crate) revoked: Vec<String>,
    /// The kinds of the audit events, in order.
    pub(crate) events: Vec<&'static str>,
}

/// Connects, requests tokens before and after an expiry, and disconnects. The store reads the same clock.
pub(crate) async fn whole_flow(clock: TestClock, store: Arc<dyn Store>) -> Result<Report, Box<dyn Error>> {
    // One value for each port. The test keeps those that it changes or reads later.
    let provider = Arc::new(ScriptedAuthorizationServer::default());
    let directory = Arc::new(TestDirectory::default());
    let sink = Arc::new(CollectingSink::default());
    let spawner = TokioSpawner::new(clock.clone());
    let vault = Arc::new(PlainVault::with_key(PlainVault::FIRST_KEY));
    let ports = Ports {
        store: StorePorts::of(store),
        vault: vault.clone(),
        rows: vault,
        provider: provider.clone(),
        profiles: Arc::new(TestProfiles::default()),
        resource: Arc::new(ScriptedResourceServer::default()),
        directory: directory.clone(),
        urls: Arc::new(TestUrls),
        limiter: Arc::new(UnlimitedRate),
        sink: sink.clone(),
        failures: Arc::new(CollectingFailureLog::default()),
        clock: Arc::new(clock.clone()),
        random: Arc::new(SeededRandom::new(1)),
        spawner: Arc::new(spawner.clone()),
    };
    let connections = Connections::new(&ports, Policy::default())?;

    // A user with a role in a space, and a connector in this space.
    let (ada, key) = (user("u_ada"), connector_key("default", "files"));
    directory.set_role(&ada, &key.space, Role::Viewer);
    let draft = ConnectorDraft {
        name: ConnectorName::new("Files")?,
        profile: ProfileId::new(".example")?,
        auth_mode: AuthMode::PerUser,
        settings: "{}".to_owned(),
        client_id: Some("client".to_owned()),
        client_secret: Some(Secret::from_text("secret")),
    };
    connections.install_connector(&Actor::System, &key.space, Some(key.id.clone()), draft).await?;

    // A back end requests a token for the user, who has not connected yet.
    let request = AccessTokenRequest {
        actor: Actor::Agent("workflows".to_owned()),
        connector: key.clone(),
        user: ada.clone(),
        connection: None,
        destination: Some(origin("https://api.example")),
    };
    let before = connections.access_token(&request).await.err().ok_or("a token without consent")?;

    // The user connects: a flow starts, and the redirect of the provider completes it.
    let start = StartRequest {
        actor: Actor::Person(ada.clone()),
        connector: key.clone(),
        connection: ConnectionName::default(),
        shown: None,
        return_path: None,
        allow_account_change: false,
        select_account: false,
    };
    let started = connections.start(start).await?;
    let redirect = CallbackRequest {
        user: ada.clone(),
        flow_cookies: vec![started.flow_cookie],
        callback: Callback::Profiles,
        state: started.state,
        issuer: None,
        response: AuthorizationResponse::Code(Secret::from_text("code")),
        parameters: Vec::new(),
    };
    let outcome = connections.complete(redirect).await?.outcome;

    // The token of the exchange; it expires after an hour, so the later request refreshes.
    let mut tokens = Vec::new();
    for passed in [Duration::ZERO, Duration::from_hours(2)] {
        clock.advance(passed);
        let issued = connections.access_token(&request).await?;
        tokens.extend(issued.token.expose_text().map(str::to_owned));
    }

    // The user disconnects. The revocation is detached work.
    connections.disconnect(&Actor::Person(ada), &key, None).await?;
    spawner.finished().await;
    let after = connections.access_token(&request).await.err().ok_or("a token after a disconnect")?;

    let revoked = provider.calls().into_iter().filter_map(|call| match call {
        Call::Revoke { token, .. } => Some(token),
        Call::Resolve { .. }
        | Call::AuthorizationUrl { .. }
        | Call::Exchange { .. }
        | Call::Refresh { .. }
        | Call::ClientCredentials { .. }
        | Call::Identify { .. } => None,
    });
    connections.flush_audit().await?;
    connections.deliver_events().await?;
    let events = sink.events().iter().map(|event| event.kind.as_str()).collect();
    Ok(Report { before, outcome, tokens, after, revoked: revoked.collect(), events })
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let clock = TestClock::default();
    let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
    let Report { before, outcome, tokens, after, revoked, events } = whole_flow(clock, store).await?;
    eprintln!("before the consent: {before}");
    eprintln!("the flow: {outcome:?}");
    eprintln!("tokens: {}", tokens.join(", "));
    eprintln!("after the disconnect: {after}");
    eprintln!("revoked: {}", revoked.join(", "));
    eprintln!("audit events: {}", events.join(", "));
    Ok(())
}
