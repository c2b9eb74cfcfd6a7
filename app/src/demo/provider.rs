//! The provider of the demo: the mock provider, with the demo's people and tokens that are short enough to watch.

use std::time::Duration;

use grantry_domain::connector::Connector;
use grantry_testkit::provider::{Client, MockProvider, StartError};

use crate::demo::DemoError;
use crate::demo::accounts::{ACCOUNTS, DemoUser};
use crate::demo::folder::Folder;

/// Life of an access token: short enough that a refresh can be watched.
pub(super) const ACCESS_TTL: Duration = Duration::from_mins(1);
/// The secret of every client. It guards nothing.
pub(super) const CLIENT_SECRET: &str = "demo-client-secret";
/// How many ports are tried.
const TRIES: u16 = 20;

/// Starts the provider where it was before, where it is asked to be, or on the first free port above the server's.
pub(super) async fn start(folder: &Folder, wanted: Option<u16>, server_port: u16) -> Result<MockProvider, DemoError> {
    if let Some(kept) = folder.provider_port() {
        if wanted.is_some_and(|wanted| wanted != kept) {
            return Err(DemoError::ProviderMoved { kept });
        }
        return on_port(folder, kept).await.map_err(|error| refused(&error, DemoError::KeptPortTaken));
    }
    if let Some(wanted) = wanted {
        return on_port(folder, wanted).await.map_err(|error| refused(&error, DemoError::ProviderPortTaken));
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

/// The registration of a connector at the provider, as its operator would make it.
pub(super) fn client(connector: &Connector, redirect_uri: &str) -> Client {
    let mut client =
        Client::new(connector.config.client_id.as_deref().unwrap_or_default(), CLIENT_SECRET).redirect_uri(redirect_uri);
    connector.name.as_str().clone_into(&mut client.name);
    client
}
