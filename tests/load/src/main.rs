//! `grantry-load`: seeds databases, serves what a benchmark needs, and sends load. `cargo xtask bench` runs it; it can be used
//! alone.

#![expect(clippy::print_stdout, reason = "a command line tool reports on standard output")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::body::Bytes;
use clap::{Args, Parser, Subcommand, ValueEnum};
use grantry_load::Result;
use grantry_load::commits::commits;
use grantry_load::console::script_bytes;
use grantry_load::deployment::{Installation, Ports};
use grantry_load::drive::{Plan, drive};
use grantry_load::seed::{Grants, Seed, seeded};
use grantry_load::start::first_token;
use grantry_load::storm::{idle, storm};
use grantry_load::sweep::sweep;
use grantry_load::workload::{Population, Workload, issue_once};
use grantry_load::{in_process, postgres, provider, references};
use tokio::net::TcpListener;

/// Load for Grantry on loopback.
#[derive(Parser)]
#[command(name = "grantry-load")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a database, unless it exists, and print its folder.
    Seed(SeedOptions),
    /// Start the `PostgreSQL` server of a seeded database, print its process id, and stop it when the standard input ends.
    Database(DatabaseOptions),
    /// Serve the provider and the API that the connectors of a seeded database use.
    Provider(PortOptions),
    /// Serve one response to every request.
    Bare(BareOptions),
    /// Serve a plain proxy to the API.
    Proxy(PortOptions),
    /// Repeat one kind of call and print throughput and latency.
    Run(RunOptions),
    /// Fetch the access token of the first user at the first connector and print the response.
    Issue(PortOptions),
    /// Request one access token on many connections at the same time.
    Storm(StormOptions),
    /// Open connections and print the memory of the watched process in KiB.
    Idle(IdleOptions),
    /// Start a server and print the milliseconds until its first access token.
    Start(StartOptions),
    /// Issue access tokens without HTTP, beside a point read and opening the envelope, and print the microseconds of each.
    InProcess(InProcessOptions),
    /// Start a server that has to sweep, and measure reads and writes meanwhile.
    Sweep(SweepOptions),
    /// Print the bytes of the console's scripts as they are served.
    Console(PortOptions),
    /// Print the number of durable commits of one row a second.
    Commits(CommitOptions),
}

#[derive(Args)]
struct PortOptions {
    /// The first of the ports: the server. The provider, the bare handler, the proxy, the second node and `PostgreSQL` have the
    /// next ones.
    #[arg(long, default_value_t = 17_810)]
    port: u16,
}

#[derive(Args)]
struct PopulationOptions {
    /// Users of the database.
    #[arg(long, default_value_t = 10_000)]
    users: u32,
    /// Connectors of the database.
    #[arg(long, default_value_t = 1)]
    connectors: u32,
}

#[derive(Args)]
struct SeedOptions {
    /// The folder of all seeded databases.
    #[arg(long)]
    below: PathBuf,
    /// The server.
    #[arg(long)]
    program: PathBuf,
    #[command(flatten)]
    ports: PortOptions,
    #[command(flatten)]
    population: PopulationOptions,
    /// The grants.
    #[arg(long, value_enum, default_value_t = Grants::Valid)]
    grants: Grants,
    /// The kind of database.
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    store: Store,
}

/// The kind of a seeded database.
#[derive(Clone, Copy, ValueEnum)]
enum Store {
    /// A file.
    Sqlite,
    /// A server of `PostgreSQL` that is started for it.
    Postgres,
}

#[derive(Args)]
struct DatabaseOptions {
    #[command(flatten)]
    ports: PortOptions,
    /// The folder of the seeded database.
    #[arg(long)]
    folder: PathBuf,
    /// The core it may use.
    #[arg(long, default_value_t = 0)]
    core: usize,
}

#[derive(Args)]
struct BareOptions {
    #[command(flatten)]
    ports: PortOptions,
    /// The body of the response.
    #[arg(long)]
    response: String,
}

#[derive(Args)]
struct StormOptions {
    /// The server.
    #[arg(long, default_value = "127.0.0.1:17810")]
    server: SocketAddr,
    #[command(flatten)]
    ports: PortOptions,
    /// Connections.
    #[arg(long, default_value_t = 10_000)]
    callers: u32,
    /// The number of the user.
    #[arg(long, default_value_t = 0)]
    user: u32,
    /// The process whose memory is measured.
    #[arg(long)]
    watch: Option<u32>,
}

#[derive(Args)]
struct IdleOptions {
    #[command(flatten)]
    ports: PortOptions,
    /// Connections.
    #[arg(long, default_value_t = 1_000)]
    connections: u32,
    /// The process whose memory is measured.
    #[arg(long)]
    watch: u32,
}

#[derive(Args)]
struct StartOptions {
    #[command(flatten)]
    ports: PortOptions,
    /// The server.
    #[arg(long)]
    program: PathBuf,
    /// Its configuration.
    #[arg(long)]
    config: PathBuf,
    /// The core it may use.
    #[arg(long, default_value_t = 0)]
    core: usize,
}

#[derive(Args)]
struct InProcessOptions {
    #[command(flatten)]
    ports: PortOptions,
    #[command(flatten)]
    population: PopulationOptions,
    /// The folder of the seeded database.
    #[arg(long)]
    folder: PathBuf,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of each half of a round.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

#[derive(Args)]
struct SweepOptions {
    #[command(flatten)]
    ports: PortOptions,
    #[command(flatten)]
    population: PopulationOptions,
    /// The server.
    #[arg(long)]
    program: PathBuf,
    /// The folder of the database.
    #[arg(long)]
    folder: PathBuf,
    /// The core of the server.
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// The least number of seconds.
    #[arg(long, default_value_t = 0.0)]
    at_least: f64,
}

#[derive(Args)]
struct CommitOptions {
    /// The folder in which a file is created.
    #[arg(long)]
    below: PathBuf,
    /// Seconds of measuring.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

/// The kind of call.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Fetch access tokens.
    Issues,
    /// Run `GET /me` at the API.
    Runs,
    /// Relay `GET /me` to the API.
    Relays,
    /// Start flows and finish them.
    Flows,
    /// Request the status at all connectors.
    Statuses,
    /// List the connectors.
    Lists,
    /// GET `--path`.
    Get,
}

#[derive(Args)]
struct RunOptions {
    /// The kind of call.
    kind: Kind,
    /// The server.
    #[arg(long, default_value = "127.0.0.1:17810")]
    server: SocketAddr,
    /// A further node of the same deployment. Connections go to the server and to each node in turns.
    #[arg(long)]
    node: Vec<SocketAddr>,
    #[command(flatten)]
    population: PopulationOptions,
    /// Callers at the same time.
    #[arg(long, default_value_t = 32)]
    callers: u32,
    /// Seconds of measuring.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds before measuring.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// A process whose CPU time is measured; several are added up.
    #[arg(long)]
    watch: Vec<u32>,
    /// The process of a database server whose CPU time is measured, with its children.
    #[arg(long)]
    watch_database: Option<u32>,
    /// The path of `get`.
    #[arg(long, default_value = "/me")]
    path: String,
    /// Do not sleep while waiting for responses: waking the client up costs the server CPU time. Not for a client that shares a core
    /// with the provider.
    #[arg(long)]
    busy_wait: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result {
    // The clients and the provider have one core.
    let one_thread = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    // The references have as many threads as the server: one for each core they may use.
    let threads = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match command {
        Command::Seed(options) => one_thread()?.block_on(async {
            let seed = Seed { population: options.population.population(), grants: options.grants };
            let below = std::path::absolute(&options.below)?;
            let installation = seeded(&below, &options.program, options.ports.ports(), seed).await?;
            let installation = match options.store {
                Store::Sqlite => installation,
                Store::Postgres => postgres::copied(&below, &installation, seed.population).await?,
            };
            println!("{}", installation.folder.display());
            Ok(())
        }),
        Command::Database(options) => {
            // A signal of the terminal ends the program that started this one. This one then stops the server.
            rustix::process::setpgid(None, None)?;
            let installation = Installation { folder: options.folder, ports: options.ports.ports() };
            let running = postgres::cluster(&installation, Some(options.core)).start();
            println!("{}", running.process_id());
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
            Ok(())
        }
        Command::Provider(options) => one_thread()?.block_on(async {
            let listener = TcpListener::bind(options.ports().provider()).await?;
            Ok(provider::serve(listener).await?)
        }),
        Command::Bare(options) => threads()?.block_on(async {
            raise_descriptor_limit()?;
            let listener = TcpListener::bind(options.ports.ports().bare()).await?;
            references::bare(listener, Bytes::from(options.response)).await
        }),
        Command::Proxy(options) => threads()?.block_on(async {
            let listener = TcpListener::bind(options.ports().proxy()).await?;
            references::proxy(listener, options.ports().provider()).await
        }),
        Command::Run(options) => one_thread()?.block_on(load(&options)),
        Command::Issue(options) => one_thread()?.block_on(async {
            println!("{}", issue_once(options.ports().server()).await?);
            Ok(())
        }),
        Command::Storm(options) => one_thread()?.block_on(async {
            raise_descriptor_limit()?;
            let StormOptions { server, callers, user, watch, .. } = options;
            let storm = storm(server, options.ports.ports().provider(), callers, user, watch).await?;
            println!("{}", serde_json::to_string(&storm)?);
            Ok(())
        }),
        Command::Idle(options) => one_thread()?.block_on(async {
            raise_descriptor_limit()?;
            println!("{}", idle(options.ports.ports().server(), options.connections, options.watch).await?);
            Ok(())
        }),
        Command::Start(options) => one_thread()?.block_on(async {
            let StartOptions { ports, program, config, core } = options;
            println!("{:.2}", first_token(&program, &config, core, ports.ports()).await?);
            Ok(())
        }),
        Command::InProcess(options) => one_thread()?.block_on(async {
            let installation = Installation { folder: options.folder, ports: options.ports.ports() };
            let (population, duration) = (options.population.population(), Duration::from_secs_f64(options.seconds));
            let rounds = in_process::rounds(&installation, population, options.rounds, duration).await?;
            println!("{}", serde_json::to_string(&rounds)?);
            Ok(())
        }),
        Command::Sweep(options) => one_thread()?.block_on(async {
            let (ports, population) = (options.ports.ports(), options.population.population());
            let at_least = Duration::from_secs_f64(options.at_least);
            let swept = sweep(&options.program, &options.folder, options.core, ports, population, at_least).await?;
            println!("{}", serde_json::to_string(&swept)?);
            Ok(())
        }),
        Command::Console(options) => one_thread()?.block_on(async {
            println!("{}", script_bytes(options.ports().server()).await?);
            Ok(())
        }),
        Command::Commits(options) => {
            println!("{:.1}", commits(&options.below, Duration::from_secs_f64(options.seconds))?);
            Ok(())
        }
    }
}

/// Allows as many open files as the system does.
fn raise_descriptor_limit() -> Result {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

impl PortOptions {
    fn ports(&self) -> Ports {
        Ports(self.port)
    }
}

impl PopulationOptions {
    fn population(&self) -> Population {
        Population { users: self.users, connectors: self.connectors }
    }
}

async fn load(options: &RunOptions) -> Result {
    let plan = Plan {
        server: options.server,
        nodes: options.node.clone(),
        callers: options.callers,
        warm_up: Duration::from_secs_f64(options.warm_up),
        duration: Duration::from_secs_f64(options.seconds),
        watch: options.watch.clone(),
        watch_database: options.watch_database,
        busy_wait: options.busy_wait,
    };
    let population = options.population.population();
    let workload = match options.kind {
        Kind::Issues => Workload::Issues(population),
        Kind::Runs => Workload::Runs(population),
        Kind::Relays => Workload::Relays(population),
        Kind::Flows => Workload::Flows(population, AtomicU64::new(0)),
        Kind::Statuses => Workload::Statuses(population),
        Kind::Lists => Workload::Lists(population),
        Kind::Get => Workload::Get(options.path.clone()),
    };
    let summary = drive(&plan, workload).await?;
    if options.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        println!("{}", summary.text());
    }
    Ok(())
}
