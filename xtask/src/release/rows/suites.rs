//! The steps of `cargo xtask test` that no other check runs: format, lint, and the tests in browsers and in other languages.

use xshell::cmd;

use crate::Result;
use crate::release::context::Context;
use crate::release::row::{Outcome, Place, Sheet};

/// The steps, the fastest first.
pub(crate) const STEPS: [&str; 9] =
    ["format", "tidy", "lint", "production", "requirements", "doc", "console", "python", "browser"];

/// Runs the steps with the xtask of the folder, which can be a clone: paths that are compiled into this program are those of
/// another folder.
pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let (sh, mut sheet) = (context.shell()?, Sheet::default());
    for step in STEPS {
        if cmd!(sh, "cargo xtask test --only {step}").run().is_err() {
            let command = format!("cargo xtask test --only {step}");
            let mend = format!("run `{command}` and mend what it reports");
            sheet.red(format!("the step `{step}` fails"), Place::Command(command), mend);
        }
    }
    sheet.note(format!("{} steps ran: {}", STEPS.len(), STEPS.join(", ")));
    Ok(sheet.outcome())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    /// Steps that are run otherwise: by the release itself, by `generated`, and by `tests`.
    const RUN_OTHERWISE: [&str; 4] = ["setup", "release", "codegen", "rust"];

    #[test]
    fn a_release_runs_every_step_of_the_tests() {
        let mut steps: Vec<_> = STEPS.into_iter().chain(RUN_OTHERWISE).collect();
        let mut all: Vec<_> = test::STEPS.iter().map(|step| step.name).collect();
        steps.sort_unstable();
        all.sort_unstable();
        assert_eq!(steps, all);
    }
}
