//! A body that can be sent a second time as long as little of it was read.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};

use crate::ports::{BodyCut, StreamedBody};

/// How many bytes are kept for a second attempt.
const MOST_KEPT: usize = 64 * 1024;

/// The body for the first attempt, and what a second one needs.
pub(super) fn repeatable(body: StreamedBody) -> (StreamedBody, RepeatableBody) {
    let StreamedBody { length, parts } = body;
    let state = Arc::new(Mutex::new(State { rest: Some(parts), kept: Some(Vec::new()) }));
    let first = StreamedBody { length, parts: FirstAttempt(state.clone()).boxed() };
    (first, RepeatableBody { length, state })
}

/// The beginning of a body whose first attempt is running.
pub(super) struct RepeatableBody {
    length: Option<u64>,
    state: Arc<Mutex<State>>,
}

struct State {
    /// What was not read yet. `None` once it is taken back, or has ended with an error.
    rest: Option<BoxStream<'static, Result<Bytes, BodyCut>>>,
    /// What was read. `None` if it was too much, or is not needed.
    kept: Option<Vec<u8>>,
}

impl RepeatableBody {
    /// There is no second attempt.
    pub(super) fn forget(self) {
        locked(&self.state).kept = None;
    }

    /// Ends the first attempt and returns the whole body. `None` if too much of it was read; then the first attempt goes on.
    pub(super) fn take_back(self) -> Option<StreamedBody> {
        let mut state = locked(&self.state);
        let kept = state.kept.take()?;
        let rest = state.rest.take()?;
        let beginning = (!kept.is_empty()).then(|| Ok(Bytes::from(kept)));
        Some(StreamedBody { length: self.length, parts: stream::iter(beginning).chain(rest).boxed() })
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The parts as they arrive, which are kept as well.
struct FirstAttempt(Arc<Mutex<State>>);

impl Stream for FirstAttempt {
    type Item = Result<Bytes, BodyCut>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = locked(&self.0);
        let State { rest, kept } = &mut *state;
        let Some(parts) = rest else { return Poll::Ready(Some(Err(BodyCut))) };
        let polled = parts.poll_next_unpin(context);
        match &polled {
            Poll::Ready(Some(Ok(part))) => {
                if let Some(bytes) = kept.as_mut().filter(|bytes| part.len() <= MOST_KEPT - bytes.len()) {
                    bytes.extend_from_slice(part);
                } else {
                    *kept = None;
                }
            }
            Poll::Ready(None) => *rest = Some(stream::empty().boxed()),
            Poll::Ready(Some(Err(BodyCut))) => *rest = None,
            Poll::Pending => {}
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn body(parts: Vec<Result<Bytes, BodyCut>>) -> StreamedBody {
        StreamedBody { length: Some(7), parts: stream::iter(parts).boxed() }
    }

    fn read(body: StreamedBody) -> Result<Vec<u8>, BodyCut> {
        let parts = body.parts.collect::<Vec<_>>().now_or_never().unwrap();
        parts.into_iter().collect::<Result<Vec<_>, _>>().map(|parts| parts.concat())
    }

    fn next(body: &mut StreamedBody) -> Option<Result<Bytes, BodyCut>> {
        body.parts.next().now_or_never().unwrap()
    }

    fn part(length: usize) -> Bytes {
        Bytes::from(vec![b'x'; length])
    }

    #[test]
    fn a_body_is_repeated_from_its_beginning_wherever_the_first_attempt_stopped() {
        let parts = || vec![Ok(Bytes::from_static(b"abc")), Ok(Bytes::from_static(b"defg"))];
        for read_before in 0..=3 {
            let (mut first, kept) = repeatable(body(parts()));
            for _ in 0..read_before {
                next(&mut first);
            }
            let second = kept.take_back().unwrap();
            assert_eq!(second.length, Some(7));
            assert_eq!(read(second).unwrap(), b"abcdefg", "{read_before}");
            assert_eq!(next(&mut first), Some(Err(BodyCut)), "the first attempt does not end cleanly");
        }
    }

    #[test]
    fn a_body_of_which_much_was_read_is_not_repeated_and_goes_on() {
        let (mut first, kept) = repeatable(body(vec![Ok(part(MOST_KEPT)), Ok(part(1)), Ok(part(1))]));
        next(&mut first);
        next(&mut first);
        assert!(kept.take_back().is_none());
        assert_eq!(read(first).unwrap().len(), 1);
        let (mut first, kept) = repeatable(body(vec![Ok(part(MOST_KEPT)), Ok(part(1))]));
        next(&mut first);
        assert_eq!(read(kept.take_back().unwrap()).unwrap().len(), MOST_KEPT + 1, "the rest was not read yet");
    }

    #[test]
    fn nothing_is_kept_of_a_body_without_a_second_attempt() {
        let (first, kept) = repeatable(body(vec![Ok(part(1))]));
        let state = kept.state.clone();
        kept.forget();
        assert_eq!(read(first).unwrap(), b"x");
        assert!(locked(&state).kept.is_none());
    }

    #[test]
    fn a_body_that_was_cut_is_not_repeated() {
        let (mut first, kept) = repeatable(body(vec![Ok(part(1)), Err(BodyCut)]));
        next(&mut first);
        assert_eq!(next(&mut first), Some(Err(BodyCut)));
        assert!(kept.take_back().is_none());
    }
}
