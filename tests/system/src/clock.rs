//! A wall clock that a test moves, for all nodes of a deployment at once.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grantry_domain::ports::Clock;
use grantry_domain::time::Timestamp;
use grantry_runtime::SystemClock;

/// The clocks of the operating system, each plus an offset. The offsets are read from a file, so that nodes in other
/// processes have the same time.
#[derive(Debug, Clone)]
pub struct MovableClock {
    file: PathBuf,
}

impl MovableClock {
    /// The clock of the deployment in this folder.
    pub fn of(folder: &Path) -> Self {
        Self { file: folder.join("clock-offset") }
    }

    /// Lets time pass: moves both clocks.
    pub fn advance(&self, by: Duration) -> io::Result<()> {
        self.shift(millis(by), millis(by))
    }

    /// Moves the wall clock forward, as a wrong time server does.
    pub fn set_forward(&self, by: Duration) -> io::Result<()> {
        self.shift(millis(by), 0)
    }

    /// Moves the wall clock back, as an operator who corrects a wrong clock.
    pub fn set_back(&self, by: Duration) -> io::Result<()> {
        self.shift(-millis(by), 0)
    }

    fn shift(&self, wall_by: i64, monotonic_by: i64) -> io::Result<()> {
        let (wall, monotonic) = self.offsets();
        let offsets = format!("{} {}", wall.saturating_add(wall_by), monotonic.saturating_add(monotonic_by));
        // A rename is atomic: a reader gets the old offsets or the new ones.
        let new = self.file.with_extension("new");
        std::fs::write(&new, offsets)?;
        std::fs::rename(new, &self.file)
    }

    /// Of the wall clock and of the monotonic clock. Zero without a file, until a clock is moved for the first time.
    fn offsets(&self) -> (i64, i64) {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let mut numbers = text.split(' ').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().as_millis().saturating_add(self.offsets().0))
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic() + Duration::from_millis(u64::try_from(self.offsets().1).unwrap_or(0))
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
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
        one.set_forward(Duration::from_hours(3)).unwrap();
        assert!(other.now().since(SystemClock.now()) > Duration::from_mins(119));
        let ahead = other.monotonic().saturating_sub(SystemClock.monotonic());
        assert!(ahead > Duration::from_mins(119) && ahead <= Duration::from_hours(2), "only time that passes moves it");
    }
}
