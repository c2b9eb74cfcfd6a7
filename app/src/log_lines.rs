//! Writes several log lines with few system calls.

use std::cell::RefCell;
use std::io::Write as _;

/// How much is written at once. On Linux a pipe accepts a write of this size in one piece, so that lines of other processes are not
/// within these.
const LINES_AT_ONCE: usize = 4096;

thread_local! {
    /// Lines of the work that [`lines_together`] runs on this thread.
    static LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Writes the log lines of `work` with few system calls, before this returns. Calls may be nested.
pub(crate) fn lines_together(work: impl FnOnce()) {
    /// Also writes the lines if the work panics.
    struct Together;

    impl Drop for Together {
        fn drop(&mut self) {
            if let Some(lines) = LINES.take() {
                write_lines(&lines);
            }
        }
    }

    if LINES.with_borrow(Option::is_some) {
        return work();
    }
    let _together = Together;
    LINES.set(Some(Vec::with_capacity(LINES_AT_ONCE)));
    work();
}

/// An error is ignored, because it could be reported only in the log.
fn write_lines(lines: &[u8]) {
    drop(std::io::stderr().write_all(lines));
}

/// Standard error, with the lines of [`lines_together`] in larger pieces.
pub(crate) struct StandardError;

impl std::io::Write for StandardError {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        LINES.with_borrow_mut(|lines| match lines {
            Some(lines) => {
                if lines.len() + line.len() > LINES_AT_ONCE {
                    write_lines(lines);
                    lines.clear();
                }
                lines.extend_from_slice(line);
                Ok(line.len())
            }
            None => std::io::stderr().write_all(line).map(|()| line.len()),
        })
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_nested_work_are_written_in_larger_pieces() {
        let collected = || LINES.with_borrow(|lines| lines.as_ref().map(Vec::len));
        let write = |bytes: usize| StandardError.write_all(&vec![b'-'; bytes]).unwrap();
        lines_together(|| {
            write(100);
            lines_together(|| write(10));
            assert_eq!(collected(), Some(110));
            write(LINES_AT_ONCE);
            assert_eq!(collected(), Some(LINES_AT_ONCE), "the lines before are written");
            write(2 * LINES_AT_ONCE);
            assert_eq!(collected(), Some(2 * LINES_AT_ONCE), "a long line stays in one piece");
        });
        assert_eq!(collected(), None);
        let panicked = std::panic::catch_unwind(|| lines_together(|| panic!("stop")));
        assert!(panicked.is_err() && collected().is_none());
    }
}
