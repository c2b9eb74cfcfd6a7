//! Where audit events go.

use async_trait::async_trait;
use thiserror::Error;

use crate::ports::RecordedEvent;

/// Drains the audit outbox. Events are delivered at least once, in order of their sequence.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Takes events for good. On an error they are offered again.
    async fn deliver(&self, events: &[RecordedEvent]) -> Result<(), SinkError>;
}

/// The sink did not take the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the event sink is unavailable")]
pub struct SinkError;
