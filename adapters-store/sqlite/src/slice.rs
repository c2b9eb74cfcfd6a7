//! How many rows a sweep changes at a time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long the rows of one call may take. Other writes wait for them.
const SLICE_TIME: Duration = Duration::from_millis(5);
/// The fewest rows of one call.
const FEWEST_ROWS: u32 = 16;

/// How many rows a call changes, so that it takes about [`SLICE_TIME`]: few while their pages have to be read from the disk.
pub(crate) struct Slice(AtomicU32);

impl Default for Slice {
    fn default() -> Self {
        Self(AtomicU32::new(4 * FEWEST_ROWS))
    }
}

impl Slice {
    /// The rows of the next call.
    pub(crate) fn rows(&self, most: u32) -> u32 {
        self.0.load(Ordering::Relaxed).min(most)
    }

    /// Notes how long a call took that had so many rows to change, or fewer if it was not `full`. Such a call cannot show that more
    /// would fit.
    pub(crate) fn took(&self, rows: u32, took: Duration, full: bool) {
        if !full && took <= SLICE_TIME {
            return;
        }
        let fitting = f64::from(rows) * SLICE_TIME.as_secs_f64() / took.as_secs_f64().max(1e-6);
        // At most twice as many at a time. A number that is too large becomes the largest one.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturates")]
        let fitting = fitting.min(f64::from(rows) * 2.0) as u32;
        self.0.store(fitting.max(FEWEST_ROWS), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_takes_about_its_time_and_grows_slowly() {
        let slice = Slice::default();
        let first = slice.rows(1000);
        assert_eq!(slice.rows(first - 1), first - 1, "the batch of the policy is a limit");
        slice.took(first, Duration::ZERO, false);
        assert_eq!(slice.rows(1000), first, "nothing is known of more rows");
        slice.took(first, Duration::ZERO, true);
        assert_eq!(slice.rows(1000), 2 * first);
        slice.took(500, 2 * SLICE_TIME, false);
        assert_eq!(slice.rows(1000), 250);
        slice.took(500, 1000 * SLICE_TIME, true);
        assert_eq!(slice.rows(1000), FEWEST_ROWS);
    }
}
