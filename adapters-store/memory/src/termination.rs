//! Termination by predicate: disconnecting, deprovisioning, edits of a connector, superseding.

use grantry_domain::authorization::{Input, State, TerminationCause};
use grantry_domain::identity::{Actor, UserId};
use grantry_domain::ports::{AuditEvent, AuditKind, TerminationReport, TerminationRequest, TerminationScope};
use grantry_domain::time::Timestamp;

use crate::data::{Data, Row};

impl Data {
    pub(crate) fn terminate(
        &mut self,
        scope: &TerminationScope,
        request: &TerminationRequest,
        now: Timestamp,
    ) -> TerminationReport {
        if let TerminationScope::User(user) = scope {
            if !self.tombstones.contains_key(user) {
                self.tombstones.insert(user.clone(), now);
                let event = AuditEvent::new(AuditKind::UserDeprovisioned, request.actor.clone(), now);
                self.outbox.add([event.of_user(user)]);
            }
            self.defaults.retain(|(_, of), _| of != user);
        }
        let input = || Input::Terminated { cause: request.cause, revoke: true };
        self.apply_to_each(|row| covers(scope, row), input, &request.actor, now)
    }

    /// Terminates what a newer flow or grant of its user replaces.
    pub(crate) fn supersede(&mut self, replaced: impl Fn(&Row) -> bool, user: &UserId, revoke: bool, now: Timestamp) {
        let input = || Input::Terminated { cause: TerminationCause::Superseded, revoke };
        self.apply_to_each(replaced, input, &Actor::Person(user.clone()), now);
    }

    /// Applies an input to every matching row whose state accepts it, with an audit event for each. Rows in `Revoked` stay
    /// unchanged.
    pub(crate) fn apply_to_each(
        &mut self,
        matches: impl Fn(&Row) -> bool,
        input: impl Fn() -> Input,
        actor: &Actor,
        now: Timestamp,
    ) -> TerminationReport {
        let mut report = TerminationReport::default();
        for row in self.rows.values_mut().filter(|row| matches(row)) {
            let count = match row.authorization.state() {
                State::Initiated(_) | State::AwaitingCallback(_) => &mut report.flows,
                State::Authorized(_) => &mut report.grants,
                State::Expired(_) => &mut report.former,
                State::Revoked(_) => continue,
            };
            let was_grant = row.is_authorized();
            if !row.apply(input(), now) {
                continue;
            }
            row.authorization = row.authorization.clone().ended_by(actor);
            *count += 1;
            let ended = &row.authorization;
            if was_grant && ended.termination().is_some_and(|end| end.pending_revocation().is_some()) {
                report.queued += 1;
            }
            self.outbox.add([AuditEvent::of_termination(ended, actor.clone(), now)]);
        }
        report
    }
}

fn covers(scope: &TerminationScope, row: &Row) -> bool {
    let owner = row.owner();
    match scope {
        TerminationScope::One(id) => row.authorization.id() == *id,
        TerminationScope::Connection { connector, user, connection } => {
            owner.connector_key() == *connector && owner.user == *user && owner.connection == *connection
        }
        TerminationScope::User(user) => owner.user == *user,
        TerminationScope::UserSpace { user, space } => owner.user == *user && owner.space == *space,
        TerminationScope::Space(space) => owner.space == *space,
    }
}
