//! `cargo xtask nightly`: what takes more than half an hour on two cores.
//!
//! It runs the tests of `cargo xtask test`; environment variables make them longer.

use xshell::{Shell, cmd};

use crate::steps::{self, Options, Step};
use crate::{Result, deploy, docs, fuzz, release, setup, test, workspace};

/// Seconds of each kind of hostile client.
const SOAK: &str = "300";
/// In how many orders each search of the scheduler runs the tasks.
const SCHEDULES: &str = "20000";
/// How many nodes are killed while users work.
const KILLS: &str = "2000";
/// How many primary servers are killed while users work.
const FAILOVERS: &str = "10";

const STEPS: &[Step] = &[
    Step { name: "setup", about: "what the tests and the release checks need is installed", run: setup::everything },
    Step { name: "release", about: "the slow checks of a release find planted mistakes", run: release::planted_mistakes },
    Step { name: "site", about: "the documentation site is built, and its links lead somewhere", run: docs::site },
    Step { name: "deploy", about: "alerts, dashboard, manifests and Dockerfile are valid", run: deploy::check },
    Step { name: "property", about: "property tests with many cases, and searches of many orders of tasks", run: property },
    Step { name: "fuzz", about: "every fuzz target for a minute", run: fuzz::every_target },
    Step {
        name: "postgres",
        about: "the flows of the system tests, killed nodes, a pooler and failovers on PostgreSQL",
        run: postgres,
    },
    Step {
        name: "chaos",
        about: "long races, expiries, killed nodes, refreshes with real authorization servers, and hostile clients",
        run: chaos,
    },
];

/// Runs all steps, or those that the options name.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result {
    steps::run(sh, STEPS, options)
}

/// proptest reads the number of cases from the environment. Tests without properties take their usual time.
fn property(sh: &Shell) -> Result {
    let _cases = sh.push_env("PROPTEST_CASES", "20000");
    test::cargo_tests(sh, "nightly", "--lib")?;
    let _schedules = sh.push_env("SCHEDULES", SCHEDULES);
    cmd!(sh, "cargo nextest run --package grantry-scheduler-tests --cargo-quiet --profile nightly").run()?;
    Ok(())
}

fn postgres(sh: &Shell) -> Result {
    workspace::server(sh)?;
    let _store = sh.push_env("TEST_STORE", "postgres");
    let _kills = sh.push_env("KILLS", KILLS);
    let tests = ["--test", "wired", "--test", "kills"];
    cmd!(sh, "cargo nextest run --package grantry-system-tests {tests...} --profile postgres").run()?;
    let _pooler = sh.push_env("TEST_POOLER", "1");
    cmd!(sh, "cargo nextest run --package grantry-store-postgres --test contract --profile postgres").run()?;
    let _failovers = sh.push_env("FAILOVERS", FAILOVERS);
    cmd!(sh, "cargo nextest run --package grantry --test program --profile postgres postgres::failover").run()?;
    Ok(())
}

fn chaos(sh: &Shell) -> Result {
    workspace::server(sh)?;
    let _long = sh.push_env("LONG_TESTS", "1");
    let _soak = sh.push_env("SOAK_SECONDS", SOAK);
    let _kills = sh.push_env("KILLS", KILLS);
    test::cargo_tests(sh, "nightly", "--tests")
}
