//! A sink that collects audit events.

use std::sync::Mutex;

use async_trait::async_trait;
use grantry_domain::ports::{AuditEvent, EventSink, RecordedEvent, SinkError};

use super::locked;

/// Collects audit events, or fails.
#[derive(Debug, Default)]
pub struct CollectingSink {
    events: Mutex<Vec<RecordedEvent>>,
    unavailable: Mutex<bool>,
    directly: Mutex<Option<Vec<AuditEvent>>>,
}

impl CollectingSink {
    /// All deliveries so far, in order, repeated ones included.
    pub fn events(&self) -> Vec<AuditEvent> {
        locked(&self.events).iter().map(|recorded| recorded.event.clone()).collect()
    }

    /// The sequence numbers of all deliveries so far.
    pub fn sequences(&self) -> Vec<u64> {
        locked(&self.events).iter().map(|recorded| recorded.sequence).collect()
    }

    /// Takes events directly from now on. Otherwise all of them come from the outbox.
    pub fn take_directly(&self) {
        locked(&self.directly).get_or_insert_default();
    }

    /// The events that were delivered directly.
    pub fn direct_events(&self) -> Vec<AuditEvent> {
        locked(&self.directly).clone().unwrap_or_default()
    }

    /// Whether further deliveries fail.
    pub fn set_unavailable(&self, unavailable: bool) {
        *locked(&self.unavailable) = unavailable;
    }
}

#[async_trait]
impl EventSink for CollectingSink {
    async fn deliver(&self, events: &[RecordedEvent]) -> Result<(), SinkError> {
        if *locked(&self.unavailable) {
            return Err(SinkError);
        }
        locked(&self.events).extend_from_slice(events);
        Ok(())
    }

    async fn deliver_directly(&self, events: &[AuditEvent]) -> Result<(), SinkError> {
        if *locked(&self.unavailable) {
            return Err(SinkError);
        }
        locked(&self.directly).as_mut().ok_or(SinkError)?.extend_from_slice(events);
        Ok(())
    }
}
