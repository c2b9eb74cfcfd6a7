//! A host on actix-web that calls the use cases directly. It uses the outbound adapters of Grantry, and neither
//! `grantry-http-axum` nor the builder: routes, cookies and responses are those of the host.
//!
//! `cargo run -p grantry --example embed_actix` serves `http://127.0.0.1:8092`. The header `x-user` stands for the session of
//! the host. `docs/embedding.md` explains each file.

mod compose;
mod routes;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use grantry_domain::usecase::Connections;
use grantry_provider_oauth2::EgressPolicy;

pub(crate) use compose::{Host, compose};
pub(crate) use routes::routes;

/// One round of each background job. Every round claims its work in the store, so several processes may run it.
pub(crate) async fn background(connections: &Connections) -> Result<(), Box<dyn Error>> {
    connections.sweep(drop).await?;
    connections.revoke_due().await?;
    connections.refresh_ahead().await?;
    connections.reconcile().await?;
    connections.flush_audit().await?;
    connections.deliver_events().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let any_public_host = EgressPolicy::new(&["*"], &[])?;
    let host = web::Data::new(compose(Path::new("."), "http://127.0.0.1:8092", any_public_host).await?);

    let connections = host.connections.clone();
    let jobs = tokio::spawn(async move {
        loop {
            if let Err(error) = background(&connections).await {
                eprintln!("a background job failed: {error}");
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    });

    let shared = host.clone();
    let server = HttpServer::new(move || App::new().app_data(shared.clone()).configure(routes));
    server.bind("127.0.0.1:8092")?.run().await?;
    jobs.abort();
    host.close().await;
    Ok(())
}
