//! `grantry` as an operator runs it: a folder with configuration and key, and a process.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use grantry_domain::secret::Secret;
use grantry_runtime::SystemRandom;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::deployment::fresh_key;

/// How often readiness is polled.
const POLLS: u32 = 600;
/// The pause between two polls.
const PAUSE: Duration = Duration::from_millis(50);

/// The folder of an operator.
#[derive(Debug)]
pub struct Installation {
    folder: TempDir,
    program: String,
    address: SocketAddr,
}

/// How a process ended.
#[derive(Debug)]
pub struct ProcessOutput {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it printed to both streams.
    pub text: String,
}

impl Installation {
    /// A folder with a key and a configuration that contains the accounts alice (editor) and bob (viewer). `program` is the
    /// path of `grantry`; `targets` are ports of this machine that may be called.
    pub fn new(program: &str, targets: &[u16]) -> io::Result<Self> {
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let installation = Self { folder: tempfile::tempdir()?, program: program.to_owned(), address };
        installation.write_key(&fresh_key()?)?;
        grantry::key_file::write_new(&installation.path("metrics.token")).map_err(io::Error::other)?;
        let targets: Vec<String> = targets.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let accounts = [account("alice", "editor")?, account("bob", "viewer")?].concat();
        installation.write_config(&format!(
            "listen = \"{address}\"\npublic_base_url = \"http://{address}\"\n\
             [store]\nurl = \"sqlite:grantry.db\"\n[keys]\nwrite = \"file:primary.key\"\n\
             [egress]\nallow = [{}]\n[telemetry]\nlog = \"info\"\n\
             metrics_token = \"file:metrics.token\"\n[[spaces]]\nid = \"marketing\"\n{accounts}",
            targets.join(", "),
        ))?;
        Ok(installation)
    }

    /// Public base URL.
    pub fn public(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.path("grantry.db")
    }

    /// Replaces the root key.
    pub fn write_key(&self, text: &str) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;

        let path = self.path("primary.key");
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
    }

    /// The metrics of the running server.
    pub async fn metrics(&self) -> io::Result<String> {
        let token = std::fs::read_to_string(self.path("metrics.token"))?;
        let http = reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?;
        let request = http.get(format!("{}/metrics", self.public())).bearer_auth(token.trim());
        let response = request.send().await.and_then(reqwest::Response::error_for_status).map_err(io::Error::other)?;
        response.text().await.map_err(io::Error::other)
    }

    /// The text of the configuration.
    pub fn config(&self) -> io::Result<String> {
        std::fs::read_to_string(self.path("grantry.toml"))
    }

    /// Replaces the configuration.
    pub fn write_config(&self, text: &str) -> io::Result<()> {
        std::fs::write(self.path("grantry.toml"), text)
    }

    /// Runs `grantry` with these arguments and `--config`, and waits for its end.
    pub async fn run(&self, arguments: &[&str]) -> io::Result<ProcessOutput> {
        let mut command = self.command(arguments);
        let done = tokio::time::timeout(PAUSE * POLLS, command.kill_on_drop(true).output()).await??;
        let text = [done.stdout, done.stderr].concat();
        Ok(ProcessOutput { status: done.status, text: String::from_utf8_lossy(&text).into_owned() })
    }

    /// Starts the server and returns when it is ready.
    pub async fn serve(&self) -> io::Result<GrantryProcess> {
        self.start(self.command(&["serve"])).await
    }

    /// The same with a limit on open files.
    pub async fn serve_with_descriptors(&self, limit: u32) -> io::Result<GrantryProcess> {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" serve --config \"$1\""), &self.program]);
        command.arg(self.path("grantry.toml")).stdin(Stdio::null());
        self.start(command).await
    }

    async fn start(&self, mut command: Command) -> io::Result<GrantryProcess> {
        let log = self.path("log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let child = command.stdout(Stdio::null()).stderr(file).kill_on_drop(true).spawn()?;
        let mut process = GrantryProcess { child, log };
        let http = reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?;
        for _ in 0..POLLS {
            let ready = http.get(format!("{}/readyz", self.public())).send().await;
            if ready.is_ok_and(|response| response.status().is_success()) {
                return Ok(process);
            }
            if process.child.try_wait()?.is_some() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(io::Error::other(process.log()?))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--config").arg(self.path("grantry.toml")).stdin(Stdio::null());
        command
    }
}

/// A running server. It is killed when this value is dropped.
#[derive(Debug)]
pub struct GrantryProcess {
    child: Child,
    log: PathBuf,
}

impl GrantryProcess {
    /// The log so far, including that of earlier starts.
    pub fn log(&self) -> io::Result<String> {
        std::fs::read_to_string(&self.log)
    }

    /// Its resident memory in MiB.
    pub fn memory(&self) -> io::Result<u64> {
        let pid = self.child.id().ok_or(io::ErrorKind::NotFound)?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().map_err(io::Error::other)?;
        Ok(kibibytes / 1024)
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn stop(mut self) -> io::Result<ExitStatus> {
        let pid = self.child.id().ok_or(io::ErrorKind::NotFound)?;
        Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await?;
        tokio::time::timeout(PAUSE * POLLS, self.child.wait()).await?
    }

    /// Ends it like a power failure.
    pub async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }
}

/// An account of the configuration. The password is the name followed by `-pw`.
fn account(name: &str, role: &str) -> io::Result<String> {
    let password = Secret::from_text(&format!("{name}-pw"));
    let hash = grantry::passwords::hash(&password, &SystemRandom).map_err(io::Error::other)?;
    Ok(format!(
        "[[identity.accounts]]\nid = \"u_{name}\"\nusername = \"{name}\"\npassword_hash = \"{hash}\"\n\
         roles = {{ default = \"{role}\", marketing = \"{role}\" }}\n"
    ))
}

/// The permission bits of a file.
pub fn mode(path: &Path) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt as _;

    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}
