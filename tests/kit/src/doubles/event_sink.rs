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

#[cfg(all(test, feature = "contract"))]
mod contract {
    use std::future::{Ready, ready};
    use std::sync::Arc;

    use super::*;
    use crate::contract::event_sink::SinkBackend;

    fn backend(sink: CollectingSink) -> SinkBackend {
        let sink = Arc::new(sink);
        let (read, failing) = (sink.clone(), sink.clone());
        let stored =
            move || read.events().into_iter().chain(read.direct_events()).map(|event| event.kind).collect::<Vec<_>>();
        SinkBackend {
            sink,
            stored: Box::new(stored),
            set_unavailable: Some(Box::new(move |unavailable| failing.set_unavailable(unavailable))),
        }
    }

    mod from_the_outbox {
        use super::*;

        fn sink() -> Ready<SinkBackend> {
            ready(backend(CollectingSink::default()))
        }

        crate::event_sink_contract!(sink);
    }

    mod direct {
        use super::*;

        fn sink() -> Ready<SinkBackend> {
            let sink = CollectingSink::default();
            sink.take_directly();
            ready(backend(sink))
        }

        crate::event_sink_contract!(sink);
    }
}
