//! Bodies of requests and responses that record their progress.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

use super::activity::{Activity, Phase, RecordedRequest};

/// The largest part of a response that is handed over at once. HTTP/2 buffers a part whole, even if the client accepts only
/// its first byte.
const PART: usize = 16 * 1024;
/// The time that a byte of a request may take: a body that arrives faster than about 1 KiB/s is never too slow.
const PER_BYTE: Duration = Duration::from_millis(1);

impl RecordedRequest {
    /// The body of the request. Until it is complete, or dropped by its handler, the connection may be closed for others: handlers
    /// must have no effect before that.
    pub(super) fn receives<B: HttpBody>(&self, body: B) -> ReceivedBody<B> {
        let slow_since = Instant::now();
        if !body.is_end_stream() {
            self.record(Phase::Receiving(slow_since));
        }
        ReceivedBody { body, slow_since, handed_over: None, activity: self.activity.clone(), id: self.id }
    }

    /// The response. The request ends with its body.
    pub(super) fn answered(self, response: axum::response::Response) -> hyper::Response<SentBody> {
        self.record(Phase::Writing(Instant::now()));
        response.map(|body| SentBody { body, rest: Bytes::new(), request: self })
    }
}

/// The body of a request. It records since when it arrives too slowly. While its handler does not ask for the next part, as when
/// the API behind a relay reads slowly, the client is not slow.
pub(super) struct ReceivedBody<B> {
    body: B,
    slow_since: Instant,
    /// When the handler got the last part.
    handed_over: Option<Instant>,
    activity: Arc<Activity>,
    id: u64,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for ReceivedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(handed_over) = self.handed_over.take() {
            self.slow_since += handed_over.elapsed();
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let (now, bytes) =
                (Instant::now(), frame.data_ref().map_or(0, |data| u32::try_from(data.len()).unwrap_or(u32::MAX)));
            self.slow_since = (self.slow_since + PER_BYTE * bytes).min(now);
            self.handed_over = Some(now);
        }
        let phase = if polled.is_ready() { Phase::Working } else { Phase::Receiving(self.slow_since) };
        self.activity.record_body(self.id, phase);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for ReceivedBody<B> {
    fn drop(&mut self) {
        // The handler does not need the rest.
        self.activity.record_body(self.id, Phase::Working);
    }
}

/// The body of a response, handed over in parts.
pub(super) struct SentBody {
    body: Body,
    /// What is left of the current frame.
    rest: Bytes,
    request: RecordedRequest,
}

impl SentBody {
    /// The next part of the current frame.
    fn part(&mut self) -> Bytes {
        self.request.record(Phase::Writing(Instant::now()));
        let length = self.rest.len().min(PART);
        self.rest.split_to(length)
    }
}

impl HttpBody for SentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            let part = self.part();
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_pending() {
            // The next part is the task of the handler, or of the API behind a relay. The client is not slow.
            self.request.record(Phase::Awaiting);
        }
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::http_server::activity::Doing;

    const SECOND: Duration = Duration::from_secs(1);

    /// A body of which only these parts have arrived.
    struct Arrived(VecDeque<Bytes>);

    impl HttpBody for Arrived {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.pop_front().map_or(Poll::Pending, |part| Poll::Ready(Some(Ok(Frame::data(part)))))
        }
    }

    /// Polls the body until it waits.
    fn read(body: &mut ReceivedBody<Arrived>) {
        let mut context = Context::from_waker(std::task::Waker::noop());
        while Pin::new(&mut *body).poll_frame(&mut context).is_ready() {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_body_is_slow_since_it_arrives_below_the_least_rate() {
        let start = Instant::now();
        let activity = Activity::new();
        let request = activity.request();
        let mut body = request.receives(Arrived(VecDeque::from([Bytes::from(vec![0; 1000])])));
        tokio::time::advance(SECOND).await;
        assert_eq!(activity.doing(), Doing::Receiving(start), "also while the handler does not read yet");
        read(&mut body);
        assert_eq!(activity.doing(), Doing::Receiving(start + SECOND));
        for _ in 0..4 {
            tokio::time::advance(SECOND).await;
            body.body.0.push_back(Bytes::from_static(&[0; 250]));
            read(&mut body);
        }
        assert_eq!(activity.doing(), Doing::Receiving(start + 2 * SECOND), "1000 bytes allow a second");
        body.body.0.push_back(Bytes::from(vec![0; 60_000]));
        read(&mut body);
        assert_eq!(activity.doing(), Doing::Receiving(Instant::now()), "and no time in advance");
        drop(body);
        assert_eq!(activity.doing(), Doing::Working);
        let response = request.answered(axum::response::Response::new(Body::from("text")));
        drop(response);
        assert_eq!(activity.doing(), Doing::Idle(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_body_is_not_slow_while_its_handler_has_an_unread_part() {
        let start = Instant::now();
        let activity = Activity::new();
        let request = activity.request();
        let mut body = request.receives(Arrived(VecDeque::from([Bytes::from_static(b"a")])));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_ready());
        tokio::time::advance(60 * SECOND).await;
        assert_eq!(activity.doing(), Doing::Working, "an API accepts the part slowly");
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_pending());
        let since = Doing::Receiving(start + 60 * SECOND);
        assert_eq!(activity.doing(), since);
        tokio::time::advance(SECOND).await;
        assert_eq!(activity.doing(), since, "and then the client is slow");
        drop((body, request));
    }

    #[tokio::test(start_paused = true)]
    async fn the_body_of_a_request_does_not_hide_that_its_response_is_not_accepted() {
        let activity = Activity::new();
        let request = activity.request();
        let mut body = request.receives(Arrived(VecDeque::new()));
        let response = request.answered(axum::response::Response::new(Body::from("text")));
        let since = Instant::now();
        for part in [b"a", b"b"] {
            tokio::time::advance(SECOND).await;
            body.body.0.push_back(Bytes::from_static(part));
            read(&mut body);
            assert_eq!(activity.doing(), Doing::Writing { oldest: since, newest: since });
        }
        drop(body);
        assert_eq!(activity.doing(), Doing::Writing { oldest: since, newest: since });
        drop(response);
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_whose_next_part_has_not_arrived_waits_for_an_api_and_not_for_its_client() {
        let activity = Activity::new();
        let (parts, mut arriving) = tokio::sync::mpsc::unbounded_channel::<Result<Bytes, Infallible>>();
        let arriving = futures_util::stream::poll_fn(move |context| arriving.poll_recv(context));
        let response = axum::response::Response::new(Body::from_stream(arriving));
        let mut body = activity.request().answered(response).into_body();
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(activity.doing(), Doing::Writing { .. }));
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_pending());
        assert_eq!(activity.doing(), Doing::Working);
        tokio::time::advance(SECOND).await;
        parts.send(Ok(Bytes::from_static(b"event"))).unwrap();
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_ready());
        let since = Instant::now();
        tokio::time::advance(SECOND).await;
        assert_eq!(activity.doing(), Doing::Writing { oldest: since, newest: since }, "it does not ask for the next part");
        drop(body);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_whose_body_is_complete_works() {
        let activity = Activity::new();
        let request = activity.request();
        let empty = request.receives(Body::empty());
        assert_eq!(activity.doing(), Doing::Working);
        let mut body = request.receives(Body::from("text"));
        assert_eq!(activity.doing(), Doing::Receiving(Instant::now()));
        assert!(body.frame().await.is_some());
        assert_eq!(activity.doing(), Doing::Working);
        drop((empty, body));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_outlives_its_handler_does_not_change_the_response() {
        let activity = Activity::new();
        let request = activity.request();
        let body = request.receives(Arrived(VecDeque::new()));
        let response = request.answered(axum::response::Response::new(Body::from("text")));
        drop(body);
        assert!(matches!(activity.doing(), Doing::Writing { .. }));
        drop(response);
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_is_handed_over_in_parts() {
        let start = Instant::now();
        let activity = Activity::new();
        let response = axum::response::Response::new(Body::from(vec![1; PART + 1]));
        let mut body = activity.request().answered(response).into_body();
        let since = |time| Doing::Writing { oldest: time, newest: time };
        assert_eq!(activity.doing(), since(start));
        tokio::time::advance(SECOND).await;
        assert_eq!(body.size_hint().exact(), Some(PART as u64 + 1));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), PART);
        assert_eq!(activity.doing(), since(start + SECOND));
        assert!(!body.is_end_stream() && body.size_hint().exact() == Some(1));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 1);
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(activity.doing(), Doing::Idle(start + SECOND));
    }
}
