//! `grantry check`.

use clap::Args;

use crate::check::{self, Report};
use crate::cli::output::{print, print_json};
use crate::cli::{CliError, ConfigArgs, runtime};
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
    let report = runtime()?.block_on(check::run(&args.config.config, |total| Steps::new("checking connectors", total)));
    if args.json {
        print_json(&report)?;
    } else {
        show(&report)?;
    }
    if report.ok { Ok(()) } else { Err(CliError::CheckFailed) }
}

fn show(report: &Report) -> Result<(), CliError> {
    let width = report.findings.iter().map(|finding| finding.subject.len()).max().unwrap_or(0);
    for finding in &report.findings {
        print(format_args!("{:7}  {:width$}  {}", finding.status.as_str(), finding.subject, finding.message))?;
    }
    let failed = report.findings.iter().filter(|finding| finding.status == check::Status::Failed).count();
    print(match failed {
        0 => "\nready to serve".to_owned(),
        1 => "\n1 check failed".to_owned(),
        _ => format!("\n{failed} checks failed"),
    })
}
