//! `grantry demo`: a server, a provider and a few users in one process, with their data in one folder.
//!
//! The server is a normal one: the demo writes its configuration file and builds it from that. The provider is the mock
//! authorization server of the test kit, on another port.

mod accounts;
mod banner;
mod error;
mod folder;
mod provider;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use grantry_domain::connector::{AuthMode, Connector, ConnectorId, ConnectorKey, ConnectorName, ProfileId};
use grantry_domain::identity::{Actor, SpaceId};
use grantry_domain::ports::ConnectorStore;
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{ConnectorDraft, ConnectorError};
use grantry_testkit::provider::MockProvider;

use crate::app::{App, BuildError};
use crate::config::Config;
use crate::jobs::Periods;
use crate::serve::{ServeError, Server, listen};

use folder::Folder;

pub use banner::Banner;
pub use error::DemoError;

/// The default port.
const PORT: u16 = 8080;

/// Options of the demo.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// The folder with all data.
    pub folder: PathBuf,
    /// The port of the server; `None`: the port of the last start, or 8080.
    pub port: Option<u16>,
    /// The port of the provider; `None`: the port of the last start, or the first free one above the server's.
    pub provider_port: Option<u16>,
    /// Remove the data of an earlier demo first.
    pub fresh: bool,
}

/// A demo that listens and is ready to run.
pub struct Demo {
    server: Server,
    provider: MockProvider,
    banner: Banner,
}

/// A connector of the demo.
struct Example {
    space: &'static str,
    id: &'static str,
    name: &'static str,
    /// Its settings, for the URL of the provider.
    config: fn(&str) -> serde_json::Value,
}

/// One connector with explicit endpoints and two with an issuer, which show both kinds of callback. Two are in one space, so
/// that a user can connect several.
const EXAMPLES: [Example; 3] = [
    Example {
        space: "default",
        id: "files",
        name: "Demo files",
        config: |provider| {
            serde_json::json!({
                "authorizationUrl": format!("{provider}/authorize"),
                "tokenUrl": format!("{provider}/token"),
                "revocationUrl": format!("{provider}/revoke"),
                "userinfoUrl": format!("{provider}/userinfo"),
                "scope": "profile email files.read",
                "clientAuth": "basic",
                "baseUrl": format!("{provider}/api"),
            })
        },
    },
    Example { space: "default", id: "notes", name: "Demo notes", config: |provider| with_issuer(provider, "notes.read") },
    Example {
        space: "marketing",
        id: "campaign-files",
        name: "Demo files of marketing",
        config: |provider| with_issuer(provider, "files.read"),
    },
];

fn with_issuer(provider: &str, scope: &str) -> serde_json::Value {
    serde_json::json!({
        "issuer": provider,
        "scope": format!("openid profile email {scope}"),
        "clientAuth": "basic",
        "baseUrl": format!("{provider}/api"),
    })
}

impl Demo {
    /// Prepares the folder, binds both ports, and starts server and provider.
    pub async fn start(options: &DemoOptions) -> Result<Self, DemoError> {
        let folder = Folder::open(&options.folder, options.fresh)?;
        let port = options.port.or(folder.port()).unwrap_or(PORT);
        // Both ports are bound before a file that contains them is written.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let taken =
            |error| if matches!(error, ServeError::PortTaken(_)) { DemoError::PortTaken(port) } else { error.into() };
        let listener = listen(address).await.map_err(taken)?;
        let provider = provider::start(&folder, options.provider_port, port).await?;
        folder.write_ports(port, provider.port())?;
        let config = configure(&folder, address, &provider)?;
        let server = Server::new(build(&config).await.map_err(ServeError::from)?, listener);
        let connectors = connectors(&server, provider.base_url()).await?;
        for connector in &connectors {
            let described = server.app().connections().describe(connector.clone());
            if let Some(redirect_uri) = described.redirect_uri {
                provider.register(provider::client(connector, &redirect_uri));
            }
        }
        let banner = Banner::new(&config, &provider, &options.folder);
        Ok(Self { server, provider, banner })
    }

    /// The text to show: addresses, accounts, and steps to try.
    pub fn banner(&self) -> &Banner {
        &self.banner
    }

    /// The provider, to inspect its requests.
    pub fn provider(&self) -> &MockProvider {
        &self.provider
    }

    /// Runs until `stop` completes. The data stays for the next start.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        self.server.run(Periods::default(), stop).await;
        // Last, because running revocations need it.
        self.provider.stop().await;
    }
}

async fn build(config: &Config) -> Result<App, BuildError> {
    App::from_config(config).await?.build().await
}

/// Reads the configuration of the folder, with the ports of this start. Writes it if it does not exist.
fn configure(folder: &Folder, address: SocketAddr, provider: &MockProvider) -> Result<Config, DemoError> {
    let text = match folder.read_config()? {
        Some(text) => text,
        None => folder.write_config(&accounts::config(address.port(), provider.port())?)?,
    };
    // The environment of the process is meant for `serve` and ignored here.
    let overrides = [
        ("GRANTRY_LISTEN".to_owned(), address.to_string()),
        ("GRANTRY_PUBLIC_BASE_URL".to_owned(), format!("http://{address}")),
    ];
    Ok(Config::parse(&text, &folder.config_path(), folder.path().to_owned(), overrides)?)
}

/// The connectors of the folder. Creates those of the demo that do not exist.
async fn connectors(server: &Server, provider: &str) -> Result<Vec<Connector>, DemoError> {
    let app = server.app();
    let mut connectors = Vec::new();
    for example in &EXAMPLES {
        let key = example.key()?;
        if ConnectorStore::get(&*app.store().ports, &key).await?.is_none() {
            let draft = example.draft(provider)?;
            app.connections().install_connector(&Actor::System, &key.space, Some(key.id.clone()), draft).await?;
        }
    }
    // The result includes connectors that users of the demo created.
    for space in ["default", "marketing"] {
        connectors.extend(ConnectorStore::list(&*app.store().ports, &SpaceId::new(space)?).await?);
    }
    connectors.retain(|connector| connector.config.client_id.is_some());
    Ok(connectors)
}

impl Example {
    fn key(&self) -> Result<ConnectorKey, ConnectorError> {
        Ok(ConnectorKey { space: SpaceId::new(self.space)?, id: ConnectorId::new(self.id)? })
    }

    fn draft(&self, provider: &str) -> Result<ConnectorDraft, ConnectorError> {
        Ok(ConnectorDraft {
            name: ConnectorName::new(self.name)?,
            profile: ProfileId::new(".oauth2")?,
            auth_mode: AuthMode::PerUser,
            settings: (self.config)(provider).to_string(),
            client_id: Some(self.id.to_owned()),
            client_secret: Some(Secret::from_text(provider::CLIENT_SECRET)),
        })
    }
}
