//! The callback as it is implemented has no counterexample, and each broken variant has one.

use std::collections::BTreeSet;

use grantry_model::callback::{
    Callback, GRANT_IS_LIVE, GUARANTEES, NOTHING_USABLE, ONE_EXCHANGE, PRESENT_EPOCH, STAYS_ENDED,
};
use grantry_model::search::counterexample;
use grantry_model::variants::BrokenCallback;
use stateright::{Checker, Expectation, Model};

const COMPLETE: Callback = Callback::new(3);

fn breaks(part: BrokenCallback, property: &'static str) {
    let found = counterexample(&COMPLETE.without(part), property);
    assert!(found.is_some(), "“{property}” holds without {part:?}");
}

#[test]
fn r20_the_callback_on_three_nodes() {
    let checker = COMPLETE.checker().spawn_bfs().join();
    checker.assert_properties();
    let states = checker.unique_state_count();
    assert!(states >= 150, "{states} states");
}

#[test]
fn every_guarantee_is_checked() {
    let always = COMPLETE.properties().into_iter().filter(|found| found.expectation == Expectation::Always);
    let names: BTreeSet<_> = always.map(|found| found.name).collect();
    assert_eq!(names, BTreeSet::from(GUARANTEES));
}

#[test]
fn r20_a_callback_that_is_used_twice() {
    breaks(BrokenCallback::NotSingleUse, ONE_EXCHANGE);
    breaks(BrokenCallback::NotSingleUse, GRANT_IS_LIVE);
}

#[test]
fn r42_the_epoch_is_ignored() {
    breaks(BrokenCallback::EpochIgnored, PRESENT_EPOCH);
}

#[test]
fn r41_a_commit_ignores_the_end_of_the_flow() {
    breaks(BrokenCallback::CommitIgnoresFlow, STAYS_ENDED);
}

#[test]
fn r41_tokens_that_arrive_too_late_are_dropped() {
    breaks(BrokenCallback::UnclaimedTokensDropped, NOTHING_USABLE);
}

#[test]
fn r41_a_revocation_ignores_the_live_grant() {
    breaks(BrokenCallback::RevocationIgnoresLiveGrant, GRANT_IS_LIVE);
}
