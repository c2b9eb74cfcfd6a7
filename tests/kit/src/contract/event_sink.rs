//! The contract of [`EventSink`]. [`event_sink_contract!`](crate::event_sink_contract) expands to its rules.

use std::sync::Arc;

use grantry_domain::ports::{AuditEvent, AuditKind, EventSink, RecordedEvent, SinkError};
use grantry_domain::time::Timestamp;

use crate::doubles::fixtures;

/// A sink under test and how a test looks into it.
pub struct SinkBackend {
    /// The sink, without events.
    pub sink: Arc<dyn EventSink>,
    /// The kinds of all events it has stored so far, in order, repeated ones included.
    pub stored: Box<dyn Fn() -> Vec<AuditKind> + Send + Sync>,
    /// Makes the sink unavailable, or available again; absent for a sink that cannot fail.
    pub set_unavailable: Option<Box<dyn Fn(bool) + Send + Sync>>,
}

/// Expands to one test for each rule. The factory is an `async fn() -> SinkBackend`.
#[macro_export]
macro_rules! event_sink_contract {
    ($factory:path) => {
        $crate::event_sink_contract! { @rules [$crate::port_rules] event_sink $factory; }
    };
    // Expands the macro in brackets to the given tokens and the names of all rules.
    (@rules [$($expanded:tt)*] $($tokens:tt)*) => {
        $($expanded)*! {
            $($tokens)*
            delivered_events_are_stored_in_order,
            a_repeated_delivery_is_accepted,
            a_delivery_without_events_is_accepted,
            direct_events_are_stored_all_or_none,
            an_unavailable_sink_stores_nothing_and_recovers,
        }
    };
}

const KINDS: [AuditKind; 3] = [AuditKind::FlowStarted, AuditKind::Connected, AuditKind::GrantTerminated];

fn events() -> Vec<AuditEvent> {
    let at = Timestamp::from_millis(1_767_268_800_000);
    let record = fixtures::authorized(fixtures::authorization_id(1), fixtures::authorization_key("u_alice"), at);
    KINDS.into_iter().map(|kind| fixtures::event(kind, &record, at)).collect()
}

fn recorded(first: u64) -> Vec<RecordedEvent> {
    (first..).zip(events()).map(|(sequence, event)| RecordedEvent { sequence, event }).collect()
}

/// Each delivery is stored before it returns, in the order of its events, after earlier deliveries.
pub async fn delivered_events_are_stored_in_order(backend: SinkBackend) {
    assert!((backend.stored)().is_empty());
    for (first, times) in [(1, 1), (4, 2)] {
        assert_eq!(backend.sink.deliver(&recorded(first)).await, Ok(()));
        assert_eq!((backend.stored)(), KINDS.repeat(times));
    }
}

/// Events are delivered at least once: a sink accepts the same ones again, whether or not it stores them twice.
pub async fn a_repeated_delivery_is_accepted(backend: SinkBackend) {
    for _ in 0..2 {
        assert_eq!(backend.sink.deliver(&recorded(1)).await, Ok(()));
    }
    let stored = (backend.stored)();
    assert!(stored == KINDS || stored == KINDS.repeat(2), "{stored:?}");
}

/// Nothing to deliver is no error.
pub async fn a_delivery_without_events_is_accepted(backend: SinkBackend) {
    assert_eq!(backend.sink.deliver(&[]).await, Ok(()));
    assert!((backend.stored)().is_empty());
}

/// Direct events are all stored, or none of them with an error, after which they come by the outbox.
pub async fn direct_events_are_stored_all_or_none(backend: SinkBackend) {
    if backend.sink.deliver_directly(&events()).await.is_err() {
        assert!((backend.stored)().is_empty());
        assert_eq!(backend.sink.deliver(&recorded(1)).await, Ok(()));
    }
    assert_eq!((backend.stored)(), KINDS);
}

/// While it is unavailable, both ways of delivery fail and store nothing. Afterwards the repeated delivery is stored.
pub async fn an_unavailable_sink_stores_nothing_and_recovers(backend: SinkBackend) {
    let Some(set_unavailable) = &backend.set_unavailable else { return };
    set_unavailable(true);
    assert_eq!(backend.sink.deliver(&recorded(1)).await, Err(SinkError));
    assert_eq!(backend.sink.deliver_directly(&events()).await, Err(SinkError));
    assert!((backend.stored)().is_empty());
    set_unavailable(false);
    assert_eq!(backend.sink.deliver(&recorded(1)).await, Ok(()));
    assert_eq!((backend.stored)(), KINDS);
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::contract::rejects;
    use crate::doubles::{CollectingSink, locked};

    /// What is wrong with a sink.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Flaw {
        None,
        ReversesLaterDeliveries,
        DropsLaterDeliveries,
        RefusesRepeatedDeliveries,
        StoresRepeatedDeliveriesThreeTimes,
        RefusesEmptyDeliveries,
        DropsDirectEvents,
        FailsAfterTheFirstDirectEvent,
        AcceptsWhileUnavailable,
        AcceptsDirectEventsWhileUnavailable,
    }

    /// Each flaw with the one rule that it breaks.
    const BROKEN: [(Flaw, &str); 9] = [
        (Flaw::ReversesLaterDeliveries, "delivered_events_are_stored_in_order"),
        (Flaw::DropsLaterDeliveries, "delivered_events_are_stored_in_order"),
        (Flaw::RefusesRepeatedDeliveries, "a_repeated_delivery_is_accepted"),
        (Flaw::StoresRepeatedDeliveriesThreeTimes, "a_repeated_delivery_is_accepted"),
        (Flaw::RefusesEmptyDeliveries, "a_delivery_without_events_is_accepted"),
        (Flaw::DropsDirectEvents, "direct_events_are_stored_all_or_none"),
        (Flaw::FailsAfterTheFirstDirectEvent, "direct_events_are_stored_all_or_none"),
        (Flaw::AcceptsWhileUnavailable, "an_unavailable_sink_stores_nothing_and_recovers"),
        (Flaw::AcceptsDirectEventsWhileUnavailable, "an_unavailable_sink_stores_nothing_and_recovers"),
    ];

    /// Forwards to the double, except where its flaw is.
    struct Flawed {
        flaw: Flaw,
        inner: Arc<CollectingSink>,
        /// The first sequence number of the last delivery that was stored.
        last: Mutex<Option<u64>>,
    }

    #[async_trait]
    impl EventSink for Flawed {
        async fn deliver(&self, events: &[RecordedEvent]) -> Result<(), SinkError> {
            let first = events.first().map(|event| event.sequence);
            let is_later = first.is_some_and(|first| first > 1);
            let is_repeated = first.is_some() && *locked(&self.last) == first;
            let mut events = events.to_vec();
            let is = |flaw| self.flaw == flaw;
            if is(Flaw::DropsLaterDeliveries) && is_later {
                return Ok(());
            }
            if is(Flaw::RefusesRepeatedDeliveries) && is_repeated || is(Flaw::RefusesEmptyDeliveries) && events.is_empty() {
                return Err(SinkError);
            }
            if is(Flaw::ReversesLaterDeliveries) && is_later {
                events.reverse();
            }
            if is(Flaw::StoresRepeatedDeliveriesThreeTimes) && is_repeated {
                events.extend(events.clone());
            }
            let delivered = self.inner.deliver(&events).await;
            if delivered.is_ok() {
                *locked(&self.last) = first;
            }
            if self.flaw == Flaw::AcceptsWhileUnavailable { Ok(()) } else { delivered }
        }

        async fn deliver_directly(&self, events: &[AuditEvent]) -> Result<(), SinkError> {
            if self.flaw == Flaw::DropsDirectEvents {
                return self.inner.deliver_directly(&[]).await;
            }
            if self.flaw == Flaw::FailsAfterTheFirstDirectEvent {
                self.inner.deliver_directly(&events[..1]).await?;
                return Err(SinkError);
            }
            let delivered = self.inner.deliver_directly(events).await;
            // What is not stored is lost.
            if self.flaw == Flaw::AcceptsDirectEventsWhileUnavailable { Ok(()) } else { delivered }
        }
    }

    fn flawed(flaw: Flaw) -> SinkBackend {
        let inner = Arc::new(CollectingSink::default());
        inner.take_directly();
        let (read, failing) = (inner.clone(), inner.clone());
        let stored = move || read.events().into_iter().chain(read.direct_events()).map(|event| event.kind).collect();
        SinkBackend {
            sink: Arc::new(Flawed { flaw, inner, last: Mutex::default() }),
            stored: Box::new(stored),
            set_unavailable: Some(Box::new(move |unavailable| failing.set_unavailable(unavailable))),
        }
    }

    macro_rules! rejecting {
        ($flaw:expr; $($rule:ident,)*) => {{
            let mut rejecting = Vec::new();
            $(
                if rejects($rule(flawed($flaw))).await {
                    rejecting.push(stringify!($rule));
                }
            )*
            rejecting
        }};
    }

    macro_rules! names {
        ($($rule:ident,)*) => {
            [$(stringify!($rule),)*]
        };
    }

    #[tokio::test]
    async fn each_flaw_breaks_exactly_its_rule_and_each_rule_has_a_flaw() {
        let of_none = crate::event_sink_contract! { @rules [rejecting] Flaw::None; };
        assert_eq!(of_none, Vec::<&str>::new());
        for (flaw, rule) in BROKEN {
            let rejecting = crate::event_sink_contract! { @rules [rejecting] flaw; };
            assert_eq!(rejecting, [rule], "{flaw:?}");
        }
        for rule in crate::event_sink_contract! { @rules [names] } {
            assert!(BROKEN.iter().any(|(_, broken)| *broken == rule), "no flaw breaks {rule}");
        }
    }
}
