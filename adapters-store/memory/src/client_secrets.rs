//! Retention of client secrets.

use std::time::Duration;

use grantry_domain::authorization::{Authorization, INTERRUPTED_AFTER};
use grantry_domain::connector::{Epoch, Incarnation};
use grantry_domain::ports::{ClientSecretKey, ClientSecretRecord};
use grantry_domain::time::Timestamp;

use crate::data::{ClientSecret, Data};

/// Maximum retention of a superseded secret, even if a revocation still needs it.
const LONGEST: Duration = Duration::from_hours(24);

impl Data {
    /// Adds a secret, or replaces the one of its epoch.
    pub(crate) fn store_secret(&mut self, secret: Option<ClientSecretRecord>) {
        let Some(record) = secret else { return };
        let superseded_at = self.secrets.get(&record.key).and_then(|secret| secret.superseded_at);
        self.secrets.insert(record.key, ClientSecret { record, superseded_at });
    }

    /// Marks every secret of a connector as superseded except that of its present epoch; all of them if it was deleted.
    pub(crate) fn supersede_secrets(&mut self, connector: Incarnation, present: Option<Epoch>, now: Timestamp) {
        let old = |key: &ClientSecretKey| key.incarnation == connector && Some(key.epoch) != present;
        for (_, secret) in self.secrets.iter_mut().filter(|(key, _)| old(key)) {
            secret.superseded_at.get_or_insert(now);
        }
    }

    pub(crate) fn destroy_unneeded_secrets(&mut self, now: Timestamp) {
        for key in self.unneeded_secrets(now) {
            self.secrets.remove(&key);
        }
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
        self.unclaimed.values().any(|queued| of_key(queued.tokens.owner.incarnation, queued.tokens.owner.epoch))
            || self.rows.values().any(|row| {
                of_key(row.owner().incarnation, row.owner().epoch) && may_need_revocation(&row.authorization, now)
            })
    }
}

/// Whether tokens of this authorization are to be revoked, or may still be received by an exchange or a refresh that was in
/// progress when it ended.
fn may_need_revocation(authorization: &Authorization, now: Timestamp) -> bool {
    authorization
        .termination()
        .is_none_or(|end| end.pending_revocation().is_some() || now < end.since.plus(INTERRUPTED_AFTER))
}
