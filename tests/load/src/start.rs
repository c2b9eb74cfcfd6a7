//! How long a server takes from its start to the first access token.

use std::net::SocketAddr;
use std::path::Path;

use crate::Result;
use crate::deployment::{Ports, ROLES, Server, connector, user};
use crate::http::{Connection, write_request};
use crate::workload::issue;

/// Starts the server with the configuration without accounts, and returns the milliseconds until the first access token was
/// received. The user sends a request before, because the directory learns the roles from it.
pub async fn first_token(program: &Path, config: &Path, core: usize, ports: Ports) -> Result<f64> {
    let mut server = Server::start(program, config, Some(core))?;
    let mut connection = server.connect(ports.server()).await?;
    introduce(&mut connection, ports.server()).await?;
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

/// Sends a request of the first user, as the proxy does, with the roles.
pub async fn introduce(connection: &mut Connection, server: SocketAddr) -> Result {
    let mut request = Vec::new();
    let fields = format!("x-forwarded-user: {}\r\n{ROLES}: editor\r\n", user(0));
    write_request(&mut request, "GET", "/api/session", &server.to_string(), &fields, "");
    let response = connection.exchange(&request).await?;
    if response.status == 200 { Ok(()) } else { Err(format!("{} {}", response.status, response.text()).into()) }
}
