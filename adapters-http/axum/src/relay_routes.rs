//! The routes of the relay, and the mark of its responses: the checks and the metrics of requests distinguish them.

/// The routes below a space: every path below the base URL of the API, and the base URL, with and without a slash. Every method is
/// passed on.
pub(crate) const ROUTES: [&str; 3] = [
    "/api/actions/connector/{id}/_relay/{*path}",
    "/api/actions/connector/{id}/_relay/",
    "/api/actions/connector/{id}/_relay",
];
/// Whether a matched route is one of these, in any space.
pub(crate) fn is_relay(route: &str) -> bool {
    ROUTES.iter().any(|relay| route.ends_with(relay))
}

/// Marks a response of an API, whose status is not the outcome of the request to this server.
#[derive(Clone, Copy)]
pub(crate) struct Relayed;
