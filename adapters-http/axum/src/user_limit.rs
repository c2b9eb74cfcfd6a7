//! Limits the runs of one user, from the request to the last byte of the response.
//!
//! A response of an API is in memory until the client has read it, and a client may read slowly.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use grantry_domain::identity::UserId;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Runs of one user at the same time. The others wait.
const PER_USER: usize = 32;
/// How long a run may wait.
const WAIT: Duration = Duration::from_secs(5);
/// Users without a run are removed when the table has this many entries.
const MAX_ENTRIES: usize = 256;

/// The runs of each user.
#[derive(Default)]
pub(crate) struct RunLimit {
    users: Mutex<HashMap<UserId, Arc<Semaphore>>>,
}

impl RunLimit {
    /// Waits until the user may run another request. `None` after a few seconds.
    pub(crate) async fn admit(&self, user: &UserId) -> Option<Run> {
        let runs = self.runs_of(user);
        tokio::time::timeout(WAIT, runs.acquire_owned()).await.ok()?.ok().map(|permit| Run { _permit: permit })
    }

    /// How long a client should wait after a refusal.
    pub(crate) fn retry_after() -> Duration {
        WAIT
    }

    fn runs_of(&self, user: &UserId) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= MAX_ENTRIES && !users.contains_key(user) {
            users.retain(|_, runs| Arc::strong_count(runs) > 1);
        }
        users.entry(user.clone()).or_insert_with(|| Arc::new(Semaphore::new(PER_USER))).clone()
    }
}

/// A run of a user.
pub(crate) struct Run {
    _permit: OwnedSemaphorePermit,
}

impl Run {
    /// Ends with the body of this response.
    pub(crate) fn until_sent(self, response: Response) -> Response {
        response.map(|body| Body::new(RunBody { body, _run: self }))
    }
}

/// A response body that keeps its run until it is dropped.
struct RunBody {
    body: Body,
    _run: Run,
}

impl HttpBody for RunBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> UserId {
        UserId::new(id).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_has_a_limited_number_of_runs_until_their_responses_are_sent() {
        let limit = RunLimit::default();
        let mut responses = Vec::new();
        for _ in 0..PER_USER {
            let run = limit.admit(&user("alice")).await.unwrap();
            responses.push(run.until_sent(Response::new(Body::from("text"))));
        }
        assert!(limit.admit(&user("alice")).await.is_none());
        assert!(limit.admit(&user("bob")).await.is_some());
        assert_eq!(responses[0].body().size_hint().exact(), Some(4));
        responses.pop();
        assert!(limit.admit(&user("alice")).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn users_without_a_run_are_removed() {
        let limit = RunLimit::default();
        let run = limit.admit(&user("held")).await;
        for number in 0..4 * MAX_ENTRIES {
            drop(limit.admit(&user(&format!("user-{number}"))).await);
        }
        let users = limit.users.lock().unwrap();
        assert!(users.len() <= MAX_ENTRIES && users.contains_key(&user("held")));
        drop(run);
    }
}
