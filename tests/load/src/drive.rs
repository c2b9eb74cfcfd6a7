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
    /// The server.
    pub server: SocketAddr,
    /// Callers, each with one connection and one call at a time.
    pub callers: u32,
    /// Time before measuring.
    pub warm_up: Duration,
    /// Time of measuring.
    pub duration: Duration,
    /// The process whose CPU time is measured.
    pub watch: Option<u32>,
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
    for number in 0..plan.callers {
        let connection = Connection::open(plan.server).await?;
        let random = Random::new(u64::from(number) + 1);
        let caller = Caller { server: plan.server, connection, request: Vec::with_capacity(1024), random };
        callers.spawn(repeat(caller, workload.clone(), from, until));
    }
    if plan.busy_wait {
        callers.spawn(stay_awake(until));
    }
    tokio::time::sleep_until(from.into()).await;
    let before = (watched(plan), process::cpu_time(std::process::id()));
    tokio::time::sleep_until(until.into()).await;
    let after = (watched(plan), process::cpu_time(std::process::id()));

    let mut all = Calls::default();
    while let Some(calls) = callers.join_next().await {
        let calls = calls.map_err(io::Error::other)?;
        all.micros.extend(calls.micros);
        for (what, count) in calls.errors {
            *all.errors.entry(what).or_default() += count;
        }
    }
    let server = before.0.zip(after.0).map(|(before, after)| after.saturating_sub(before));
    let client = before.1.ok().zip(after.1.ok()).map(|(before, after)| after.saturating_sub(before));
    Ok(Summary::new(all.micros, all.errors, plan.duration).with_cpu(server, client))
}

/// Keeps the thread of the runtime from sleeping.
async fn stay_awake(until: Instant) -> Calls {
    while Instant::now() < until {
        tokio::task::yield_now().await;
    }
    Calls::default()
}

fn watched(plan: &Plan) -> Option<Duration> {
    plan.watch.and_then(|pid| process::cpu_time(pid).ok())
}

async fn repeat(mut caller: Caller, workload: Arc<Workload>, from: Instant, until: Instant) -> Calls {
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
                match Connection::open(caller.server).await {
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
