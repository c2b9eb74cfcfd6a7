//! How long a server takes from its start to the first access token.

use std::path::Path;

use crate::Result;
use crate::deployment::{Ports, Server, connector, user};
use crate::workload::issue;

/// Starts the server with a configuration and returns the milliseconds until the first access token was received.
pub async fn first_token(program: &Path, config: &Path, core: usize, ports: Ports) -> Result<f64> {
    let mut server = Server::start(program, config, Some(core))?;
    let mut connection = server.connect(ports.server()).await?;
    let mut request = Vec::new();
    issue(&mut request, ports.server(), (user(0), connector(0)));
    let response = connection.exchange(&request).await?;
    let took = server.started.elapsed();
    if response.status != 200 {
        return Err(format!("{} {}", response.status, response.text()).into());
    }
    server.stop()?;
    Ok(took.as_secs_f64() * 1000.0)
}
