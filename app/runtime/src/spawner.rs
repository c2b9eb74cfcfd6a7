//! Detached tasks on Tokio.

use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::ports::{Detached, Spawner};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Detached tasks of one Tokio runtime, counted so that a shutdown can wait for them.
#[derive(Debug, Clone)]
pub struct TokioSpawner {
    runtime: Handle,
    running: watch::Sender<usize>,
}

impl TokioSpawner {
    /// Spawns on this runtime, from any thread.
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, running: watch::Sender::new(0) }
    }

    /// The number of running tasks.
    pub fn running(&self) -> usize {
        *self.running.borrow()
    }

    /// Waits until no task runs, at most `limit`. Returns the number of tasks that still run. Stop the callers that spawn tasks
    /// first.
    pub async fn drain(&self, limit: Duration) -> usize {
        let mut running = self.running.subscribe();
        // The count shows whether the wait ended in time.
        let _in_time = timeout(limit, running.wait_for(|count| *count == 0)).await.is_ok();
        self.running()
    }
}

#[async_trait]
impl Spawner for TokioSpawner {
    fn spawn(&self, work: Detached) {
        let counted = Counted::new(self.running.clone());
        self.runtime.spawn(async move {
            let _counted = counted;
            work.await;
        });
    }

    async fn sleep(&self, span: Duration) {
        sleep(span).await;
    }
}

/// One running task. Counts down on drop, so a task that panics does not block a drain.
struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(running: watch::Sender<usize>) -> Self {
        running.send_modify(|count| *count += 1);
        Self(running)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn tasks() -> TokioSpawner {
        TokioSpawner::new(Handle::current())
    }

    #[tokio::test]
    async fn r26_a_task_finishes_after_its_caller_was_dropped() {
        let tasks = tasks();
        let (go, gate) = oneshot::channel::<()>();
        let (done, result) = oneshot::channel();
        let spawner = tasks.clone();
        let caller = tokio::spawn(async move {
            spawner.spawn(Box::pin(async move {
                gate.await.unwrap();
                done.send("finished").unwrap();
            }));
            std::future::pending::<()>().await;
        });
        while tasks.running() == 0 {
            tokio::task::yield_now().await;
        }
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        go.send(()).unwrap();
        assert_eq!(result.await.unwrap(), "finished");
    }

    #[tokio::test(start_paused = true)]
    async fn draining_ends_with_the_last_task() {
        let tasks = tasks();
        for seconds in [1, 3, 2] {
            let clock = tasks.clone();
            tasks.spawn(Box::pin(async move { clock.sleep(Duration::from_secs(seconds)).await }));
        }
        assert_eq!(tasks.running(), 3);
        let before = Instant::now();
        assert_eq!(tasks.drain(LIMIT).await, 0);
        assert_eq!(before.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn draining_ends_at_the_limit_and_returns_the_number_of_running_tasks() {
        let tasks = tasks();
        tasks.spawn(Box::pin(std::future::pending()));
        let before = Instant::now();
        assert_eq!(tasks.drain(LIMIT).await, 1);
        assert_eq!(before.elapsed().as_secs(), LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_does_not_block_a_drain() {
        let tasks = tasks();
        tasks.spawn(Box::pin(async { panic!("on purpose") }));
        let before = Instant::now();
        assert_eq!(tasks.drain(LIMIT).await, 0);
        assert!(before.elapsed() < LIMIT);
    }

    #[test]
    fn work_may_be_spawned_from_outside_the_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let tasks = TokioSpawner::new(runtime.handle().clone());
        let (done, result) = oneshot::channel();
        tasks.spawn(Box::pin(async move { done.send(7).unwrap() }));
        assert_eq!(runtime.block_on(result), Ok(7));
    }
}
