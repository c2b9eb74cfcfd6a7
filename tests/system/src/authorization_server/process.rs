//! The process of a server, which counts as started when it prints that it listens.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::{Kind, RealServerError};

/// The slowest start that was measured took a few seconds. A busy machine may need more.
const START_LIMIT: Duration = Duration::from_secs(90);
/// How long to read the output of a process that has ended.
const READ_LIMIT: Duration = Duration::from_secs(2);
/// How many of the last lines an error contains.
const LINES_KEPT: usize = 40;

/// A child that is killed when this value is dropped. It stays in the process group of the test and ends with that group.
#[derive(Debug)]
pub(super) struct ServerProcess {
    child: Child,
}

impl ServerProcess {
    /// Starts `command` and returns when a line of its output contains `marker`.
    pub(super) async fn start(kind: Kind, mut command: Command, marker: &str) -> Result<Self, RealServerError> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|source| RealServerError::Io { what: "starting the server", source })?;

        let output = Output::new(marker);
        let mut listens = output.listens.subscribe();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let reading = tokio::spawn({
            let output = output.clone();
            async move { tokio::join!(output.follow(stdout), output.follow(stderr)) }
        });
        let ready = tokio::select! {
            waited = tokio::time::timeout(START_LIMIT, listens.wait_for(|listens| *listens)) => matches!(waited, Ok(Ok(_))),
            _ = child.wait() => false,
        };
        if ready {
            return Ok(Self { child });
        }
        drop(child.kill().await);
        // The last output may still be in the pipe. A grandchild that holds the pipe open must not block the test.
        drop(tokio::time::timeout(READ_LIMIT, reading).await);
        Err(RealServerError::Start { folder: kind.folder(), output: output.text() })
    }

    /// Ends it and returns afterwards.
    pub(super) async fn end(&mut self) {
        drop(self.child.kill().await);
    }
}

/// The output of a process. It is read while the process runs, because a full pipe would block the process.
#[derive(Clone)]
struct Output {
    marker: Arc<str>,
    listens: watch::Sender<bool>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
}

impl Output {
    fn new(marker: &str) -> Self {
        Self { marker: marker.into(), listens: watch::Sender::new(false), last_lines: Arc::default() }
    }

    async fn follow(&self, pipe: Option<impl AsyncRead + Unpin>) {
        let Some(pipe) = pipe else { return };
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains(&*self.marker) {
                self.listens.send_replace(true);
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
