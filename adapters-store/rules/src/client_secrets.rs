//! Retention of client secrets.

use std::time::Duration;

use grantry_domain::connector::{Epoch, Incarnation};
use grantry_domain::ports::{ClientSecretKey, ClientSecretRecord, StoreError};

use crate::transaction::Transaction;
use crate::{
    AuthorizationRow, AuthorizationSelection, ClientSecret, ClientSecretSelection, UnclaimedRow, UnclaimedSelection,
};

/// Maximum retention of a superseded secret, even if a revocation still needs it.
const LONGEST: Duration = Duration::from_hours(24);

impl Transaction<'_> {
    /// Adds a secret, or replaces the one of its epoch.
    pub(crate) fn store_secret(&mut self, secret: Option<ClientSecretRecord>) -> Result<(), StoreError> {
        let Some(record) = secret else { return Ok(()) };
        let superseded_at = self.get::<ClientSecret>(&record.key)?.and_then(|stored| stored.superseded_at);
        self.put(ClientSecret { record, superseded_at })
    }

    /// Marks every secret of a connector as superseded except that of its present epoch; all of them if it was deleted.
    pub(crate) fn supersede_secrets(&mut self, connector: Incarnation, present: Option<Epoch>) -> Result<(), StoreError> {
        for mut secret in self.all::<ClientSecret>(&ClientSecretSelection::OfIncarnation(connector))? {
            if Some(secret.record.key.epoch) != present && secret.superseded_at.is_none() {
                secret.superseded_at = Some(self.now);
                self.put(secret)?;
            }
        }
        Ok(())
    }

    pub(crate) fn destroy_unneeded_secrets(&mut self) -> Result<(), StoreError> {
        self.unneeded_secrets()?.iter().try_for_each(|key| self.remove::<ClientSecret>(key))
    }

    pub(crate) fn unneeded_secrets(&mut self) -> Result<Vec<ClientSecretKey>, StoreError> {
        let mut unneeded = Vec::new();
        for secret in self.all::<ClientSecret>(&ClientSecretSelection::Superseded)? {
            // Checked here as well: the present secret of a connector is always needed.
            let Some(since) = secret.superseded_at else { continue };
            if self.now >= since.plus(LONGEST) || !self.needs_secret(secret.record.key)? {
                unneeded.push(secret.record.key);
            }
        }
        Ok(unneeded)
    }

    fn needs_secret(&mut self, key: ClientSecretKey) -> Result<bool, StoreError> {
        let rows = AuthorizationSelection::NeedsSecret { key, at: self.now };
        Ok(self.first::<UnclaimedRow>(&UnclaimedSelection::NeedsSecret(key))?.is_some()
            || self.first::<AuthorizationRow>(&rows)?.is_some())
    }
}
