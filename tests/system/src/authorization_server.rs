//! Real authorization servers, each in a separate process. `authorization-servers/README.md` describes them.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use grantry_system_tests::authorization_server::{Consent, Kind, RealServer};
//!
//! let callback = "http://127.0.0.1:8080/api/actions/connector/_oauth_callback";
//! let server = RealServer::start(Kind::OidcProvider, callback, &[("ACCESS_TTL", "5")]).await?;
//! # let authorization_url = "";
//! let url = server.login(authorization_url, "alice", Consent::Allow).await?;
//! # Ok(())
//! # }
//! ```

mod installation;
mod process;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use self::process::ServerProcess;

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `oidc-provider` on Node.js.
    OidcProvider,
    /// `canaille` on Python.
    Canaille,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::OidcProvider, Self::Canaille];

    /// The name of its folder.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::OidcProvider => "oidc-provider",
            Self::Canaille => "canaille",
        }
    }
}

/// The button that the scripted user presses on the consent page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Allow.
    Allow,
    /// Deny.
    Deny,
}

/// Why a real server cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RealServerError {
    /// A file or a program cannot be used.
    #[error("{what}: {source}")]
    Io {
        /// The operation.
        what: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The set-up failed.
    #[error("setting up {folder} failed:\n{output}")]
    SetUp {
        /// The folder of the server.
        folder: &'static str,
        /// Its output.
        output: String,
    },
    /// The server ended, or was not ready in time.
    #[error("{folder} does not start:\n{output}")]
    Start {
        /// The folder of the server.
        folder: &'static str,
        /// Its output.
        output: String,
    },
    /// The scripted user was not redirected to the client; the text is the reason.
    #[error("the log-in did not lead to the client: {0}")]
    LogIn(String),
}

/// A running server with one client, `demo`/`demo-secret`. Dropping it ends the process.
#[derive(Debug)]
pub struct RealServer {
    kind: Kind,
    folder: PathBuf,
    description: Value,
    port: u16,
    redirect_uri: String,
    settings: Vec<(String, String)>,
    process: ServerProcess,
}

impl RealServer {
    /// Sets the server up if necessary (once, under a lock), starts it on a free port with `settings` in its environment, and
    /// returns when it listens.
    pub async fn start(kind: Kind, redirect_uri: &str, settings: &[(&str, &str)]) -> Result<Self, RealServerError> {
        let folder = tokio::task::spawn_blocking(move || installation::prepare(kind))
            .await
            .map_err(|panicked| RealServerError::Io { what: "waiting for the set-up", source: panicked.into() })??;
        let description = description(&folder)?;
        let port = grantry_test_ports::reserve();
        let settings: Vec<(String, String)> =
            settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let command = run(&folder, port, redirect_uri, &settings);
        let process = ServerProcess::start(kind, command, listening(&description)).await?;
        let redirect_uri = redirect_uri.to_owned();
        Ok(Self { kind, folder, description, port, redirect_uri, settings, process })
    }

    /// Ends the process and starts it again on the same port. `canaille` keeps its tokens, `oidc-provider` stores nothing.
    pub async fn restart(&mut self) -> Result<(), RealServerError> {
        self.process.end().await;
        let mut command = run(&self.folder, self.port, &self.redirect_uri, &self.settings);
        command.env("KEEP_STATE", "1");
        self.process = ServerProcess::start(self.kind, command, listening(&self.description)).await?;
        Ok(())
    }

    /// Ends the process. The port stays reserved, so that connections are refused from now on.
    pub async fn end(&mut self) {
        self.process.end().await;
    }

    /// Issuer identifier and base URL, without a trailing slash.
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port that the server listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// URL of an endpoint by its name in `server.json`: `authorize`, `token`, `revoke`, `introspect`, `userinfo`,
    /// `metadata`, `metadata_oauth`.
    ///
    /// # Panics
    /// For an unknown name.
    pub fn endpoint(&self, name: &str) -> String {
        let path = self.description["paths"][name].as_str().expect("server.json contains the endpoint");
        format!("{}{path}", self.issuer())
    }

    /// The scope that yields a refresh token and identifies the user.
    pub fn scope(&self) -> &str {
        self.description["scope"].as_str().unwrap_or_default()
    }

    /// Parameters that an authorization request requires besides the standard ones.
    pub fn extra_parameters(&self) -> Vec<(String, String)> {
        let extra = self.description["authorize_extra"].as_object().into_iter().flatten();
        extra.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
    }

    /// The time between two token requests for one user that the server requires; zero if it requires none.
    pub fn min_interval(&self) -> Duration {
        Duration::from_secs_f64(self.description["min_interval"].as_f64().unwrap_or_default())
    }

    /// Logs `user` (`alice` or `bob`) in and presses a button on the consent page. Returns the callback URL, which is not
    /// opened.
    pub async fn login(&self, authorization_url: &str, user: &str, consent: Consent) -> Result<String, RealServerError> {
        let mut command = Command::new("python3");
        command.arg(self.folder.join("login.py")).args([authorization_url, user, &format!("{user}-pw")]);
        match consent {
            Consent::Allow => {}
            Consent::Deny => {
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

fn description(folder: &Path) -> Result<Value, RealServerError> {
    let unreadable = |source| RealServerError::Io { what: "reading server.json", source };
    let text = std::fs::read(folder.join("server.json")).map_err(unreadable)?;
    serde_json::from_slice(&text).map_err(|error| unreadable(error.into()))
}

/// The text that the server prints when it listens.
fn listening(description: &Value) -> &str {
    description["listening"].as_str().unwrap_or_default()
}
