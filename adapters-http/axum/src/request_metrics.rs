//! Metrics of requests.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Histogram};

/// The metrics of one method of a route.
struct RouteMetrics {
    method: &'static str,
    seconds: Histogram,
    /// By status.
    requests: Vec<(u16, Counter)>,
}

/// Registered metrics by route. Looking a metric up here costs less than registering it again, as the macros do. Methods, routes
/// and statuses are bounded sets.
#[derive(Default)]
pub(crate) struct RequestMetrics(RwLock<HashMap<String, Vec<RouteMetrics>>>);

impl RequestMetrics {
    /// Counts a request and its duration.
    pub(crate) fn record(&self, method: &'static str, route: &str, status: u16, elapsed: Duration) {
        if !self.record_registered(method, route, status, elapsed) {
            self.register(method, route, status);
            self.record_registered(method, route, status, elapsed);
        }
    }

    fn record_registered(&self, method: &'static str, route: &str, status: u16, elapsed: Duration) -> bool {
        let routes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let methods = routes.get(route).map(Vec::as_slice).unwrap_or_default();
        let Some(registered) = methods.iter().find(|registered| registered.method == method) else { return false };
        let Some((_, requests)) = registered.requests.iter().find(|(of, _)| *of == status) else { return false };
        requests.increment(1);
        registered.seconds.record(elapsed.as_secs_f64());
        true
    }

    fn register(&self, method: &'static str, route: &str, status: u16) {
        let mut routes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let methods = routes.entry(route.to_owned()).or_default();
        let position = methods.iter().position(|registered| registered.method == method).unwrap_or_else(|| {
            let seconds =
                metrics::histogram!("grantry_http_request_seconds", "method" => method, "route" => route.to_owned());
            methods.push(RouteMetrics { method, seconds, requests: Vec::new() });
            methods.len() - 1
        });
        let requests = &mut methods[position].requests;
        if !requests.iter().any(|(of, _)| *of == status) {
            let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
            requests.push((status, metrics::counter!("grantry_http_requests_total", &labels)));
        }
    }
}
