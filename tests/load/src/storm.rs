//! Many callers that need the same access token at the same moment.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::Result;
use crate::deployment::{connector, user};
use crate::drive::micros;
use crate::http::{Connection, write_request};
use crate::latency::Summary;
use crate::process;
use crate::workload::issue;

/// The result of a storm.
#[derive(Debug, Serialize)]
pub struct Storm {
    /// Time from the first request to the last response, and the latencies.
    #[serde(flatten)]
    pub summary: Summary,
    /// Token requests at the provider meanwhile, if it runs.
    pub token_requests: Option<u64>,
    /// Resident memory of the watched process in KiB, with all connections open.
    pub memory: Option<u64>,
}

/// Sends one request for the access token of the nth user on each of many connections, all at the same time.
pub async fn storm(
    server: SocketAddr,
    provider: SocketAddr,
    callers: u32,
    number: u32,
    watch: Option<u32>,
) -> Result<Storm> {
    let mut request = Vec::new();
    issue(&mut request, server, (user(number), connector(0)));
    let request = Arc::new(request);
    let all_are_connected = Arc::new(Barrier::new(usize::try_from(callers)? + 1));
    let before = token_requests(provider).await.ok();
    let mut tasks = JoinSet::new();
    for connection in connections(server, callers).await? {
        tasks.spawn(one(connection, request.clone(), all_are_connected.clone()));
    }
    all_are_connected.wait().await;
    let started = Instant::now();
    let (mut latencies, mut errors) = (Vec::new(), BTreeMap::<String, u64>::new());
    let mut open = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        match ended? {
            Ok((latency, connection)) => {
                latencies.push(micros(latency));
                open.push(connection);
            }
            Err(error) => *errors.entry(error.to_string()).or_default() += 1,
        }
    }
    let measured = started.elapsed();
    let memory = watch.and_then(|pid| process::memory(pid).ok());
    drop(open);
    let after = token_requests(provider).await.ok();
    let token_requests = before.zip(after).map(|(before, after)| after - before);
    Ok(Storm { summary: Summary::new(latencies, errors, measured), token_requests, memory })
}

/// Opens connections without a request, and returns the memory of a process in KiB with all of them open.
pub async fn idle(server: SocketAddr, count: u32, watch: u32) -> Result<u64> {
    let mut open = connections(server, count).await?;
    let mut request = Vec::new();
    write_request(&mut request, "GET", "/livez", &server.to_string(), "", "");
    for connection in &mut open {
        connection.exchange(&request).await?;
    }
    Ok(process::memory(watch)?)
}

async fn connections(server: SocketAddr, count: u32) -> io::Result<Vec<Connection>> {
    let mut open = Vec::new();
    for _ in 0..count {
        open.push(Connection::open(server).await?);
    }
    Ok(open)
}

async fn one(mut connection: Connection, request: Arc<Vec<u8>>, start: Arc<Barrier>) -> io::Result<(Duration, Connection)> {
    start.wait().await;
    let started = Instant::now();
    let response = connection.exchange(&request).await?;
    match response.status {
        200 => Ok((started.elapsed(), connection)),
        status => Err(io::Error::other(format!("{status} {}", response.text()))),
    }
}

async fn token_requests(provider: SocketAddr) -> Result<u64> {
    let mut connection = Connection::open(provider).await?;
    let mut request = Vec::new();
    write_request(&mut request, "GET", "/token_requests", &provider.to_string(), "", "");
    Ok(connection.exchange(&request).await?.text().parse()?)
}
