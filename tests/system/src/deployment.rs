//! What the nodes of one deployment share: a folder with database and key, a public address, a clock, and users.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grantry_test_postgres::TestDatabase;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::clock::MovableClock;
use crate::host::{Host, HostError};
use crate::process::{NodeProcess, NodeProcessError};
use crate::users::TestUsers;

/// The variable that moves all deployments to `PostgreSQL`, with the value `postgres`.
const STORE: &str = "TEST_STORE";
/// The name of the clock of a deployment.
const SHARED_CLOCK: &str = "clock-offset";

/// The settings of a node, in a form that can be sent to another process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Folder of key and clock, and of an `SQLite` database.
    pub folder: PathBuf,
    /// The URL of the `PostgreSQL` database; `None`: an `SQLite` database in the folder.
    pub postgres: Option<String>,
    /// Public base URL, the same on every node.
    pub public: String,
    /// Loopback targets (`127.0.0.1:port`) that may be called.
    pub egress: Vec<String>,
    /// How long a disconnect waits for a refresh.
    pub disconnect_wait: Duration,
    /// How long a write waits for a lock of another process.
    pub busy_timeout: Duration,
    /// Largest size of the database, in pages.
    pub max_pages: Option<u32>,
    /// Whether rate limits are so high that no test reaches them; otherwise they are the default ones.
    pub generous_rates: bool,
    /// How often a node in a separate process sweeps and revokes; `None` means never.
    pub job_interval: Option<Duration>,
    /// Times of requests to providers, instead of those of production.
    pub times: Option<Times>,
    /// Name of the file with the offset of the clock. Nodes with the same name have the same time.
    pub clock: String,
}

/// Times of requests to providers: a lease lasts for the sum.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Times {
    /// How long a request may take.
    pub request_deadline: Duration,
    /// How long it may be delayed on its way after that.
    pub quarantine: Duration,
}

/// One deployment. Dropping it deletes its folder.
#[derive(Debug)]
pub struct Deployment {
    /// The settings of its nodes. A change applies to nodes that are started afterwards.
    pub settings: Settings,
    /// Its users.
    pub users: TestUsers,
    folder: TempDir,
    postgres: Option<TestDatabase>,
    /// Reserves the public port. No process listens there: the scripted browser connects to a node directly.
    _public: TcpListener,
}

impl Deployment {
    /// An empty deployment with a new key.
    pub async fn new() -> io::Result<Self> {
        let postgres = if std::env::var_os(STORE).is_some_and(|store| store == "postgres") {
            Some(TestDatabase::new().await)
        } else {
            None
        };
        let folder = tempfile::tempdir()?;
        let public = TcpListener::bind(("127.0.0.1", 0))?;
        let settings = Settings {
            folder: folder.path().to_owned(),
            postgres: postgres.as_ref().map(TestDatabase::url),
            public: format!("http://127.0.0.1:{}", public.local_addr()?.port()),
            egress: Vec::new(),
            disconnect_wait: Duration::from_secs(5),
            busy_timeout: Duration::from_secs(5),
            max_pages: None,
            generous_rates: true,
            job_interval: Some(Duration::from_millis(100)),
            times: None,
            clock: SHARED_CLOCK.to_owned(),
        };
        let deployment = Self { settings, users: TestUsers::default(), folder, postgres, _public: public };
        deployment.write_key(&fresh_key()?)?;
        Ok(deployment)
    }

    /// Allows nodes to call this port of the machine.
    pub fn allow(&mut self, port: u16) {
        self.settings.egress.push(format!("127.0.0.1:{port}"));
    }

    /// The redirect URI of connectors in issuer mode.
    pub fn shared_callback(&self) -> String {
        format!("{}/api/actions/connector/_oauth_callback", self.settings.public)
    }

    /// The redirect URI of connectors with a built-in type.
    pub fn profile_callback(&self) -> String {
        format!("{}/api/actions/connector/_oauth_profile_callback", self.settings.public)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file of the `SQLite` database.
    ///
    /// # Panics
    /// If the database is one of `PostgreSQL`.
    pub fn database(&self) -> PathBuf {
        assert!(self.postgres.is_none(), "this test reads the file of an SQLite database");
        database_file(self.folder.path())
    }

    /// The database, if it is one of `PostgreSQL`.
    pub fn postgres(&self) -> Option<&TestDatabase> {
        self.postgres.as_ref()
    }

    /// The clock of all nodes whose settings name no other.
    pub fn clock(&self) -> MovableClock {
        self.clock_named(SHARED_CLOCK)
    }

    /// The clock of the nodes whose settings have this name.
    pub fn clock_named(&self, name: &str) -> MovableClock {
        MovableClock::of(self.folder.path(), name)
    }

    /// The file of the root key.
    pub fn key_file(&self) -> PathBuf {
        key_file(self.folder.path())
    }

    /// Replaces the root key.
    pub fn write_key(&self, text: &str) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;

        std::fs::write(self.key_file(), text)?;
        std::fs::set_permissions(self.key_file(), std::fs::Permissions::from_mode(0o600))
    }

    /// Starts a node in this process.
    pub async fn host(&self) -> Result<Host, HostError> {
        Host::start(&self.settings, &self.users).await
    }

    /// Starts a node in a separate process; `program` is the path of the `grantry-test-node` binary.
    pub async fn process(&self, program: &str) -> Result<NodeProcess, NodeProcessError> {
        NodeProcess::start(program, &self.settings).await
    }
}

/// The file of the `SQLite` database of a deployment.
pub(crate) fn database_file(folder: &Path) -> PathBuf {
    folder.join("grantry.db")
}

/// The key file of a deployment.
pub(crate) fn key_file(folder: &Path) -> PathBuf {
    folder.join("primary.key")
}

/// A new root key, as text.
pub fn fresh_key() -> io::Result<String> {
    use base64::Engine as _;
    use grantry_domain::ports::SecureRandom as _;

    let mut bytes = [0; 32];
    grantry_runtime::SystemRandom.fill(&mut bytes).map_err(|_| io::ErrorKind::Other)?;
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}
