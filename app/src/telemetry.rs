//! Logs and metrics of this process.
//!
//! The log goes to standard error: readable lines on a terminal, one JSON object per line elsewhere. In all formats, characters
//! that act on lines, on the direction of text or on a terminal are escaped, so that untrusted text stays in its line. Audit events are logged at every configured level.

use std::fmt::{Debug, Write as _};
use std::io::IsTerminal;
use std::sync::OnceLock;

use grantry_http_axum::current_correlation_id;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing::field::Field;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, format};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt};

use crate::audit;
use crate::escape::{Escaped, EscapedJson};
use crate::log_lines::StandardError;

/// Buckets of every duration, in seconds.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// The field of the id that is in the responses of a request.
const CORRELATION_ID: &str = "correlation_id";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Readable lines.
    Lines,
    /// Readable lines with few fields, for the demo.
    Brief,
    /// One JSON object per line, for log collectors.
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
    let layer = layer(format, colours(), current_correlation_id, || StandardError);
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter(directives)));
    // An error means that another subscriber is installed already; it receives the log.
    drop(subscriber.try_init());
    std::panic::set_hook(Box::new(log_panic));
}

/// Writes events in a format. An event is one line, for all contents of its fields. `current` is the id of the present request.
fn layer<W>(
    format: LogFormat,
    colours: bool,
    current: fn() -> Option<String>,
    writer: W,
) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    match format {
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .map_event_format(move |lines| WithCorrelationId { lines, format, current })
            .with_writer(EscapedJson(writer))
            .boxed(),
        LogFormat::Lines => fmt::layer()
            .with_ansi(colours)
            .fmt_fields(format::debug_fn(line))
            .map_event_format(move |lines| WithCorrelationId { lines, format, current })
            .with_writer(writer)
            .boxed(),
        LogFormat::Brief => fmt::layer()
            .with_ansi(colours)
            .with_target(false)
            .with_timer(TimeOfDay)
            .fmt_fields(format::debug_fn(brief))
            .with_writer(writer)
            .boxed(),
    }
}

/// Adds the id of the present request to a line, unless it has one. Audit events are written in batches, of several requests.
///
/// A span would do the same, and would cost each request much more than this costs each line.
struct WithCorrelationId<F> {
    lines: F,
    format: LogFormat,
    current: fn() -> Option<String>,
}

impl<S, N, F> FormatEvent<S, N> for WithCorrelationId<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: format::Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let has_id = event.metadata().target() == audit::TARGET
            || event.metadata().fields().iter().any(|field| field.name() == CORRELATION_ID);
        let Some(id) = (!has_id).then(self.current).flatten() else {
            return self.lines.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.lines.format_event(context, format::Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        match (self.format, line.strip_suffix('}')) {
            (LogFormat::Json, Some(object)) => writeln!(writer, "{object},\"{CORRELATION_ID}\":\"{id}\"}}"),
            (LogFormat::Json | LogFormat::Lines | LogFormat::Brief, _) => writeln!(writer, "{line} {CORRELATION_ID}={id}"),
        }
    }
}

/// Logs the location of a panic, without its message, which may contain a secret.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let location = panic.location().map(|at| format!("{}:{}", at.file(), at.line()));
    tracing::error!(target: "grantry", location, "a task panicked");
}

fn colours() -> bool {
    std::io::stderr().is_terminal()
}

/// Fields that the brief format leaves out.
const NOT_BRIEF: [&str; 5] = ["kind", "actor", "authorization", "at", "sequence"];

fn line(writer: &mut format::Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    match field.name() {
        "message" => write!(Escaped(writer), "{value:?}"),
        name => write!(Escaped(writer), " {name}={value:?}"),
    }
}

fn brief(writer: &mut format::Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    match field.name() {
        "message" => write!(Escaped(writer), "{value:?}"),
        name if NOT_BRIEF.contains(&name) => Ok(()),
        name => write!(Escaped(writer), "  {name}={value:?}"),
    }
}

/// Hours, minutes and seconds in UTC.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, writer: &mut format::Writer<'_>) -> std::fmt::Result {
        write!(writer, "{}", jiff::Timestamp::now().strftime("%H:%M:%SZ"))
    }
}

/// The configured filter, with audit events always on.
fn filter<S: Subscriber>(directives: &str) -> impl tracing_subscriber::layer::Filter<S> + use<S> {
    let directives = if directives.contains(audit::TARGET) {
        directives.to_owned()
    } else {
        format!("{directives},{}=info", audit::TARGET)
    };
    EnvFilter::builder().parse_lossy(directives).and(filter_fn(is_discreet))
}

/// Below the level `info`, libraries log URLs and header fields. Only the events of Grantry are reviewed to contain no secret.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || metadata.target().starts_with("grantry") || metadata.target() == audit::TARGET
}

static PROMETHEUS: OnceLock<PrometheusHandle> = OnceLock::new();

/// The metrics of this process as Prometheus text. The first call installs the recorder of the process.
pub(crate) fn metrics() -> PrometheusHandle {
    PROMETHEUS
        .get_or_init(|| {
            // The only possible error is an empty list of buckets.
            let builder = PrometheusBuilder::new().set_buckets(SECONDS).unwrap_or_else(|_| PrometheusBuilder::new());
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            // If the host has installed a recorder, that one receives the metrics and this text stays empty.
            drop(metrics::set_global_recorder(recorder));
            handle
        })
        .clone()
}

/// Bounds the memory of histograms that are not scraped. Does nothing without the recorder of [`metrics`].
pub(crate) fn upkeep() {
    if let Some(prometheus) = PROMETHEUS.get() {
        prometheus.run_upkeep();
    }
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
        logged_as(LogFormat::Json, directives, work)
    }

    #[test]
    fn lines_of_a_request_have_its_correlation_id() {
        for format in [LogFormat::Json, LogFormat::Lines] {
            let lines = logged_in(
                || Some("0123456789abcdef".to_owned()),
                format,
                "info",
                || {
                    tracing::info!(target: "grantry", rows = 1, "one");
                    tracing::info!(target: "grantry", correlation_id = "fedcba9876543210", "another");
                    tracing::info!(target: "audit", "of several requests");
                },
            );
            let text = lines.join("\n");
            assert_eq!(lines.len(), 3, "{text}");
            if format == LogFormat::Json {
                let ids = lines
                    .iter()
                    .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["correlation_id"].take());
                assert_eq!(
                    ids.collect::<Vec<_>>(),
                    ["0123456789abcdef".into(), "fedcba9876543210".into(), serde_json::Value::Null]
                );
            } else {
                assert!(lines[0].ends_with(" correlation_id=0123456789abcdef"), "{text}");
                assert_eq!(text.matches("0123456789abcdef").count(), 1, "{text}");
            }
        }
    }

    fn logged_as(format: LogFormat, directives: &str, work: impl FnOnce()) -> Vec<String> {
        logged_in(|| None, format, directives, work)
    }

    fn logged_in(current: fn() -> Option<String>, format: LogFormat, directives: &str, work: impl FnOnce()) -> Vec<String> {
        let captured = Captured::default();
        let writer = captured.clone();
        let layer = layer(format, false, current, move || writer.clone()).with_filter(filter(directives));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn r79_details_of_libraries_are_never_logged() {
        let lines = logged("trace", || {
            tracing::trace!(target: "hyper::proto", "code=canary");
            tracing::debug!(target: "h2::codec", "cookie=canary");
            tracing::trace!(target: "grantry_http_axum", "kept");
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("kept"));
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
    fn r79_no_character_of_untrusted_text_acts_on_lines_or_on_a_terminal() {
        struct Shown(String);

        impl std::fmt::Display for Shown {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        let acting =
            (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|c| grantry_domain::display::acts_on_output(*c));
        let nasty = Shown(acting.collect());
        let ids: [fn() -> Option<String>; 2] = [|| None, || Some("0a".to_owned())];
        let formats = [LogFormat::Json, LogFormat::Lines, LogFormat::Brief];
        for (format, current) in formats.into_iter().flat_map(|format| ids.map(|current| (format, current))) {
            let lines = logged_in(current, format, "info", || {
                tracing::info!(target: "grantry", shown = %nasty, debug = ?nasty.0, text = nasty.0, "named {nasty}");
                let span = tracing::info_span!(target: "grantry", "span", shown = %nasty);
                span.in_scope(|| tracing::info!(target: "grantry", "within"));
            });
            assert_eq!(lines.len(), 2, "{format:?}: {lines:?}");
            for line in lines {
                assert!(!line.chars().any(grantry_domain::display::acts_on_output), "{format:?}: {line:?}");
                if format == LogFormat::Json {
                    serde_json::from_str::<serde_json::Value>(&line).unwrap();
                } else {
                    assert!(line.contains("\\u{202e}") && line.contains("\\u{2028}"), "{line}");
                }
            }
        }
    }

    #[test]
    fn a_line_has_its_message_and_its_fields() {
        let lines =
            logged_as(LogFormat::Lines, "info", || tracing::info!(target: "grantry", job = "sweep", rows = 3, "done"));
        assert!(lines[0].ends_with("INFO grantry: done job=\"sweep\" rows=3"), "{lines:?}");
    }

    #[test]
    fn r79_a_panic_is_logged_by_its_location_alone() {
        let before = std::panic::take_hook();
        let lines = logged("info", || {
            std::panic::set_hook(Box::new(log_panic));
            drop(std::panic::catch_unwind(|| panic!("canary")));
        });
        std::panic::set_hook(before);
        // The capture is per thread, so a panic of another test is not in it.
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
