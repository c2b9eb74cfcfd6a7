//! Real authorization servers, each in a process of its own. What they are and how they differ: `authorization-servers/README.md`.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use grantry_system_tests::authorization_server::{Answer, Kind, RealServer};
//!
//! let callback = "http://127.0.0.1:8080/api/actions/connector/_oauth_callback";
//! let server = RealServer::start(Kind::OidcProvider, callback, &[("ACCESS_TTL", "5")]).await?;
//! # let authorization_url = "";
//! let url = server.login(authorization_url, "alice", Answer::Allow).await?;
//! # Ok(())
//! # }
//! ```

mod installation;
mod process;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use self::process::ServerProcess;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `oidc-provider` on Node.js.
    OidcProvider,
    /// `canaille` on Python.
    Canaille,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::OidcProvider, Self::Canaille];

    /// Name of its folder.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::OidcProvider => "oidc-provider",
            Self::Canaille => "canaille",
        }
    }
}

/// What the person says on the consent page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

/// Why a real server is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RealServerError {
    /// A file or a program cannot be used.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The set-up failed; the text is what it printed.
    #[error("setting up {folder} failed:\n{output}")]
    SetUp {
        /// Folder of the server.
        folder: &'static str,
        /// What it printed.
        output: String,
    },
    /// The server ended, or was not ready in time; the text is what it printed.
    #[error("{folder} does not start:\n{output}")]
    Start {
        /// Folder of the server.
        folder: &'static str,
        /// What it printed.
        output: String,
    },
    /// The scripted person did not come back to the client; the text is what stopped it.
    #[error("the log-in did not end at the client: {0}")]
    LogIn(String),
}

/// A running server with one client, `demo`/`demo-secret`. Dropping it ends the process.
#[derive(Debug)]
pub struct RealServer {
    kind: Kind,
    folder: PathBuf,
    facts: Value,
    port: Port,
    redirect_uri: String,
    settings: Vec<(String, String)>,
    process: ServerProcess,
}

impl RealServer {
    /// Sets the server up if that has not happened yet (once, under a lock), starts it on a free port with `settings` in
    /// its environment, and returns when it listens.
    pub async fn start(kind: Kind, redirect_uri: &str, settings: &[(&str, &str)]) -> Result<Self, RealServerError> {
        let folder = tokio::task::spawn_blocking(move || installation::ready(kind))
            .await
            .map_err(|panicked| RealServerError::Io { what: "waiting for the set-up", source: panicked.into() })??;
        let facts = facts(&folder)?;
        let port = Port::reserve(folder.parent().unwrap_or(&folder))?;
        let settings: Vec<(String, String)> =
            settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let command = run(&folder, port.number, redirect_uri, &settings);
        let process = ServerProcess::start(kind, command, listening(&facts)).await?;
        let redirect_uri = redirect_uri.to_owned();
        Ok(Self { kind, folder, facts, port, redirect_uri, settings, process })
    }

    /// Ends the process and starts it again on the same port. `canaille` knows its tokens afterwards, `oidc-provider` has
    /// forgotten everything.
    pub async fn restart(&mut self) -> Result<(), RealServerError> {
        self.process.end().await;
        let mut command = run(&self.folder, self.port.number, &self.redirect_uri, &self.settings);
        command.env("KEEP_STATE", "1");
        self.process = ServerProcess::start(self.kind, command, listening(&self.facts)).await?;
        Ok(())
    }

    /// Ends the process and leaves the port to nobody: calls are refused from now on.
    pub async fn end(&mut self) {
        self.process.end().await;
    }

    /// Issuer identifier and base URL, without a trailing slash.
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// URL of an endpoint by its name in `server.json`: `authorize`, `token`, `revoke`, `introspect`, `userinfo`,
    /// `metadata`, `metadata_oauth`.
    ///
    /// # Panics
    /// For a name that is not there.
    pub fn endpoint(&self, name: &str) -> String {
        let path = self.facts["paths"][name].as_str().expect("server.json names the endpoint");
        format!("{}{path}", self.issuer())
    }

    /// The scope that brings a refresh token and names the user.
    pub fn scope(&self) -> &str {
        self.facts["scope"].as_str().unwrap_or_default()
    }

    /// Parameters that an authorization request needs besides the standard ones.
    pub fn extra_parameters(&self) -> Vec<(String, String)> {
        let extra = self.facts["authorize_extra"].as_object().into_iter().flatten();
        extra.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
    }

    /// How far apart two token requests for one user must be (zero where that does not matter).
    pub fn min_interval(&self) -> Duration {
        Duration::from_secs_f64(self.facts["min_interval"].as_f64().unwrap_or_default())
    }

    /// `user` (`alice` or `bob`) logs in and answers; returns the callback URL, which has not been called.
    pub async fn login(&self, authorization_url: &str, user: &str, answer: Answer) -> Result<String, RealServerError> {
        let mut command = Command::new("python3");
        command.arg(self.folder.join("login.py")).args([authorization_url, user, &format!("{user}-pw")]);
        match answer {
            Answer::Allow => {}
            Answer::Deny => {
                command.arg("--deny");
            }
        }
        command.env("REDIRECT_URI", &self.redirect_uri).env("PYTHONDONTWRITEBYTECODE", "1");
        let done = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
        let done = done.map_err(|source| RealServerError::Io { what: "running login.py", source })?;
        if done.status.success() {
            Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
        } else {
            Err(RealServerError::LogIn(String::from_utf8_lossy(&done.stderr).trim().to_owned()))
        }
    }
}

fn run(folder: &Path, port: u16, redirect_uri: &str, settings: &[(String, String)]) -> Command {
    let mut command = Command::new("sh");
    command.arg(folder.join("run.sh")).arg(port.to_string()).arg(redirect_uri);
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command
}

fn facts(folder: &Path) -> Result<Value, RealServerError> {
    let unreadable = |source| RealServerError::Io { what: "reading server.json", source };
    let text = std::fs::read(folder.join("server.json")).map_err(unreadable)?;
    serde_json::from_slice(&text).map_err(|error| unreadable(error.into()))
}

/// What the server prints when it listens.
fn listening(facts: &Value) -> &str {
    facts["listening"].as_str().unwrap_or_default()
}

/// A port that no other test takes while this value lives: the lock outlives the moment between looking and listening.
#[derive(Debug)]
struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    fn reserve(root: &Path) -> Result<Self, RealServerError> {
        let failed = |source| RealServerError::Io { what: "looking for a free port", source };
        let locks = root.join("ports");
        std::fs::create_dir_all(&locks).map_err(failed)?;
        loop {
            let free = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
            let number = free.local_addr().map_err(failed)?.port();
            let lock = File::create(locks.join(number.to_string())).map_err(failed)?;
            if lock.try_lock().is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
    }
}
