//! The programs of a measurement: the server and what it is compared with on one core, the client and the provider on another.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::{Result, workspace};

/// The core of the server and of the references.
pub(super) const SERVER_CORE: usize = 0;
/// The core of the client and of the provider.
const CLIENT_CORE: usize = 1;
/// The configuration without accounts, which take time to read, and memory.
pub(super) const WITHOUT_ACCOUNTS: &str = "without-accounts.toml";
/// The configuration of a node that prepares its statements once per connection.
pub(super) const STATEMENT_CACHE: &str = "statement-cache.toml";
/// The configuration of the second node.
const SECOND_NODE: &str = "second-node.toml";
/// The first of the ports. Systems choose higher ones for the clients' ends of connections.
const PORT: u16 = 17_810;
/// Kinds of calls that need no provider. Their client has its core for itself, so it may use all of it.
const ALONE: [&str; 3] = ["issues", "statuses", "lists"];
/// How long a program may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Where the programs and databases are, and how long rounds take.
pub(super) struct Lab {
    programs: PathBuf,
    folder: PathBuf,
    /// Whether databases and rounds are small.
    pub(super) quick: bool,
    rounds: u32,
}

/// A program that ends with this value.
pub(super) struct Process(Child);

/// A server of `PostgreSQL`, which is stopped with this value.
pub(super) struct Database {
    /// Stops the server when its standard input ends.
    holder: Child,
    /// The process id of the server.
    id: u32,
}

/// What a run of the client printed.
#[derive(Debug, Deserialize)]
pub(super) struct Summary {
    errors: BTreeMap<String, u64>,
    pub(super) per_second: f64,
    pub(super) p50: f64,
    pub(super) server_cpu: Option<f64>,
    pub(super) client_cpu: Option<f64>,
    pub(super) database_cpu: Option<f64>,
}

/// What many callers at once measured.
#[derive(Debug, Deserialize)]
pub(super) struct Storm {
    errors: BTreeMap<String, u64>,
    pub(super) seconds: f64,
    pub(super) token_requests: Option<f64>,
    /// In KiB.
    pub(super) memory: Option<f64>,
}

/// Microseconds of a token without HTTP, and of the least that it needs.
#[derive(Debug, Deserialize)]
pub(super) struct InProcess {
    pub(super) issue: f64,
    pub(super) open: f64,
}

/// What was measured during a sweep.
#[derive(Debug, Deserialize)]
pub(super) struct Sweep {
    pub(super) seconds: f64,
    /// In microseconds.
    pub(super) read_p99: f64,
    /// In milliseconds.
    pub(super) longest_gap: f64,
}

/// A seeded database.
#[derive(Clone)]
pub(super) struct Seed {
    pub(super) folder: PathBuf,
    pub(super) users: u32,
    pub(super) connectors: u32,
}

impl Lab {
    pub(super) fn new(quick: bool, rounds: u32) -> Result<Self> {
        if thread::available_parallelism()?.get() <= CLIENT_CORE {
            return Err("a benchmark needs two cores".into());
        }
        let target = workspace::metadata()?.target_directory.into_std_path_buf();
        let (programs, folder) = (target.join("release"), target.join("bench"));
        fs::create_dir_all(&folder)?;
        Ok(Self { programs, folder, quick, rounds })
    }

    /// The numbers of the rounds.
    pub(super) fn rounds(&self) -> std::ops::Range<u32> {
        0..if self.quick { self.rounds.min(2) } else { self.rounds }
    }

    /// The program of the server.
    pub(super) fn server(&self) -> PathBuf {
        self.programs.join("grantry")
    }

    /// The address of the server.
    pub(super) fn server_address() -> SocketAddr {
        address(0)
    }

    /// A seeded database. It is created if this is the first use.
    pub(super) fn seed(&self, users: u32, connectors: u32, grants: &str) -> Result<Seed> {
        self.seed_in("sqlite", users, connectors, grants)
    }

    /// The same grants on `PostgreSQL`.
    pub(super) fn seed_on_postgres(&self, users: u32, connectors: u32, grants: &str) -> Result<Seed> {
        self.seed_in("postgres", users, connectors, grants)
    }

    fn seed_in(&self, store: &str, users: u32, connectors: u32, grants: &str) -> Result<Seed> {
        let mut command = self.load_program();
        command.args(["seed", "--users", &users.to_string(), "--connectors", &connectors.to_string(), "--grants", grants]);
        command.args(["--store", store]);
        command.arg("--below").arg(&self.folder).arg("--program").arg(self.server());
        let folder = PathBuf::from(output(&mut command)?.trim());
        Ok(Seed { folder, users, connectors })
    }

    /// A copy of a seeded database, for a run that changes it.
    pub(super) fn copy(&self, seed: &Seed) -> Result<Seed> {
        let folder = self.folder.join("run");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&seed.folder)? {
            let entry = entry?;
            let copy = folder.join(entry.file_name());
            fs::copy(entry.path(), &copy)?;
            // Otherwise the first commits of the server wait until the copy is on the disk.
            fs::OpenOptions::new().write(true).open(&copy)?.sync_all()?;
        }
        Ok(Seed { folder, ..seed.clone() })
    }

    /// Starts the server with a database.
    pub(super) fn serve(&self, seed: &Seed) -> Result<Process> {
        self.serve_with(seed, "grantry.toml")
    }

    /// Starts the server with one of the configurations in the folder of a database.
    pub(super) fn serve_with(&self, seed: &Seed, configuration: &str) -> Result<Process> {
        let mut command = pinned(&self.server(), SERVER_CORE);
        command.arg("serve").arg("--config").arg(seed.folder.join(configuration));
        start(&mut command, Self::server_address())
    }

    /// Starts the second node of a deployment on `PostgreSQL`, on the core of the first one.
    pub(super) fn second_node(&self, seed: &Seed) -> Result<Process> {
        let mut command = pinned(&self.server(), SERVER_CORE);
        command.arg("serve").arg("--config").arg(seed.folder.join(SECOND_NODE));
        start(&mut command, address(4))
    }

    /// Starts the database server of a seed on `PostgreSQL`, on the core of the nodes.
    pub(super) fn database(&self, seed: &Seed) -> Result<Database> {
        let mut command = self.load_program();
        command.arg("database").arg("--folder").arg(&seed.folder).args(["--core", &SERVER_CORE.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn()?;
        let mut line = String::new();
        if let Some(stdout) = holder.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        match line.trim().parse() {
            Ok(id) => Ok(Database { holder, id }),
            Err(_) => Err(format!("{command:?} does not start: {}", holder.wait()?).into()),
        }
    }

    /// Starts the provider and its API.
    pub(super) fn provider(&self) -> Result<Process> {
        start(pinned(&self.load(), CLIENT_CORE).arg("provider"), address(1))
    }

    /// Starts the handler that returns what the server returned.
    pub(super) fn bare(&self, response: &str) -> Result<Process> {
        start(pinned(&self.load(), SERVER_CORE).args(["bare", "--response", response]), address(2))
    }

    /// Starts the plain proxy.
    pub(super) fn proxy(&self) -> Result<Process> {
        start(pinned(&self.load(), SERVER_CORE).arg("proxy"), address(3))
    }

    /// The response of the server to a request for an access token.
    pub(super) fn issued(&self) -> Result<String> {
        Ok(output(self.load_program().arg("issue"))?.trim().to_owned())
    }

    /// Sends load to the server.
    pub(super) fn load_server(&self, kind: &str, seed: &Seed, callers: u32, server: &Process) -> Result<Summary> {
        self.run(kind, 0, seed, callers, &["--watch".to_owned(), server.id().to_string()])
    }

    /// Sends load to nodes that share a database; connections go to each of them in turns.
    pub(super) fn load_nodes(&self, seed: &Seed, callers: u32, nodes: &[&Process], database: &Database) -> Result<Summary> {
        let mut more = vec!["--watch-database".to_owned(), database.id.to_string()];
        for (node, port) in nodes.iter().zip([0, 4]) {
            more.extend(["--watch".to_owned(), node.id().to_string()]);
            if port > 0 {
                more.extend(["--node".to_owned(), address(port).to_string()]);
            }
        }
        self.run("issues", 0, seed, callers, &more)
    }

    /// Sends load to the handler that returns one response.
    pub(super) fn load_bare(&self, kind: &str, seed: &Seed, callers: u32, bare: &Process) -> Result<Summary> {
        self.run(kind, 2, seed, callers, &["--watch".to_owned(), bare.id().to_string()])
    }

    /// Sends load to the plain proxy.
    pub(super) fn load_proxy(&self, kind: &str, seed: &Seed, callers: u32, proxy: &Process) -> Result<Summary> {
        self.run(kind, 3, seed, callers, &["--watch".to_owned(), proxy.id().to_string()])
    }

    fn run(&self, kind: &str, port: u16, seed: &Seed, callers: u32, more: &[String]) -> Result<Summary> {
        let (seconds, warm_up) = if self.quick { ("1", "0.3") } else { ("4", "1") };
        let mut command = pinned(&self.load(), CLIENT_CORE);
        command.args(["run", kind, "--json", "--seconds", seconds, "--warm-up", warm_up]);
        if ALONE.contains(&kind) {
            command.arg("--busy-wait");
        }
        for (name, value) in [
            ("--server", address(port).to_string()),
            ("--users", seed.users.to_string()),
            ("--connectors", seed.connectors.to_string()),
            ("--callers", callers.to_string()),
        ] {
            command.args([name, &value]);
        }
        command.args(more);
        let summary: Summary = serde_json::from_str(&output(&mut command)?)?;
        match summary.errors.first_key_value() {
            Some((what, count)) => Err(format!("{kind}: {count} × {what}").into()),
            None => Ok(summary),
        }
    }

    /// Durable commits of one row a second, on the core of the server.
    pub(super) fn commits(&self) -> Result<f64> {
        let mut command = pinned(&self.load(), SERVER_CORE);
        command.args(["commits", "--seconds", if self.quick { "1" } else { "3" }]).arg("--below").arg(&self.folder);
        number(&mut command)
    }

    /// Milliseconds from the start of the server to its first access token.
    pub(super) fn start(&self, seed: &Seed) -> Result<f64> {
        let mut command = pinned(&self.load(), CLIENT_CORE);
        command.arg("start").arg("--program").arg(self.server());
        command.arg("--config").arg(seed.folder.join(WITHOUT_ACCOUNTS));
        number(&mut command)
    }

    /// Resident memory of the server in KiB with this number of idle connections.
    pub(super) fn idle(&self, connections: u32, server: &Process) -> Result<f64> {
        let mut command = pinned(&self.load(), CLIENT_CORE);
        command.args(["idle", "--connections", &connections.to_string(), "--watch", &server.id().to_string()]);
        number(&mut command)
    }

    /// Rounds of access tokens without HTTP, beside a point read and opening the envelope.
    pub(super) fn in_process(&self, seed: &Seed) -> Result<Vec<InProcess>> {
        let mut command = pinned(&self.load(), SERVER_CORE);
        command.arg("in-process").arg("--folder").arg(&seed.folder);
        for (name, number) in [("--users", seed.users), ("--connectors", seed.connectors), ("--rounds", self.rounds().end)] {
            command.args([name, &number.to_string()]);
        }
        command.args(["--seconds", if self.quick { "0.3" } else { "1" }]);
        Ok(serde_json::from_str(&output(&mut command)?)?)
    }

    /// Starts the server with a database that is to be swept, and measures until that is done, for at least some seconds.
    pub(super) fn sweep(&self, seed: &Seed, at_least: u32) -> Result<Sweep> {
        let mut command = pinned(&self.load(), CLIENT_CORE);
        command.arg("sweep").arg("--program").arg(self.server()).arg("--folder").arg(&seed.folder);
        for (name, number) in [("--users", seed.users), ("--connectors", seed.connectors), ("--at-least", at_least)] {
            command.args([name, &number.to_string()]);
        }
        Ok(serde_json::from_str(&output(&mut command)?)?)
    }

    /// Bytes of the console's scripts as the server sends them.
    pub(super) fn console(&self) -> Result<f64> {
        number(self.load_program().arg("console"))
    }

    /// Sends one request for the access token of a user on each of many connections at the same time, to the server or to the
    /// bare handler.
    pub(super) fn storm(&self, is_bare: bool, callers: u32, user: u32, watch: &Process) -> Result<Storm> {
        let mut command = pinned(&self.load(), CLIENT_CORE);
        command.arg("storm");
        let server = address(if is_bare { 2 } else { 0 }).to_string();
        for (name, value) in [
            ("--server", server),
            ("--callers", callers.to_string()),
            ("--user", user.to_string()),
            ("--watch", watch.id().to_string()),
        ] {
            command.args([name, &value]);
        }
        let storm: Storm = serde_json::from_str(&output(&mut command)?)?;
        match storm.errors.first_key_value() {
            Some((what, count)) => Err(format!("storm: {count} × {what}").into()),
            None => Ok(storm),
        }
    }

    fn load(&self) -> PathBuf {
        self.programs.join("grantry-load")
    }

    fn load_program(&self) -> Command {
        Command::new(self.load())
    }
}

impl Process {
    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn address(offset: u16) -> SocketAddr {
    ([127, 0, 0, 1], PORT + offset).into()
}

/// A program on one core, with as many open files as the system allows. The shell and `taskset` replace themselves, so the
/// process id is that of the program.
fn pinned(program: &Path, core: usize) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n "$(ulimit -Hn)"; exec taskset -c "$0" "$@""#, &core.to_string()]).arg(program);
    command
}

fn start(command: &mut Command, address: SocketAddr) -> Result<Process> {
    if TcpStream::connect(address).is_ok() {
        return Err(format!("another program listens on {address}").into());
    }
    let started = Instant::now();
    // Audit events are formatted as usual; what receives the log is not part of the measurement.
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut process = Process(child);
    while TcpStream::connect(address).is_err() {
        if process.0.try_wait()?.is_some() || started.elapsed() > START_LIMIT {
            return Err(format!("{command:?} does not start").into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(process)
}

fn number(command: &mut Command) -> Result<f64> {
    Ok(output(command)?.trim().parse()?)
}

/// What a program prints on standard output.
fn output(command: &mut Command) -> Result<String> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut text = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut text)?;
    }
    if child.wait()?.success() { Ok(text) } else { Err(format!("{command:?} failed").into()) }
}
