//! Invariants of the domain that hold in every history, and the unique keys.

use std::collections::BTreeSet;

use grantry_domain::authorization::{Authorization, AuthorizationRecord, StateKind};
use grantry_domain::connector::Connector;

/// Checks the records before and after a step; `None` for a record that was removed.
pub(super) fn check(before: &[AuthorizationRecord], now: &[Option<AuthorizationRecord>], connectors: &[(Connector, bool)]) {
    for (old, new) in before.iter().zip(now) {
        if let Some(new) = new {
            assert_eq!(old.id, new.id);
            check_step(old, new);
        }
    }
    let (mut granted, mut pending) = (BTreeSet::new(), BTreeSet::new());
    for record in now.iter().flatten() {
        let restored = Authorization::restore(record.clone()).map(|grant| grant.to_record());
        assert_eq!(restored.as_ref(), Ok(record), "the record differs from the record of its state");
        let owner = &record.owner;
        let connection = (owner.incarnation, owner.user.clone(), owner.connection.clone());
        match record.state {
            StateKind::Authorized => {
                assert!(granted.insert(connection), "two grants of one connection");
                let live = connectors.iter().find(|(live, _)| live.incarnation == owner.incarnation);
                let of_live = live.is_some_and(|(live, stored)| *stored && live.epoch == owner.epoch);
                assert!(of_live, "a grant exists for another configuration than the present one");
            }
            StateKind::Initiated | StateKind::AwaitingCallback if record.consumed_at.is_none() => {
                assert!(pending.insert(connection), "two unconsumed flows of one connection");
            }
            StateKind::Initiated | StateKind::AwaitingCallback | StateKind::Expired | StateKind::Revoked => {}
        }
    }
}

fn check_step(old: &AuthorizationRecord, new: &AuthorizationRecord) {
    assert_eq!((&old.owner, old.created_at), (&new.owner, new.created_at), "the key of an authorization changed");
    assert!(rank(old.state) <= rank(new.state), "{:?} became {:?}", old.state, new.state);
    if old.state == StateKind::Revoked {
        assert_eq!((&old.cause, old.since), (&new.cause, new.since), "the cause of a revoked authorization changed");
    }
    if old.state == StateKind::Authorized && new.state == StateKind::Authorized {
        assert!(old.revision <= new.revision, "a token revision decreased");
        assert!(old.last_used_day <= new.last_used_day, "the day of last use decreased");
    }
    if old.consumed_at.is_some() && new.state == StateKind::AwaitingCallback {
        assert_eq!((new.consumed_at, &new.sealed), (old.consumed_at, &None), "a consumed flow can be consumed again");
    }
}

/// No transition leads to a lower rank; a former grant in `Expired` can still be terminated.
fn rank(state: StateKind) -> u8 {
    match state {
        StateKind::Initiated => 0,
        StateKind::AwaitingCallback => 1,
        StateKind::Authorized => 2,
        StateKind::Expired => 3,
        StateKind::Revoked => 4,
    }
}
