//! What holds in every history, whatever the stores agree on (domain invariants 3 to 5, and the unique keys).

use std::collections::BTreeSet;

use grantry_domain::authorization::{Authorization, Phase, Snapshot};
use grantry_domain::connector::Connector;

/// Judges the records before and after a step. A record that is not there any more stands as `None`.
pub(super) fn hold(before: &[Snapshot], now: &[Option<Snapshot>], connectors: &[(Connector, bool)]) {
    for (old, new) in before.iter().zip(now) {
        if let Some(new) = new {
            assert_eq!(old.id, new.id);
            step_is_lawful(old, new);
        }
    }
    let (mut granted, mut pending) = (BTreeSet::new(), BTreeSet::new());
    for record in now.iter().flatten() {
        let restored = Authorization::restore(record.clone()).map(|grant| grant.snapshot());
        assert_eq!(restored.as_ref(), Ok(record), "the record is not what its state would write");
        let whose = (record.owner.incarnation, record.owner.user.clone());
        match record.phase {
            Phase::Authorized => {
                assert!(granted.insert(whose), "two grants of one user on one connector");
                let live = connectors.iter().find(|(live, _)| live.incarnation == record.owner.incarnation);
                let of_live = live.is_some_and(|(live, there)| *there && live.enabled && live.epoch == record.owner.epoch);
                assert!(of_live, "a grant outlived the configuration it was given for");
            }
            Phase::Initiated | Phase::AwaitingCallback if record.consumed_at.is_none() => {
                assert!(pending.insert(whose), "two unconsumed flows of one user on one connector");
            }
            Phase::Initiated | Phase::AwaitingCallback | Phase::Expired | Phase::Revoked => {}
        }
    }
}

fn step_is_lawful(old: &Snapshot, new: &Snapshot) {
    assert_eq!((&old.owner, old.created_at), (&new.owner, new.created_at), "an authorization changed hands");
    assert!(rank(old.phase) <= rank(new.phase), "{:?} came back as {:?}", old.phase, new.phase);
    if old.phase == Phase::Revoked {
        assert_eq!((&old.cause, old.since), (&new.cause, new.since), "what was revoked changed its cause");
    }
    if old.phase == Phase::Authorized && new.phase == Phase::Authorized {
        assert!(old.revision <= new.revision, "a token revision fell");
        assert!(old.last_used_day <= new.last_used_day, "the day of last use went back");
    }
    if old.consumed_at.is_some() && new.phase == Phase::AwaitingCallback {
        assert_eq!((new.consumed_at, &new.sealed), (old.consumed_at, &None), "a consumed flow was made good again");
    }
}

/// No transition goes to a lower rank; from `Expired` a former grant can still be put away.
fn rank(phase: Phase) -> u8 {
    match phase {
        Phase::Initiated => 0,
        Phase::AwaitingCallback => 1,
        Phase::Authorized => 2,
        Phase::Expired => 3,
        Phase::Revoked => 4,
    }
}
