//! CPU time and memory of processes, from `/proc`.

use std::fs;
use std::io;
use std::time::Duration;

/// Length of a tick of `/proc/PID/stat`. Linux reports a hundred a second on every platform.
const TICK: Duration = Duration::from_millis(10);

/// The CPU time that a process has used, in user and kernel mode.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat"))?).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The resident memory of a process in KiB.
pub fn memory(pid: u32) -> io::Result<u64> {
    parse_memory(&fs::read_to_string(format!("/proc/{pid}/status"))?).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The fields `utime` and `stime`. The second field is the name in parentheses, which may contain anything.
fn parse_stat(text: &str) -> Option<Duration> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * (ticks()? + ticks()?))
}

fn parse_memory(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_and_kernel_time_whatever_the_name_is() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 5 0 100 200 300";
        assert_eq!(parse_stat(stat), Some(Duration::from_secs(3)));
        assert_eq!(parse_stat("7 (a) S 1 2 3"), None);
    }

    #[test]
    fn memory_is_the_resident_one() {
        assert_eq!(parse_memory("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t  1234 kB\n"), Some(1234));
        assert_eq!(parse_memory("Name:\tx\n"), None);
    }
}
