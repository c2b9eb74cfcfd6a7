//! Limits what one user does at the same time, because each part of it takes memory.
//!
//! The body of a request is in memory from its first byte until it is parsed, and a client may send slowly. The response of an
//! API is in memory until its last byte is sent, and a client may read slowly.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{Code, Problem};

/// Runs of one user at the same time.
const RUNS: usize = 32;
/// The detail of the refusal of a run.
pub(crate) const TOO_MANY_RUNS: &str = "The user has too many unfinished runs.";
/// KiB of one user's bodies of requests, and of responses of APIs, that are in memory at the same time.
const KIB_OF_USER: usize = 16 * 1024;
/// The same for all users together.
const KIB: usize = 64 * 1024;
/// How long a request may wait.
const WAIT: Duration = Duration::from_secs(5);
/// Users without a place in use are removed when the table has this many entries.
const MAX_ENTRIES: usize = 256;

/// The places of each user.
pub(crate) struct UserLimit {
    per_user: usize,
    total: Option<Arc<Semaphore>>,
    users: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl UserLimit {
    /// For runs. Each takes one place.
    pub(crate) fn of_runs() -> Self {
        Self { per_user: RUNS, total: None, users: Mutex::default() }
    }

    /// For the memory of users. A place is a KiB.
    pub(crate) fn of_memory() -> Self {
        Self { per_user: KIB_OF_USER, total: Some(Arc::new(Semaphore::new(KIB))), users: Mutex::default() }
    }

    /// Waits for one place. The refusal after a few seconds contains the given text.
    pub(crate) async fn admit(&self, user: &str, too_many: &'static str) -> Result<Place, Problem> {
        self.admit_many(user, 1, too_many).await
    }

    /// Waits until this many bytes of the user may be in memory.
    pub(crate) async fn admit_bytes(&self, user: &str, bytes: usize, too_many: &'static str) -> Result<Place, Problem> {
        self.admit_many(user, (bytes / 1024 + 1).min(self.per_user), too_many).await
    }

    /// The places of the user come first, so that few of one user's requests wait for those of all users.
    async fn admit_many(&self, user: &str, places: usize, too_many: &'static str) -> Result<Place, Problem> {
        let places = u32::try_from(places).unwrap_or(u32::MAX);
        let admitted = async {
            let of_user = self.places_of(user).acquire_many_owned(places).await.ok()?;
            let of_all = match &self.total {
                Some(total) => Some(total.clone().acquire_many_owned(places).await.ok()?),
                None => None,
            };
            Some(Place { _of_user: of_user, _of_all: of_all })
        };
        let place = tokio::time::timeout(WAIT, admitted).await.ok().flatten();
        place.ok_or_else(|| Problem::new(Code::RateLimited).because(too_many).after(WAIT))
    }

    fn places_of(&self, user: &str) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= MAX_ENTRIES && !users.contains_key(user) {
            users.retain(|_, places| Arc::strong_count(places) > 1);
        }
        users.entry(user.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.per_user))).clone()
    }
}

/// Places of a user, in use until this value is dropped.
pub(crate) struct Place {
    _of_user: OwnedSemaphorePermit,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// Keeps the places until the body of this response is sent.
    pub(crate) fn until_sent(self, response: Response) -> Response {
        response.map(|body| Body::new(BodyWithPlace { body, _place: self }))
    }
}

/// A response body that keeps a place until it is dropped.
struct BodyWithPlace {
    body: Body,
    _place: Place,
}

impl HttpBody for BodyWithPlace {
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

    #[tokio::test(start_paused = true)]
    async fn a_user_has_a_limited_number_of_places_until_responses_are_sent() {
        let limit = UserLimit::of_runs();
        let mut responses = Vec::new();
        for _ in 0..RUNS {
            let place = limit.admit("alice", "").await.unwrap();
            responses.push(place.until_sent(Response::new(Body::from("text"))));
        }
        assert!(limit.admit("alice", "").await.is_err());
        assert!(limit.admit("bob", "").await.is_ok());
        assert_eq!(responses[0].body().size_hint().exact(), Some(4));
        responses.pop();
        assert!(limit.admit("alice", "").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_limited_for_each_user_and_in_total() {
        let limit = UserLimit::of_memory();
        let mut held = Vec::new();
        for number in 0..KIB / KIB_OF_USER {
            let user = format!("user-{number}");
            held.push(limit.admit_bytes(&user, KIB_OF_USER * 1024 - 1, "").await.unwrap());
            assert!(limit.admit_bytes(&user, 1, "").await.is_err());
        }
        assert!(limit.admit_bytes("late", 1, "").await.is_err());
        held.pop();
        assert!(limit.admit_bytes("late", usize::MAX, "").await.is_ok(), "one of any size is admitted alone");
    }

    #[tokio::test(start_paused = true)]
    async fn users_without_a_place_in_use_are_removed() {
        let limit = UserLimit::of_runs();
        let place = limit.admit("held", "").await;
        for number in 0..4 * MAX_ENTRIES {
            drop(limit.admit(&format!("user-{number}"), "").await);
        }
        let users = limit.users.lock().unwrap();
        assert!(users.len() <= MAX_ENTRIES && users.contains_key("held"));
        drop(place);
    }
}
