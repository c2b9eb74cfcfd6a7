//! Random histories on two stores: equal results, and equal records after every step.
//!
//! Each history is also checked against the invariants of the domain, so that two stores with the same defect are found.

mod drain;
mod invariants;
mod pair;
mod queries;
mod step;

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::collection::vec;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use self::pair::Pair;
use self::step::Step;
use super::Backend;
use crate::doubles::TestClock;

/// Maximum number of steps of a history.
const LONGEST: usize = 60;

/// Runs `cases` random histories on a model and a subject; the environment variable `PROPTEST_CASES` takes precedence. Both
/// factories return fresh, empty stores on the given clock. Panics with a shortest history in which the stores differ.
///
/// Call it from a test without a runtime: it starts one.
pub fn differential<M, S>(cases: u32, model: impl Fn(TestClock) -> M, subject: impl Fn(TestClock) -> S)
where
    M: Future<Output = Backend>,
    S: Future<Output = Backend>,
{
    let from_environment = std::env::var_os("PROPTEST_CASES").map(|_| Config::default().cases);
    let config = Config { cases: from_environment.unwrap_or(cases), failure_persistence: None, ..Config::default() };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let history = async |steps: Vec<Step>| {
        let clock = TestClock::default();
        let mut pair = Pair::new(clock.clone(), model(clock.clone()).await, subject(clock).await).await;
        for step in steps {
            pair.take(step).await;
        }
        pair.compare_queries().await;
    };
    let result = TestRunner::new(config).run(&vec(step::any_step(), 1..LONGEST), |steps| {
        let shown = shown(&steps);
        // The panic is caught here, so that the report shows the history in a few lines.
        catch_unwind(AssertUnwindSafe(|| runtime.block_on(history(steps))))
            .map_err(|panic| TestCaseError::fail(format!("{}\n{shown}", message(panic.as_ref()))))
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

fn shown(steps: &[Step]) -> String {
    steps.iter().enumerate().fold("after these steps:".to_owned(), |mut text, (number, step)| {
        let _ = write!(text, "\n  {number}: {step:?}");
        text
    })
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_else(|| "it panicked".to_owned())
}
