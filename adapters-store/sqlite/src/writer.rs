//! The single writer: a thread, a bounded queue, and group commit.
//!
//! Making a commit durable costs far more than the statements in it. Therefore writes that are queued while a transaction is
//! open join it, each in a separate savepoint, so that a failed write is undone alone. Callers get their results after the
//! commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use grantry_domain::ports::{Clock, StoreError};
use grantry_domain::time::Timestamp;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, DEFAULT_NAME};
use tokio::sync::{mpsc, oneshot};

use crate::error::{SqliteError, commit_failed};
use crate::options::SqliteOptions;
use crate::sql;

/// How long emptying the log waits for readers.
const CHECKPOINT_WAIT: Duration = Duration::from_millis(10);

/// The number of writes and of the commits they needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteCounts {
    /// Writes performed, including those that failed.
    pub writes: u64,
    /// Transactions committed.
    pub commits: u64,
}

#[derive(Default)]
struct Counters {
    writes: AtomicU64,
    commits: AtomicU64,
}

/// One write and the reply to its caller.
trait Job: Send {
    /// Runs inside a savepoint; returns whether to keep the changes.
    fn run(&mut self, connection: &Connection, now: Timestamp) -> bool;
    /// Replies to the caller, which may have been cancelled. `committed` is the result of the transaction.
    fn reply(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Write<T, F> {
    work: Option<F>,
    outcome: Result<T, StoreError>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Write<T, F>
where
    T: Send,
    F: FnOnce(&Connection, Timestamp) -> Result<T, SqliteError> + Send,
{
    fn run(&mut self, connection: &Connection, now: Timestamp) -> bool {
        if let Some(work) = self.work.take() {
            // A panic in one write must not end the writer thread.
            self.outcome = match catch_unwind(AssertUnwindSafe(|| work(connection, now))) {
                Ok(outcome) => outcome.map_err(StoreError::from),
                Err(_) => Err(StoreError::Unavailable),
            };
        }
        self.outcome.is_ok()
    }

    fn reply(self: Box<Self>, committed: Result<(), StoreError>) {
        drop(self.reply.send(self.outcome.and_then(|value| committed.map(|()| value))));
    }
}

enum Message {
    Write(Box<dyn Job>),
    Control(Control),
}

enum Control {
    /// Copies the log into the file, or empties it as well. The reply states whether that was done completely.
    Checkpoint(CheckpointMode, oneshot::Sender<bool>),
    /// Ends the thread after the queued writes.
    Close(oneshot::Sender<()>),
}

/// The queue to the writer thread.
pub(crate) struct Writer {
    queue: mpsc::Sender<Message>,
    counters: Arc<Counters>,
}

impl Writer {
    /// Queues a write and waits for its commit. A queued write is performed even if the caller is cancelled.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, Timestamp) -> Result<T, SqliteError> + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let job = Box::new(Write { work: Some(work), outcome: Err(StoreError::Unavailable), reply });
        self.queue.send(Message::Write(job)).await.map_err(|_| StoreError::Unavailable)?;
        result.await.unwrap_or(Err(StoreError::OutcomeUnknown))
    }

    /// Refuses new writes, performs the queued ones, empties the log and closes the file.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Message::Control(Control::Close(done))).await.is_ok() {
            // An error means that the thread has already ended.
            drop(closed.await);
        }
    }

    /// The queue for the thread that copies the log.
    pub(crate) fn queue(&self) -> WriterQueue {
        WriterQueue(self.queue.downgrade())
    }

    pub(crate) fn counts(&self) -> WriteCounts {
        WriteCounts {
            writes: self.counters.writes.load(Ordering::Relaxed),
            commits: self.counters.commits.load(Ordering::Relaxed),
        }
    }

    /// Writes waiting in the queue.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }
}

/// The queue to the writer thread, which it does not keep open.
pub(crate) struct WriterQueue(mpsc::WeakSender<Message>);

impl WriterQueue {
    /// Lets the writer make a checkpoint after the queued writes, and waits for it. Returns whether it was complete: false also if
    /// the store is being closed, which empties the log.
    pub(crate) fn checkpoint(&self, mode: CheckpointMode) -> bool {
        let (done, ended) = oneshot::channel();
        let sent = self
            .0
            .upgrade()
            .is_some_and(|queue| queue.blocking_send(Message::Control(Control::Checkpoint(mode, done))).is_ok());
        sent && ended.blocking_recv().unwrap_or(false)
    }
}

/// The state of the writer thread. [`WriterThread::run`] blocks until the store is closed or dropped.
pub(crate) struct WriterThread {
    connection: Connection,
    clock: Arc<dyn Clock>,
    busy_timeout: Duration,
    queue: mpsc::Receiver<Message>,
    group: usize,
    counters: Arc<Counters>,
}

/// Creates the queue and the state of the thread.
pub(crate) fn writer(connection: Connection, options: &SqliteOptions) -> (Writer, WriterThread) {
    let counters = Arc::<Counters>::default();
    let (sender, queue) = mpsc::channel(options.queue.max(1));
    let thread = WriterThread {
        connection,
        clock: options.clock.clone(),
        busy_timeout: options.busy_timeout,
        queue,
        group: options.group.max(1),
        counters: counters.clone(),
    };
    (Writer { queue: sender, counters }, thread)
}

impl WriterThread {
    /// Performs writes until the store is closed.
    pub(crate) fn run(mut self) {
        let mut closing = Vec::new();
        while let Some(message) = self.queue.blocking_recv() {
            let control = match message {
                Message::Write(first) => self.commit_group(first),
                Message::Control(control) => Some(control),
            };
            match control {
                Some(Control::Checkpoint(mode, done)) => {
                    // The thread that copies the log may have ended.
                    let _ = done.send(self.checkpoint(mode));
                }
                Some(Control::Close(done)) => {
                    self.queue.close();
                    closing.push(done);
                }
                None => {}
            }
        }
        self.checkpoint(CheckpointMode::TRUNCATE);
        drop(self.connection);
        for done in closing {
            // The caller may have been cancelled.
            let _ = done.send(());
        }
    }

    /// Performs a write, and others that are queued, in one transaction. Returns the control message that ended the group.
    fn commit_group(&mut self, first: Box<dyn Job>) -> Option<Control> {
        if let Err(error) = sql::execute(&self.connection, "BEGIN IMMEDIATE", []) {
            return self.refuse_waiting(first, error.into());
        }
        let mut group = Vec::new();
        let mut next = Some(first);
        let mut control = None;
        let mut has_yielded = false;
        while let Some(mut job) = next.take() {
            // A full disk or an input or output error rolls the whole transaction back.
            let kept = run_in_savepoint(&self.connection, self.clock.now(), job.as_mut()).is_ok();
            group.push(job);
            if !kept {
                roll_back(&self.connection);
            } else if group.len() < self.group {
                match self.next_in_group(&mut has_yielded) {
                    Some(Message::Write(job)) => next = Some(job),
                    Some(Message::Control(met)) => control = Some(met),
                    None => {}
                }
            }
        }
        let committed = self.commit();
        self.counters.writes.fetch_add(group.len() as u64, Ordering::Relaxed);
        for job in group {
            job.reply(committed);
        }
        control
    }

    /// What is queued. The first time that nothing is, threads that wait for this core may run: what they write shares the commit.
    fn next_in_group(&mut self, has_yielded: &mut bool) -> Option<Message> {
        let queued = self.queue.try_recv().ok();
        if queued.is_some() || std::mem::replace(has_yielded, true) {
            return queued;
        }
        thread::yield_now();
        self.queue.try_recv().ok()
    }

    fn commit(&self) -> Result<(), StoreError> {
        if self.connection.is_autocommit() {
            return Err(StoreError::Unavailable);
        }
        let committed = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if committed.is_ok() {
            self.counters.commits.fetch_add(1, Ordering::Relaxed);
        } else {
            roll_back(&self.connection);
        }
        committed.map(drop).map_err(|error| commit_failed(&error))
    }

    /// Copies the log into the file. `TRUNCATE` also empties it, so that deleted data is in no file any more. Reads of this process
    /// end within microseconds. A read of another process that takes longer postpones this to the next checkpoint.
    fn checkpoint(&self, mode: CheckpointMode) -> bool {
        let connection = &self.connection;
        let done = connection.busy_timeout(CHECKPOINT_WAIT).and_then(|()| connection.wal_checkpoint_v2(DEFAULT_NAME, mode));
        let is_restored = connection.busy_timeout(self.busy_timeout).is_ok();
        let is_complete = done.is_ok_and(|(pages, copied)| pages == copied);
        if !is_complete {
            tracing::debug!("the log of the database was not copied completely");
        }
        is_restored && is_complete
    }

    /// Fails the writes that are queued now, because no transaction could begin; usually the file stayed locked for the
    /// whole time-out. Otherwise each of them would wait for the time-out again. Later writes try again.
    fn refuse_waiting(&mut self, first: Box<dyn Job>, error: StoreError) -> Option<Control> {
        tracing::warn!("writes failed because no transaction could begin");
        let mut refused = vec![first];
        let mut control = None;
        for _ in 0..self.queue.len() {
            match self.queue.try_recv() {
                Ok(Message::Write(job)) => refused.push(job),
                Ok(Message::Control(met)) => {
                    control = Some(met);
                    break;
                }
                Err(_) => break,
            }
        }
        for job in refused {
            job.reply(Err(error));
        }
        control
    }
}

/// Runs a write so that it can be undone alone. If that fails, the whole transaction is rolled back, and the commit fails.
fn run_in_savepoint(connection: &Connection, now: Timestamp, job: &mut dyn Job) -> Result<(), SqliteError> {
    sql::execute(connection, "SAVEPOINT job", [])?;
    if !job.run(connection, now) {
        sql::execute(connection, "ROLLBACK TO job", [])?;
    }
    sql::execute(connection, "RELEASE job", [])?;
    Ok(())
}

/// Rolls a transaction back. If this fails too, the next transaction cannot begin and reports the error.
fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        drop(connection.execute_batch("ROLLBACK"));
    }
}
