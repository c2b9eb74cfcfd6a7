//! `PgBouncer` between a program and a server.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::cluster::{ACCOUNT, create_folder, is_root};

/// Where Debian installs the program. The folder is not in the `PATH` of every account.
const DEBIAN: &str = "/usr/sbin/pgbouncer";

/// The first version that follows prepared statements, with `max_prepared_statements`.
const PREPARES: (u32, u32) = (1, 21);

/// A running `PgBouncer` that gives a connection of the server to a client for one transaction. It ends with the value.
#[derive(Debug)]
pub struct Pooler {
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl Pooler {
    /// Starts one that opens at most `connections` connections to each database. `server` is a URL of the server, of which
    /// role, host and port are used. `settings` are further lines of the configuration.
    pub fn start(server: &str, connections: u32, settings: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (role, host) = server.trim_start_matches("postgres://").split_once('@').expect("a role in the URL");
        let login = match role.split_once(':') {
            Some((role, password)) => format!("user={role} password={password}"),
            None => format!("user={role}"),
        };
        let (host, port) = host.split('/').next().unwrap_or(host).split_once(':').unwrap_or((host, "5432"));
        let listens = grantry_test_ports::reserve();
        let mut text = format!(
            "[databases]\n* = host={host} port={port} {login}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {listens}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = {connections}\n"
        );
        for line in settings {
            writeln!(text, "{line}").expect("a text");
        }
        let name = format!("grantry-test-pooler-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        create_folder(&folder);
        let file = folder.join("pgbouncer.ini");
        fs::write(&file, text).expect("a folder");
        let mut command = program();
        if is_root() {
            command.args(["-u", ACCOUNT]);
        }
        let log = fs::File::create(folder.join("log")).expect("a folder");
        let process = command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let mut pooler = Self { process: process.unwrap_or_else(|error| missing(&error)), folder, port: listens };
        pooler.wait_until_it_listens();
        pooler
    }

    /// Whether the installed version follows prepared statements.
    pub fn prepares_statements() -> bool {
        let output = program().arg("--version").output().unwrap_or_else(|error| missing(&error));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.lines().next().and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default();
        let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= PREPARES
    }

    /// The settings of one that does not follow prepared statements, for either version.
    pub fn without_prepared_statements() -> &'static [&'static str] {
        if Self::prepares_statements() { &["max_prepared_statements = 0"] } else { &[] }
    }

    /// The URL of a database through the pooler. The role is that of the server's URL, whichever the client names.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn wait_until_it_listens(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.process.try_wait().expect("a process");
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < deadline, "PgBouncer does not listen: {}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// The program that the `PATH` has, so that a newer one can be tested, or that of Debian.
fn program() -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("pgbouncer")).find(|path| path.is_file());
    Command::new(found.unwrap_or_else(|| DEBIAN.into()))
}

fn missing(error: &std::io::Error) -> ! {
    panic!("PgBouncer cannot be started, which these tests need. On Debian: apt-get install pgbouncer ({error})")
}
