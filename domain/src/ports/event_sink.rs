//! The host's audit log.

use async_trait::async_trait;
use thiserror::Error;

use crate::ports::{AuditEvent, RecordedEvent};

/// Receives audit events: those of the outbox at least once and in order of the sequence numbers.
///
/// ```
/// use std::sync::Mutex;
///
/// use async_trait::async_trait;
/// use grantry_domain::ports::{EventSink, RecordedEvent, SinkError};
///
/// /// A sink that stores events in memory.
/// #[derive(Default)]
/// struct Collected(Mutex<Vec<RecordedEvent>>);
///
/// #[async_trait]
/// impl EventSink for Collected {
///     async fn deliver(&self, events: &[RecordedEvent]) -> Result<(), SinkError> {
///         self.0.lock().map_err(|_| SinkError)?.extend_from_slice(events);
///         Ok(())
///     }
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Stores events durably. After an error they are delivered again.
    async fn deliver(&self, events: &[RecordedEvent]) -> Result<(), SinkError>;

    /// Stores events that belong to no change and are not in the outbox, such as those of tokens that were issued or refused: all
    /// of them, or none. After an error they are written to the outbox instead. They are repeated only if the call is cancelled.
    ///
    /// Default: an error, so that every event has a sequence number.
    #[expect(unused_variables, reason = "the default takes no event")]
    async fn deliver_directly(&self, events: &[AuditEvent]) -> Result<(), SinkError> {
        Err(SinkError)
    }
}

/// The sink did not accept the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the event sink is unavailable")]
pub struct SinkError;
