//! A wall clock that a test moves, for all nodes of a deployment at once.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grantry_domain::ports::Clock;
use grantry_domain::time::Timestamp;
use grantry_runtime::SystemClock;

/// The clock of the operating system plus what stands in a file, so that nodes in other processes see the same time.
/// The monotonic side cannot be moved: nobody can do that to a machine either.
#[derive(Debug, Clone)]
pub struct MovableClock {
    file: PathBuf,
}

impl MovableClock {
    /// The clock of the deployment in this folder.
    pub fn of(folder: &Path) -> Self {
        Self { file: folder.join("clock-offset") }
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) -> io::Result<()> {
        self.shift(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
    }

    /// Moves it back, as an operator does who sets a wrong clock right.
    pub fn set_back(&self, by: Duration) -> io::Result<()> {
        self.shift(-i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
    }

    fn shift(&self, by: i64) -> io::Result<()> {
        let offset = self.offset().saturating_add(by);
        // In one step: a reader sees the old offset or the new one.
        let fresh = self.file.with_extension("new");
        std::fs::write(&fresh, offset.to_string())?;
        std::fs::rename(fresh, &self.file)
    }

    /// A clock that nobody has moved has no file.
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
    fn it_moves_on_and_back_for_everybody_who_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (MovableClock::of(folder.path()), MovableClock::of(folder.path()));
        one.advance(Duration::from_hours(2)).unwrap();
        assert!(other.now().since(SystemClock.now()) > Duration::from_mins(119));
        other.set_back(Duration::from_hours(3)).unwrap();
        assert!(SystemClock.now().since(one.now()) > Duration::from_mins(59));
    }
}
