//! The builder of a [`MockProvider`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;

use super::catalogue::NamedFault;
use super::config::{Client, Pkce, RefreshTokens, Rotation, Settings, User};
use super::core::Core;
use super::fault::Faults;
use super::state_file::StateFile;
use super::{MockProvider, routes, server};

/// Why a provider did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another process listens on that port.
    #[error("port {0} is already in use")]
    PortTaken(u16),
    /// The socket could not be opened for another reason.
    #[error("cannot listen on port {port}: {kind}")]
    Listen {
        /// The requested port; 0 means any free port.
        port: u16,
        /// The error of the operating system.
        kind: io::ErrorKind,
    },
    /// The state file could not be read or written.
    #[error("cannot use the state file {path}: {kind}", path = path.display())]
    StateFile {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        kind: io::ErrorKind,
    },
    /// The state file is damaged or was written by another version.
    #[error("the state file {path} is damaged or of another version; remove it to start afresh", path = path.display())]
    StateDamaged {
        /// The path of the file.
        path: PathBuf,
    },
}

/// Collects the settings of a [`MockProvider`]; created by [`MockProvider::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `start`"]
pub struct MockProviderBuilder {
    address: SocketAddr,
    clients: Vec<Client>,
    settings: Settings,
    faults: Vec<NamedFault>,
}

impl Default for MockProviderBuilder {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            clients: Vec::new(),
            settings: Settings::default(),
            faults: Vec::new(),
        }
    }
}

impl MockProviderBuilder {
    /// Listens on this port; by default, and with 0, on any free port.
    pub const fn port(self, port: u16) -> Self {
        let address = SocketAddr::new(self.address.ip(), port);
        self.address(address)
    }

    /// Listens on this address; by default, on 127.0.0.1. The provider protects nothing: an address of another machine's
    /// network exposes it.
    pub const fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// The name of the service on its pages.
    pub fn title(mut self, title: &str) -> Self {
        title.clone_into(&mut self.settings.title);
        self
    }

    /// Adds accounts. If none are added, `alice`/`alice-pw` and `bob`/`bob-pw` exist.
    pub fn users(mut self, users: impl IntoIterator<Item = User>) -> Self {
        self.settings.users.extend(users);
        self
    }

    /// Registers a client; [`MockProvider::register`] adds more later.
    pub fn client(mut self, client: Client) -> Self {
        self.clients.push(client);
        self
    }

    /// Describes a scope on the consent page. A scope needs no description.
    pub fn scope(mut self, scope: &str, description: &str) -> Self {
        self.settings.scopes.push((scope.to_owned(), description.to_owned()));
        self
    }

    /// Lifetime of access tokens; 5 minutes by default.
    pub const fn access_ttl(mut self, ttl: Duration) -> Self {
        self.settings.access_ttl = ttl;
        self
    }

    /// Lifetime of refresh tokens from their issue; unlimited by default.
    pub const fn refresh_ttl(mut self, ttl: Duration) -> Self {
        self.settings.refresh_ttl = Some(ttl);
        self
    }

    /// Lifetime of authorization codes; one minute by default.
    pub const fn code_ttl(mut self, ttl: Duration) -> Self {
        self.settings.code_ttl = ttl;
        self
    }

    /// Minimum length of authorization codes; short by default.
    pub const fn code_length(mut self, length: usize) -> Self {
        self.settings.code_length = length;
        self
    }

    /// Minimum length of the access and refresh tokens of users; short by default.
    pub const fn token_length(mut self, length: usize) -> Self {
        self.settings.token_length = length;
        self
    }

    /// How refresh tokens are rotated; [`Rotation::Strict`] by default.
    pub const fn rotation(mut self, rotation: Rotation) -> Self {
        self.settings.rotation = rotation;
        self
    }

    /// Which grants get a refresh token; [`RefreshTokens::Always`] by default.
    pub const fn refresh_tokens(mut self, rule: RefreshTokens) -> Self {
        self.settings.refresh_tokens = rule;
        self
    }

    /// Whether PKCE is required; [`Pkce::Required`] by default.
    pub const fn pkce(mut self, pkce: Pkce) -> Self {
        self.settings.pkce = pkce;
        self
    }

    /// Accepts only pushed authorization requests (RFC 9126 §5).
    pub const fn require_par(mut self, required: bool) -> Self {
        self.settings.require_par = required;
        self
    }

    /// Whether authorization responses contain `iss` and the metadata announces it (RFC 9207); on by default.
    pub const fn announce_iss(mut self, announce: bool) -> Self {
        self.settings.announce_iss = announce;
        self
    }

    /// Adds faults of the [catalogue](super::fault_catalogue), for as long as the provider runs. They take precedence over
    /// settings of this builder. Of two that change the same setting the later one of the catalogue acts, of two that replace
    /// the response the earlier one.
    pub fn named_faults(mut self, faults: impl IntoIterator<Item = NamedFault>) -> Self {
        self.faults.extend(faults);
        self
    }

    /// Skips the consent page for scopes that the user already granted to this client; off by default.
    pub const fn remember_consent(mut self, remember: bool) -> Self {
        self.settings.remember_consent = remember;
        self
    }

    /// Keeps only the newest `limit` calls in the ledger, for long-running providers; unlimited by default.
    pub const fn ledger_limit(mut self, limit: usize) -> Self {
        self.settings.ledger_limit = Some(limit);
        self
    }

    /// Stores sessions, consents, grants and the signing key in this JSON file, so that they survive a restart.
    pub fn state_file(mut self, path: impl AsRef<Path>) -> Self {
        self.settings.state_file = Some(path.as_ref().to_path_buf());
        self
    }

    /// Binds the port, loads the state and serves until the provider is stopped or dropped.
    pub async fn start(mut self) -> Result<MockProvider, StartError> {
        if self.settings.users.is_empty() {
            self.settings.users = vec![User::new("alice", "alice-pw"), User::new("bob", "bob-pw")];
        }
        let cannot_listen = |error: io::Error| {
            let (port, kind) = (self.address.port(), error.kind());
            if kind == io::ErrorKind::AddrInUse { StartError::PortTaken(port) } else { StartError::Listen { port, kind } }
        };
        let listener = TcpListener::bind(self.address).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        self.faults.sort_by_key(NamedFault::position);
        let permanent = self.faults.iter().flat_map(|fault| fault.apply(&mut self.settings)).collect();

        let (file, state) = StateFile::open(self.settings.state_file.take())?;
        let core = Core::new(address, self.settings, self.clients, Faults::new(permanent), state, file)?;
        let server = server::Server::start(listener, routes::router(&core));
        Ok(MockProvider { core, server })
    }
}
