//! Callers that repeat a workload for some time.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::http::Connection;
use crate::latency::Summary;
use crate::process;
use crate::workload::{Caller, Outcome, Random, Workload};

/// How many callers, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server, as requests name it.
    pub server: SocketAddr,
    /// Further nodes of the same deployment. Connections go to the server and to each of them in turns.
    pub nodes: Vec<SocketAddr>,
    /// Callers, each with one connection and one call at a time.
    pub callers: u32,
    /// Time before measuring.
    pub warm_up: Duration,
    /// Time of measuring.
    pub duration: Duration,
    /// The processes whose CPU time is measured.
    pub watch: Vec<u32>,
    /// The database server whose CPU time is measured, with its children.
    pub watch_database: Option<u32>,
    /// Whether the client does not sleep while it waits.
    pub busy_wait: bool,
}

/// What one caller measured.
#[derive(Default)]
struct Calls {
    micros: Vec<u32>,
    errors: BTreeMap<String, u64>,
}

/// Runs a workload. A call counts if it starts and ends within the time of measuring.
pub async fn drive(plan: &Plan, workload: Workload) -> io::Result<Summary> {
    let workload = Arc::new(workload);
    let from = Instant::now() + plan.warm_up;
    let until = from + plan.duration;
    let mut callers = JoinSet::new();
    let nodes: Vec<_> = std::iter::once(plan.server).chain(plan.nodes.iter().copied()).collect();
    for (number, node) in (0..plan.callers).zip(nodes.into_iter().cycle()) {
        let connection = Connection::open(node).await?;
        let random = Random::new(u64::from(number) + 1);
        let caller = Caller { server: plan.server, connection, request: Vec::with_capacity(1024), random };
        callers.spawn(repeat(caller, node, workload.clone(), from, until));
    }
    if plan.busy_wait {
        callers.spawn(stay_awake(until));
    }
    tokio::time::sleep_until(from.into()).await;
    let before = Times::read(plan);
    tokio::time::sleep_until(until.into()).await;
    let after = Times::read(plan);

    let mut all = Calls::default();
    while let Some(calls) = callers.join_next().await {
        let calls = calls.map_err(io::Error::other)?;
        all.micros.extend(calls.micros);
        for (what, count) in calls.errors {
            *all.errors.entry(what).or_default() += count;
        }
    }
    let summary = Summary::new(all.micros, all.errors, plan.duration);
    let summary = summary.with_cpu(used(before.server, after.server), used(before.client, after.client));
    Ok(summary.with_cpu_of_database(used(before.database, after.database)))
}

/// The CPU times of the processes at one instant.
struct Times {
    server: Option<Duration>,
    client: Option<Duration>,
    database: Option<Duration>,
}

impl Times {
    fn read(plan: &Plan) -> Self {
        let server = plan.watch.iter().map(|pid| process::cpu_time(*pid)).sum::<io::Result<Duration>>();
        Self {
            server: server.ok().filter(|_| !plan.watch.is_empty()),
            client: process::cpu_time(std::process::id()).ok(),
            database: plan.watch_database.and_then(|pid| process::cpu_time_with_children(pid).ok()),
        }
    }
}

fn used(before: Option<Duration>, after: Option<Duration>) -> Option<Duration> {
    before.zip(after).map(|(before, after)| after.saturating_sub(before))
}

/// Keeps the thread of the runtime from sleeping.
async fn stay_awake(until: Instant) -> Calls {
    while Instant::now() < until {
        tokio::task::yield_now().await;
    }
    Calls::default()
}

async fn repeat(mut caller: Caller, node: SocketAddr, workload: Arc<Workload>, from: Instant, until: Instant) -> Calls {
    let mut calls = Calls::default();
    loop {
        let started = Instant::now();
        if started >= until {
            return calls;
        }
        let outcome = workload.call(&mut caller).await;
        let ended = Instant::now();
        let is_measured = started >= from && ended <= until;
        match outcome {
            Ok(Outcome::Success) if is_measured => calls.micros.push(micros(ended - started)),
            Ok(Outcome::Success) => {}
            Ok(Outcome::Unexpected(what)) => *calls.errors.entry(what).or_default() += 1,
            Err(error) => {
                *calls.errors.entry(error.kind().to_string()).or_default() += 1;
                // A server that refuses connections is not asked in a busy loop.
                match Connection::open(node).await {
                    Ok(connection) => caller.connection = connection,
                    Err(_) => return calls,
                }
            }
        }
    }
}

pub(crate) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
