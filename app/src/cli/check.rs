//! `grantry check`: the doctor.

use clap::Args;

use crate::cli::output::{say, say_json};
use crate::cli::{CliError, ConfigArgs, runtime};
use crate::doctor::{self, Report};
use crate::progress::Steps;

#[derive(Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CheckArgs) -> Result<(), CliError> {
    let report = runtime()?.block_on(doctor::examine(&args.config.config, |total| Steps::new("checking connectors", total)));
    if args.json {
        say_json(&report)?;
    } else {
        show(&report)?;
    }
    if report.ok { Ok(()) } else { Err(CliError::CheckFailed) }
}

fn show(report: &Report) -> Result<(), CliError> {
    let width = report.findings.iter().map(|finding| finding.subject.len()).max().unwrap_or(0);
    for finding in &report.findings {
        say(format_args!("{:7}  {:width$}  {}", finding.status.as_str(), finding.subject, finding.says))?;
    }
    let failed = report.findings.iter().filter(|finding| finding.status == doctor::Status::Failed).count();
    say(match failed {
        0 => "\nready to serve".to_owned(),
        1 => "\n1 check failed".to_owned(),
        _ => format!("\n{failed} checks failed"),
    })
}
