//! A sink that keeps what it is given.

use std::sync::Mutex;

use async_trait::async_trait;
use grantry_domain::ports::{AuditEvent, EventSink, RecordedEvent, SinkError};

use super::locked;

/// Collects audit events, or refuses them.
#[derive(Debug, Default)]
pub struct CollectingSink {
    events: Mutex<Vec<RecordedEvent>>,
    down: Mutex<bool>,
}

impl CollectingSink {
    /// Everything delivered so far, in order; twice what was delivered twice.
    pub fn events(&self) -> Vec<AuditEvent> {
        locked(&self.events).iter().map(|recorded| recorded.event.clone()).collect()
    }

    /// Their positions in the outbox.
    pub fn sequences(&self) -> Vec<u64> {
        locked(&self.events).iter().map(|recorded| recorded.sequence).collect()
    }

    /// Whether it refuses deliveries from now on.
    pub fn go_down(&self, down: bool) {
        *locked(&self.down) = down;
    }
}

#[async_trait]
impl EventSink for CollectingSink {
    async fn deliver(&self, events: &[RecordedEvent]) -> Result<(), SinkError> {
        if *locked(&self.down) {
            return Err(SinkError);
        }
        locked(&self.events).extend_from_slice(events);
        Ok(())
    }
}
