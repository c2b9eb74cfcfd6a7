//! Nodes that are killed (SIGKILL) or stopped (SIGSTOP) at random moments while users connect, run and disconnect: no grant is
//! lost, no disconnected one returns, and no refresh token is presented again but in a doubt that the audit trail names.
//!
//! `KILLS` is the number of kills, `KILLS_SEED` makes the choices of an earlier run again. The test prints both, and what the
//! run consisted of.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod counts;
mod database;
mod nodes;
mod random;
mod trail;
mod user;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use grantry_system_tests::deployment::Times;
use grantry_system_tests::test_app::{DRIVE, MARKETING_DRIVE, TestApp};
use grantry_testkit::provider::{MockProvider, Rotation, User as Account};

use self::counts::Counts;
use self::database::Database;
use self::nodes::Nodes;
use self::random::Random;
use self::trail::Presented;
use self::user::{Answer, Consent, Seat, User};

const TEST_NODE: &str = env!("CARGO_BIN_EXE_grantry-test-node");

/// Short times, so that leases end while the users go on.
const TIMES: Times = Times { request_deadline: Duration::from_millis(600), quarantine: Duration::from_millis(400) };
/// How long a lease lasts.
const LEASE: Duration = Duration::from_secs(1);
/// Every grant is refreshed about twice a second.
const ACCESS_TTL: Duration = Duration::from_secs(1);

/// How many nodes are killed unless `KILLS` is set.
const KILLS: usize = 20;
/// Kills of one deployment at most. The next one starts with an empty database and ledger.
const KILLS_PER_DEPLOYMENT: usize = 50;
/// Deployments at the same time.
const DEPLOYMENTS: usize = 4;

/// The pause of a user between two requests, in milliseconds.
const PAUSE: u64 = 40;

const SEATS: [Seat; 6] = [
    Seat { user: "alice", connector: DRIVE, name: "home", account: "a1" },
    Seat { user: "alice", connector: DRIVE, name: "work", account: "a2" },
    Seat { user: "alice", connector: MARKETING_DRIVE, name: "home", account: "a3" },
    Seat { user: "bob", connector: DRIVE, name: "home", account: "b1" },
    Seat { user: "carol", connector: MARKETING_DRIVE, name: "home", account: "c1" },
    Seat { user: "dave", connector: DRIVE, name: "home", account: "d1" },
];

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r20_r37_r38_r40_r41_r49_r80_nodes_that_are_killed_and_stopped_lose_no_grant_and_resurrect_none() {
    let kills = setting("KILLS").map_or(KILLS, |kills| usize::try_from(kills).unwrap());
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seed = setting("KILLS_SEED").unwrap_or(u64::from(clock.subsec_nanos()));
    println!("KILLS={kills} KILLS_SEED={seed}");
    let started = Instant::now();
    let deployments = kills.div_ceil(KILLS_PER_DEPLOYMENT).max(2);
    let mut random = Random::new(seed);
    let runs: Vec<_> = (0..deployments)
        .map(|number| {
            let rotation = if number % 2 == 0 { Rotation::Strict } else { Rotation::Grace(Duration::from_hours(24)) };
            (number, rotation, random.fork())
        })
        .collect();
    let runs = stream::iter(runs).map(|(number, rotation, random)| async move {
        let kills = kills / deployments + usize::from(number < kills % deployments);
        // The other deployments go on after a failure, which its panic describes.
        let counts = tokio::spawn(run(rotation, kills, random)).await.ok();
        println!("{number} {rotation:?}: {}", counts.map_or_else(|| "failed".to_owned(), |counts| counts.to_string()));
        counts
    });
    let all: Vec<_> = runs.buffer_unordered(DEPLOYMENTS).collect().await;
    let failed = all.iter().filter(|counts| counts.is_none()).count();
    let total: Counts = all.into_iter().flatten().sum();
    println!("{:?}: {total}", started.elapsed());
    assert_eq!(failed, 0, "deployments that failed");
    assert!(total.kills >= kills && total.stops > 0 && total.runs > 0 && total.connected > 0, "{total}");
    assert!(total.doubts > 0, "no refresh was interrupted: {total}");
}

/// One deployment from its start to the checks after its last kill.
async fn run(rotation: Rotation, kills: usize, mut random: Random) -> Counts {
    let accounts = SEATS.map(|seat| Account::new(seat.account, "pw"));
    let provider = MockProvider::builder().rotation(rotation).access_ttl(ACCESS_TTL).users(accounts);
    let app = TestApp::with(provider, |settings| {
        settings.times = Some(TIMES);
        settings.disconnect_wait = Duration::from_millis(100);
        settings.busy_timeout = Duration::from_secs(3);
        settings.job_interval = Some(Duration::from_millis(50));
    })
    .await;
    let (processes, addresses) = Nodes::start(&app).await;
    let mut nodes = Nodes::new(&app, processes, &addresses, random.fork());
    let mut users = Vec::new();
    for seat in SEATS {
        users.push(User::new(&app, &addresses, seat, random.fork(), rotation == Rotation::Strict).await);
    }

    let is_over = AtomicBool::new(false);
    let acting = join_all(users.iter_mut().map(|user| {
        let (mut pauses, is_over) = (random.fork(), &is_over);
        async move {
            while !is_over.load(Ordering::Relaxed) {
                user.act().await;
                tokio::time::sleep(pauses.millis(PAUSE)).await;
            }
        }
    }));
    let tormenting = async {
        let database = Database::of(&app);
        nodes.torment(kills, move || trail::doubts(&database.retries()) > 0).await;
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(acting, tormenting);

    come_to_rest(&app).await;
    for user in &mut users {
        check_user(&app, user).await;
    }
    come_to_rest(&app).await;
    let mut counts: Counts = users.iter().map(|user| user.counts).chain([nodes.counts]).sum();
    check_records(&app, &users, &mut counts);
    counts
}

/// Advances the clock until no flow is open and no revocation is pending.
///
/// # Panics
/// If one stays for longer than its deadline, its interruption and a day of revocations last.
async fn come_to_rest(app: &TestApp) {
    let database = Database::of(app);
    let mut unfinished = [1; 3];
    for _ in 0..120 {
        app.advance(Duration::from_mins(10));
        // The nodes sweep and revoke in this time.
        tokio::time::sleep(Duration::from_millis(250)).await;
        unfinished = database.unfinished();
        if unfinished == [0; 3] {
            return;
        }
    }
    panic!("flows, revocations and unclaimed tokens that never end: {unfinished:?}");
}

/// A grant that the API confirmed and that was not disconnected issues a token; any other asks for consent.
async fn check_user(app: &TestApp, user: &mut User<'_>) {
    user.settle().await;
    assert!(user.open.is_empty(), "a flow stays open: {:?}", user.open);
    for _ in 0..40 {
        match user.run().await {
            Answer::Issued | Answer::ConsentRequired => return,
            Answer::Later => {
                app.advance(Duration::from_mins(2));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    panic!("a grant is unavailable for ever");
}

/// Compares provider, audit trail and database with what the API confirmed to the users.
fn check_records(app: &TestApp, users: &[User<'_>], counts: &mut Counts) {
    let database = Database::of(app);
    database.check_integrity();
    let connected = database.connected();
    let is_live = |consent: &Consent| app.provider.grant_of(&consent.code).is_some_and(|(_, grant)| grant.ended.is_none());
    for user in users {
        if let Some(consent) = &user.held {
            assert!(is_live(consent), "the grant of a connection has ended at the provider: {consent:?}");
        }
        for consent in &user.ended {
            assert!(!is_live(consent), "a disconnected or replaced grant is not revoked: {consent:?}");
        }
        for consent in user.others.iter().filter(|consent| is_live(consent)) {
            assert!(!connected.contains(&consent.flow), "a grant that was committed and ended is not revoked: {consent:?}");
            counts.orphans += 1;
        }
    }

    let ledger = app.provider.ledger();
    let mut codes = BTreeMap::<_, usize>::new();
    for exchange in ledger.exchanges() {
        *codes.entry(exchange.param("code").unwrap_or_default().to_owned()).or_default() += 1;
    }
    assert!(codes.values().all(|times| *times == 1), "a code is redeemed twice: {codes:?}");

    let consents = users.iter().flat_map(User::consents);
    let authorizations: BTreeMap<_, _> =
        consents.filter_map(|consent| Some((app.provider.grant_of(&consent.code)?.0, consent.flow.clone()))).collect();
    let presented: Vec<_> = ledger
        .refreshes()
        .into_iter()
        .map(|call| {
            let token = call.param("refresh_token").unwrap_or_default().to_owned();
            let (number, _) = app.provider.grant_of(&token).expect("a refresh token that the provider issued");
            Presented { authorization: authorizations.get(&number).cloned(), token }
        })
        .collect();
    let (reuses, retries) = (trail::reuses(&presented), database.retries());
    assert_eq!(trail::unattributed(&reuses, &retries), Vec::<String>::new(), "reuses without an audit event");
    let quarantine = i64::try_from(TIMES.quarantine.as_millis()).unwrap();
    assert_eq!(trail::hasty(&retries, quarantine), Vec::<String>::new(), "retries within the quarantine");
    counts.refreshes = presented.len();
    counts.reuses = reuses.values().sum();
    counts.doubts = trail::doubts(&retries);
}
