//! Logs contain the matched path of a request and none of its values.

use std::cell::RefCell;
use std::fmt::Write;

use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span;

use super::test_app::TestApp;

thread_local! {
    static LOGGED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Collects every field of every span and event of a thread, at every level. It is the global subscriber of the test process:
/// with a scoped one, a call site that another thread reaches first is disabled.
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
async fn r79_logs_contain_the_matched_path_and_no_secret() {
    tracing::subscriber::set_global_default(Collector).unwrap();
    let app = TestApp::with_drive().await;
    let mut alice = app.signed_in("alice").await;
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
    assert!(logged.contains("route=\"/api/actions/connector/_oauth_profile_callback\""), "{logged}");
    assert!(logged.contains("route=\"/internal/actions/oauth_flow/{flowId}\"") && logged.contains("route=\"unmatched\""));
}
