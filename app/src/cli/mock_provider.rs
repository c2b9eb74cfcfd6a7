//! `grantry mock-provider`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use grantry_testkit::provider::{
    Client, ClientAuth, MockProvider, NamedFault, NamedFaultError, StartError, fault_catalogue,
};
use serde::Serialize;
use url::Url;

use crate::cli::output::{print, print_json, print_json_line};
use crate::cli::{CliError, runtime};
use crate::signals::StopSignals;

/// The longest life of an access token: a day.
const MAX_TTL: u32 = 24 * 60 * 60;

const AFTER_HELP: &str = "\
Faults: --list-faults prints their names. NAME=VALUE sets the value of a fault, such as cut=10. NAME@PLACE limits a fault to
token (the default), code, refresh, revocation, userinfo, metadata or api, such as unavailable=2@refresh.

The provider keeps its state in memory and protects nothing; it listens on loopback addresses only. SIGTERM and Ctrl-C stop it.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct MockProviderArgs {
    /// The loopback address and port to listen on; port 0 is any free port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8081", value_parser = loopback)]
    listen: SocketAddr,
    /// The id of the client
    #[arg(long, value_name = "ID", default_value = "mock-client", value_parser = not_empty)]
    client_id: String,
    /// The secret of the client, sent in a Basic header or in the form
    #[arg(long, value_name = "SECRET", default_value = "mock-secret", value_parser = not_empty)]
    client_secret: String,
    /// Register the client as a public one, which has no secret
    #[arg(long, conflicts_with = "client_secret")]
    public_client: bool,
    /// A redirect URI of the client, compared by exact string; required except with --list-faults, may be repeated
    #[arg(long, value_name = "URL", required_unless_present = "list_faults", value_parser = redirect_uri)]
    redirect_uri: Vec<String>,
    /// The lifetime of access tokens in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_TTL)))]
    access_ttl: u32,
    /// The faults of the provider, separated by commas; may be repeated
    #[arg(long, value_name = "NAME[=VALUE][@PLACE]", value_delimiter = ',', value_parser = fault)]
    faults: Vec<NamedFault>,
    /// Print the names and effects of all faults
    #[arg(long)]
    list_faults: bool,
    /// Print JSON: one line when the provider is ready, or the list of faults
    #[arg(long)]
    json: bool,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: Option<SocketAddr> = text.parse().ok();
    address
        .filter(|address| address.ip().is_loopback())
        .ok_or_else(|| "must be a loopback address with a port, such as 127.0.0.1:8081 or [::1]:0".to_owned())
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// RFC 6749 §3.1.2: an absolute URI without a fragment.
fn redirect_uri(text: &str) -> Result<String, String> {
    let is_valid = Url::parse(text).is_ok_and(|url| url.fragment().is_none());
    if is_valid { Ok(text.to_owned()) } else { Err("must be an absolute URL without a fragment".to_owned()) }
}

fn fault(text: &str) -> Result<NamedFault, NamedFaultError> {
    text.parse()
}

pub(super) fn run(args: &MockProviderArgs) -> Result<(), CliError> {
    if args.list_faults {
        return list(args.json);
    }
    let client = client(args);
    runtime()?.block_on(async {
        let stop = StopSignals::listen().map_err(CliError::signals)?;
        let listen = args.listen;
        let started = MockProvider::builder()
            .address(listen)
            .title("Mock provider")
            .access_ttl(Duration::from_secs(args.access_ttl.into()))
            .ledger_limit(1000)
            .client(client.clone())
            .named_faults(args.faults.iter().copied())
            .start()
            .await;
        let provider = started.map_err(|error| not_started(&error, listen))?;
        let ready = Ready::new(&provider, &client, &args.faults);
        let printed = if args.json { print_json_line(&ready) } else { ready.print() };
        printed?;
        stop.requested().await;
        provider.stop().await;
        Ok(())
    })
}

fn client(args: &MockProviderArgs) -> Client {
    let client = if args.public_client {
        Client::new(&args.client_id, "").auth(ClientAuth::Public)
    } else {
        Client::new(&args.client_id, &args.client_secret)
    };
    args.redirect_uri.iter().fold(client, Client::redirect_uri)
}

fn not_started(error: &StartError, listen: SocketAddr) -> CliError {
    CliError::Refused(if let StartError::PortTaken(_) = error {
        format!("{listen} is already in use; stop the process that listens there, or choose another port with --listen")
    } else {
        format!("the mock provider did not start: {error}; choose another address with --listen")
    })
}

/// What a client of the provider needs. The names are those of the metadata document (RFC 8414 §2).
#[derive(Serialize)]
struct Ready<'a> {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    revocation_endpoint: String,
    userinfo_endpoint: String,
    jwks_uri: String,
    metadata: String,
    api: String,
    client_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_secret: &'a str,
    redirect_uris: &'a [String],
    users: [Account; 2],
    faults: Vec<String>,
}

#[derive(Serialize)]
struct Account {
    username: &'static str,
    password: &'static str,
}

/// The accounts of a mock provider to which none were added.
const ACCOUNTS: [Account; 2] =
    [Account { username: "alice", password: "alice-pw" }, Account { username: "bob", password: "bob-pw" }];

impl<'a> Ready<'a> {
    fn new(provider: &MockProvider, client: &'a Client, faults: &[NamedFault]) -> Self {
        Self {
            issuer: provider.base_url().to_owned(),
            authorization_endpoint: provider.url("/authorize"),
            token_endpoint: provider.url("/token"),
            revocation_endpoint: provider.url("/revoke"),
            userinfo_endpoint: provider.url("/userinfo"),
            jwks_uri: provider.url("/jwks"),
            metadata: provider.url("/.well-known/openid-configuration"),
            api: provider.url("/api/me"),
            client_id: &client.id,
            client_secret: &client.secret,
            redirect_uris: &client.redirect_uris,
            users: ACCOUNTS,
            faults: faults.iter().map(NamedFault::to_string).collect(),
        }
    }

    fn print(&self) -> Result<(), CliError> {
        let urls = [
            ("issuer", &self.issuer),
            ("authorization", &self.authorization_endpoint),
            ("token", &self.token_endpoint),
            ("revocation", &self.revocation_endpoint),
            ("userinfo", &self.userinfo_endpoint),
            ("jwks", &self.jwks_uri),
            ("metadata", &self.metadata),
            ("api", &self.api),
        ];
        for (name, url) in urls {
            print(format_args!("{name:14} {url}"))?;
        }
        let secret = if self.client_secret.is_empty() { "(public)" } else { self.client_secret };
        print(format_args!("{:14} {} {secret}", "client", self.client_id))?;
        for uri in self.redirect_uris {
            print(format_args!("{:14} {uri}", "redirect-uri"))?;
        }
        for account in &self.users {
            print(format_args!("{:14} {} {}", "user", account.username, account.password))?;
        }
        for fault in &self.faults {
            print(format_args!("{:14} {fault}", "fault"))?;
        }
        print("ready")
    }
}

/// One row of `--list-faults`.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    about: &'static str,
    /// The meaning of the value; absent for a fault without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<u32>,
    takes_place: bool,
}

fn list(json: bool) -> Result<(), CliError> {
    let rows: Vec<Row> = fault_catalogue()
        .iter()
        .map(|entry| Row {
            name: entry.name,
            about: entry.about,
            value: entry.value.map(|value| value.meaning),
            default: entry.value.map(|value| value.default),
            takes_place: entry.takes_place(),
        })
        .collect();
    if json {
        return print_json(&rows);
    }
    let usages: Vec<String> = rows.iter().map(usage).collect();
    let width = usages.iter().map(String::len).max().unwrap_or(0);
    for (usage, row) in usages.iter().zip(&rows) {
        print(format_args!("{usage:width$}  {}", row.about))?;
        if let (Some(meaning), Some(default)) = (row.value, row.default) {
            print(format_args!("{:width$}  VALUE: {meaning}, by default {default}", ""))?;
        }
    }
    Ok(())
}

fn usage(row: &Row) -> String {
    let value = if row.value.is_some() { "[=VALUE]" } else { "" };
    let place = if row.takes_place { "[@PLACE]" } else { "" };
    format!("{}{value}{place}", row.name)
}
