//! How long client secrets are kept.

use grantry_domain::grant::{End, INTERRUPTED_AFTER, Revocation, State, Was};
use grantry_domain::ports::ClientSecretKey;
use grantry_domain::time::Timestamp;

use crate::data::{Data, Row};

impl Data {
    /// Removes every client secret that nothing needs any more; answers how many.
    pub(crate) fn destroy_unneeded_secrets(&mut self, now: Timestamp) -> u64 {
        let unneeded = self.unneeded_secrets(now);
        for key in &unneeded {
            self.secrets.remove(key);
        }
        unneeded.len() as u64
    }

    pub(crate) fn unneeded_secrets(&self, now: Timestamp) -> Vec<ClientSecretKey> {
        self.secrets.keys().filter(|key| !self.needs_secret(**key, now)).copied().collect()
    }

    fn needs_secret(&self, key: ClientSecretKey, now: Timestamp) -> bool {
        let of_key = |incarnation, epoch| key == ClientSecretKey { incarnation, epoch };
        self.connectors.values().any(|connector| of_key(connector.incarnation, connector.epoch))
            || self.orphans.values().map(|orphan| &orphan.tokens.owner).any(|of| of_key(of.incarnation, of.epoch))
            || self.rows.values().any(|row| {
                let owner = row.grant.owner();
                of_key(owner.incarnation, owner.epoch) && may_owe_tokens(row, now)
            })
    }
}

/// Whether tokens of this authorization are to be revoked, or may still arrive and would have to be: an exchange or a renewal
/// that was under way when it ended.
fn may_owe_tokens(row: &Row, now: Timestamp) -> bool {
    let recent_or_due = |end: &End| {
        let due = matches!(end.was, Was::Grant { revocation: Revocation::Due(_), .. });
        due || now < end.since.plus(INTERRUPTED_AFTER)
    };
    match row.grant.state() {
        State::Initiated(_) | State::AwaitingCallback(_) | State::Authorized(_) => true,
        State::Expired(ended) => recent_or_due(ended.end()),
        State::Revoked(ended) => recent_or_due(ended.end()),
    }
}
