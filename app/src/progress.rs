//! Progress of long work: a bar on a terminal, a line every few seconds elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The period of progress lines.
const EVERY: Duration = Duration::from_secs(2);

/// Reports the progress of long work: a bar on a terminal, a line every few seconds elsewhere.
pub(crate) struct Steps {
    what: &'static str,
    total: u64,
    done: u64,
    bar: Option<ProgressBar>,
    printed: Instant,
}

impl Steps {
    /// Work of `total` steps.
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(what);
            bar
        });
        Self { what, total, done: 0, bar, printed: Instant::now() }
    }

    /// A step begins.
    pub(crate) fn begin(&self, name: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(name.to_owned());
        }
    }

    /// A step is done.
    pub(crate) fn end(&mut self) {
        self.done += 1;
        match &self.bar {
            Some(bar) => bar.inc(1),
            None if self.printed.elapsed() >= EVERY => {
                self.printed = Instant::now();
                drop(writeln!(io::stderr().lock(), "{}: {} of {}", self.what, self.done, self.total));
            }
            None => {}
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
