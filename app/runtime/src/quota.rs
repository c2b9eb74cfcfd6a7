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

    /// This quota with that many times the operations.
    pub(crate) fn times(self, factor: NonZeroU32) -> Self {
        Self { times: self.times.saturating_mul(factor), ..self }
    }

    /// The part of the span after which one operation is available again.
    pub(crate) fn share(self) -> Duration {
        (self.per / self.times.get()).max(Duration::from_nanos(1))
    }
}
