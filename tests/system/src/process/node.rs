//! A node in a separate process, which can be killed or paused at any point.

use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::deployment::Settings;

/// What the node prints when it listens; its address follows.
pub const LISTENING: &str = "listening on ";
/// The environment variable that contains the settings of the node, as JSON.
pub const SETTINGS: &str = "TEST_NODE_SETTINGS";

/// How long a node may take to start.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeProcessError {
    /// The process cannot be started, or its output cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The settings cannot be serialized.
    #[error(transparent)]
    Settings(#[from] serde_json::Error),
    /// It ended, or its first line does not contain its address.
    #[error("the node did not print its address")]
    NoAddress,
}

/// A running node. It is killed when this value is dropped.
#[derive(Debug)]
pub struct NodeProcess {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
}

impl NodeProcess {
    /// Starts `program` and returns when it listens.
    pub async fn start(program: &str, settings: &Settings) -> Result<Self, NodeProcessError> {
        let mut child = Command::new(program)
            .env(SETTINGS, serde_json::to_string(settings)?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or(NodeProcessError::NoAddress)?;
        let mut lines = BufReader::new(stdout).lines();
        let first =
            tokio::time::timeout(START_LIMIT, lines.next_line()).await.map_err(|_| NodeProcessError::NoAddress)??;
        let address = first.as_deref().and_then(|line| line.strip_prefix(LISTENING)?.parse().ok());
        Ok(Self { address: address.ok_or(NodeProcessError::NoAddress)?, child })
    }

    /// Ends it like a power failure: no destructor runs, no response is sent.
    pub async fn kill(mut self) -> io::Result<()> {
        self.kill_now().await
    }

    /// The same for a node that stays in its place until another one replaces it.
    pub async fn kill_now(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Stops it with SIGSTOP, which the process cannot notice.
    pub async fn pause(&self) -> io::Result<()> {
        self.signal("-STOP").await
    }

    /// Continues it after [`pause`](Self::pause).
    pub async fn resume(&self) -> io::Result<()> {
        self.signal("-CONT").await
    }

    async fn signal(&self, signal: &str) -> io::Result<()> {
        let pid = self.child.id().ok_or(io::ErrorKind::NotFound)?;
        let done = Command::new("kill").arg(signal).arg(pid.to_string()).status().await?;
        if done.success() { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
    }
}
