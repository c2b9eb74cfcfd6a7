//! What is recorded of a request: its matched path, and nothing that came with it (R79).

use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span;

use super::world::World;

/// Collects every field of every span and event, at every level.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<String>>);

impl Visit for Collector {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.lock().unwrap().push_str(&format!("{field}={value:?}\n"));
    }
}

impl tracing::Subscriber for Collector {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        attributes.record(&mut self.clone());
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[test]
fn r79_logs_hold_the_matched_path_and_no_secret() {
    let collector = Collector::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let secrets = tracing::subscriber::with_default(collector.clone(), || {
        runtime.block_on(async {
            let world = World::new();
            world.connector("default", "drive", ".example").await;
            let mut alice = world.signed_in("alice").await;
            let flow = alice.start("drive").await;
            let cookies: Vec<String> = alice.cookies.values().cloned().collect();
            alice.post("/api/session", &json!({"username": "alice", "password": "PASSWORD-CANARY"})).await;
            alice.finish(&flow).await;
            alice.callback("error=ERROR-CANARY&error_description=TEXT-CANARY&state=STATE-CANARY").await;
            alice.get(&format!("/internal/actions/oauth_flow/{}", flow.id)).await;
            alice.get("/PATH-CANARY?QUERY-CANARY").await;
            alice.also("authorization", "Bearer gak_KEY-CANARY").get("/api/session").await;
            [cookies, vec![flow.state, flow.id, "CANARY".to_owned(), "access-1".to_owned(), "refresh-1".to_owned()]].concat()
        })
    });
    let logged = collector.0.lock().unwrap();
    for secret in secrets {
        assert!(!logged.contains(&secret), "{secret} in\n{logged}");
    }
    assert!(logged.contains("route=\"/api/actions/connector/_oauth_callback\""), "{logged}");
    assert!(logged.contains("route=\"/internal/actions/oauth_flow/{flowId}\"") && logged.contains("route=\"unmatched\""));
}
