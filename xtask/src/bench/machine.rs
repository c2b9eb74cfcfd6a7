//! The machine: whether it is busy, and its cores.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// The share of the time of all cores that other programs may use.
const QUIET: f64 = 0.1;
/// The time over which that share is taken.
const SAMPLE: Duration = Duration::from_secs(2);

/// Waits until other programs use little of the machine. After the given number of seconds, it prints a warning and returns.
pub(super) fn wait_until_quiet(seconds: u64) {
    let until = Instant::now() + Duration::from_secs(seconds);
    loop {
        let Some(busy) = busy_share() else { return };
        if busy <= QUIET {
            return;
        }
        if Instant::now() >= until {
            let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
            eprintln!(
                "warning: other programs use {:.0} % of the machine (load {}); the figures are rough",
                busy * 100.0,
                load.trim()
            );
            return;
        }
    }
}

fn busy_share() -> Option<f64> {
    let read = || parse(&fs::read_to_string("/proc/stat").ok()?);
    let before = read()?;
    thread::sleep(SAMPLE);
    Some(share(before, read()?))
}

/// Ticks of all cores since the start of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    idle: u64,
    all: u64,
}

/// The line `cpu`: user, nice, system, idle, iowait, …; the time of guests is also part of user and nice.
fn parse(text: &str) -> Option<Ticks> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_ascii_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    Some(Ticks { idle: ticks.get(3)? + ticks.get(4)?, all: ticks.iter().sum() })
}

#[expect(clippy::cast_precision_loss, reason = "ticks of two seconds")]
fn share(before: Ticks, after: Ticks) -> f64 {
    let (idle, all) = (after.idle.saturating_sub(before.idle), after.all.saturating_sub(before.all));
    if all == 0 { 0.0 } else { all.saturating_sub(idle) as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_that_of_time_that_is_not_idle() {
        let before = parse("cpu  10 0 10 100 20 0 0 0 5 5\ncpu0 1 1 1 1\n").unwrap();
        assert_eq!(before, Ticks { idle: 120, all: 140 });
        let after = Ticks { idle: 120 + 30, all: 140 + 40 };
        assert!((share(before, after) - 0.25).abs() < 1e-9);
        assert!(share(before, before).abs() < 1e-9);
        assert_eq!(parse("intr 1 2 3"), None);
    }
}
