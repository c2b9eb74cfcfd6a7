//! Two nodes that are killed, stopped and started again.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use grantry_system_tests::process::NodeProcess;
use grantry_system_tests::test_app::TestApp;
use grantry_testkit::provider::{Endpoint, Fault, Gate};

use crate::counts::Counts;
use crate::random::Random;
use crate::{LEASE, TEST_NODE};

/// How long a request to the provider is waited for that is to be held.
const ARRIVAL: Duration = Duration::from_millis(200);
/// The longest time between two faults, in milliseconds.
const MOMENT: u64 = 60;

/// The most kills beyond those requested.
const MORE_KILLS: usize = 200;

/// How long a node is stopped: longer than a lease.
const STOP: Duration = Duration::from_millis(1500);

/// Where the nodes listen. A node that was killed keeps its address until it is started again.
pub(crate) struct Addresses(Mutex<[SocketAddr; 2]>);

impl Addresses {
    pub(crate) fn of(&self, node: usize) -> SocketAddr {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[node]
    }

    fn set(&self, node: usize, address: SocketAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[node] = address;
    }
}

/// What happens to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Killed at any moment.
    Anytime,
    /// Killed while a request waits at the provider, which processes it later.
    BeforeProcessing(Endpoint),
    /// Killed while the provider holds the response of a processed request.
    AfterProcessing(Endpoint),
    /// Stopped for longer than a lease, while the other node is killed.
    Stop(Option<bool>),
}

/// The first faults of every run, so that a short run has one of each kind.
const FIRST: [Kind; 5] = [
    Kind::AfterProcessing(Endpoint::Token),
    Kind::Stop(Some(true)),
    Kind::BeforeProcessing(Endpoint::Token),
    Kind::Anytime,
    Kind::AfterProcessing(Endpoint::Revocation),
];

fn kind(random: &mut Random) -> Kind {
    match random.below(100) {
        0..=54 => Kind::Anytime,
        55..=69 => Kind::AfterProcessing(Endpoint::Token),
        70..=84 => Kind::BeforeProcessing(Endpoint::Token),
        85..=88 => Kind::AfterProcessing(Endpoint::Revocation),
        89..=91 => Kind::BeforeProcessing(Endpoint::Revocation),
        92..=94 => Kind::Stop(Some(true)),
        95..=96 => Kind::Stop(Some(false)),
        _ => Kind::Stop(None),
    }
}

/// The processes, and what has happened to them.
pub(crate) struct Nodes<'a> {
    app: &'a TestApp,
    processes: [NodeProcess; 2],
    addresses: &'a Addresses,
    random: Random,
    pub(crate) counts: Counts,
}

impl<'a> Nodes<'a> {
    pub(crate) async fn start(app: &'a TestApp) -> ([NodeProcess; 2], Addresses) {
        let processes = [started(app).await, started(app).await];
        let addresses = Addresses(Mutex::new(processes.each_ref().map(|process| process.address)));
        (processes, addresses)
    }

    pub(crate) fn new(app: &'a TestApp, processes: [NodeProcess; 2], addresses: &'a Addresses, random: Random) -> Self {
        Self { app, processes, addresses, random, counts: Counts::default() }
    }

    /// Kills and stops nodes until this many were killed and a refresh was interrupted. Both run afterwards, and no request is
    /// held any more.
    ///
    /// A short run may interrupt no refresh by chance. It goes on until `is_interrupted`, for [`MORE_KILLS`] at most.
    pub(crate) async fn torment(&mut self, kills: usize, is_interrupted: impl Fn() -> bool) {
        let mut first = FIRST.into_iter();
        let mut late = Vec::new();
        while self.counts.kills < kills || (self.counts.kills < kills + MORE_KILLS && !is_interrupted()) {
            let kind = first.next().unwrap_or_else(|| kind(&mut self.random));
            match kind {
                Kind::Anytime => {
                    tokio::time::sleep(self.random.millis(MOMENT)).await;
                    let node = self.random.node();
                    self.kill(node).await;
                    self.start_again(node).await;
                }
                Kind::BeforeProcessing(endpoint) => late.extend(self.kill_while_held(endpoint, true).await),
                Kind::AfterProcessing(endpoint) => late.extend(self.kill_while_held(endpoint, false).await),
                Kind::Stop(holds) => self.stop(holds).await,
            }
        }
        for gate in late {
            gate.await.unwrap();
        }
    }

    /// Kills a node, or both, while a request is held. The gate can open long after the lease has ended.
    async fn kill_while_held(&mut self, endpoint: Endpoint, before: bool) -> Option<tokio::task::JoinHandle<()>> {
        let (gate, is_held) = self.hold(endpoint, before).await;
        let both = self.random.percent(50);
        let opens_late = is_held && self.random.percent(30);
        let node = self.random.node();
        self.kill(node).await;
        if both {
            self.kill(1 - node).await;
        }
        if !opens_late && self.random.percent(50) {
            gate.open();
        }
        self.start_again(node).await;
        if both {
            self.start_again(1 - node).await;
        }
        if is_held {
            let counted = if before { &mut self.counts.before } else { &mut self.counts.after };
            *counted += 1;
        }
        if opens_late {
            return Some(tokio::spawn(async move {
                tokio::time::sleep(STOP).await;
                gate.open();
            }));
        }
        gate.open();
        None
    }

    /// Holds the next request to an endpoint, if one arrives soon.
    async fn hold(&mut self, endpoint: Endpoint, before: bool) -> (Gate, bool) {
        let gate = Gate::closed();
        let fault = if before { Fault::HoldRequest(gate.clone()) } else { Fault::HoldResponse(gate.clone()) };
        self.app.provider.faults().once(endpoint, fault);
        let arrived = tokio::time::timeout(ARRIVAL, gate.arrived(1)).await.is_ok();
        (gate, arrived)
    }

    /// Stops a node, perhaps with a request at the provider, and kills the other one until every lease of the first has ended.
    async fn stop(&mut self, holds: Option<bool>) {
        let node = self.random.node();
        let gate = match holds {
            Some(before) => Some(self.hold(Endpoint::Token, before).await.0),
            None => None,
        };
        tokio::time::sleep(self.random.millis(20)).await;
        self.processes[node].pause().await.unwrap();
        let stopped = Instant::now();
        let opens_after = self.random.millis(1400);
        let mut is_other_running = true;
        while is_other_running && stopped.elapsed() < STOP {
            if let Some(gate) = &gate
                && stopped.elapsed() >= opens_after
            {
                gate.open();
            }
            tokio::time::sleep(LEASE / 8).await;
            if self.random.percent(25) {
                self.kill(1 - node).await;
                // The stopped node can have the lock of the database, without which no node starts.
                let starting = self.app.deployment.process(TEST_NODE);
                match tokio::time::timeout(STOP.saturating_sub(stopped.elapsed()), starting).await {
                    Ok(Ok(process)) => self.replace(1 - node, process),
                    Ok(Err(_)) | Err(_) => is_other_running = false,
                }
            }
        }
        tokio::time::sleep(STOP.saturating_sub(stopped.elapsed())).await;
        self.processes[node].resume().await.unwrap();
        if let Some(gate) = gate {
            gate.open();
        }
        if !is_other_running {
            self.start_again(1 - node).await;
        }
        self.counts.stops += 1;
    }

    async fn start_again(&mut self, node: usize) {
        self.replace(node, started(self.app).await);
    }

    async fn kill(&mut self, node: usize) {
        self.processes[node].kill_now().await.unwrap();
        self.counts.kills += 1;
    }

    fn replace(&mut self, node: usize, process: NodeProcess) {
        self.addresses.set(node, process.address);
        self.processes[node] = process;
    }
}

/// A started node. A start fails if it waits too long for the lock of the database.
async fn started(app: &TestApp) -> NodeProcess {
    let mut failed = None;
    for _ in 0..20 {
        match app.deployment.process(TEST_NODE).await {
            Ok(process) => return process,
            Err(error) => failed = Some(error),
        }
    }
    panic!("a node does not start: {failed:?}");
}
