//! The one writer: a thread, a bounded queue, and commits that many writes share.
//!
//! Making a commit durable costs far more than the statements in it. So whatever is queued when a transaction is open joins
//! it, each write in a savepoint of its own: one that fails is undone alone. Nobody gets an answer before the commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grantry_domain::ports::{Clock, StoreError};
use grantry_domain::time::Timestamp;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::fault::{Fault, commit_failed};
use crate::options::SqliteOptions;
use crate::sql;

/// How long emptying the log waits for readers.
const CHECKPOINT_WAIT: Duration = Duration::from_millis(10);

/// How many writes there were, and how many commits they needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteCounts {
    /// Writes carried out, refused ones included.
    pub writes: u64,
    /// Transactions committed.
    pub commits: u64,
}

#[derive(Default)]
struct Counters {
    writes: AtomicU64,
    commits: AtomicU64,
}

/// One write: what it does in the open transaction, and how its caller hears of it.
trait Job: Send {
    /// Runs inside a savepoint; answers whether it is to be kept.
    fn run(&mut self, connection: &Connection, now: Timestamp) -> bool;
    /// Answers the caller, who may have gone away. `committed` is the fate of the transaction.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Write<T, F> {
    work: Option<F>,
    outcome: Result<T, StoreError>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Write<T, F>
where
    T: Send,
    F: FnOnce(&Connection, Timestamp) -> Result<T, Fault> + Send,
{
    fn run(&mut self, connection: &Connection, now: Timestamp) -> bool {
        if let Some(work) = self.work.take() {
            // A bug in one write must not take the writer from all others.
            self.outcome = match catch_unwind(AssertUnwindSafe(|| work(connection, now))) {
                Ok(outcome) => outcome.map_err(StoreError::from),
                Err(_) => Err(StoreError::Unavailable),
            };
        }
        self.outcome.is_ok()
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        drop(self.reply.send(self.outcome.and_then(|value| committed.map(|()| value))));
    }
}

enum Message {
    Write(Box<dyn Job>),
    Control(Control),
}

enum Control {
    /// Moves the log into the file and empties it.
    Checkpoint,
    /// Ends after what is queued.
    Close(oneshot::Sender<()>),
}

/// The way to the writer.
pub(crate) struct Writer {
    queue: mpsc::Sender<Message>,
    counters: Arc<Counters>,
}

impl Writer {
    /// Queues a write and waits for its commit. Once queued it is carried out, even if the caller goes away.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, Timestamp) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Write { work: Some(work), outcome: Err(StoreError::Unavailable), reply });
        self.queue.send(Message::Write(job)).await.map_err(|_| StoreError::Unavailable)?;
        answer.await.unwrap_or(Err(StoreError::OutcomeUnknown))
    }

    /// Asks for the log to be emptied, without waiting for it.
    pub(crate) async fn checkpoint(&self) {
        // An error means that the store is closed, which has emptied the log.
        drop(self.queue.send(Message::Control(Control::Checkpoint)).await);
    }

    /// Refuses new writes, carries out the queued ones, empties the log and closes the file.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Message::Control(Control::Close(done))).await.is_ok() {
            // An error means that the thread has ended, which is what was asked for.
            drop(closed.await);
        }
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

/// The writer's own side. [`WriterThread::run`] blocks until the store is closed or dropped.
pub(crate) struct WriterThread {
    connection: Connection,
    clock: Arc<dyn Clock>,
    busy_timeout: Duration,
    queue: mpsc::Receiver<Message>,
    group: usize,
    counters: Arc<Counters>,
}

/// Both sides of the queue.
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
    /// Serves until closed.
    pub(crate) fn run(mut self) {
        let mut closing = Vec::new();
        while let Some(message) = self.queue.blocking_recv() {
            let control = match message {
                Message::Write(first) => self.commit_group(first),
                Message::Control(control) => Some(control),
            };
            match control {
                Some(Control::Checkpoint) => self.checkpoint(),
                Some(Control::Close(done)) => {
                    self.queue.close();
                    closing.push(done);
                }
                None => {}
            }
        }
        self.checkpoint();
        drop(self.connection);
        for done in closing {
            // Nobody may be waiting any more.
            let _ = done.send(());
        }
    }

    /// Carries out a write, and others that are queued, in one transaction. Answers a message that was met and is no write.
    fn commit_group(&mut self, first: Box<dyn Job>) -> Option<Control> {
        if let Err(fault) = sql::execute(&self.connection, "BEGIN IMMEDIATE", []) {
            return self.refuse_waiting(first, fault.into());
        }
        let mut group = Vec::new();
        let mut next = Some(first);
        let mut control = None;
        while let Some(mut job) = next.take() {
            // A full disk or an input or output error undoes the whole transaction at once.
            let kept = run_in_savepoint(&self.connection, self.clock.now(), job.as_mut()).is_ok();
            group.push(job);
            if !kept {
                roll_back(&self.connection);
            } else if group.len() < self.group {
                match self.queue.try_recv() {
                    Ok(Message::Write(job)) => next = Some(job),
                    Ok(Message::Control(met)) => control = Some(met),
                    Err(_) => {}
                }
            }
        }
        let committed = self.commit();
        self.counters.writes.fetch_add(group.len() as u64, Ordering::Relaxed);
        for job in group {
            job.answer(committed);
        }
        control
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

    /// Empties the log into the file, so that what was deleted is nowhere any more (R72). Readers of this process are done in
    /// microseconds; those of others are hardly waited for, the next time will do.
    fn checkpoint(&self) {
        let connection = &self.connection;
        let done = connection
            .busy_timeout(CHECKPOINT_WAIT)
            .and_then(|()| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        if connection.busy_timeout(self.busy_timeout).and(done).is_err() {
            tracing::debug!("the log of the database was not emptied");
        }
    }

    /// No transaction could be begun, mostly because the file stayed locked for the whole waiting time. Everybody who has
    /// waited meanwhile hears it at once, instead of one after the other; whoever comes later has a try of their own.
    fn refuse_waiting(&mut self, first: Box<dyn Job>, error: StoreError) -> Option<Control> {
        tracing::warn!("writes were refused because no transaction could be begun");
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
            job.answer(Err(error));
        }
        control
    }
}

/// Runs a write so that it can be undone alone. What cannot be undone takes the whole transaction along, which the commit
/// then finds lost.
fn run_in_savepoint(connection: &Connection, now: Timestamp, job: &mut dyn Job) -> Result<(), Fault> {
    sql::execute(connection, "SAVEPOINT job", [])?;
    if !job.run(connection, now) {
        sql::execute(connection, "ROLLBACK TO job", [])?;
    }
    sql::execute(connection, "RELEASE job", [])?;
    Ok(())
}

/// Gives a transaction up. Should this fail as well, the next one cannot begin and says so.
fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        drop(connection.execute_batch("ROLLBACK"));
    }
}
