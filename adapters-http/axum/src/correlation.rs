//! The id that connects a response with its log lines, also those of work that the request has started.

use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::FromRequestParts;
use futures_util::future::Either;
use grantry_domain::ports::SecureRandom;
use http::request::Parts;

/// Users quote it to the operator, who searches the log for it.
#[derive(Debug, Clone)]
pub(crate) struct CorrelationId(pub(crate) String);

/// Source of correlation ids: random per process, then counted. The ids are unique but need not be unguessable.
#[derive(Debug)]
pub(crate) struct CorrelationIds {
    process: u32,
    next: AtomicU32,
}

impl CorrelationIds {
    pub(crate) fn new(random: &dyn SecureRandom) -> Self {
        let mut process = [0; 4];
        // Without randomness every log-in and every flow fails anyway; the ids of those failures may repeat.
        let _ = random.fill(&mut process);
        Self { process: u32::from_be_bytes(process), next: AtomicU32::new(1) }
    }

    pub(crate) fn next(&self) -> CorrelationId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        CorrelationId(format!("{:08x}{count:08x}", self.process))
    }
}

tokio::task_local! {
    static CURRENT: CorrelationId;
}

/// The correlation id of the request that the present task processes, if it processes one.
pub fn current_correlation_id() -> Option<String> {
    CURRENT.try_with(|id| id.0.clone()).ok()
}

/// Makes detached work part of the request that starts it: [`current_correlation_id`] returns the same id in `work`.
pub fn with_current_correlation_id<F: Future>(work: F) -> impl Future<Output = F::Output> {
    match CURRENT.try_with(CorrelationId::clone) {
        Ok(id) => Either::Left(CURRENT.scope(id, work)),
        Err(_) => Either::Right(work),
    }
}

impl CorrelationId {
    /// Runs the work of a request.
    pub(crate) fn scope<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self.clone(), work)
    }

    /// Reads an id in the form that this program writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_id = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        is_id.then(|| Self(text.to_owned()))
    }
}

impl<S: Sync> FromRequestParts<S> for CorrelationId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or(Self(String::new())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn detached_work_has_the_id_of_its_request() {
        assert_eq!(current_correlation_id(), None);
        let id = CorrelationId::parse("0123456789abcdef").unwrap();
        let detached = async { tokio::spawn(with_current_correlation_id(async { current_correlation_id() })).await };
        assert_eq!(id.scope(detached).await.unwrap().as_deref(), Some("0123456789abcdef"));
        assert_eq!(with_current_correlation_id(async { current_correlation_id() }).await, None);
    }

    #[test]
    fn only_ids_of_this_program_are_read() {
        for text in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "0123456789abcde<"] {
            assert!(CorrelationId::parse(text).is_none(), "{text}");
        }
    }
}
