//! CPU time and memory of processes, from `/proc`.

use std::fs;
use std::io;
use std::time::Duration;

/// Length of a tick of `/proc/PID/stat`. Linux reports a hundred a second on every platform.
const TICK: Duration = Duration::from_millis(10);

/// The CPU time that a process has used, in user and kernel mode.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    Ok(times(pid)?.own)
}

/// The CPU time that a process and its children have used, with the children that have ended.
pub fn cpu_time_with_children(pid: u32) -> io::Result<Duration> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let children = children.split_ascii_whitespace().filter_map(|child| child.parse().ok());
    // The time of a child that has ended meanwhile is part of that of its parent.
    let running: Duration = children.filter_map(|child| times(child).ok()).map(|times| times.own + times.ended).sum();
    let parent = times(pid)?;
    Ok(running + parent.own + parent.ended)
}

fn times(pid: u32) -> io::Result<Times> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat"))?).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The resident memory of a process in KiB.
pub fn memory(pid: u32) -> io::Result<u64> {
    parse_memory(&fs::read_to_string(format!("/proc/{pid}/status"))?).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// CPU time in user and kernel mode.
#[derive(Debug, PartialEq, Eq)]
struct Times {
    own: Duration,
    /// That of the children that have ended.
    ended: Duration,
}

/// The fields `utime` and `stime`, `cutime` and `cstime`. The second field is the name in parentheses, which may contain anything.
fn parse_stat(text: &str) -> Option<Times> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    let mut time = || Some(TICK * (ticks()? + ticks()?));
    Some(Times { own: time()?, ended: time()? })
}

fn parse_memory(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn cpu_time_is_user_and_kernel_time_whatever_the_name_is() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 60 40 20 0 5 0 100 200 300";
        assert_eq!(parse_stat(stat), Some(Times { own: Duration::from_secs(3), ended: Duration::from_secs(1) }));
        assert_eq!(parse_stat("7 (a) S 1 2 3"), None);
    }

    #[test]
    fn the_time_of_a_child_counts_while_it_runs_and_after_its_end() {
        let work = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo; read line";
        let mut shell = Command::new("sh");
        // The outer shell has a child, which works and waits until its standard input is closed.
        shell.args(["-c", "sh -c \"$0\"; cat", work]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut output = BufReader::new(shell.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        let running = cpu_time_with_children(shell.id()).unwrap();
        assert!(running > cpu_time(shell.id()).unwrap(), "{running:?}");
        // The child reads this line and ends; then `cat` repeats the next one.
        shell.stdin.as_mut().unwrap().write_all(b"end\nended\n").unwrap();
        output.read_line(&mut String::new()).unwrap();
        let ended = cpu_time_with_children(shell.id()).unwrap();
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!(ended >= running, "{ended:?} {running:?}");
    }

    #[test]
    fn memory_is_the_resident_one() {
        assert_eq!(parse_memory("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t  1234 kB\n"), Some(1234));
        assert_eq!(parse_memory("Name:\tx\n"), None);
    }
}
