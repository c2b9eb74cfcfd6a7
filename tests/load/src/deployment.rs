//! The deployment that is measured: its addresses, its users and connectors, its folder, and its process.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use grantry_crypto_aes_gcm::RootKey;
use grantry_runtime::SystemRandom;
use sha2::{Digest as _, Sha256};

use crate::Result;
use crate::http::{Connection, write_request};

/// The key of the agent that fetches access tokens. It is valid in these deployments only.
pub const AGENT_KEY: &str = "gak_loadloadloadloadloadloadloadloadloadloadloa";
/// The header in which the proxy names the roles, in the configuration without accounts.
pub(crate) const ROLES: &str = "x-forwarded-roles";
/// How long a server may take until it responds.
const START_LIMIT: Duration = Duration::from_mins(1);
/// The pause between two attempts to connect to a server that starts.
const START_PAUSE: Duration = Duration::from_millis(1);

/// The ports of a benchmark. They are fixed, because a connector contains the address of its provider.
#[derive(Debug, Clone, Copy)]
pub struct Ports(pub u16);

impl Ports {
    /// The server.
    pub fn server(self) -> SocketAddr {
        self.at(0)
    }

    /// The provider and its API.
    pub fn provider(self) -> SocketAddr {
        self.at(1)
    }

    /// The handler that returns one response.
    pub fn bare(self) -> SocketAddr {
        self.at(2)
    }

    /// The plain proxy.
    pub fn proxy(self) -> SocketAddr {
        self.at(3)
    }

    /// The second node.
    pub fn second_node(self) -> SocketAddr {
        self.at(4)
    }

    /// The `PostgreSQL` server.
    pub fn postgres(self) -> SocketAddr {
        self.at(5)
    }

    fn at(self, offset: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.0 + offset).into()
    }
}

/// The id of the nth user.
pub fn user(n: u32) -> String {
    format!("u_{n:05}")
}

/// The id of the nth connector.
pub fn connector(n: u32) -> String {
    format!("c{n:03}")
}

/// A folder with key, configuration and database.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The folder.
    pub folder: PathBuf,
    /// The addresses.
    pub ports: Ports,
}

impl Installation {
    /// Creates the folder with a new key, and a configuration with this number of users.
    pub fn create(folder: &Path, ports: Ports, users: u32) -> Result<Self> {
        let key = RootKey::generate(&SystemRandom).map_err(|_| "no secure randomness is available")?;
        let installation = Self::with_key(folder, ports, key.as_bytes())?;
        installation.configure("url = \"sqlite:grantry.db\"", users)?;
        Ok(installation)
    }

    /// Creates the folder of nodes that share a `PostgreSQL` database at a URL. Their key and their users are those of another
    /// installation.
    pub fn on_postgres(folder: &Path, source: &Self, users: u32, url: &str) -> Result<Self> {
        let installation = Self::with_key(folder, source.ports, &fs::read(source.key())?)?;
        let store = format!("url = \"{url}\"");
        installation.configure(&store, users)?;
        let (ports, accounts) = (source.ports, accounts(users));
        let second = configuration(ports, ports.second_node(), &store, "", &accounts);
        fs::write(installation.folder.join("second-node.toml"), second)?;
        let store = format!("{store}\nstatement_cache = true");
        let prepared = configuration(ports, ports.server(), &store, "", &accounts);
        fs::write(installation.folder.join("statement-cache.toml"), prepared)?;
        Ok(installation)
    }

    fn with_key(folder: &Path, ports: Ports, key: &[u8]) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let installation = Self { folder: folder.to_owned(), ports };
        fs::write(installation.key(), key)?;
        fs::set_permissions(installation.key(), fs::Permissions::from_mode(0o600))?;
        Ok(installation)
    }

    /// Writes the configurations of the server. `store` contains the lines of that table.
    fn configure(&self, store: &str, users: u32) -> Result {
        let (ports, server) = (self.ports, self.ports.server());
        fs::write(self.config(), configuration(ports, server, store, "", &accounts(users)))?;
        // Accounts take time to read and memory, so starts are measured without. The grants of users that are not known yet stay.
        let roles = format!("[identity.proxy]\nroles_header = \"{ROLES}\"\n");
        fs::write(self.without_accounts(), configuration(ports, server, store, &roles, ""))?;
        Ok(())
    }

    /// The file of the key.
    pub fn key(&self) -> PathBuf {
        self.folder.join("primary.key")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.folder.join("grantry.db")
    }

    /// The configuration with every user.
    pub fn config(&self) -> PathBuf {
        self.folder.join("grantry.toml")
    }

    /// The configuration without accounts: the proxy names the roles.
    pub fn without_accounts(&self) -> PathBuf {
        self.folder.join("without-accounts.toml")
    }
}

fn accounts(users: u32) -> String {
    let account = |n| format!("[[identity.accounts]]\nid = \"{}\"\nroles = {{ default = \"editor\" }}\n", user(n));
    (0..users).map(account).collect::<Vec<_>>().concat()
}

/// The configuration of a node that listens on an address. Users are named by a proxy on this machine, so that a client needs no
/// session. The rate limits are never reached: one client sends what a deployment receives from thousands of users.
fn configuration(ports: Ports, listen: SocketAddr, store: &str, proxy: &str, accounts: &str) -> String {
    let (server, provider) = (ports.server(), ports.provider());
    let key = hex::encode(Sha256::digest(AGENT_KEY.as_bytes()));
    let rates = ["start", "callback", "log_in", "status", "disconnect"].map(|name| format!("{name} = \"1000000000/10m\""));
    format!(
        "listen = \"{listen}\"\npublic_base_url = \"http://{server}\"\n\
         [store]\n{store}\n[keys]\nwrite = \"file:primary.key\"\n\
         [egress]\nallow = [\"{provider}\"]\n[oauth]\nrate_limits = {{ {} }}\n\
         [identity]\nmode = \"proxy-header\"\n{proxy}\
         [[identity.agents]]\nname = \"load\"\nkey_sha256 = \"{key}\"\nspaces = [\"default\"]\naccess_tokens = true\n\
         {accounts}",
        rates.join(", "),
    )
}

/// A running server. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// When it was started.
    pub started: Instant,
}

impl Server {
    /// Starts `grantry` with a configuration, on one core if that is given.
    pub fn start(program: &Path, config: &Path, core: Option<usize>) -> io::Result<Self> {
        let mut command = match core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &core.to_string()]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.arg("serve").arg("--config").arg(config);
        let started = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self { child, started })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the first connection that it accepts.
    pub async fn connect(&mut self, address: SocketAddr) -> Result<Connection> {
        loop {
            if let Ok(connection) = Connection::open(address).await {
                return Ok(connection);
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended: {status}").into());
            }
            if self.started.elapsed() > START_LIMIT {
                return Err("the server does not start".into());
            }
            tokio::time::sleep(START_PAUSE).await;
        }
    }

    /// Ends it in an orderly way.
    pub fn stop(mut self) -> Result {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.ok_or("no process id")?, rustix::process::Signal::TERM)?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the server ended: {status}").into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request of a user, as the proxy in front sends it.
pub(crate) fn as_user(out: &mut Vec<u8>, server: SocketAddr, user: &str, method: &str, path: &str, body: &str) {
    write_request(out, method, path, &server.to_string(), &format!("x-forwarded-user: {user}\r\n"), body);
}

/// A request of the agent.
pub(crate) fn as_agent(out: &mut Vec<u8>, server: SocketAddr, path: &str, body: &str) {
    write_request(out, "POST", path, &server.to_string(), &format!("authorization: Bearer {AGENT_KEY}\r\n"), body);
}

/// A request of the agent for a user, with the method GET and without a body.
pub(crate) fn relay_as_agent(out: &mut Vec<u8>, server: SocketAddr, user: &str, path: &str) {
    let fields = format!("authorization: Bearer {AGENT_KEY}\r\nx-grantry-user: {user}\r\n");
    write_request(out, "GET", path, &server.to_string(), &fields, "");
}
