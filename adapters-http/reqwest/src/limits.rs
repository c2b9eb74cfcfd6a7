//! How much time and memory a request may take (R71).

use std::time::Duration;

/// Limits of one transport. The body's limit comes with each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Name resolution, connection and TLS; and before that the wait for a free slot.
    pub connect: Duration,
    /// Everything, from the call to the last byte of the response.
    pub total: Duration,
    /// Bytes of a response's header fields, names and values.
    pub max_headers: usize,
    /// Requests to one host and port at the same time.
    pub per_host: usize,
    /// How long an idle connection is kept. Zero: every request has a connection of its own, so that none meets a
    /// connection that the other side is just closing and leaves in doubt what became of it.
    pub keep_alive: Duration,
}

impl Limits {
    /// For OAuth endpoints.
    pub const OAUTH: Self = Self {
        connect: Duration::from_secs(5),
        total: Duration::from_secs(15),
        max_headers: 32 * 1024,
        per_host: 16,
        keep_alive: Duration::ZERO,
    };

    /// For calls to APIs.
    pub const API: Self =
        Self { total: Duration::from_mins(1), per_host: 64, keep_alive: Duration::from_secs(20), ..Self::OAUTH };
}
