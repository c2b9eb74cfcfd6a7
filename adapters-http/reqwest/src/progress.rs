//! When bytes last moved in either direction of a request.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The time of the last byte.
pub(crate) struct Progress(Mutex<Instant>);

impl Progress {
    /// Begins now.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    /// Records that bytes moved.
    pub(crate) fn record(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Completes once no byte has moved for this long.
    pub(crate) async fn idle(&self, limit: Duration) {
        loop {
            let due = *self.0.lock().unwrap_or_else(PoisonError::into_inner) + limit;
            if Instant::now() >= due {
                return;
            }
            sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_idle_only_after_the_limit_without_a_byte() {
        let (progress, started) = (Arc::new(Progress::new()), Instant::now());
        let recorder = progress.clone();
        tokio::spawn(async move {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                recorder.record();
            }
        });
        progress.idle(Duration::from_secs(10)).await;
        assert_eq!(started.elapsed(), Duration::from_secs(37));
    }
}
