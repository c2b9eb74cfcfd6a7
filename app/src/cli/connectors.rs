//! `grantry connectors export|import`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::app::App;
use crate::cli::output::{info, print, print_json};
use crate::cli::{CliError, ConfigArgs, runtime};
use crate::config::Config;
use crate::connector_export::{self, Definitions, ImportReport};
use crate::progress::Steps;

#[derive(Subcommand)]
pub(super) enum ConnectorsCommand {
    /// Print the definitions of all connectors, without secrets and grants
    Export(ExportArgs),
    /// Create the connectors of a file that do not exist yet; existing ones are not changed
    Import(ImportArgs),
}

#[derive(Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only this space; can be repeated
    #[arg(long = "space", value_name = "SPACE")]
    spaces: Vec<String>,
    /// The format of the output
    #[arg(long, value_enum, default_value = "toml")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Toml,
    Json,
}

#[derive(Args)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// A file in the format of `export`, TOML or JSON
    file: PathBuf,
    /// Change nothing, only report what would be done
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: ConnectorsCommand) -> Result<(), CliError> {
    match command {
        ConnectorsCommand::Export(args) => export(&args),
        ConnectorsCommand::Import(args) => import(&args),
    }
}

fn export(args: &ExportArgs) -> Result<(), CliError> {
    let config = Config::load(&args.config.config)?;
    let definitions = runtime()?.block_on(async {
        let app = App::from_config(&config).await?.allow_unknown_keys(true).build().await?;
        let definitions = connector_export::export(&app, &config, &args.spaces).await;
        app.store().close().await;
        definitions.map_err(CliError::from)
    })?;
    match args.format {
        Format::Toml => print(definitions.to_toml()?.trim_end()),
        Format::Json => print_json(&definitions),
    }
}

fn import(args: &ImportArgs) -> Result<(), CliError> {
    let config = Config::load(&args.config.config)?;
    let text = std::fs::read_to_string(&args.file)
        .map_err(|error| CliError::Io { what: format!("cannot read {}", args.file.display()), kind: error.kind() })?;
    let definitions = Definitions::parse(&text)?;
    let report = runtime()?.block_on(async {
        let app = App::from_config(&config).await?.allow_unknown_keys(true).build().await?;
        let mut steps = Steps::new("importing", u64::try_from(definitions.connectors.len()).unwrap_or(u64::MAX));
        let report = connector_export::import(&app, &config, &definitions, args.dry_run, &mut steps).await;
        app.store().close().await;
        report.map_err(CliError::from)
    })?;
    show(&report, args)
}

fn show(report: &ImportReport, args: &ImportArgs) -> Result<(), CliError> {
    if args.json {
        print_json(report)?;
    } else {
        for entry in &report.entries {
            print(format_args!("{:9}  {}/{}  {}", entry.outcome.as_str(), entry.space, entry.id, entry.message))?;
        }
        if args.dry_run {
            info("nothing was changed");
        }
    }
    if report.ok() { Ok(()) } else { Err(CliError::CheckFailed) }
}
