//! Tags of rows that are not encrypted: HMAC-SHA-256 (RFC 2104) over the deployment id and the columns.

use grantry_domain::ports::{AuthenticatedRow, KeyId, RowAuthenticator, RowTag, VaultError};
use hmac::Mac as _;

use crate::associated_data::DEPLOYMENT;
use crate::keyring::{RowKey, SealingKey};
use crate::vault::AesGcmVault;

impl RowAuthenticator for AesGcmVault {
    fn tag(&self, row: &AuthenticatedRow<'_>) -> RowTag {
        let key = self.keyring().writer();
        RowTag::new(key.id().0, self.row_mac(key, row).finalize().into_bytes().into())
    }

    fn verify(&self, row: &AuthenticatedRow<'_>, tag: &RowTag) -> Result<(), VaultError> {
        let key = self.keyring().find(KeyId(tag.key_id())).ok_or(VaultError::UnknownKey)?;
        self.row_mac(key, row).verify_slice(tag.mac()).map_err(|_| VaultError::Tampered)
    }
}

impl AesGcmVault {
    fn row_mac(&self, key: &SealingKey, row: &AuthenticatedRow<'_>) -> RowKey {
        let deployment = self.deployment();
        let mut mac = key.row_key(row).clone();
        mac.update(&[DEPLOYMENT, 0, 0, 0, 16]);
        mac.update(deployment);
        mac.update(&row.fields());
        mac
    }
}
