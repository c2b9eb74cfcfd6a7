//! `grantry demo`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::output::print;
use crate::cli::{CliError, runtime};
use crate::demo::{Demo, DemoOptions};
use crate::signals::StopSignals;
use crate::telemetry::{self, LogFormat};

#[derive(Args)]
pub(super) struct DemoArgs {
    /// The folder of the demo
    #[arg(long, value_name = "DIR", default_value = "grantry-demo")]
    data: PathBuf,
    /// Port of the server [default: 8080, or the port of the last start]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Port of the demo provider [default: 8081 or the next free one]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    provider_port: Option<u16>,
    /// Remove the data of an earlier demo in the folder first
    #[arg(long)]
    fresh: bool,
}

pub(super) fn run(args: &DemoArgs) -> Result<(), CliError> {
    // Warnings and audit events only.
    telemetry::start_log("warn", LogFormat::Brief);
    let options =
        DemoOptions { folder: args.data.clone(), port: args.port, provider_port: args.provider_port, fresh: args.fresh };
    runtime()?.block_on(async {
        let stop = StopSignals::listen().map_err(CliError::signals)?;
        let demo = Demo::start(&options).await?;
        print(demo.banner())?;
        demo.run(stop.requested()).await;
        print(format_args!("\nStopped. The data is kept in {} for the next start.", options.folder.display()))
    })
}
