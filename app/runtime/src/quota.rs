//! How often an operation is allowed.

use std::num::NonZeroU32;
use std::time::Duration;

/// `times` operations per span, as a burst if needed. Each is available again after its share of the span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The number of operations.
    pub times: NonZeroU32,
    /// The span.
    pub per: Duration,
}

impl Quota {
    /// This many in ten minutes.
    ///
    /// # Panics
    /// At compile time, if `times` is zero.
    pub const fn in_ten_minutes(times: u32) -> Self {
        let times = NonZeroU32::new(times).expect("a quota above zero");
        Self { times, per: Duration::from_mins(10) }
    }
}
