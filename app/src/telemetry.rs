//! Logs and metrics of this process.
//!
//! The log goes to standard error: readable lines on a terminal, one JSON object a line elsewhere, so that nothing untrusted
//! can begin a line of its own (R79). Audit events are always in it, whatever the level.

use std::fmt::Debug;
use std::io::IsTerminal;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing::field::Field;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::format;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt};

use crate::audit;

/// Buckets of every duration, in seconds.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Lines,
    /// For people who watch a demo: what happened, to whom, and little else.
    Brief,
    /// For collectors.
    Json,
}

impl LogFormat {
    /// Lines on a terminal, JSON elsewhere.
    pub fn of_stderr() -> Self {
        if std::io::stderr().is_terminal() { Self::Lines } else { Self::Json }
    }
}

/// Starts the log of this process. Later calls change nothing.
pub fn start_log(directives: &str, format: LogFormat) {
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
        LogFormat::Lines => fmt::layer().with_ansi(colours()).with_writer(std::io::stderr).boxed(),
        LogFormat::Brief => fmt::layer()
            .with_ansi(colours())
            .with_target(false)
            .with_timer(TimeOfDay)
            .fmt_fields(format::debug_fn(brief))
            .with_writer(std::io::stderr)
            .boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter(directives)));
    // DemoUser else's log is as good.
    drop(subscriber.try_init());
    std::panic::set_hook(Box::new(log_panic));
}

/// A panic in one line, without its message: that may hold whatever was being worked on (R79).
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(|location| format!("{}:{}", location.file(), location.line()));
    tracing::error!(target: "grantry", place, "a part of the program panicked");
}

fn colours() -> bool {
    std::io::stderr().is_terminal()
}

/// Fields that tell collectors apart what people see at a glance.
const NOT_BRIEF: [&str; 5] = ["kind", "actor", "grant", "at", "sequence"];

fn brief(writer: &mut format::Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    match field.name() {
        "message" => write!(writer, "{value:?}"),
        name if NOT_BRIEF.contains(&name) => Ok(()),
        name => write!(writer, "  {name}={value:?}"),
    }
}

/// Hours, minutes and seconds in UTC.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, writer: &mut format::Writer<'_>) -> std::fmt::Result {
        write!(writer, "{}", jiff::Timestamp::now().strftime("%H:%M:%SZ"))
    }
}

/// What is logged: as configured, and audit events in any case.
fn filter<S: tracing::Subscriber>(directives: &str) -> impl tracing_subscriber::layer::Filter<S> + use<S> {
    let directives = if directives.contains(audit::TARGET) {
        directives.to_owned()
    } else {
        format!("{directives},{}=info", audit::TARGET)
    };
    EnvFilter::builder().parse_lossy(directives).and(filter_fn(is_discreet))
}

/// Libraries below us print URLs and header fields when asked for details. Only our own details are known to hold no
/// secret (R79).
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || metadata.target().starts_with("grantry") || metadata.target() == audit::TARGET
}

/// The metrics of this process, in Prometheus text. One recorder serves everything that runs in it.
pub(crate) fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            // Buckets are a constant that is not empty, which is all that can be refused.
            let builder = PrometheusBuilder::new().set_buckets(SECONDS).unwrap_or_else(|_| PrometheusBuilder::new());
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            // A host that embeds us may have a recorder of its own; then ours stays empty.
            drop(metrics::set_global_recorder(recorder));
            handle
        })
        .clone()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(directives: &str, work: impl FnOnce()) -> Vec<String> {
        let captured = Captured::default();
        let writer = captured.clone();
        let layer =
            fmt::layer().json().flatten_event(true).with_writer(move || writer.clone()).with_filter(filter(directives));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn r79_details_of_libraries_are_never_logged() {
        let lines = logged("trace", || {
            tracing::trace!(target: "hyper::proto", "code=canary");
            tracing::debug!(target: "h2::codec", "cookie=canary");
            tracing::trace!(target: "grantry_http_axum", "ours");
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("ours"));
    }

    #[test]
    fn r79_untrusted_text_stays_within_its_one_line() {
        let nasty = "x\r\n{\"level\":\"ERROR\"}\u{1b}[31m\u{202e}";
        let lines = logged("info", || tracing::info!(target: "grantry", name = nasty, "named"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        let parsed: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(parsed["name"], nasty);
        assert!(!lines[0].contains('\u{1b}'));
    }

    #[test]
    fn r79_a_panic_is_told_by_its_place_alone() {
        let before = std::panic::take_hook();
        let lines = logged("info", || {
            std::panic::set_hook(Box::new(log_panic));
            drop(std::panic::catch_unwind(|| panic!("canary")));
        });
        std::panic::set_hook(before);
        // Another test may panic on purpose meanwhile, but not on this thread.
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("telemetry.rs:") && !lines[0].contains("canary"), "{lines:?}");
    }

    #[test]
    fn r80_audit_events_are_logged_at_any_level() {
        let lines = logged("error", || {
            tracing::info!(target: "grantry", "not this");
            tracing::info!(target: "audit", "but this");
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("but this"));
        assert!(logged("error,audit=off", || tracing::info!(target: "audit", "silenced")).is_empty());
    }
}
