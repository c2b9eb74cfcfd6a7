//! Endings by predicate: disconnect, off-boarding, edits of a connector, supersession.

use grantry_domain::authorization::{
    AuthorizationId, AuthorizationRecord, Input, RevocationRecord, State, TerminationCause,
};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuditEvent, TerminationReport, TerminationRequest, TerminationScope};
use grantry_domain::time::Timestamp;

use crate::data::{Data, Row};

impl Data {
    pub(crate) fn end(
        &mut self,
        scope: &TerminationScope,
        ending: &TerminationRequest,
        now: Timestamp,
    ) -> TerminationReport {
        if let TerminationScope::User(user) = scope {
            self.tombstones.insert(user.clone());
        }
        let ended = || Input::Terminated { cause: ending.cause, revoke: true };
        self.apply_to_each(|row| covers(scope, row), ended, &ending.actor, now)
    }

    /// Puts what a newer attempt or a newer grant replaces out of the way, in the name of its user.
    pub(crate) fn supersede(
        &mut self,
        replaced: impl Fn(&Row) -> bool,
        by: &AuthorizationRecord,
        revoke: bool,
        now: Timestamp,
    ) {
        let superseded = || Input::Terminated { cause: TerminationCause::Superseded, revoke };
        let user = Actor::Person(by.owner.user.clone());
        let same = |row: &Row| {
            let owner = row.grant.owner();
            owner.incarnation == by.owner.incarnation && owner.user == by.owner.user && replaced(row)
        };
        self.apply_to_each(same, superseded, &user, now);
    }

    /// Applies an input to every row that matches and takes it, with an audit event for each. What has ended in `Revoked` is
    /// left alone.
    pub(crate) fn apply_to_each(
        &mut self,
        matches: impl Fn(&Row) -> bool,
        input: impl Fn() -> Input,
        actor: &Actor,
        now: Timestamp,
    ) -> TerminationReport {
        let mut ended = TerminationReport::default();
        for row in self.rows.values_mut().filter(|row| matches(row)) {
            let count = match row.grant.state() {
                State::Initiated(_) | State::AwaitingCallback(_) => &mut ended.flows,
                State::Authorized(_) => &mut ended.grants,
                State::Expired(_) => &mut ended.former,
                State::Revoked(_) => continue,
            };
            let was_grant = row.is_authorized();
            let Some(record) = row.apply(input(), now) else { continue };
            *count += 1;
            if was_grant && matches!(record.revocation, Some(RevocationRecord::Pending { .. })) {
                ended.queued += 1;
            }
            self.outbox.add([AuditEvent::ending(&record, actor.clone(), now)]);
        }
        ended
    }

    /// The row of an authorization.
    pub(crate) fn row(&mut self, id: AuthorizationId) -> Option<&mut Row> {
        self.rows.get_mut(&id)
    }
}

fn covers(scope: &TerminationScope, row: &Row) -> bool {
    let owner = row.grant.owner();
    match scope {
        TerminationScope::One(id) => row.grant.id() == *id,
        TerminationScope::UserConnector { incarnation, user } => owner.incarnation == *incarnation && owner.user == *user,
        TerminationScope::User(user) => owner.user == *user,
        TerminationScope::UserSpace { user, space } => owner.user == *user && owner.space == *space,
        TerminationScope::Space(space) => owner.space == *space,
    }
}
