//! The provider of the demo: the mock authorization server with the accounts of the demo and short-lived access tokens.

use std::time::Duration;

use grantry_domain::connector::Connector;
use grantry_testkit::provider::{Client, MockProvider, StartError};

use crate::demo::DemoError;
use crate::demo::accounts::{ACCOUNTS, DemoUser};
use crate::demo::folder::Folder;

/// The lifetime of access tokens, short enough to watch a refresh.
pub(super) const ACCESS_TTL: Duration = Duration::from_mins(1);
/// The secret of every client. It protects nothing.
pub(super) const CLIENT_SECRET: &str = "demo-client-secret";
/// How many ports are tried.
const TRIES: u16 = 20;

/// Starts the provider on the port of the last start, on the requested port, or on the first free port above the server's.
pub(super) async fn start(folder: &Folder, requested: Option<u16>, server_port: u16) -> Result<MockProvider, DemoError> {
    if let Some(kept) = folder.provider_port() {
        if requested.is_some_and(|requested| requested != kept) {
            return Err(DemoError::ProviderMoved { kept });
        }
        return on_port(folder, kept).await.map_err(|error| refused(&error, DemoError::KeptPortTaken));
    }
    if let Some(requested) = requested {
        return on_port(folder, requested).await.map_err(|error| refused(&error, DemoError::ProviderPortTaken));
    }
    let mut last = server_port;
    for port in server_port.saturating_add(1)..=server_port.saturating_add(TRIES) {
        match on_port(folder, port).await {
            Err(StartError::PortTaken(port)) => last = port,
            started => return started.map_err(|error| refused(&error, DemoError::ProviderPortTaken)),
        }
    }
    Err(DemoError::ProviderPortTaken(last))
}

async fn on_port(folder: &Folder, port: u16) -> Result<MockProvider, StartError> {
    MockProvider::builder()
        .port(port)
        .title("Demo provider")
        .users(ACCOUNTS.iter().map(DemoUser::account))
        .access_ttl(ACCESS_TTL)
        .ledger_limit(1000)
        .state_file(folder.provider_state())
        .start()
        .await
}

fn refused(error: &StartError, taken: impl FnOnce(u16) -> DemoError) -> DemoError {
    if let StartError::PortTaken(port) = error { taken(*port) } else { DemoError::Provider(error.to_string()) }
}

/// The registration of a connector at the provider.
pub(super) fn client(connector: &Connector, redirect_uri: &str) -> Client {
    let mut client =
        Client::new(connector.config.client_id.as_deref().unwrap_or_default(), CLIENT_SECRET).redirect_uri(redirect_uri);
    connector.name.as_str().clone_into(&mut client.name);
    client
}
