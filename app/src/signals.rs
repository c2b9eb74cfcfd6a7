//! Being told to stop: Ctrl-C and SIGTERM.

use std::io;

/// Signals that ask this process to stop. They count from [`listen`](Self::listen) on, so make it before saying "ready".
pub struct StopSignals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

/// Exit code after a second signal, as shells have it for Ctrl-C.
const IMPATIENT: i32 = 130;

impl StopSignals {
    /// Begins to listen.
    #[cfg(unix)]
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Begins to listen.
    #[cfg(not(unix))]
    pub fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Completes at the first signal. A second one ends the process at once; nothing is lost by that but patience, because
    /// everything that counts is in the store already.
    pub async fn asked(mut self) {
        self.one().await;
        tokio::spawn(async move {
            self.one().await;
            std::process::exit(IMPATIENT);
        });
    }

    #[cfg(unix)]
    async fn one(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn one(&mut self) {
        drop(tokio::signal::ctrl_c().await);
    }
}
