//! What the nodes of one deployment share: a folder with database and key, a public address, a clock, people.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::clock::MovableClock;
use crate::host::{Host, HostError};
use crate::people::TestPeople;
use crate::process::{NodeProcess, NodeProcessError};

/// Everything a node must know, in a form that can be handed to another process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Folder of database, key and clock.
    pub folder: PathBuf,
    /// Public base URL; the same on every node.
    pub public: String,
    /// Loopback targets (`127.0.0.1:port`) that may be called.
    pub egress: Vec<String>,
    /// Life of a flow.
    pub flow_ttl: Duration,
    /// Longest request to a provider.
    pub request_deadline: Duration,
    /// What a late request may take after that.
    pub quarantine: Duration,
    /// How long disconnect waits for a renewal.
    pub disconnect_wait: Duration,
    /// How long a write waits for another process.
    pub busy_timeout: Duration,
    /// Largest size of the database, in pages.
    pub max_pages: Option<u32>,
    /// Whether limits on how often somebody may do something are as generous as tests need them, or as they are by default.
    pub generous: bool,
    /// How often a node in a process of its own sweeps and revokes; `None`: never.
    pub rounds: Option<Duration>,
}

/// One deployment. It ends, with its folder, when this value is dropped.
#[derive(Debug)]
pub struct Deployment {
    /// What its nodes are started with. Changes count for nodes that are started afterwards.
    pub settings: Settings,
    /// Who may come in.
    pub people: TestPeople,
    folder: TempDir,
    /// Keeps the public port from everybody else. Nobody listens: the scripted browser is the load balancer.
    _public: TcpListener,
}

impl Deployment {
    /// An empty deployment with a fresh key.
    pub fn new() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let public = TcpListener::bind(("127.0.0.1", 0))?;
        let settings = Settings {
            folder: folder.path().to_owned(),
            public: format!("http://127.0.0.1:{}", public.local_addr()?.port()),
            egress: Vec::new(),
            flow_ttl: Duration::from_mins(10),
            request_deadline: Duration::from_secs(15),
            quarantine: Duration::from_secs(30),
            disconnect_wait: Duration::from_secs(5),
            busy_timeout: Duration::from_secs(5),
            max_pages: None,
            generous: true,
            rounds: Some(Duration::from_millis(100)),
        };
        let deployment = Self { settings, people: TestPeople::default(), folder, _public: public };
        deployment.write_key(&fresh_key()?)?;
        Ok(deployment)
    }

    /// Lets nodes call this port of the machine.
    pub fn allow(&mut self, port: u16) {
        self.settings.egress.push(format!("127.0.0.1:{port}"));
    }

    /// The redirect URI of connectors that share one.
    pub fn shared_callback(&self) -> String {
        format!("{}/api/actions/connector/_oauth_callback", self.settings.public)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its database file.
    pub fn database(&self) -> PathBuf {
        database_file(self.folder.path())
    }

    /// Its clock.
    pub fn clock(&self) -> MovableClock {
        MovableClock::of(self.folder.path())
    }

    /// Where its key is.
    pub fn key_file(&self) -> PathBuf {
        key_file(self.folder.path())
    }

    /// Puts a root key in the place of the present one.
    pub fn write_key(&self, text: &str) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;

        std::fs::write(self.key_file(), text)?;
        std::fs::set_permissions(self.key_file(), std::fs::Permissions::from_mode(0o600))
    }

    /// Starts a node in this process.
    pub async fn host(&self) -> Result<Host, HostError> {
        Host::start(&self.settings, &self.people).await
    }

    /// Starts a node in a process of its own; `program` is the path of the `grantry-test-node` binary.
    pub async fn process(&self, program: &str) -> Result<NodeProcess, NodeProcessError> {
        NodeProcess::start(program, &self.settings).await
    }
}

/// Where the database of a deployment is.
pub(crate) fn database_file(folder: &Path) -> PathBuf {
    folder.join("grantry.db")
}

/// Where its key is.
pub(crate) fn key_file(folder: &Path) -> PathBuf {
    folder.join("primary.key")
}

/// A root key nobody has used, as text.
pub fn fresh_key() -> io::Result<String> {
    use base64::Engine as _;
    use grantry_domain::ports::SecureRandom as _;

    let mut bytes = [0; 32];
    grantry_runtime::SystemRandom.fill(&mut bytes).map_err(|_| io::ErrorKind::Other)?;
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}
