//! Audit events on their way to the host, and events that belong to no change.

use async_trait::async_trait;

use crate::authorization::AuthorizationId;
use crate::ports::{AuditEvent, RecordedEvent, StoreError};

/// Stores audit events until the host has accepted them.
///
/// ```
/// use grantry_domain::ports::{AuditOutbox, RecordedEvent, StoreError};
///
/// /// The oldest events, which are removed only after the host has stored them.
/// async fn next(outbox: &dyn AuditOutbox) -> Result<Vec<RecordedEvent>, StoreError> {
///     outbox.pending_events(100).await
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuditOutbox: Send + Sync {
    /// Writes audit events that belong to no change.
    async fn record(&self, audit: Vec<AuditEvent>) -> Result<(), StoreError>;

    /// Records the days on which grants were used, in days since the Unix epoch; an earlier day never replaces a later one.
    async fn record_use(&self, uses: Vec<(AuthorizationId, i64)>) -> Result<(), StoreError>;

    /// The oldest undelivered audit events. One that cannot be read is replaced by an event `audit_event_unreadable` in its
    /// place, so that it does not keep the others from being delivered.
    async fn pending_events(&self, limit: u32) -> Result<Vec<RecordedEvent>, StoreError>;

    /// Removes events up to and including a sequence number.
    async fn forget_events(&self, through: u64) -> Result<(), StoreError>;
}
