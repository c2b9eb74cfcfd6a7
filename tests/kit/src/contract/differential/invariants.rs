//! What holds in every history, whatever the stores agree on (domain invariants 3 to 5, and the unique keys).

use std::collections::BTreeSet;

use grantry_domain::authorization::{Authorization, AuthorizationRecord, StateKind};
use grantry_domain::connector::Connector;

/// Judges the records before and after a step. A record that is not there any more stands as `None`.
pub(super) fn hold(before: &[AuthorizationRecord], now: &[Option<AuthorizationRecord>], connectors: &[(Connector, bool)]) {
    for (old, new) in before.iter().zip(now) {
        if let Some(new) = new {
            assert_eq!(old.id, new.id);
            step_is_lawful(old, new);
        }
    }
    let (mut granted, mut pending) = (BTreeSet::new(), BTreeSet::new());
    for record in now.iter().flatten() {
        let restored = Authorization::restore(record.clone()).map(|grant| grant.to_record());
        assert_eq!(restored.as_ref(), Ok(record), "the record is not what its state would write");
        let whose = (record.owner.incarnation, record.owner.user.clone());
        match record.state {
            StateKind::Authorized => {
                assert!(granted.insert(whose), "two grants of one user on one connector");
                let live = connectors.iter().find(|(live, _)| live.incarnation == record.owner.incarnation);
                let of_live = live.is_some_and(|(live, there)| *there && live.enabled && live.epoch == record.owner.epoch);
                assert!(of_live, "a grant outlived the configuration it was given for");
            }
            StateKind::Initiated | StateKind::AwaitingCallback if record.consumed_at.is_none() => {
                assert!(pending.insert(whose), "two unconsumed flows of one user on one connector");
            }
            StateKind::Initiated | StateKind::AwaitingCallback | StateKind::Expired | StateKind::Revoked => {}
        }
    }
}

fn step_is_lawful(old: &AuthorizationRecord, new: &AuthorizationRecord) {
    assert_eq!((&old.owner, old.created_at), (&new.owner, new.created_at), "an authorization changed hands");
    assert!(rank(old.state) <= rank(new.state), "{:?} came back as {:?}", old.state, new.state);
    if old.state == StateKind::Revoked {
        assert_eq!((&old.cause, old.since), (&new.cause, new.since), "what was revoked changed its cause");
    }
    if old.state == StateKind::Authorized && new.state == StateKind::Authorized {
        assert!(old.revision <= new.revision, "a token revision fell");
        assert!(old.last_used_day <= new.last_used_day, "the day of last use went back");
    }
    if old.consumed_at.is_some() && new.state == StateKind::AwaitingCallback {
        assert_eq!((new.consumed_at, &new.sealed), (old.consumed_at, &None), "a consumed flow was made good again");
    }
}

/// No transition goes to a lower rank; from `Expired` a former grant can still be put away.
fn rank(state: StateKind) -> u8 {
    match state {
        StateKind::Initiated => 0,
        StateKind::AwaitingCallback => 1,
        StateKind::Authorized => 2,
        StateKind::Expired => 3,
        StateKind::Revoked => 4,
    }
}
