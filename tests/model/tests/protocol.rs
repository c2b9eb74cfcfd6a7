//! The protocol as it is implemented has no counterexample within the bounds.

use grantry_model::Protocol;
use grantry_model::properties::{GUARANTEES, NO_UNRECORDED_REUSE, ONE_REQUEST};
use grantry_model::provider::Reuse;
use stateright::{Checker, Expectation, Model};

const PROVIDERS: [Reuse; 3] = [Reuse::RevokesFamily, Reuse::HasGracePeriod, Reuse::IsRejected];

/// Searches all states. The model is incomplete if there are fewer than `least`.
fn holds(protocol: Protocol, least: usize) {
    let checker = protocol.checker().spawn_bfs().join();
    checker.assert_properties();
    assert!(checker.is_done());
    let states = checker.unique_state_count();
    assert!(states >= least, "{states} states");
}

#[test]
fn r36_r38_three_nodes_and_a_provider_that_revokes_the_family() {
    holds(Protocol::new(3, 2, Reuse::RevokesFamily), 120_000);
}

#[test]
fn r36_r38_three_nodes_and_a_provider_with_a_grace_period() {
    holds(Protocol::new(3, 2, Reuse::HasGracePeriod), 100_000);
}

#[test]
fn r36_r38_three_nodes_and_a_provider_that_rejects_a_reuse() {
    holds(Protocol::new(3, 2, Reuse::IsRejected), 150_000);
}

#[test]
fn r36_r38_four_nodes() {
    for reuse in PROVIDERS {
        holds(Protocol::new(4, 1, reuse), 15_000);
    }
}

#[test]
fn r36_r38_two_nodes_and_three_refreshes() {
    for reuse in PROVIDERS {
        holds(Protocol::new(2, 3, reuse), 40_000);
    }
}

#[test]
fn r38_versions_protect_the_row_when_leases_end_early() {
    holds(Protocol::new(2, 2, Reuse::RevokesFamily).with_early_ends(), 300_000);
    for reuse in PROVIDERS {
        holds(Protocol::new(3, 1, reuse).with_early_ends(), 100_000);
    }
}

#[test]
fn every_guarantee_is_checked() {
    let names = |protocol: Protocol| {
        let always = protocol.properties().into_iter().filter(|found| found.expectation == Expectation::Always);
        let mut names: Vec<_> = always.map(|found| found.name).collect();
        names.sort_unstable();
        names
    };
    let protocol = Protocol::new(2, 1, Reuse::RevokesFamily);
    let mut expected = GUARANTEES.to_vec();
    expected.sort_unstable();
    assert_eq!(names(protocol), expected);
    expected.retain(|name| ![NO_UNRECORDED_REUSE, ONE_REQUEST].contains(name));
    assert_eq!(names(protocol.with_early_ends()), expected);
}
