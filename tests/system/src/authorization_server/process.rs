//! The process of a server: started, watched until it says that it listens, ended.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::{Kind, RealServerError};

/// The slowest start seen was a few seconds; a busy machine may need more.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long the output of a process that has ended may take.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How many of the last lines are told when it does not start.
const LINES_KEPT: usize = 40;

/// A child that ends with this value. It stays in the process group of the test, so that whoever ends that ends it too.
#[derive(Debug)]
pub(super) struct ServerProcess {
    child: Child,
}

impl ServerProcess {
    /// Starts `command` and returns when a line of its output contains `listening`.
    pub(super) async fn start(kind: Kind, mut command: Command, listening: &str) -> Result<Self, RealServerError> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|source| RealServerError::Io { what: "starting the server", source })?;

        let output = Output::new(listening);
        let mut heard = output.heard.subscribe();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let followed = tokio::spawn({
            let output = output.clone();
            async move { tokio::join!(output.follow(stdout), output.follow(stderr)) }
        });
        let ready = tokio::select! {
            said = tokio::time::timeout(PATIENCE, heard.wait_for(|heard| *heard)) => matches!(said, Ok(Ok(_))),
            _ = child.wait() => false,
        };
        if ready {
            return Ok(Self { child });
        }
        drop(child.kill().await);
        // What it printed last is still on its way; a grandchild that holds the pipe must not hold us.
        drop(tokio::time::timeout(LAST_WORDS, followed).await);
        Err(RealServerError::Start { folder: kind.folder(), output: output.text() })
    }

    /// Ends it and returns when it is gone.
    pub(super) async fn end(&mut self) {
        drop(self.child.kill().await);
    }
}

/// What a process prints. It is read for as long as the process lives, because a full pipe would stop it.
#[derive(Clone)]
struct Output {
    listening: Arc<str>,
    heard: watch::Sender<bool>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
}

impl Output {
    fn new(listening: &str) -> Self {
        Self { listening: listening.into(), heard: watch::Sender::new(false), last_lines: Arc::default() }
    }

    async fn follow(&self, pipe: Option<impl AsyncRead + Unpin>) {
        let Some(pipe) = pipe else { return };
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains(&*self.listening) {
                self.heard.send_replace(true);
            }
            let mut last = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
            last.push_back(line);
            if last.len() > LINES_KEPT {
                last.pop_front();
            }
        }
    }

    fn text(&self) -> String {
        let last = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().cloned().collect::<Vec<_>>().join("\n")
    }
}
