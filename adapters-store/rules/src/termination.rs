//! Termination by predicate: disconnecting, deprovisioning, edits of a connector, superseding.

use grantry_domain::authorization::{Input, State, TerminationCause};
use grantry_domain::identity::{Actor, UserId};
use grantry_domain::ports::{AuditEvent, AuditKind, StoreError, TerminationReport, TerminationRequest, TerminationScope};

use crate::transaction::Transaction;
use crate::{
    AuthorizationRow, AuthorizationSelection, DefaultConnection, DefaultConnectionSelection, Record as _, Tombstone,
};

impl Transaction<'_> {
    pub(crate) fn terminate(
        &mut self,
        scope: TerminationScope,
        request: &TerminationRequest,
    ) -> Result<TerminationReport, StoreError> {
        if let TerminationScope::User(user) = &scope {
            self.tombstone_user(user, &request.actor)?;
        }
        let rows = self.covered(scope)?;
        let input = || Input::Terminated { cause: request.cause, revoke: true };
        self.apply_to_each(rows, input, &request.actor)
    }

    /// Writes the tombstone of a user, with its event unless there is one, and forgets the default connections.
    fn tombstone_user(&mut self, user: &UserId, actor: &Actor) -> Result<(), StoreError> {
        if self.get::<Tombstone>(user)?.is_none() {
            self.put(Tombstone { user: user.clone(), removed_at: self.now })?;
            let event = AuditEvent::new(AuditKind::UserDeprovisioned, actor.clone(), self.now);
            self.log([event.of_user(user)])?;
        }
        for default in self.all::<DefaultConnection>(&DefaultConnectionSelection::OfUser(user.clone()))? {
            self.remove::<DefaultConnection>(&default.key())?;
        }
        Ok(())
    }

    /// The rows that a scope covers.
    fn covered(&mut self, scope: TerminationScope) -> Result<Vec<AuthorizationRow>, StoreError> {
        match scope {
            TerminationScope::One(id) => Ok(self.get::<AuthorizationRow>(&id)?.into_iter().collect()),
            TerminationScope::Connection { connector, user, connection } => {
                let mut rows = self.all::<AuthorizationRow>(&AuthorizationSelection::OfUser(user))?;
                rows.retain(|row| row.owner().connector_key() == connector && row.owner().connection == connection);
                Ok(rows)
            }
            TerminationScope::User(user) => self.all(&AuthorizationSelection::OfUser(user)),
            TerminationScope::UserSpace { user, space } => {
                let mut rows = self.all::<AuthorizationRow>(&AuthorizationSelection::OfUser(user))?;
                rows.retain(|row| row.owner().space == space);
                Ok(rows)
            }
            TerminationScope::Space(space) => self.all(&AuthorizationSelection::OfSpace(space)),
        }
    }

    /// Terminates what a newer flow or grant of its user replaces.
    pub(crate) fn supersede(
        &mut self,
        replaced: Vec<AuthorizationRow>,
        user: &UserId,
        revoke: bool,
    ) -> Result<(), StoreError> {
        let input = || Input::Terminated { cause: TerminationCause::Superseded, revoke };
        self.apply_to_each(replaced, input, &Actor::Person(user.clone())).map(drop)
    }

    /// Applies an input to every row whose state accepts it, with an audit event for each. Rows in `Revoked` stay unchanged.
    pub(crate) fn apply_to_each(
        &mut self,
        rows: Vec<AuthorizationRow>,
        input: impl Fn() -> Input,
        actor: &Actor,
    ) -> Result<TerminationReport, StoreError> {
        let mut report = TerminationReport::default();
        for mut row in rows {
            let count = match row.authorization.state() {
                State::Initiated(_) | State::AwaitingCallback(_) => &mut report.flows,
                State::Authorized(_) => &mut report.grants,
                State::Expired(_) => &mut report.former,
                State::Revoked(_) => continue,
            };
            let was_grant = row.is_grant();
            if !row.apply(input(), self.now) {
                continue;
            }
            *count += 1;
            row.authorization = row.authorization.ended_by(actor);
            report.queued += u64::from(was_grant && row.revocation_due_at().is_some());
            let event = AuditEvent::of_termination(&row.authorization, actor.clone(), self.now);
            self.put(row)?;
            self.log([event])?;
        }
        Ok(report)
    }
}
