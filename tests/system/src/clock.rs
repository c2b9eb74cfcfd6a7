//! A clock that a test moves, for all nodes of a deployment at once.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grantry_domain::ports::Clock;
use grantry_domain::time::Timestamp;
use grantry_runtime::SystemClock;

/// The clocks of the operating system plus offsets. These are read from a file, so that nodes in other processes have the same
/// time. [`advance`](Self::advance) lets time pass, by the wall clock and the monotonic clock; the other methods set the wall
/// clock alone.
#[derive(Debug, Clone)]
pub struct MovableClock {
    file: PathBuf,
}

/// Offsets in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Offsets {
    wall: i64,
    monotonic: u64,
}

impl MovableClock {
    /// The clock of the deployment in this folder with this name.
    pub fn of(folder: &Path, name: &str) -> Self {
        Self { file: folder.join(name) }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) -> io::Result<()> {
        let Offsets { wall, monotonic } = self.offsets();
        let passed = millis(by);
        self.store(Offsets { wall: wall.saturating_add(passed), monotonic: monotonic.saturating_add(passed.unsigned_abs()) })
    }

    /// Sets the wall clock forward.
    pub fn set_forward(&self, by: Duration) -> io::Result<()> {
        let Offsets { wall, monotonic } = self.offsets();
        self.store(Offsets { wall: wall.saturating_add(millis(by)), monotonic })
    }

    /// Sets the wall clock back, as an operator who corrects a wrong clock.
    pub fn set_back(&self, by: Duration) -> io::Result<()> {
        let Offsets { wall, monotonic } = self.offsets();
        self.store(Offsets { wall: wall.saturating_sub(millis(by)), monotonic })
    }

    fn store(&self, offsets: Offsets) -> io::Result<()> {
        // A rename is atomic: a reader gets the old offsets or the new ones.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{} {}", offsets.wall, offsets.monotonic))?;
        std::fs::rename(new, &self.file)
    }

    /// Zero without a file, until the clock is moved for the first time.
    fn offsets(&self) -> Offsets {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let (wall, monotonic) = text.split_once(' ').unwrap_or_default();
        Offsets { wall: wall.parse().unwrap_or(0), monotonic: monotonic.parse().unwrap_or(0) }
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().as_millis().saturating_add(self.offsets().wall))
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic() + Duration::from_millis(self.offsets().monotonic)
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
        let (one, other) = (MovableClock::of(folder.path(), "clock"), MovableClock::of(folder.path(), "clock"));
        one.advance(Duration::from_hours(2)).unwrap();
        assert!(other.now().since(SystemClock.now()) > Duration::from_mins(119));
        assert!(other.monotonic().saturating_sub(SystemClock.monotonic()) > Duration::from_mins(119));
        other.set_back(Duration::from_hours(3)).unwrap();
        assert!(SystemClock.now().since(one.now()) > Duration::from_mins(59));
        one.set_forward(Duration::from_hours(2)).unwrap();
        assert!(other.now().since(SystemClock.now()) > Duration::from_mins(59));
        let passed = other.monotonic().saturating_sub(SystemClock.monotonic());
        assert!(passed < Duration::from_mins(121), "a clock that is set is no time that passes");
    }
}
