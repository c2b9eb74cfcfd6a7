//! `grantry users list|reinstate`.

use clap::{Args, Subcommand};
use grantry_domain::identity::{Actor, UserId};
use grantry_domain::usecase::UserSummaries;
use serde::Serialize;

use crate::app::App;
use crate::audit::rfc3339;
use crate::cli::output::{info, print, print_json};
use crate::cli::{CliError, ConfigArgs, runtime};
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum UsersCommand {
    /// List the users of the configuration and the users with connections
    List(ListArgs),
    /// Let a deprovisioned user connect again
    Reinstate(ReinstateArgs),
}

#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct ReinstateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The immutable id of the user
    id: String,
}

pub(super) fn run(command: UsersCommand) -> Result<(), CliError> {
    match command {
        UsersCommand::List(args) => list(&args),
        UsersCommand::Reinstate(args) => reinstate(&args),
    }
}

#[derive(Serialize)]
struct UserRow {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    disabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    deprovisioned_at: Option<String>,
}

fn list(args: &ListArgs) -> Result<(), CliError> {
    let config = Config::load(&args.config.config)?;
    let listing = runtime()?.block_on(async {
        let app = App::from_config(&config).await?.allow_unknown_keys(true).build().await?;
        let listing = app.connections().all_users().await;
        app.store().close().await;
        listing.map_err(|error| CliError::Refused(error.to_string()))
    })?;
    let complete = listing.complete;
    show(&rows(listing), args.json)?;
    if !complete {
        info("the proxy signs users in; those without connections are not listed");
    }
    Ok(())
}

fn rows(listing: UserSummaries) -> Vec<UserRow> {
    let row = |user: grantry_domain::usecase::UserSummary| UserRow {
        id: user.id.as_str().to_owned(),
        name: user.name,
        disabled: user.disabled,
        deprovisioned_at: user.deprovisioned_at.map(rfc3339),
    };
    listing.users.into_iter().map(row).collect()
}

fn show(rows: &[UserRow], json: bool) -> Result<(), CliError> {
    if json {
        return print_json(&rows);
    }
    for row in rows {
        let state = match (&row.deprovisioned_at, row.disabled) {
            (Some(at), _) => format!("deprovisioned {at}"),
            (None, true) => "disabled".to_owned(),
            (None, false) => "active".to_owned(),
        };
        // An id may contain any printable character; quotes show where it ends.
        print(format_args!("{:?}  {}  {state}", row.id, row.name.as_deref().unwrap_or("-")))?;
    }
    Ok(())
}

fn reinstate(args: &ReinstateArgs) -> Result<(), CliError> {
    let config = Config::load(&args.config.config)?;
    let user = UserId::new(args.id.as_str()).map_err(|error| CliError::Refused(error.to_string()))?;
    let lifted = runtime()?.block_on(async {
        let app = App::from_config(&config).await?.allow_unknown_keys(true).build().await?;
        let lifted = app.connections().reinstate_user_for_host(Actor::System, &user).await;
        app.store().close().await;
        lifted.map_err(CliError::from)
    })?;
    if lifted {
        info("the user can connect again");
        return Ok(());
    }
    Err(CliError::Refused("this user is not deprovisioned; `grantry users list` shows which users are".to_owned()))
}
