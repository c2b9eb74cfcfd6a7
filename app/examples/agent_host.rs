//! A host of agents. It has no browser session: a task that needs the consent of a user sends the user a link, pauses, and
//! continues after the consent.
//!
//! `cargo run -p grantry --example agent_host` starts the host and a mock provider, and prints what to do.
//! `docs/embedding.md` explains each part.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grantry::domain::connector::{AuthMode, ConnectorId, ConnectorKey, ConnectorName, ProfileId};
use grantry::domain::ports::{ApiQuery, ApiResponse, AuditKind, EventSink, RecordedEvent, SinkError};
use grantry::domain::secret::Secret;
use grantry::domain::usecase::{ConnectorDraft, ExecuteError, Execution, TokenError};
use grantry::prelude::*;
use grantry::signals::StopSignals;
use grantry_testkit::provider::{Client, MockProvider};
use tokio::sync::{broadcast, mpsc};

/// The one user of this host. A real host asks its database.
struct Team;

const USER: &str = "u_ada";

#[async_trait]
impl Directory for Team {
    async fn membership(&self, user: &UserId, space: &SpaceId) -> Result<Membership, DirectoryError> {
        let is_user = user.as_str() == USER;
        let status = if is_user { UserStatus::Active } else { UserStatus::Unknown };
        Ok(Membership { space_exists: space.is_default(), user: status, role: is_user.then_some(Role::Viewer) })
    }
}

#[async_trait]
impl UserDirectory for Team {
    async fn describe(&self, user: &UserId) -> Result<Option<UserView>, DirectoryError> {
        let spaces = vec![SpaceView { id: SpaceId::default_space(), name: None, role: Role::Viewer }];
        let view = UserView { username: Some("ada".to_owned()), display_name: None, spaces };
        Ok((user.as_str() == USER).then_some(view))
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>, DirectoryError> {
        Ok(vec![SpaceId::default_space()])
    }
}

/// The log-in on the page behind the link. A real host compares with a password hash.
#[async_trait]
impl PasswordVerifier for Team {
    async fn verify(&self, username: &str, password: &Secret) -> Result<Option<UserId>, AuthenticationError> {
        let is_correct = username == "ada" && password.expose() == b"ada-pw";
        Ok(UserId::new(USER).ok().filter(|_| is_correct))
    }
}

/// A user who has connected, and the connector.
type Consent = (UserId, ConnectorKey);

/// Receives the audit events, and passes on which users have connected. A real host also stores the events.
struct Consents(broadcast::Sender<Consent>);

#[async_trait]
impl EventSink for Consents {
    async fn deliver(&self, events: &[RecordedEvent]) -> Result<(), SinkError> {
        for event in events.iter().map(|recorded| recorded.event.clone()) {
            if let (AuditKind::Connected, Some(user), Some(space), Some(id)) =
                (event.kind, event.user, event.space, event.connector)
            {
                // An error means that no task is paused.
                drop(self.0.send((user, ConnectorKey { space, id })));
            }
        }
        Ok(())
    }
}

/// The agents. Clones share everything.
#[derive(Clone)]
pub(crate) struct Agents {
    pub(crate) app: Arc<App>,
    consents: broadcast::Sender<Consent>,
    /// Messages to users, such as by chat or mail.
    messages: mpsc::UnboundedSender<(UserId, String)>,
}

impl Agents {
    /// Reads a path of the API for a user. Pauses until the user has consented.
    pub(crate) async fn read(&self, user: &UserId, key: &ConnectorKey, path: &str) -> Result<ApiResponse, ExecuteError> {
        // Subscribed before the request, so that no consent is missed between the refusal and the pause.
        let mut consents = self.consents.subscribe();
        loop {
            let execution = Execution {
                actor: Actor::Agent("reader".to_owned()),
                connector: key.clone(),
                user: user.clone(),
                connection: None,
                method: "GET".to_owned(),
                path: path.to_owned(),
                query: ApiQuery::default(),
                headers: Vec::new(),
                body: None,
            };
            let result = self.app.connections().execute(execution).await;
            let Err(ExecuteError::Token(TokenError::AuthorizationRequired { connection, .. })) = result else {
                return result;
            };
            let link = self.app.connections().start_link(key, &connection);
            drop(self.messages.send((user.clone(), link)));
            // Consents of other users are skipped. After an error, consents may have been missed, so the request is repeated.
            while consents.recv().await.is_ok_and(|(who, connector)| who != *user || connector != *key) {}
        }
    }
}

/// Builds the agents, with key and database in `folder`, and their connector to the API of the mock provider.
pub(crate) async fn build(
    folder: &Path,
    origin: &str,
    provider: &MockProvider,
) -> Result<(Agents, ConnectorKey, mpsc::UnboundedReceiver<(UserId, String)>), Box<dyn Error>> {
    let key = folder.join("primary.key");
    if !key.exists() {
        grantry::key_file::write_new(&key)?;
    }
    let keyring = Keyring::load(&KeySource::File(key), &[], folder)?;
    let store = AppStore::sqlite(&folder.join("grantry.db")).await?;
    let team = Arc::new(Team);
    let identity = Identity::with_passwords(team.clone(), team.clone(), team);
    let consents = broadcast::Sender::new(64);
    let app = App::builder(PublicBaseUrl::new(origin)?, store, keyring, identity)
        .egress(EgressPolicy::new(&["*".to_owned()], &[format!("127.0.0.1:{}", provider.port())])?)
        .sink(Arc::new(Consents(consents.clone())))
        .build()
        .await?;

    let draft = ConnectorDraft {
        name: ConnectorName::new("Files")?,
        profile: ProfileId::new(".oauth2")?,
        auth_mode: AuthMode::PerUser,
        settings: serde_json::json!({
            "issuer": provider.base_url(), "baseUrl": provider.url("/api"), "scope": "files.read",
        })
        .to_string(),
        client_id: Some("files".to_owned()),
        client_secret: Some(Secret::from_text("files-secret")),
    };
    let (space, id) = (SpaceId::default_space(), ConnectorId::new("files")?);
    let connector = app.connections().install_connector(&Actor::System, &space, Some(id), draft).await?;
    let connector = app.connections().describe(connector);
    let redirect_uri = connector.redirect_uri.unwrap_or_default();
    provider.register(Client::new("files", "files-secret").redirect_uri(redirect_uri));

    let (messages, inbox) = mpsc::unbounded_channel();
    Ok((Agents { app: Arc::new(app), consents, messages }, connector.connector.key, inbox))
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let provider = MockProvider::builder().start().await?;
    let folder = tempfile::tempdir()?;
    let (agents, key, mut inbox) = build(folder.path(), "http://127.0.0.1:8091", &provider).await?;
    // The pages behind the link, and the callback.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8091").await?;
    let pages = agents.app.router().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, pages).into_future());
    // Among them the delivery of audit events, which resumes tasks.
    let jobs = Jobs::spawn(&agents.app, Periods::default());
    let stop = StopSignals::listen()?;

    tokio::spawn(async move {
        while let Some((user, link)) = inbox.recv().await {
            eprintln!("To {user}: open {link}, log in as ada with ada-pw, and at the provider as alice with alice-pw.");
        }
    });
    let user = UserId::new(USER)?;
    tokio::select! {
        response = agents.read(&user, &key, "/me") => {
            eprintln!("The API responded to the agent: {}", String::from_utf8_lossy(&response?.body));
        }
        () = stop.requested() => eprintln!("stopped while the task waits for the consent"),
    }
    jobs.stop(Duration::from_secs(5)).await;
    agents.app.close().await;
    Ok(())
}
