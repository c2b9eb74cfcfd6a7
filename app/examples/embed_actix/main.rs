//! A host on actix-web that calls the use cases directly. It uses the outbound adapters of Grantry, and neither
//! `grantry-http-axum` nor the builder: routes, cookies and responses are those of the host.
//!
//! `cargo run -p grantry --example embed_actix` serves `http://127.0.0.1:8092`. The header `x-user` stands for the session of
//! the host. `docs/embedding.md` explains each file.

mod compose;
mod routes;

use std::error::Error;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use grantry::signals::StopSignals;
use grantry_domain::usecase::Connections;
use grantry_provider_oauth2::EgressPolicy;

pub(crate) use compose::{Host, compose};
pub(crate) use routes::routes;

/// One round of each background job. Every round claims its work in the store, so several processes may run it. A job that fails
/// prevents no other one. Returns the names of those that failed.
pub(crate) async fn background(connections: &Connections) -> Vec<&'static str> {
    let mut failed = Vec::new();
    note(&mut failed, "sweep", connections.sweep(drop).await);
    note(&mut failed, "revoke", connections.revoke_due().await);
    note(&mut failed, "refresh", connections.refresh_ahead().await);
    note(&mut failed, "reconcile", connections.reconcile().await);
    note(&mut failed, "flush the audit events", connections.flush_audit().await);
    note(&mut failed, "deliver the audit events", connections.deliver_events().await);
    failed
}

fn note<T, E: Display>(failed: &mut Vec<&'static str>, job: &'static str, outcome: Result<T, E>) {
    if let Err(error) = outcome {
        eprintln!("a background job failed: {job}: {error}");
        failed.push(job);
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let any_public_host = EgressPolicy::new(&["*"], &[])?;
    let folder = Path::new("target/embed_actix");
    std::fs::create_dir_all(folder)?;
    let host = web::Data::new(compose(folder, "http://127.0.0.1:8092", any_public_host).await?);

    let connections = host.connections.clone();
    let jobs = tokio::spawn(async move {
        loop {
            let round = connections.clone();
            // A panic ends this round, and not the jobs.
            if let Err(error) = tokio::spawn(async move { background(&round).await }).await {
                eprintln!("the background jobs ended early: {error}");
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    });

    let shared = host.clone();
    let server = HttpServer::new(move || App::new().app_data(shared.clone()).configure(routes));
    let server = server.bind("127.0.0.1:8092")?.shutdown_signal(StopSignals::listen()?.requested());
    eprintln!("serving http://127.0.0.1:8092");
    server.run().await?;
    jobs.abort();
    host.close().await;
    Ok(())
}
