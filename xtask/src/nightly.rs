//! `cargo xtask nightly`: what does not fit into half an hour on two cores.
//!
//! The tests are those of `cargo xtask test`; environment variables make them longer. Only what a test reads is set here.

use xshell::Shell;

use crate::steps::{self, Options, Step};
use crate::{Result, setup, test, workspace};

const STEPS: &[Step] = &[
    Step { name: "setup", about: "what the tests need is installed", run: setup::run },
    Step { name: "property", about: "property tests with many cases", run: property },
    Step { name: "chaos", about: "long races, expiries and refreshes on real servers", run: chaos },
];

/// Runs all steps, or those the options name.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result {
    steps::run(sh, STEPS, options)
}

/// proptest reads the number of cases itself; tests without properties cost their usual time.
fn property(sh: &Shell) -> Result {
    let _cases = sh.push_env("PROPTEST_CASES", "20000");
    test::cargo_tests(sh, "nightly", "--lib")
}

fn chaos(sh: &Shell) -> Result {
    workspace::server(sh)?;
    let _long = sh.push_env("LONG_TESTS", "1");
    test::cargo_tests(sh, "nightly", "--tests")
}
