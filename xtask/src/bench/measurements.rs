//! The measurements, in the order in which they run.

use clap::builder::PossibleValuesParser;

use crate::Result;

use super::lab::{InProcess, Lab, STATEMENT_CACHE, Seed, Storm, Summary, Sweep, WITHOUT_ACCOUNTS};
use super::report::{Report, Target, ratios};

/// One measurement.
pub(super) struct Measurement {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) run: fn(&Lab, &mut Report) -> Result,
}

/// Every measurement.
pub(super) const ALL: &[Measurement] = &[
    Measurement { name: "P1", about: "access tokens over HTTP, beside a bare handler", run: issues },
    Measurement { name: "P1b", about: "runs, beside a plain proxy to the same API", run: runs },
    Measurement { name: "relay", about: "relayed requests, beside the same proxy", run: relays },
    Measurement { name: "P2", about: "access tokens without HTTP, beside a point read and one envelope", run: in_process },
    Measurement { name: "P3", about: "flows, beside durable commits of one row", run: flows },
    Measurement { name: "P4", about: "callers that need the same expired token at the same moment", run: storms },
    Measurement { name: "P5", about: "sweeps of many flows while requests are processed", run: sweeps },
    Measurement { name: "P6", about: "status and list of 200 connectors, beside an access token", run: pages },
    Measurement { name: "P7", about: "start, memory and size", run: starts },
    Measurement { name: ON_POSTGRES, about: "one node and two nodes on PostgreSQL", run: nodes },
    Measurement { name: "P9", about: "the script of the console as it is served", run: console },
];

/// The measurement that needs the server of `PostgreSQL`.
pub(crate) const ON_POSTGRES: &str = "P8";

/// Callers at the same time.
const CALLERS: u32 = 32;

/// The names for the command line.
pub(super) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(ALL.iter().map(|measurement| measurement.name))
}

/// The rounds of a measurement beside a reference.
#[derive(Default)]
struct Rounds {
    server: Vec<Summary>,
    reference: Vec<Summary>,
}

impl Rounds {
    fn values(summaries: &[Summary], value: impl Fn(&Summary) -> Option<f64>) -> Vec<f64> {
        summaries.iter().filter_map(value).collect()
    }

    /// Throughput of both, their ratio, and the CPU time of the server.
    fn report(&self, report: &mut Report, name: &'static str, what: &str, reference: &str, target: Target) {
        let throughput = |summaries| Self::values(summaries, |summary| Some(summary.per_second));
        let (server, compared) = (throughput(&self.server), throughput(&self.reference));
        report.add(name, format!("{what} / {reference}"), "", ratios(&server, &compared), target);
        report.add(name, what, "/s", server, Target::None);
        report.add(name, reference, "/s", compared, Target::None);
        let cpu = Self::values(&self.server, |summary| summary.server_cpu);
        report.add(name, format!("{what}: CPU of the server"), "µs", cpu, Target::None);
        let cpu = Self::values(&self.reference, |summary| summary.server_cpu);
        report.add(name, format!("{reference}: CPU"), "µs", cpu, Target::None);
        let cpu = Self::values(&self.reference, |summary| summary.client_cpu);
        report.add(name, format!("{reference}: CPU of the client"), "µs", cpu, Target::None);
    }
}

/// `_access_token` for random grants of a small and of a large database.
fn issues(lab: &Lab, report: &mut Report) -> Result {
    let (users, connectors) = if lab.quick { (1_000, 10) } else { (10_000, 100) };
    let small = [Target::AtLeast(0.40), Target::AtLeast(0.65)];
    let large = [Target::AtLeast(0.30), Target::None];
    for (connectors, targets) in [(1, small), (connectors, large)] {
        let seed = lab.seed(users, connectors, "valid")?;
        let server = lab.serve(&seed)?;
        let bare = lab.bare(&lab.issued()?)?;
        for (callers, target) in [CALLERS, 1].into_iter().zip(targets) {
            let mut rounds = Rounds::default();
            for _ in lab.rounds() {
                rounds.server.push(lab.load_server("issues", &seed, callers, &server)?);
                rounds.reference.push(lab.load_bare("issues", &seed, callers, &bare)?);
            }
            let what = format!("access tokens, {} grants, {}", users * connectors, plural(callers));
            rounds.report(report, "P1", &what, &format!("bare handler, {}", plural(callers)), target);
        }
    }
    Ok(())
}

fn plural(callers: u32) -> String {
    if callers == 1 { "1 caller".to_owned() } else { format!("{callers} callers") }
}

/// `_execute`, with the API on the core of the client.
fn runs(lab: &Lab, report: &mut Report) -> Result {
    let seed = seed_of_runs(lab)?;
    let _provider = lab.provider()?;
    let (server, proxy) = (lab.serve(&seed)?, lab.proxy()?);
    let mut rounds = Rounds::default();
    for _ in lab.rounds() {
        rounds.server.push(lab.load_server("runs", &seed, CALLERS, &server)?);
        rounds.reference.push(lab.load_proxy("get", &seed, CALLERS, &proxy)?);
    }
    rounds.report(report, "P1b", "runs, 32 callers", "plain proxy, 32 callers", Target::AtLeast(0.70));
    let added = rounds.server.iter().zip(&rounds.reference);
    let added = added.map(|(server, proxy)| (server.p50 - proxy.p50) / 1000.0).collect();
    report.add("P1b", "added to the p50 of the proxy", "ms", added, Target::AtMost(1.0));
    Ok(())
}

/// `_relay`, with the API on the core of the client.
fn relays(lab: &Lab, report: &mut Report) -> Result {
    let seed = seed_of_runs(lab)?;
    let _provider = lab.provider()?;
    let (server, proxy) = (lab.serve(&seed)?, lab.proxy()?);
    let mut rounds = Rounds::default();
    for _ in lab.rounds() {
        rounds.server.push(lab.load_server("relays", &seed, CALLERS, &server)?);
        rounds.reference.push(lab.load_proxy("get", &seed, CALLERS, &proxy)?);
    }
    rounds.report(report, "relay", "relayed requests, 32 callers", "plain proxy, 32 callers", Target::AtLeast(0.60));
    Ok(())
}

fn seed_of_runs(lab: &Lab) -> Result<Seed> {
    lab.seed(if lab.quick { 1_000 } else { 10_000 }, 1, "valid")
}

/// Start and callback of flows of different users and connectors; each round has a new copy of the database.
fn flows(lab: &Lab, report: &mut Report) -> Result {
    let seed = lab.seed(if lab.quick { 1_000 } else { 10_000 }, 20, "none")?;
    let _provider = lab.provider()?;
    let (mut flows, mut commits) = (Vec::new(), Vec::new());
    for _ in lab.rounds() {
        let seed = lab.copy(&seed)?;
        let server = lab.serve(&seed)?;
        flows.push(lab.load_server("flows", &seed, CALLERS, &server)?);
        drop(server);
        commits.push(lab.commits()?);
    }
    let throughput = Rounds::values(&flows, |summary| Some(summary.per_second));
    report.add("P3", "flows, 32 callers / durable commits", "", ratios(&throughput, &commits), Target::AtLeast(2.5));
    report.add("P3", "flows, 32 callers", "/s", throughput, Target::None);
    report.add("P3", "durable commits of one row", "/s", commits, Target::None);
    let cpu = Rounds::values(&flows, |summary| summary.server_cpu);
    report.add("P3", "flows: CPU of the server", "µs", cpu, Target::None);
    let cpu = Rounds::values(&flows, |summary| summary.client_cpu);
    report.add("P3", "flows: CPU of the client", "µs", cpu, Target::None);
    Ok(())
}

/// One caller each: CPU time and latency of the pages beside those of an access token.
fn pages(lab: &Lab, report: &mut Report) -> Result {
    let seed = lab.seed(50, 200, "valid")?;
    let server = lab.serve(&seed)?;
    let (mut issues, mut statuses, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    for _ in lab.rounds() {
        issues.push(lab.load_server("issues", &seed, 1, &server)?);
        statuses.push(lab.load_server("statuses", &seed, 1, &server)?);
        lists.push(lab.load_server("lists", &seed, 1, &server)?);
    }
    let p50 = |summaries: &[Summary]| Rounds::values(summaries, |summary| Some(summary.p50));
    let cpu = |summaries: &[Summary]| Rounds::values(summaries, |summary| summary.server_cpu);
    let issue = p50(&issues);
    report.add(
        "P6",
        "status of 200 connectors / access token, p50",
        "×",
        ratios(&p50(&statuses), &issue),
        Target::AtMost(3.0),
    );
    report.add("P6", "list of 200 connectors / access token, p50", "×", ratios(&p50(&lists), &issue), Target::AtMost(3.0));
    report.add("P6", "access token, 1 caller, p50", "µs", issue, Target::None);
    report.add("P6", "access token: CPU of the server", "µs", cpu(&issues), Target::None);
    report.add("P6", "status: CPU of the server", "µs", cpu(&statuses), Target::None);
    report.add("P6", "list: CPU of the server", "µs", cpu(&lists), Target::None);
    Ok(())
}

/// The steps of an access token behind HTTP, at few and at many grants.
fn in_process(lab: &Lab, report: &mut Report) -> Result {
    let small = lab.seed(1_000, 1, "valid")?;
    let large = if lab.quick { lab.seed(1_000, 10, "valid")? } else { lab.seed(10_000, 100, "valid")? };
    let mut times = Vec::new();
    for seed in [&small, &large] {
        let rounds = lab.in_process(seed)?;
        let values = |value: fn(&InProcess) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
        let (issue, open) = (values(|round| round.issue), values(|round| round.open));
        let grants = seed.users * seed.connectors;
        let target = Target::AtMost(2.0);
        report.add("P2", format!("access token / point read and open, {grants} grants"), "×", ratios(&issue, &open), target);
        report.add("P2", format!("access token, {grants} grants"), "µs", issue.clone(), Target::None);
        report.add("P2", format!("point read and open, {grants} grants"), "µs", open, Target::None);
        times.push(issue);
    }
    if let [small, large] = times.as_slice() {
        report.add("P2", "access token, most grants / fewest grants", "×", ratios(large, small), Target::AtMost(3.0));
    }
    Ok(())
}

/// A server that starts with many flows past their deadline, and with many that ended long ago. Reads are compared with those of
/// a server that has nothing to sweep. One round each: every run needs a copy of a large database.
fn sweeps(lab: &Lab, report: &mut Report) -> Result {
    let users = if lab.quick { 1_000 } else { 10_000 };
    let quiet = lab.sweep(&lab.copy(&lab.seed(users, 1, "valid")?)?, if lab.quick { 1 } else { 5 })?;
    report.add("P5", "reads without a sweep, p99", "µs", vec![quiet.read_p99], Target::None);
    report.add("P5", "longest gap between writes without a sweep", "ms", vec![quiet.longest_gap], Target::None);
    for (grants, what) in [("late-flows", "past their deadline"), ("ended-flows", "that ended")] {
        let what = format!("{} flows {what}", users * 100);
        let Sweep { seconds, read_p99, longest_gap } = lab.sweep(&lab.copy(&lab.seed(users, 1, grants)?)?, 0)?;
        report.add("P5", format!("sweep of {what}"), "s", vec![seconds], Target::AtMost(4.0));
        let slower = vec![read_p99 / quiet.read_p99];
        report.add("P5", format!("read p99 meanwhile, {what}"), "×", slower, Target::AtMost(1.5));
        let target = Target::AtMost(20.0);
        report.add("P5", format!("longest gap between writes, {what}"), "ms", vec![longest_gap], target);
    }
    Ok(())
}

/// Many callers on one expired grant; each round has another grant. The exchange with the provider is measured with one caller.
fn storms(lab: &Lab, report: &mut Report) -> Result {
    let seed = lab.copy(&lab.seed(1_000, 1, "expired")?)?;
    let _provider = lab.provider()?;
    let server = lab.serve(&seed)?;
    let callers = if lab.quick { 1_000 } else { 10_000 };
    let mut user = 0;
    let mut next_storm = |callers| {
        user += 1;
        lab.storm(false, callers, user, &server)
    };
    next_storm(1)?;
    let bare = lab.bare(&lab.issued()?)?;
    let (mut storms, mut exchanges, mut compared) = (Vec::new(), Vec::new(), Vec::new());
    for _ in lab.rounds() {
        exchanges.push(next_storm(1)?.seconds * 1000.0);
        storms.push(next_storm(callers)?);
        compared.push(lab.storm(true, callers, 0, &bare)?.seconds * 1000.0);
    }
    let requests = storms.iter().filter_map(|storm| storm.token_requests).collect();
    report.add("P4", format!("requests to the provider for {callers} callers"), "", requests, Target::AtMost(1.0));
    let times: Vec<f64> = storms.iter().map(|storm| storm.seconds * 1000.0).collect();
    let without: Vec<f64> = times.iter().zip(&exchanges).map(|(time, exchange)| time - exchange).collect();
    report.add("P4", "time less one exchange / bare handler", "×", ratios(&without, &compared), Target::AtMost(1.5));
    report.add("P4", format!("time of {callers} callers"), "ms", times, Target::None);
    report.add("P4", "one caller with its exchange", "ms", exchanges, Target::None);
    report.add("P4", "bare handler", "ms", compared, Target::None);
    Ok(())
}

/// Starts, memory and the size of the program. The configuration has no accounts.
fn starts(lab: &Lab, report: &mut Report) -> Result {
    let small = lab.seed(1_000, 1, "valid")?;
    let large = if lab.quick { lab.seed(1_000, 10, "valid")? } else { lab.seed(10_000, 100, "valid")? };
    for seed in [&small, &large] {
        let grants = seed.users * seed.connectors;
        let times = lab.rounds().map(|_| lab.start(seed)).collect::<Result<_>>()?;
        report.add("P7", format!("start to the first token, {grants} grants"), "ms", times, Target::AtMost(20.0));
        let server = lab.serve_with(seed, WITHOUT_ACCOUNTS)?;
        lab.issued()?;
        let idle = lab.idle(0, &server)?;
        report.add("P7", format!("idle memory, {grants} grants"), "MiB", vec![idle / 1024.0], Target::AtMost(20.0));
    }
    let server = lab.serve_with(&small, WITHOUT_ACCOUNTS)?;
    lab.issued()?;
    let idle = lab.idle(0, &server)?;
    let connections = if lab.quick { 100 } else { 1_000 };
    let each = (lab.idle(connections, &server)? - idle) / f64::from(connections);
    report.add("P7", format!("{connections} idle connections above idle, each"), "KiB", vec![each], Target::None);
    let Storm { seconds, memory, .. } = lab.storm(false, connections * 5, 0, &server)?;
    report.add("P7", format!("{} connections served at once", connections * 5), "ms", vec![seconds * 1000.0], Target::None);
    let memory = memory.unwrap_or_default() / 1024.0;
    report.add("P7", format!("memory with {} connections", connections * 5), "MiB", vec![memory], Target::None);
    let size = std::fs::metadata(lab.server())?.len();
    report.add("P7", "program, with the demo", "MB", vec![f64::from(u32::try_from(size)?) / 1e6], Target::AtMost(15.0));
    Ok(())
}

/// Nodes on `PostgreSQL`. The nodes and the database server run on one core: the ratio with the bare handler contains the time of
/// both, and that of two nodes with one contains the CPU time of the nodes only.
fn nodes(lab: &Lab, report: &mut Report) -> Result {
    let users = if lab.quick { 1_000 } else { 10_000 };
    let seed = lab.seed_on_postgres(users, 1, "valid")?;
    let database = lab.database(&seed)?;
    let node = lab.serve(&seed)?;
    let bare = lab.bare(&lab.issued()?)?;
    let mut rounds = Rounds::default();
    for _ in lab.rounds() {
        rounds.server.push(lab.load_nodes(&seed, CALLERS, &[&node], &database)?);
        rounds.reference.push(lab.load_bare("issues", &seed, CALLERS, &bare)?);
    }
    let what = format!("access tokens on PostgreSQL, {users} grants, 1 node, 32 callers");
    rounds.report(report, ON_POSTGRES, &what, "bare handler, 32 callers", Target::AtLeast(0.20));
    let of_server = |summaries: &[Summary]| Rounds::values(summaries, |summary| summary.server_cpu);
    let of_database = |summaries: &[Summary]| Rounds::values(summaries, |summary| summary.database_cpu);
    report.add(ON_POSTGRES, "1 node: CPU of the database", "µs", of_database(&rounds.server), Target::None);

    let second = lab.second_node(&seed)?;
    // What a node does after its start is not compared.
    lab.load_nodes(&seed, CALLERS, &[&node, &second], &database)?;
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in lab.rounds() {
        one.push(lab.load_nodes(&seed, CALLERS, &[&node], &database)?);
        two.push(lab.load_nodes(&seed, CALLERS, &[&node, &second], &database)?);
    }
    drop((node, second));
    // The tokens of a CPU second are the inverse of the CPU time of a token.
    let scaled = ratios(&of_server(&one), &of_server(&two)).into_iter().map(|ratio| 2.0 * ratio).collect();
    report.add(ON_POSTGRES, "2 nodes / 1 node, tokens in a CPU second of each", "×", scaled, Target::AtLeast(1.8));
    let throughput = Rounds::values(&two, |summary| Some(summary.per_second));
    report.add(ON_POSTGRES, "access tokens, 2 nodes on the same core", "/s", throughput, Target::None);
    report.add(ON_POSTGRES, "1 node beside an idle one: CPU of the node", "µs", of_server(&one), Target::None);
    report.add(ON_POSTGRES, "2 nodes: CPU of both nodes", "µs", of_server(&two), Target::None);
    report.add(ON_POSTGRES, "2 nodes: CPU of the database", "µs", of_database(&two), Target::None);

    let node = lab.serve_with(&seed, STATEMENT_CACHE)?;
    let mut rounds = Rounds::default();
    for _ in lab.rounds() {
        rounds.server.push(lab.load_nodes(&seed, CALLERS, &[&node], &database)?);
        rounds.reference.push(lab.load_bare("issues", &seed, CALLERS, &bare)?);
    }
    drop((node, bare, database));
    let throughput = |summaries: &[Summary]| Rounds::values(summaries, |summary| Some(summary.per_second));
    let prepared = ratios(&throughput(&rounds.server), &throughput(&rounds.reference));
    report.add(ON_POSTGRES, "1 node with `statement_cache` / bare handler", "", prepared, Target::None);
    let what = "1 node with `statement_cache`: CPU of the database";
    report.add(ON_POSTGRES, what, "µs", of_database(&rounds.server), Target::None);

    let large = if lab.quick { (1_000, 10) } else { (10_000, 100) };
    let seed = lab.seed_on_postgres(large.0, large.1, "valid")?;
    let _database = lab.database(&seed)?;
    let times = lab.rounds().map(|_| lab.start(&seed)).collect::<Result<_>>()?;
    let what = format!("start to the first token, {} grants on PostgreSQL", large.0 * large.1);
    report.add(ON_POSTGRES, what, "ms", times, Target::AtMost(50.0));
    Ok(())
}

/// What a browser receives.
fn console(lab: &Lab, report: &mut Report) -> Result {
    let seed = lab.seed(1_000, 1, "valid")?;
    let _server = lab.serve_with(&seed, WITHOUT_ACCOUNTS)?;
    report.add("P9", "script of the console, as served", "kB", vec![lab.console()? / 1000.0], Target::AtMost(120.0));
    Ok(())
}
