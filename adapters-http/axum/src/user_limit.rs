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
use grantry_domain::identity::UserId;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{Code, Problem};

/// Places of one user. Requests beyond them wait.
const PER_USER: usize = 32;
/// How long a request may wait.
const WAIT: Duration = Duration::from_secs(5);
/// Users without a place in use are removed when the table has this many entries.
const MAX_ENTRIES: usize = 256;

/// The places of each user.
#[derive(Default)]
pub(crate) struct UserLimit {
    users: Mutex<HashMap<UserId, Arc<Semaphore>>>,
}

impl UserLimit {
    /// Waits until a place of the user is free. The refusal after a few seconds says what there is too much of.
    pub(crate) async fn admit(&self, user: &UserId, too_many: &'static str) -> Result<Place, Problem> {
        let places = self.places_of(user);
        let permit = tokio::time::timeout(WAIT, places.acquire_owned()).await.ok().and_then(Result::ok);
        permit
            .map(|permit| Place { _permit: permit })
            .ok_or_else(|| Problem::new(Code::RateLimited).because(too_many).after(WAIT))
    }

    fn places_of(&self, user: &UserId) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= MAX_ENTRIES && !users.contains_key(user) {
            users.retain(|_, places| Arc::strong_count(places) > 1);
        }
        users.entry(user.clone()).or_insert_with(|| Arc::new(Semaphore::new(PER_USER))).clone()
    }
}

/// A place of a user, in use until this value is dropped.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Keeps the place until the body of this response is sent.
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

    fn user(id: &str) -> UserId {
        UserId::new(id).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_has_a_limited_number_of_places_until_responses_are_sent() {
        let limit = UserLimit::default();
        let mut responses = Vec::new();
        for _ in 0..PER_USER {
            let place = limit.admit(&user("alice"), "").await.unwrap();
            responses.push(place.until_sent(Response::new(Body::from("text"))));
        }
        assert!(limit.admit(&user("alice"), "").await.is_err());
        assert!(limit.admit(&user("bob"), "").await.is_ok());
        assert_eq!(responses[0].body().size_hint().exact(), Some(4));
        responses.pop();
        assert!(limit.admit(&user("alice"), "").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn users_without_a_place_in_use_are_removed() {
        let limit = UserLimit::default();
        let place = limit.admit(&user("held"), "").await;
        for number in 0..4 * MAX_ENTRIES {
            drop(limit.admit(&user(&format!("user-{number}")), "").await);
        }
        let users = limit.users.lock().unwrap();
        assert!(users.len() <= MAX_ENTRIES && users.contains_key(&user("held")));
        drop(place);
    }
}
