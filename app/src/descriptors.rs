//! How many connections the descriptor limit of the process leaves room for.

/// The maximum on systems without a limit.
const MAX: usize = 16_384;
/// Descriptors for the store, for listening sockets and for requests to providers, besides a quarter of the limit.
const RESERVED: u64 = 64;

/// The maximum number of open connections.
pub(crate) fn max_connections() -> usize {
    limit().map_or(MAX, connections_within)
}

/// Three quarters of the descriptors that are not reserved.
fn connections_within(limit: u64) -> usize {
    let share = limit.saturating_sub(RESERVED) / 4 * 3;
    usize::try_from(share).unwrap_or(MAX).clamp(1, MAX)
}

/// The soft limit on open files.
#[cfg(unix)]
pub(crate) fn limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(not(unix))]
pub(crate) fn limit() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_other_uses() {
        for (limit, connections) in [(0, 1), (64, 1), (256, 144), (1024, 720), (1_048_576, MAX)] {
            assert_eq!(connections_within(limit), connections, "{limit}");
        }
        assert!((1..=MAX).contains(&max_connections()));
    }
}
