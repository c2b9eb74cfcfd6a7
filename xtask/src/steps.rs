//! Runs a list of named steps in order, measures them and prints a summary.

use std::time::{Duration, Instant};

use clap::Args;
use xshell::Shell;

use crate::Result;

/// One step of a command.
pub(crate) struct Step {
    /// The argument of `--only`.
    pub(crate) name: &'static str,
    /// What it checks, in a few words.
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Shell) -> Result,
}

/// Which steps run, and whether a failure stops the others.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Run the remaining steps after one has failed.
    #[arg(long)]
    keep_going: bool,
    /// Run only this step (may be given several times).
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
}

/// The outcome of a step.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed(String),
    NotRun,
}

struct Record {
    name: &'static str,
    verdict: Verdict,
    took: Duration,
}

/// Runs the chosen steps in their order and prints a summary. Fails if a step fails.
pub(crate) fn run(sh: &Shell, steps: &[Step], options: &Options) -> Result {
    let records = execute(sh, &choose(steps, &options.only)?, options.keep_going);
    println!("\nsummary");
    for record in &records {
        println!("{}", line(record));
    }
    match records.iter().filter(|record| matches!(record.verdict, Verdict::Failed(_))).count() {
        0 => Ok(()),
        1 => Err("one step failed".into()),
        many => Err(format!("{many} steps failed").into()),
    }
}

fn choose<'a>(steps: &'a [Step], only: &[String]) -> Result<Vec<&'a Step>> {
    if let Some(unknown) = only.iter().find(|name| steps.iter().all(|step| step.name != **name)) {
        let names: Vec<_> = steps.iter().map(|step| step.name).collect();
        return Err(format!("unknown step `{unknown}`; the steps are {}", names.join(", ")).into());
    }
    Ok(steps.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name)).collect())
}

fn execute(sh: &Shell, steps: &[&Step], keep_going: bool) -> Vec<Record> {
    let mut stopped = false;
    let mut records = Vec::new();
    for step in steps {
        let started = Instant::now();
        let verdict = if stopped {
            Verdict::NotRun
        } else {
            println!("\n── {}: {}", step.name, step.about);
            match (step.run)(sh) {
                Ok(()) => Verdict::Passed,
                Err(error) => Verdict::Failed(error.to_string()),
            }
        };
        let record = Record { name: step.name, verdict, took: started.elapsed() };
        if record.verdict != Verdict::NotRun {
            println!("{}", line(&record));
        }
        stopped |= !keep_going && matches!(record.verdict, Verdict::Failed(_));
        records.push(record);
    }
    records
}

fn line(record: &Record) -> String {
    let (word, why) = match &record.verdict {
        Verdict::Passed => ("passed", ""),
        Verdict::Failed(error) => ("FAILED", error.as_str()),
        Verdict::NotRun => ("not run", ""),
    };
    let text = format!("{word:<8} {:<12} {:>7.1} s  {why}", record.name, record.took.as_secs_f64());
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[Step] = &[
        Step { name: "first", about: "", run: |_| Ok(()) },
        Step { name: "second", about: "", run: |_| Err("broken".into()) },
        Step { name: "third", about: "", run: |_| Ok(()) },
    ];

    fn verdicts(only: &[&str], keep_going: bool) -> Vec<Verdict> {
        let only: Vec<_> = only.iter().map(|name| (*name).to_owned()).collect();
        let chosen = choose(STEPS, &only).unwrap();
        execute(&Shell::new().unwrap(), &chosen, keep_going).into_iter().map(|record| record.verdict).collect()
    }

    #[test]
    fn the_first_failure_stops_the_rest() {
        assert_eq!(verdicts(&[], false), [Verdict::Passed, Verdict::Failed("broken".into()), Verdict::NotRun]);
    }

    #[test]
    fn keep_going_runs_the_rest() {
        let all = [Verdict::Passed, Verdict::Failed("broken".into()), Verdict::Passed];
        assert_eq!(verdicts(&[], true), all);
    }

    #[test]
    fn only_runs_what_it_names() {
        assert_eq!(verdicts(&["third", "first"], false), [Verdict::Passed, Verdict::Passed]);
        let error = choose(STEPS, &["fourth".to_owned()]).err().unwrap().to_string();
        assert_eq!(error, "unknown step `fourth`; the steps are first, second, third");
    }

    #[test]
    fn a_failed_step_fails_the_command() {
        let sh = Shell::new().unwrap();
        let only = |name: &str| Options { keep_going: true, only: vec![name.to_owned()] };
        assert!(run(&sh, STEPS, &only("first")).is_ok());
        assert!(run(&sh, STEPS, &only("second")).is_err());
        assert!(run(&sh, STEPS, &Options { keep_going: true, only: vec![] }).is_err());
    }
}
