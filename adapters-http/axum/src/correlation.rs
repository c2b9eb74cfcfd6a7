//! The id that connects a response with its log lines.

use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::FromRequestParts;
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

impl<S: Sync> FromRequestParts<S> for CorrelationId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or(Self(String::new())))
    }
}
