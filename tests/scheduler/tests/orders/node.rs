//! A process of a deployment: its tasks, its sleeps, and its end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use grantry_domain::ports::{Clock, Detached, Spawner};
use grantry_testkit::doubles::TestClock;
use shuttle::future::yield_now;
use shuttle::rand::{Rng as _, thread_rng};

/// Sleeps below this are pauses between attempts. Longer ones are deadlines.
const DEADLINE: Duration = Duration::from_secs(1);

/// Whether requests can take longer than their deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadlines {
    /// Every response arrives in time.
    AreMet,
    /// A request can be cut off at any time.
    CanPass,
}

/// The tasks of one process.
#[derive(Clone)]
pub(crate) struct Process {
    clock: TestClock,
    deadlines: Deadlines,
    has_ended: Arc<AtomicBool>,
}

impl Process {
    pub(crate) fn new(clock: TestClock, deadlines: Deadlines) -> Self {
        Self { clock, deadlines, has_ended: Arc::default() }
    }

    /// Ends the process like a signal: no task of it continues.
    pub(crate) fn kill(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    /// Work of this process; `None` if the process ended before.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T> + Send + 'static) -> Work<T> {
        Work { future: work.boxed(), has_ended: self.has_ended.clone(), polls: None }
    }

    /// Work whose caller is gone after an arbitrary time.
    pub(crate) fn run_or_drop<T>(&self, work: impl Future<Output = T> + Send + 'static) -> Work<T> {
        let polls = thread_rng().gen_range(1..40);
        Work { polls: Some(polls), ..self.run(work) }
    }
}

/// A future that is dropped in the middle.
pub(crate) struct Work<T> {
    future: BoxFuture<'static, T>,
    has_ended: Arc<AtomicBool>,
    polls: Option<u32>,
}

impl<T> Future for Work<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        if self.has_ended.load(Ordering::Relaxed) || self.polls == Some(0) {
            return Poll::Ready(None);
        }
        if let Some(polls) = &mut self.polls {
            *polls -= 1;
            // The last poll comes also if nothing wakes the work.
            context.waker().wake_by_ref();
        }
        self.future.poll_unpin(context).map(Some)
    }
}

#[async_trait]
impl Spawner for Process {
    fn spawn(&self, work: Detached) {
        drop(shuttle::future::spawn(self.run(work)));
    }

    /// Ends after some turns of the other tasks, and sets the clock to its end.
    async fn sleep(&self, span: Duration) {
        let until = self.clock.monotonic() + span;
        if span >= DEADLINE {
            if self.deadlines == Deadlines::AreMet {
                return std::future::pending().await;
            }
            for _ in 0..thread_rng().gen_range(20..400) {
                yield_now().await;
            }
        }
        yield_now().await;
        self.clock.advance(until.saturating_sub(self.clock.monotonic()));
    }
}
