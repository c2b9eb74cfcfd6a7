//! The host's audit log.

use async_trait::async_trait;
use thiserror::Error;

use crate::ports::RecordedEvent;

/// Receives the audit outbox: at least once, in order of the sequence numbers.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Stores events durably. After an error they are delivered again.
    async fn deliver(&self, events: &[RecordedEvent]) -> Result<(), SinkError>;
}

/// The sink did not accept the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the event sink is unavailable")]
pub struct SinkError;
