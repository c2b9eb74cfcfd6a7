//! `grantry providers list|show|check|new`.

mod new;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use grantry_domain::connector::ProfileId;
use grantry_provider_oauth2::{
    EgressPolicy, InvalidExchange, InvalidProfile, ProfileOptions, ProfileSummary, Profiles, check_exchange,
};
use serde::Serialize;

use crate::app::BuildError;
use crate::cli::output::{info, print, print_json};
use crate::cli::{CliError, runtime};
use crate::config::Config;
use crate::profile_folder;

/// A profile that was not compared with the documentation of its vendor for this long is reported.
const VERIFIED_WITHIN_DAYS: i32 = 365;

#[derive(Subcommand)]
pub(super) enum ProvidersCommand {
    /// List the provider profiles
    List(ListArgs),
    /// Describe a profile: set-up, scopes, lifetimes, revocation, notes, and what is not verified
    Show(ShowArgs),
    /// Check profile files and run each against its exchange file
    Check(CheckArgs),
    /// Ask for the values of a new profile, and write it and its exchange file
    New(new::NewArgs),
}

/// Which profiles there are.
#[derive(Args)]
struct ProfilesArgs {
    /// The configuration file, for the profiles in its `providers.folder`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    profiles: ProfilesArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    profiles: ProfilesArgs,
    /// The connector type, such as `.github`
    id: String,
}

#[derive(Args)]
pub(super) struct CheckArgs {
    /// Profile files; each has its exchange file beside it (`example.toml` and `example.exchange.toml`)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Listed {
    id: String,
    title: String,
    verified_on: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sunset: Option<String>,
    unverified: Vec<String>,
}

pub(super) fn run(command: ProvidersCommand) -> Result<(), CliError> {
    match command {
        ProvidersCommand::List(args) => list(&args),
        ProvidersCommand::Show(args) => show(&args),
        ProvidersCommand::Check(args) => check(&args.files),
        ProvidersCommand::New(args) => new::run(&args),
    }
}

/// The built-in profiles and, with a configuration, those of its folder.
fn profiles(args: &ProfilesArgs) -> Result<Profiles, CliError> {
    let mut options = ProfileOptions::default();
    if let Some(path) = &args.config {
        let config = Config::load(path)?;
        options.additional = profile_folder::read(&config).map_err(BuildError::from)?;
        options.skip_invalid = config.settings.providers.skip_invalid;
        options.today = Some(profile_folder::today());
    }
    let every_host = EgressPolicy::new(&["*"], &[]).map_err(BuildError::from)?;
    let profiles = Profiles::new(every_host, options).map_err(BuildError::from)?;
    for invalid in profiles.skipped() {
        info(format_args!("left out: {invalid}"));
    }
    Ok(profiles)
}

fn list(args: &ListArgs) -> Result<(), CliError> {
    let summaries = profiles(&args.profiles)?.summaries();
    if args.json {
        return print_json(&summaries.into_iter().map(Listed::from).collect::<Vec<_>>());
    }
    let width = summaries.iter().map(|summary| summary.id.len()).max().unwrap_or(0);
    for ProfileSummary { id, title, verified_on, sunset, unverified } in &summaries {
        let mut remarks = vec![format!("verified on {verified_on}")];
        match unverified.len() {
            0 => {}
            1 => remarks.push("1 field not verified".to_owned()),
            count => remarks.push(format!("{count} fields not verified")),
        }
        remarks.extend(sunset.as_ref().map(|sunset| format!("ends on {sunset}")));
        print(format_args!("{id:width$}  {title} ({})", remarks.join(", ")))?;
    }
    Ok(())
}

impl From<ProfileSummary> for Listed {
    fn from(summary: ProfileSummary) -> Self {
        let ProfileSummary { id, title, verified_on, sunset, unverified } = summary;
        Self { id, title, verified_on, sunset, unverified }
    }
}

fn show(args: &ShowArgs) -> Result<(), CliError> {
    let unknown = || CliError::Refused(format!("there is no profile {}; `grantry providers list` lists them", args.id));
    let id = ProfileId::new(args.id.as_str()).map_err(|_| unknown())?;
    print(profiles(&args.profiles)?.page(&id).ok_or_else(unknown)?.trim_end())
}

/// Checks every file, and fails if one of them is not valid.
fn check(files: &[PathBuf]) -> Result<(), CliError> {
    let runtime = runtime()?;
    let mut is_valid = true;
    for file in files {
        match runtime.block_on(check_file(file)) {
            Ok(remarks) => {
                print(format_args!("{}: ok", file.display()))?;
                for remark in remarks {
                    info(format_args!("{}: {remark}", file.display()));
                }
            }
            Err(problems) => {
                is_valid = false;
                for problem in problems {
                    print(format_args!("{}: {problem}", file.display()))?;
                }
            }
        }
    }
    if is_valid { Ok(()) } else { Err(CliError::CheckFailed) }
}

/// The remarks about a valid profile, or what is wrong with it.
async fn check_file(file: &Path) -> Result<Vec<String>, Vec<String>> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| vec![format!("cannot read {} ({})", path.display(), error.kind())])
    };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let exchange_file = profile_folder::exchange_of(file);
    let (profile, exchange) = (read(file)?, read(&exchange_file)?);
    let (profile_name, exchange_name) = (name(file), name(&exchange_file));
    check_exchange((&profile_name, &profile), (&exchange_name, &exchange)).await.map_err(InvalidExchange::problems)?;
    let today = profile_folder::today();
    let summary = Profiles::summary_of(&profile_name, &profile, &today);
    let summary = summary.map_err(|InvalidProfile { problem, .. }| vec![problem])?;
    let mut remarks = Vec::new();
    let date = |text: &str| text.parse::<jiff::civil::Date>().ok();
    let age = date(&summary.verified_on).zip(date(&today)).and_then(|(day, today)| day.until(today).ok());
    if age.is_some_and(|age| age.get_days() > VERIFIED_WITHIN_DAYS) {
        remarks.push(format!("was last compared with the documentation on {}", summary.verified_on));
    }
    if !summary.unverified.is_empty() {
        remarks.push(format!("not verified: {}", summary.unverified.join(", ")));
    }
    Ok(remarks)
}
