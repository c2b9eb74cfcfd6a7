//! The protocol without one of its parts has a counterexample, so the model finds faults.

use grantry_model::properties::{
    HEALTHY_NOT_REJECTED, NO_UNRECORDED_REUSE, NOT_ISSUED, NOTHING_USABLE, ONE_REQUEST, STAYS_ENDED, STORED_IS_NEWEST,
};
use grantry_model::provider::Reuse;
use grantry_model::search::counterexample;
use grantry_model::variants::Broken;
use grantry_model::{Action, Protocol};

/// Two nodes find a counterexample. `protocol.rs` shows that the complete protocol has none.
fn breaks(parts: &'static [Broken], reuse: Reuse, property: &'static str) -> Vec<Action> {
    let found = counterexample(&Protocol::new(2, 2, reuse).without(parts), property);
    found.unwrap_or_else(|| panic!("“{property}” holds without {parts:?}"))
}

fn has_fault(path: &[Action]) -> bool {
    path.iter().any(|action| matches!(action, Action::Crash(_) | Action::TimeOut(_) | Action::EndLease))
}

#[test]
fn r36_no_lease() {
    let path = breaks(&[Broken::NoLease], Reuse::RevokesFamily, ONE_REQUEST);
    assert!(!has_fault(&path), "{path:?}");
    let path = breaks(&[Broken::NoLease], Reuse::RevokesFamily, NO_UNRECORDED_REUSE);
    assert!(!has_fault(&path), "{path:?}");
}

#[test]
fn r37_no_doubt_mark() {
    breaks(&[Broken::NoDoubtMark], Reuse::RevokesFamily, NO_UNRECORDED_REUSE);
    breaks(&[Broken::NoDoubtMark], Reuse::HasGracePeriod, ONE_REQUEST);
    breaks(&[Broken::NoDoubtMark], Reuse::HasGracePeriod, NOTHING_USABLE);
}

#[test]
fn r40_no_quarantine() {
    let path = breaks(&[Broken::NoQuarantine], Reuse::RevokesFamily, NO_UNRECORDED_REUSE);
    assert!(path.iter().any(|action| matches!(action, Action::ProcessLate(_))), "{path:?}");
}

#[test]
fn r40_no_request_deadline() {
    breaks(&[Broken::NoRequestDeadline], Reuse::RevokesFamily, NO_UNRECORDED_REUSE);
}

#[test]
fn r37_doubt_cleared_before_the_commit() {
    breaks(&[Broken::DoubtClearedBeforeCommit], Reuse::RevokesFamily, NO_UNRECORDED_REUSE);
}

#[test]
fn r37_a_failure_clears_an_earlier_doubt() {
    breaks(&[Broken::FailureClearsEarlierDoubt], Reuse::RevokesFamily, NO_UNRECORDED_REUSE);
}

#[test]
fn r37_a_failure_of_another_holder() {
    breaks(&[Broken::FailureIgnoresHolder], Reuse::RevokesFamily, NO_UNRECORDED_REUSE);
}

#[test]
fn r38_a_commit_without_an_expected_version() {
    breaks(&[Broken::CommitIgnoresVersion], Reuse::HasGracePeriod, STORED_IS_NEWEST);
    breaks(&[Broken::CommitIgnoresVersion], Reuse::RevokesFamily, STAYS_ENDED);
}

#[test]
fn r39_a_rejection_without_an_expected_version() {
    breaks(&[Broken::EndIgnoresVersion], Reuse::IsRejected, HEALTHY_NOT_REJECTED);
}

#[test]
fn r45_tokens_issued_before_the_commit() {
    breaks(&[Broken::IssuedBeforeCommit], Reuse::RevokesFamily, NOT_ISSUED);
}

#[test]
fn r43_the_epoch_is_ignored() {
    breaks(&[Broken::EpochIgnored], Reuse::RevokesFamily, NOT_ISSUED);
}

#[test]
fn r49_a_disconnect_drops_the_doubt() {
    breaks(&[Broken::DisconnectDropsDoubt], Reuse::RevokesFamily, NOTHING_USABLE);
    breaks(&[Broken::DisconnectDropsDoubt], Reuse::HasGracePeriod, NOTHING_USABLE);
}

#[test]
fn r49_a_revocation_in_doubt_does_not_refresh() {
    breaks(&[Broken::NoRefreshBeforeRevocation], Reuse::RevokesFamily, NOTHING_USABLE);
    breaks(&[Broken::NoRefreshBeforeRevocation], Reuse::HasGracePeriod, NOTHING_USABLE);
}

#[test]
fn r49_any_refusal_ends_the_doubt_of_a_revocation() {
    breaks(&[Broken::RefusalEndsDoubt], Reuse::RevokesFamily, NOTHING_USABLE);
    breaks(&[Broken::RefusalEndsDoubt], Reuse::HasGracePeriod, NOTHING_USABLE);
}

#[test]
fn r49_a_revocation_is_not_repeated() {
    breaks(&[Broken::RevocationNotRepeated], Reuse::RevokesFamily, NOTHING_USABLE);
}

#[test]
fn r41_tokens_that_arrive_too_late_are_dropped() {
    let path = breaks(&[Broken::UnclaimedTokensDropped], Reuse::IsRejected, NOTHING_USABLE);
    assert!(!has_fault(&path), "{path:?}");
}

const VERSIONS: [Broken; 2] = [Broken::CommitIgnoresVersion, Broken::EndIgnoresVersion];
const DOUBT: [Broken; 4] =
    [Broken::NoDoubtMark, Broken::NoQuarantine, Broken::NoRefreshBeforeRevocation, Broken::UnclaimedTokensDropped];

/// Each of these loses a grant, and leaves a live grant behind a disconnect.
fn is_not_enough(without: &'static [Broken]) {
    for reuse in [Reuse::RevokesFamily, Reuse::HasGracePeriod] {
        breaks(without, reuse, NOTHING_USABLE);
    }
    breaks(without, Reuse::RevokesFamily, NO_UNRECORDED_REUSE);
}

#[test]
fn r36_a_lease_alone_is_not_enough() {
    const WITHOUT: [Broken; 6] = [VERSIONS[0], VERSIONS[1], DOUBT[0], DOUBT[1], DOUBT[2], DOUBT[3]];
    is_not_enough(&WITHOUT);
}

#[test]
fn r38_versions_alone_are_not_enough() {
    const WITHOUT: [Broken; 5] = [Broken::NoLease, DOUBT[0], DOUBT[1], DOUBT[2], DOUBT[3]];
    is_not_enough(&WITHOUT);
}

#[test]
fn r37_lease_and_versions_are_not_enough() {
    is_not_enough(&DOUBT);
}
