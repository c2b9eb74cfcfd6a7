//! `grantry agents new`.

use clap::{Args, Subcommand};
use grantry_domain::encoding::{base64url, hex};
use grantry_domain::ports::SecureRandom;
use grantry_runtime::SystemRandom;
use serde::Serialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::cli::CliError;
use crate::cli::output::{info, print, print_json};

#[derive(Subcommand)]
pub(super) enum AgentsCommand {
    /// Generate an API key for a back end: the key goes to standard error and is not stored, the configuration with its hash
    /// goes to standard output
    New(NewArgs),
}

#[derive(Args)]
pub(super) struct NewArgs {
    /// Its name in the configuration and in the audit trail
    #[arg(long)]
    name: String,
    /// A space where it may act; can be repeated
    #[arg(long = "space", value_name = "SPACE", default_value = "default")]
    spaces: Vec<String>,
    /// Print JSON, with the key, to standard output
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct NewAgent<'a> {
    name: &'a str,
    key: &'a str,
    key_sha256: &'a str,
}

pub(super) fn run(command: &AgentsCommand) -> Result<(), CliError> {
    let AgentsCommand::New(args) = command;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if args.name.is_empty() || args.name.len() > 64 || !args.name.bytes().all(plain) {
        return Err(CliError::Refused("--name must be 1 to 64 letters, digits, '-', '_' and '.'".to_owned()));
    }
    let mut random = Zeroizing::new([0_u8; 32]);
    SystemRandom.fill(random.as_mut_slice())?;
    let key = Zeroizing::new(format!("gak_{}", *base64url(random.as_slice())));
    let key_sha256 = hex(&Sha256::digest(key.as_bytes()));
    if args.json {
        return print_json(&NewAgent { name: &args.name, key: &key, key_sha256: &key_sha256 });
    }
    let spaces: Vec<String> = args.spaces.iter().map(|space| format!("{space:?}")).collect();
    // Only the part for the configuration goes to standard output, so that it can be appended to the file.
    info(format_args!("The key of {}. It is shown only once:", args.name));
    info(&*key);
    print(format_args!(
        "[[identity.agents]]\nname = {:?}\nkey_sha256 = \"{key_sha256}\"\nspaces = [{}]\naccess_tokens = false",
        args.name,
        spaces.join(", ")
    ))
}
