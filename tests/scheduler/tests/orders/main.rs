//! The searches. Each one is a property that holds in every order, and a copy without one part of the protocol shows that the
//! search finds its absence.

use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

mod deployment;
mod node;
mod refreshes;
mod single_flight;

/// The environment variable for longer searches.
const SCHEDULES: &str = "SCHEDULES";

/// How many orders a search tries.
fn schedules() -> usize {
    let text = std::env::var(SCHEDULES).unwrap_or_else(|_| "300".to_owned());
    text.parse().unwrap_or_else(|_| panic!("{SCHEDULES} is not a number: {text}"))
}

/// Futures of a build without optimisation are large.
fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config
}

/// Tries orders at random, and orders with few preemptions at arbitrary points, which find other faults.
fn search(test: impl Fn() + Send + Sync + Copy + 'static) {
    Runner::new(RandomScheduler::new(schedules()), config()).run(test);
    Runner::new(PctScheduler::new(3, schedules()), config()).run(test);
}

/// Whether a search finds an order in which an assertion fails.
fn finds(test: impl Fn() + Send + Sync + Copy + UnwindSafe + RefUnwindSafe + 'static) -> bool {
    catch_unwind(|| Runner::new(RandomScheduler::new(10_000), config()).run(test)).is_err()
}
