//! `grantry keys generate|status`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use grantry_crypto_aes_gcm::{Keyring, RootKey};
use grantry_domain::encoding::hex;
use grantry_runtime::SystemRandom;
use serde::Serialize;

use crate::app::{BuildError, store_of};
use crate::cli::output::{info, print, print_json};
use crate::cli::{CliError, ConfigArgs, runtime};
use crate::config::Config;
use crate::{key_file, store};

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Generate a key of 32 random bytes
    Generate(GenerateArgs),
    /// List the configured keys and the number of records sealed with each
    Status(StatusArgs),
}

#[derive(Args)]
pub(super) struct GenerateArgs {
    /// Write the key to a new file with mode 0600 instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: KeysCommand) -> Result<(), CliError> {
    match command {
        KeysCommand::Generate(GenerateArgs { out: None }) => print(RootKey::generate(&SystemRandom)?.as_str()),
        KeysCommand::Generate(GenerateArgs { out: Some(path) }) => {
            let id = key_file::write_new(&path)?;
            info(format_args!(
                "wrote key {} to {} (mode 0600); keep a copy apart from the database",
                hex(&id.0),
                path.display()
            ));
            print(format_args!("write = \"file:{}\"", path.display()))
        }
        KeysCommand::Status(args) => {
            let config = Config::load(&args.config.config)?;
            let rows = runtime()?.block_on(status(&config))?;
            show(&rows, args.json)
        }
    }
}

#[derive(Serialize)]
struct KeyRow {
    id: String,
    role: &'static str,
    source: Option<String>,
    records: u64,
}

async fn status(config: &Config) -> Result<Vec<KeyRow>, CliError> {
    let keyring = Keyring::load(&config.write_key, &config.settings.keys.read, &config.folder)?;
    let usage = if store::is_new(&config.database).await.map_err(BuildError::from)? {
        Vec::new()
    } else {
        let store = store_of(config).await?;
        let usage = store.ports.key_usage().await?;
        store.close().await;
        usage
    };
    let sources = std::iter::once(&config.write_key).chain(&config.settings.keys.read);
    let mut rows: Vec<KeyRow> = keyring
        .ids()
        .zip(sources)
        .enumerate()
        .map(|(index, (id, source))| KeyRow {
            id: hex(&id.0),
            role: if index == 0 { "write" } else { "read" },
            source: Some(source.to_string()),
            records: usage.iter().find(|(key, _)| *key == id).map_or(0, |(_, count)| *count),
        })
        .collect();
    let unknown = usage.iter().filter(|(key, count)| *count > 0 && keyring.ids().all(|id| id != *key));
    rows.extend(unknown.map(|(key, count)| KeyRow { id: hex(&key.0), role: "unknown", source: None, records: *count }));
    Ok(rows)
}

fn show(rows: &[KeyRow], json: bool) -> Result<(), CliError> {
    if json {
        return print_json(&rows);
    }
    for row in rows {
        let source = row.source.as_deref().unwrap_or("not configured; its records cannot be opened");
        print(format_args!("{}  {:7}  {:>8} records  {source}", row.id, row.role, row.records))?;
    }
    Ok(())
}
