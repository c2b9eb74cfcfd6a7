//! A request whose bodies are passed on while they arrive.
//!
//! Each part is read when its reader asks for it, so that a slow side slows the other one down.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use grantry_domain::ports::{BodyCut, StreamedBody};
use grantry_provider_oauth2::{StreamResponse, TransportError};
use http_body::{Body as _, Frame, SizeHint};
use reqwest::{Body, RequestBuilder, Response};
use tokio::task::AbortHandle;

use crate::classification::classify;
use crate::concurrency_limit::Permits;
use crate::progress::Progress;
use crate::resolver::SHARE;

/// One request with its place among the others.
pub(crate) struct Exchange {
    permits: Permits,
    progress: Arc<Progress>,
    idle: Duration,
}

impl Exchange {
    /// Begins now.
    pub(crate) fn new(permits: Permits, idle: Duration) -> Self {
        Self { permits, progress: Arc::new(Progress::new()), idle }
    }

    /// Sends the request and waits for the head of the response. The body may still be sent afterwards.
    pub(crate) async fn head(
        &self,
        mut request: RequestBuilder,
        body: Option<StreamedBody>,
        share: Option<String>,
    ) -> Result<Response, TransportError> {
        if let Some(StreamedBody { length, parts }) = body {
            let body = SentBody { parts: Mutex::new(parts), left: length, progress: self.progress.clone() };
            request = request.body(Body::wrap(body));
        }
        let sent = pin!(SHARE.scope(share, request.send()));
        match select(sent, pin!(self.progress.idle(self.idle))).await {
            Either::Left((response, _)) => response.map_err(|error| classify(&error)),
            Either::Right(_) => Err(TransportError::Cut),
        }
    }

    /// The response, whose body keeps the place until it has arrived.
    pub(crate) fn response(self, response: Response) -> StreamResponse {
        let (parts, mut body) = http::Response::<Body>::from(response).into_parts();
        let length = body.size_hint().exact();
        // A small body has mostly arrived with the head. Then there is nothing to watch.
        let first = poll_part(&mut body, &mut Context::from_waker(Waker::noop()));
        let has_ended = matches!(first, Poll::Ready(None | Some(Err(_)))) || body.is_end_stream();
        let first = match first {
            Poll::Ready(part) => stream::iter(part),
            Poll::Pending => stream::iter(None),
        };
        let arriving = if has_ended { first.boxed() } else { first.chain(self.watched(body)).boxed() };
        let body = StreamedBody { length, parts: arriving };
        StreamResponse { status: parts.status, headers: parts.headers, body }
    }

    /// The rest of a body, which is cut off after a time without a byte.
    fn watched(self, body: Body) -> ReceivedParts {
        let received = Arc::new(Mutex::new(Received { open: Some((body, self.permits)), is_cut: false, reader: None }));
        let (watched, progress, idle) = (received.clone(), self.progress.clone(), self.idle);
        // A reader that does not ask for the next part must not keep the connection open, so it is not the reader that watches.
        let watch = tokio::spawn(async move {
            progress.idle(idle).await;
            locked(&watched).cut();
        });
        ReceivedParts { received, progress: self.progress, watch: watch.abort_handle() }
    }
}

/// The body of the request.
struct SentBody {
    /// Never locked: the mutex makes the parts shareable, which the HTTP library requires.
    parts: Mutex<BoxStream<'static, Result<Bytes, BodyCut>>>,
    left: Option<u64>,
    progress: Arc<Progress>,
}

impl http_body::Body for SentBody {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        let parts = self.parts.get_mut().unwrap_or_else(PoisonError::into_inner);
        let polled = parts.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(part))) = &polled {
            let length = part.len() as u64;
            self.left = self.left.map(|left| left.saturating_sub(length));
            self.progress.record();
        }
        polled.map(|part| part.map(|part| part.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

/// The body of the response, until it has ended or was cut off.
struct Received {
    open: Option<(Body, Permits)>,
    is_cut: bool,
    reader: Option<Waker>,
}

impl Received {
    fn cut(&mut self) {
        self.is_cut = self.open.take().is_some();
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyCut>>> {
        let Some((body, _)) = &mut self.open else {
            return Poll::Ready(std::mem::take(&mut self.is_cut).then_some(Err(BodyCut)));
        };
        let polled = poll_part(body, context);
        match &polled {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(None | Some(Err(_))) => self.open = None,
            Poll::Pending => self.reader = Some(context.waker().clone()),
        }
        polled
    }
}

/// The next part of a body. Trailers belong to the connection.
fn poll_part(body: &mut Body, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyCut>>> {
    loop {
        match ready!(Pin::new(&mut *body).poll_frame(context)) {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Poll::Ready(Some(Ok(data)));
                }
            }
            Some(Err(_)) => return Poll::Ready(Some(Err(BodyCut))),
            None => return Poll::Ready(None),
        }
    }
}

fn locked(received: &Mutex<Received>) -> MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The parts of the response for their reader.
struct ReceivedParts {
    received: Arc<Mutex<Received>>,
    progress: Arc<Progress>,
    watch: AbortHandle,
}

impl Stream for ReceivedParts {
    type Item = Result<Bytes, BodyCut>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = locked(&self.received).poll(context);
        if let Poll::Ready(Some(Ok(_))) = &polled {
            self.progress.record();
        }
        polled
    }
}

impl Drop for ReceivedParts {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
