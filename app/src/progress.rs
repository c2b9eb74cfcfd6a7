//! How far long work is: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often plain progress lines come.
const EVERY: Duration = Duration::from_secs(2);

/// Tells how far long work is: a bar on a terminal, a line now and then elsewhere.
pub(crate) struct Steps {
    what: &'static str,
    total: u64,
    done: u64,
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Steps {
    /// Work of so many steps.
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(what);
            bar
        });
        Self { what, total, done: 0, bar, told: Instant::now() }
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
            None if self.told.elapsed() >= EVERY => {
                self.told = Instant::now();
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
