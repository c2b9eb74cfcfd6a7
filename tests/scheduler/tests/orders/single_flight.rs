//! The single flight, with locks at which the scheduler can switch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use grantry_scheduler_tests::SingleFlight;
use grantry_testkit::doubles::TestClock;
use shuttle::future::{block_on, spawn, yield_now};

use crate::node::{Deadlines, Process};
use crate::search;

const CALLERS: u32 = 4;

/// Work that must not run twice at the same time.
#[derive(Default)]
struct Works {
    running: AtomicU32,
    ended: AtomicU32,
}

impl Works {
    async fn run(self: Arc<Self>) -> u32 {
        assert_eq!(self.running.fetch_add(1, Ordering::Relaxed), 0, "one at a time");
        yield_now().await;
        yield_now().await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        self.ended.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Each caller gets a result that is not older than the last one at its arrival. No caller waits without end, which the scheduler
/// reports as a deadlock. Callers that are gone change nothing for the others.
#[test]
fn r36_work_runs_once_at_a_time_and_every_caller_gets_its_result() {
    search(|| {
        block_on(async {
            let process = Process::new(TestClock::default(), Deadlines::AreMet);
            let (flights, works) = (Arc::new(SingleFlight::default()), Arc::new(Works::default()));
            let callers: Vec<_> = (0..CALLERS)
                .map(|number| {
                    let (flights, works, spawner) = (flights.clone(), works.clone(), process.clone());
                    let caller = async move {
                        let ended_before = works.ended.load(Ordering::Relaxed);
                        let result = flights.join(&spawner, 1, works.clone().run()).await;
                        assert!(result.expect("the work does not panic") >= ended_before);
                    };
                    // Every other caller can be gone before its result.
                    spawn(if number % 2 == 0 { process.run(caller) } else { process.run_or_drop(caller) })
                })
                .collect();
            for (number, caller) in callers.into_iter().enumerate() {
                let ended = caller.await.expect("the caller does not panic");
                assert!(ended.is_some() || number % 2 == 1);
            }
        });
    });
}

/// A later call for the same key starts again, also if the earlier caller was dropped.
#[test]
fn a_flight_leaves_nothing_behind() {
    search(|| {
        block_on(async {
            let process = Process::new(TestClock::default(), Deadlines::AreMet);
            let (flights, works) = (Arc::new(SingleFlight::default()), Arc::new(Works::default()));
            let (other, theirs, spawner) = (flights.clone(), works.clone(), process.clone());
            let gone = spawn(process.run_or_drop(async move { other.join(&spawner, 1, theirs.run()).await }));
            gone.await.expect("the caller does not panic");
            let result = flights.join(&process, 1, works.clone().run()).await;
            assert!(result.expect("the work does not panic") <= 2);
        });
    });
}
