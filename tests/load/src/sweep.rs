//! How a sweep of many flows disturbs reads and writes.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection as Database, OpenFlags};
use serde::Serialize;

use crate::Result;
use crate::deployment::{Ports, Server, as_user, connector, user};
use crate::drive::micros;
use crate::http::Connection;
use crate::latency::percentile;
use crate::workload::{Population, Random, issue};

/// Callers that fetch access tokens meanwhile.
const READERS: u32 = 4;
/// The pause between two looks at the database.
const PAUSE: Duration = Duration::from_millis(50);
/// The flows that a sweep ends or removes: those of the seeded database.
const REMAINING: &str = "SELECT EXISTS (SELECT 1 FROM authorizations WHERE role = 'pending' AND deadline <= ?1) \
     OR EXISTS (SELECT 1 FROM authorizations WHERE role = 'ended_flow' AND since <= ?1)";

/// What was measured while the server swept, or for some time.
#[derive(Debug, Serialize)]
pub struct Sweep {
    /// Seconds until no flow was left.
    pub seconds: f64,
    /// The p99 of reads in microseconds.
    pub read_p99: u32,
    /// Number of reads.
    pub reads: usize,
    /// The longest time between the ends of two writes of one caller, in milliseconds.
    pub longest_gap: f64,
    /// Number of writes.
    pub writes: usize,
}

/// Starts the server, and fetches tokens and writes until the old flows are gone, for at least this time.
pub async fn sweep(
    program: &Path,
    folder: &Path,
    core: usize,
    ports: Ports,
    population: Population,
    at_least: Duration,
) -> Result<Sweep> {
    let database = Database::open_with_flags(folder.join("grantry.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
    let before = i64::try_from(before)? - 36 * 3_600_000;
    let mut server = Server::start(program, &folder.join("grantry.toml"), Some(core))?;
    drop(server.connect(ports.server()).await?);
    let started = Instant::now();
    let done = AtomicBool::new(false);
    let wait = async {
        let mut remaining = database.prepare(REMAINING)?;
        while started.elapsed() < at_least || remaining.query_row([before], |row| row.get(0))? {
            tokio::time::sleep(PAUSE).await;
        }
        done.store(true, Ordering::Relaxed);
        Ok(started.elapsed())
    };
    let reads = async {
        let readers = (0..READERS).map(|number| read(ports.server(), population, number, &done));
        futures_util::future::try_join_all(readers).await
    };
    let (took, reads, writes) = tokio::try_join!(wait, reads, write(ports.server(), &done))?;
    server.stop()?;
    let mut reads: Vec<u32> = reads.concat();
    reads.sort_unstable();
    let longest_gap = writes.windows(2).filter_map(|pair| Some(*pair.last()? - *pair.first()?)).max().unwrap_or_default();
    Ok(Sweep {
        seconds: took.as_secs_f64(),
        read_p99: percentile(&reads, 99),
        reads: reads.len(),
        longest_gap: longest_gap.as_secs_f64() * 1000.0,
        writes: writes.len(),
    })
}

async fn read(server: SocketAddr, population: Population, number: u32, done: &AtomicBool) -> Result<Vec<u32>> {
    let mut connection = Connection::open(server).await?;
    let (mut random, mut request, mut latencies) = (Random::new(u64::from(number) + 1), Vec::new(), Vec::new());
    while !done.load(Ordering::Relaxed) {
        request.clear();
        issue(&mut request, server, random.grant(population));
        let started = Instant::now();
        let response = connection.exchange(&request).await?;
        if response.status != 200 {
            return Err(format!("{} {}", response.status, response.text()).into());
        }
        latencies.push(micros(started.elapsed()));
    }
    Ok(latencies)
}

/// Sets and clears the default connection of a user, and returns when each write had ended.
async fn write(server: SocketAddr, done: &AtomicBool) -> Result<Vec<Instant>> {
    let mut connection = Connection::open(server).await?;
    let path = format!("/internal/actions/connector/{}/_default_connection", connector(0));
    let bodies = [r#"{"connection":"default"}"#, r#"{"connection":null}"#];
    let mut ends = Vec::new();
    for body in bodies.iter().cycle() {
        let mut request = Vec::new();
        as_user(&mut request, server, &user(1), "PUT", &path, body);
        let response = connection.exchange(&request).await?;
        if response.status >= 300 {
            return Err(format!("{} {}", response.status, response.text()).into());
        }
        ends.push(Instant::now());
        if done.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(ends)
}
