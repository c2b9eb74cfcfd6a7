//! How long client secrets are kept.

use std::time::Duration;

use grantry_domain::authorization::{EndedKind, INTERRUPTED_AFTER, Revocation, State, Termination};
use grantry_domain::connector::{Epoch, Incarnation};
use grantry_domain::ports::{ClientSecretKey, ClientSecretRecord};
use grantry_domain::time::Timestamp;

use crate::data::{ClientSecret, Data, Row};

/// How long a superseded secret is kept at most, whatever still needs it.
const LONGEST: Duration = Duration::from_hours(24);

impl Data {
    /// Adds a secret, or replaces the one of its epoch.
    pub(crate) fn keep_secret(&mut self, secret: Option<ClientSecretRecord>) {
        let Some(record) = secret else { return };
        let superseded_at = self.secrets.get(&record.key).and_then(|secret| secret.superseded_at);
        self.secrets.insert(record.key, ClientSecret { record, superseded_at });
    }

    /// Notes that only the secret of the present epoch is still in use; none, if the connector is gone.
    pub(crate) fn supersede_secrets(&mut self, connector: Incarnation, present: Option<Epoch>, now: Timestamp) {
        let old = |key: &ClientSecretKey| key.incarnation == connector && Some(key.epoch) != present;
        for (_, secret) in self.secrets.iter_mut().filter(|(key, _)| old(key)) {
            secret.superseded_at.get_or_insert(now);
        }
    }

    /// Removes every client secret that nothing needs any more; answers how many.
    pub(crate) fn destroy_unneeded_secrets(&mut self, now: Timestamp) -> u64 {
        let unneeded = self.unneeded_secrets(now);
        for key in &unneeded {
            self.secrets.remove(key);
        }
        unneeded.len() as u64
    }

    pub(crate) fn unneeded_secrets(&self, now: Timestamp) -> Vec<ClientSecretKey> {
        let unneeded = |key: ClientSecretKey, superseded_at: Timestamp| {
            now >= superseded_at.plus(LONGEST) || !self.needs_secret(key, now)
        };
        let superseded = self.secrets.iter().filter_map(|(key, secret)| Some((*key, secret.superseded_at?)));
        superseded.filter(|(key, since)| unneeded(*key, *since)).map(|(key, _)| key).collect()
    }

    fn needs_secret(&self, key: ClientSecretKey, now: Timestamp) -> bool {
        let of_key = |incarnation, epoch| key == ClientSecretKey { incarnation, epoch };
        self.orphans.values().map(|orphan| &orphan.tokens.owner).any(|of| of_key(of.incarnation, of.epoch))
            || self.rows.values().any(|row| {
                let owner = row.grant.owner();
                of_key(owner.incarnation, owner.epoch) && may_owe_tokens(row, now)
            })
    }
}

/// Whether tokens of this authorization are to be revoked, or may still arrive and would have to be: an exchange or a renewal
/// that was under way when it ended.
fn may_owe_tokens(row: &Row, now: Timestamp) -> bool {
    let recent_or_due = |end: &Termination| {
        let due = matches!(end.kind, EndedKind::Grant { revocation: Revocation::Pending(_), .. });
        due || now < end.since.plus(INTERRUPTED_AFTER)
    };
    match row.grant.state() {
        State::Initiated(_) | State::AwaitingCallback(_) | State::Authorized(_) => true,
        State::Expired(ended) => recent_or_due(ended.termination()),
        State::Revoked(ended) => recent_or_due(ended.termination()),
    }
}
