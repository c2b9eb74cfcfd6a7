//! A wall clock that a test moves, for all nodes of a deployment at once.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grantry_domain::ports::Clock;
use grantry_domain::time::Timestamp;
use grantry_runtime::SystemClock;

/// The clock of the operating system plus an offset. The offset is read from a file, so that nodes in other processes have
/// the same time. The monotonic clock cannot be moved, as on a real machine.
#[derive(Debug, Clone)]
pub struct MovableClock {
    file: PathBuf,
}

impl MovableClock {
    /// The clock of the deployment in this folder.
    pub fn of(folder: &Path) -> Self {
        Self { file: folder.join("clock-offset") }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) -> io::Result<()> {
        self.shift(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
    }

    /// Moves the clock back, as an operator who corrects a wrong clock.
    pub fn set_back(&self, by: Duration) -> io::Result<()> {
        self.shift(-i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
    }

    fn shift(&self, by: i64) -> io::Result<()> {
        let offset = self.offset().saturating_add(by);
        // A rename is atomic: a reader gets the old offset or the new one.
        let new = self.file.with_extension("new");
        std::fs::write(&new, offset.to_string())?;
        std::fs::rename(new, &self.file)
    }

    /// Zero without a file, until the clock is moved for the first time.
    fn offset(&self) -> i64 {
        std::fs::read_to_string(&self.file).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().as_millis().saturating_add(self.offset()))
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_clocks_of_a_folder_move_forward_and_back_together() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (MovableClock::of(folder.path()), MovableClock::of(folder.path()));
        one.advance(Duration::from_hours(2)).unwrap();
        assert!(other.now().since(SystemClock.now()) > Duration::from_mins(119));
        other.set_back(Duration::from_hours(3)).unwrap();
        assert!(SystemClock.now().since(one.now()) > Duration::from_mins(59));
    }
}
