//! What is recorded of a request: its matched path, and nothing that came with it (R79).

use std::cell::RefCell;
use std::fmt::Write;

use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span;

use super::world::World;

thread_local! {
    static LOGGED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Collects every field of every span and event, at every level, for the thread it happens on. It is the subscriber of the
/// whole test process: with a scoped one, a call site that another test's thread reaches first stays silent.
struct Collector;

struct Writer;

impl Visit for Writer {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        LOGGED.with_borrow_mut(|logged| writeln!(logged, "{field}={value:?}").unwrap());
    }
}

impl tracing::Subscriber for Collector {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        attributes.record(&mut Writer);
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Writer);
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Writer);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn r79_logs_hold_the_matched_path_and_no_secret() {
    tracing::subscriber::set_global_default(Collector).unwrap();
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

    let logged = LOGGED.take();
    let known = [flow.state, flow.id, "CANARY".to_owned(), "access-1".to_owned(), "refresh-1".to_owned()];
    for secret in cookies.iter().chain(&known) {
        assert!(!logged.contains(secret.as_str()), "{secret} in\n{logged}");
    }
    assert!(logged.contains("route=\"/api/actions/connector/_oauth_callback\""), "{logged}");
    assert!(logged.contains("route=\"/internal/actions/oauth_flow/{flowId}\"") && logged.contains("route=\"unmatched\""));
}
