//! What a connection is doing, recorded by its socket, its requests and its response bodies.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::STREAMS;

/// The largest part of a body that is handed over at once. HTTP/2 buffers a part whole, even if the client accepts only its
/// first byte.
const PART: usize = 16 * 1024;

/// What a connection is doing, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// No request has arrived yet.
    Opening(Instant),
    /// Every request has its response.
    Idle(Instant),
    /// A response is being written. The time is that of the last progress.
    Writing(Instant),
    /// Only handlers are running.
    Working,
}

/// The record of one connection. Times are milliseconds since `opened`, plus one; zero stands for none.
pub(super) struct Activity {
    opened: Instant,
    has_requests: AtomicBool,
    handlers: AtomicUsize,
    last_request: AtomicU64,
    write_blocked: AtomicU64,
    bodies: [AtomicU64; STREAMS as usize],
    closing: AtomicBool,
    close: Notify,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            has_requests: AtomicBool::new(false),
            handlers: AtomicUsize::new(0),
            last_request: AtomicU64::new(0),
            write_blocked: AtomicU64::new(0),
            bodies: [const { AtomicU64::new(0) }; STREAMS as usize],
            closing: AtomicBool::new(false),
            close: Notify::new(),
        })
    }

    pub(super) fn doing(&self) -> Doing {
        if !self.has_requests.load(Ordering::Relaxed) {
            return Doing::Opening(self.opened);
        }
        let writes = self.bodies.iter().chain([&self.write_blocked]).map(|since| since.load(Ordering::Relaxed));
        if let Some(oldest) = writes.filter(|since| *since != 0).min() {
            return Doing::Writing(self.time(oldest));
        }
        if self.handlers.load(Ordering::Relaxed) > 0 {
            return Doing::Working;
        }
        Doing::Idle(self.time(self.last_request.load(Ordering::Relaxed)))
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
    pub(super) fn request(self: &Arc<Self>) -> RunningRequest {
        self.has_requests.store(true, Ordering::Relaxed);
        self.handlers.fetch_add(1, Ordering::Relaxed);
        self.last_request.store(self.now(), Ordering::Relaxed);
        RunningRequest(self.clone())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn time(&self, recorded: u64) -> Instant {
        self.opened + Duration::from_millis(recorded.saturating_sub(1))
    }
}

/// A request whose handler is running.
pub(super) struct RunningRequest(Arc<Activity>);

impl RunningRequest {
    /// The response with a body that records its progress.
    pub(super) fn answered(self, response: axum::response::Response) -> hyper::Response<RecordedBody> {
        response.map(|body| {
            let slot = if body.is_end_stream() { None } else { self.0.free_slot() };
            RecordedBody { body, rest: Bytes::new(), activity: self.0.clone(), slot }
        })
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.0.handlers.fetch_sub(1, Ordering::Relaxed);
        self.0.last_request.store(self.0.now(), Ordering::Relaxed);
    }
}

impl Activity {
    /// Takes a place for a response body. There is one for every concurrent request.
    fn free_slot(&self) -> Option<usize> {
        let now = self.now();
        self.bodies.iter().position(|slot| slot.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).is_ok())
    }
}

/// A response body that is handed over in parts and records when.
pub(super) struct RecordedBody {
    body: Body,
    /// What is left of the current frame.
    rest: Bytes,
    activity: Arc<Activity>,
    slot: Option<usize>,
}

impl RecordedBody {
    fn record(&self, time: u64) {
        if let Some(slot) = self.slot.and_then(|slot| self.activity.bodies.get(slot)) {
            slot.store(time, Ordering::Relaxed);
        }
    }

    /// The next part of the current frame.
    fn part(&mut self) -> Bytes {
        self.record(self.activity.now());
        let length = self.rest.len().min(PART);
        self.rest.split_to(length)
    }
}

impl HttpBody for RecordedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            let part = self.part();
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let Poll::Ready(Some(Ok(frame))) = polled else { return polled };
        match frame.into_data() {
            Ok(data) => {
                self.rest = data;
                let part = self.part();
                Poll::Ready(Some(Ok(Frame::data(part))))
            }
            Err(trailers) => Poll::Ready(Some(Ok(trailers))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper + rest);
        }
        whole
    }
}

impl Drop for RecordedBody {
    fn drop(&mut self) {
        self.record(0);
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
        let blocked = &self.activity.write_blocked;
        if written.is_ready() {
            if blocked.load(Ordering::Relaxed) != 0 {
                blocked.store(0, Ordering::Relaxed);
            }
        } else if blocked.load(Ordering::Relaxed) == 0 {
            blocked.store(self.activity.now(), Ordering::Relaxed);
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
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_opening_then_working_then_writing_then_idle() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let activity = Activity::new();
        assert_eq!(activity.doing(), Doing::Opening(start));
        tokio::time::advance(second).await;
        let request = activity.request();
        assert_eq!(activity.doing(), Doing::Working);
        tokio::time::advance(second).await;
        let mut body = request.answered(axum::response::Response::new(Body::from(vec![1; PART + 1]))).into_body();
        assert_eq!(activity.doing(), Doing::Writing(start + 2 * second));
        tokio::time::advance(second).await;
        assert_eq!(body.size_hint().exact(), Some(PART as u64 + 1));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), PART);
        assert_eq!(activity.doing(), Doing::Writing(start + 3 * second));
        assert!(!body.is_end_stream() && body.size_hint().exact() == Some(1));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 1);
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(activity.doing(), Doing::Idle(start + 2 * second));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_of_several_responses_counts() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let activity = Activity::new();
        let response = || axum::response::Response::new(Body::from("text"));
        let first = activity.request().answered(response());
        tokio::time::advance(second).await;
        let later = activity.request().answered(response());
        assert_eq!(activity.doing(), Doing::Writing(start));
        drop(first);
        assert_eq!(activity.doing(), Doing::Writing(start + second));
        drop(later);
        assert_eq!(activity.doing(), Doing::Idle(start + second));
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
        assert_eq!(activity.doing(), Doing::Idle(start));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!write(b"5"));
        assert_eq!(activity.doing(), Doing::Writing(start + Duration::from_secs(1)));
        drop(far);
    }
}
