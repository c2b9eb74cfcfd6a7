//! What a connection is doing, recorded by its socket, its requests and their bodies.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

/// What a connection is doing, and since when it waits for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// No request has arrived yet.
    Opening(Instant),
    /// Every request has its response.
    Idle(Instant),
    /// Every request waits for its body. Since when all of them arrive too slowly.
    Receiving(Instant),
    /// Responses are being written, and no handler runs.
    Writing {
        /// When the slowest one made progress.
        oldest: Instant,
        /// When any of them made progress.
        newest: Instant,
    },
    /// A handler is running whose request body is complete or dropped, or a response waits for an API.
    Working,
}

/// What a request is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The body is not complete, and arrives too slowly since this time.
    Receiving(Instant),
    /// The body is complete or dropped, and the handler is running.
    Working,
    /// Its response is being written. The time is that of the last progress.
    Writing(Instant),
    /// Its response is written as far as it has arrived from an API, and the client accepts more.
    Awaiting,
}

/// The record of one connection.
pub(super) struct Activity {
    opened: Instant,
    state: Mutex<State>,
    closing: AtomicBool,
    close: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    requests: BTreeMap<u64, Phase>,
    /// When a request last began or ended.
    last_request: Option<Instant>,
    /// Since when the client accepts nothing at all.
    blocked: Option<Instant>,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            state: Mutex::default(),
            closing: AtomicBool::new(false),
            close: Notify::new(),
        })
    }

    pub(super) fn doing(&self) -> Doing {
        let state = self.lock();
        let Some(last_request) = state.last_request else { return Doing::Opening(self.opened) };
        let (mut receiving, mut writing) = (None, state.blocked.map(|since| (since, since)));
        for phase in state.requests.values() {
            match *phase {
                Phase::Working | Phase::Awaiting => return Doing::Working,
                Phase::Receiving(since) => receiving = receiving.max(Some(since)),
                Phase::Writing(_) if state.blocked.is_some() => {}
                Phase::Writing(since) => {
                    writing = writing
                        .map_or(Some((since, since)), |(oldest, newest)| Some((since.min(oldest), since.max(newest))));
                }
            }
        }
        match (writing, receiving) {
            (Some((oldest, newest)), _) => Doing::Writing { oldest, newest },
            (None, Some(since)) => Doing::Receiving(since),
            (None, None) => Doing::Idle(last_request),
        }
    }

    /// Since when the client accepts no byte of any response.
    pub(super) fn blocked(&self) -> Option<Instant> {
        self.lock().blocked
    }

    /// Closes the connection without waiting for its requests.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.close.notify_one();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Completes once the connection is to be closed.
    pub(super) async fn closed(&self) {
        self.close.notified().await;
    }

    /// Records a request until the returned value is dropped.
    pub(super) fn request(self: &Arc<Self>) -> RecordedRequest {
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.requests.insert(id, Phase::Working);
        state.last_request = Some(Instant::now());
        drop(state);
        RecordedRequest { activity: self.clone(), id }
    }

    /// Records what a request is doing, unless it has ended.
    pub(super) fn record(&self, id: u64, phase: Phase) {
        if let Some(recorded) = self.lock().requests.get_mut(&id) {
            *recorded = phase;
        }
    }

    /// Records what the body of a request is doing. Once a response is being written, the client is judged by what it accepts: a
    /// relay reads the body of a request and writes its response at the same time.
    pub(super) fn record_body(&self, id: u64, phase: Phase) {
        if let Some(recorded @ (Phase::Receiving(_) | Phase::Working)) = self.lock().requests.get_mut(&id) {
            *recorded = phase;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request, from its head to the end of its response.
pub(super) struct RecordedRequest {
    pub(super) activity: Arc<Activity>,
    pub(super) id: u64,
}

impl RecordedRequest {
    pub(super) fn record(&self, phase: Phase) {
        self.activity.record(self.id, phase);
    }
}

impl Drop for RecordedRequest {
    fn drop(&mut self) {
        let mut state = self.activity.lock();
        state.requests.remove(&self.id);
        state.last_request = Some(Instant::now());
    }
}

/// A socket that records since when a write is waiting for the client.
pub(super) struct RecordedSocket<S> {
    pub(super) socket: S,
    pub(super) activity: Arc<Activity>,
}

impl<S> RecordedSocket<S> {
    /// Partial progress counts: the time is that of the last accepted bytes.
    fn record<T>(&self, written: Poll<T>) -> Poll<T> {
        let blocked = &mut self.activity.lock().blocked;
        if written.is_ready() {
            *blocked = None;
        } else {
            blocked.get_or_insert_with(Instant::now);
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for RecordedSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RecordedSocket<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.record(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, parts);
        self.record(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_opening_then_working_then_writing_then_idle() {
        let start = Instant::now();
        let activity = Activity::new();
        assert_eq!(activity.doing(), Doing::Opening(start));
        tokio::time::advance(SECOND).await;
        let request = activity.request();
        assert_eq!(activity.doing(), Doing::Working);
        request.record(Phase::Receiving(start + SECOND));
        assert_eq!(activity.doing(), Doing::Receiving(start + SECOND));
        request.record(Phase::Writing(start + SECOND));
        assert_eq!(activity.doing(), Doing::Writing { oldest: start + SECOND, newest: start + SECOND });
        tokio::time::advance(SECOND).await;
        let (id, ended) = (request.id, activity.clone());
        drop(request);
        ended.record(id, Phase::Working);
        assert_eq!(activity.doing(), Doing::Idle(start + 2 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_handler_counts_more_than_bodies_and_responses_more_than_requests() {
        let start = Instant::now();
        let activity = Activity::new();
        let requests = [activity.request(), activity.request(), activity.request(), activity.request()];
        requests[0].record(Phase::Writing(start + SECOND));
        requests[1].record(Phase::Receiving(start));
        requests[2].record(Phase::Writing(start + 2 * SECOND));
        assert_eq!(activity.doing(), Doing::Working);
        requests[3].record(Phase::Receiving(start + 3 * SECOND));
        assert_eq!(activity.doing(), Doing::Writing { oldest: start + SECOND, newest: start + 2 * SECOND });
        let [slow, receiving, fast, faster] = requests;
        drop((slow, fast));
        assert_eq!(activity.doing(), Doing::Receiving(start + 3 * SECOND));
        drop(faster);
        assert_eq!(activity.doing(), Doing::Receiving(start));
        drop(receiving);
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_accepts_no_bytes_is_recorded() {
        let start = Instant::now();
        let activity = Activity::new();
        drop(activity.request());
        let (near, far) = tokio::io::duplex(4);
        let mut socket = RecordedSocket { socket: near, activity: activity.clone() };
        let mut write = |bytes: &'static [u8]| {
            let mut context = Context::from_waker(std::task::Waker::noop());
            Pin::new(&mut socket).poll_write(&mut context, bytes).is_ready()
        };
        assert!(write(b"1234"));
        assert_eq!((activity.doing(), activity.blocked()), (Doing::Idle(start), None));
        tokio::time::advance(SECOND).await;
        assert!(!write(b"5"));
        let since = start + SECOND;
        assert_eq!(activity.doing(), Doing::Writing { oldest: since, newest: since });
        tokio::time::advance(SECOND).await;
        assert!(!write(b"5"));
        let working = activity.request();
        assert_eq!((activity.doing(), activity.blocked()), (Doing::Working, Some(since)));
        drop((far, working));
    }
}
