//! Sealing and opening with the right binding, and the checks that make sealed values win over columns (R76).

use crate::authorization::{
    AuthorizationId, AuthorizationKey, ClientSecretPayload, Envelope, FlowSecrets, GrantSecrets, PAYLOAD_VERSION, Revision,
    SealedTokens,
};
use crate::connector::{Connector, Epoch, Incarnation};
use crate::encoding::MalformedFields;
use crate::ports::{AssociatedData, ClientCredentials, ClientSecretKey, InvalidConfig, StoreError, VaultError};
use crate::provider::{BindingDigest, ProviderSettings};
use crate::secret::Secret;
use crate::usecase::Connections;

/// An envelope that gives no usable content: to the outside always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenFailure {
    /// The vault refused.
    Vault(VaultError),
    /// It opened, but is not what it should be.
    Malformed(MalformedFields),
    /// It opened, and is an older generation than its row says.
    Stale,
}

impl OpenFailure {
    /// Stable name for the audit trail.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Vault(VaultError::UnknownKey) => "unknown_key",
            Self::Vault(_) => "tampered",
            Self::Malformed(_) => "malformed",
            Self::Stale => "stale",
        }
    }
}

impl From<VaultError> for OpenFailure {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl From<MalformedFields> for OpenFailure {
    fn from(error: MalformedFields) -> Self {
        Self::Malformed(error)
    }
}

/// Why the client's own credentials cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoCredentials {
    /// No client secret was entered, or its epoch is over.
    Missing,
    /// It does not open.
    Unreadable,
    /// The store does not answer.
    Store(StoreError),
}

impl Connections {
    /// Understands a connector as it is now, and computes its digest.
    pub(super) fn settings_of(&self, connector: &Connector) -> Result<(ProviderSettings, BindingDigest), InvalidConfig> {
        let settings = self.ports.profiles.settings(&connector.config)?;
        let digest = BindingDigest(self.ports.vault.fingerprint(&settings.binding_bytes()));
        Ok((settings, digest))
    }

    pub(super) fn open_flow(&self, binding: &AssociatedData, sealed: &Envelope) -> Result<FlowSecrets, OpenFailure> {
        let opened = self.ports.vault.open(binding, sealed)?;
        Ok(FlowSecrets::decode(opened.version, &opened.payload)?)
    }

    /// Opens a grant's tokens and compares the sealed revision with the row's.
    pub(super) fn open_grant(
        &self,
        owner: &AuthorizationKey,
        grant: AuthorizationId,
        sealed: &Envelope,
        revision: Revision,
    ) -> Result<GrantSecrets, OpenFailure> {
        let opened = self.ports.vault.open(&AssociatedData::Grant { owner: owner.clone(), grant }, sealed)?;
        let secrets = GrantSecrets::decode(opened.version, &opened.payload)?;
        if secrets.revision != revision || secrets.epoch != owner.epoch {
            return Err(OpenFailure::Stale);
        }
        Ok(secrets)
    }

    /// Seals tokens, and writes down the hints about them.
    pub(super) fn seal_grant(
        &self,
        owner: &AuthorizationKey,
        grant: AuthorizationId,
        secrets: &GrantSecrets,
    ) -> Result<SealedTokens, VaultError> {
        let binding = AssociatedData::Grant { owner: owner.clone(), grant };
        let sealed = self.ports.vault.seal(&binding, PAYLOAD_VERSION, &secrets.encode())?;
        Ok(SealedTokens {
            sealed,
            revision: secrets.revision,
            scopes: secrets.granted_scopes.clone(),
            expires_at: secrets.expires_at,
            refreshable: secrets.refresh_token.is_some(),
            refresh_expires_at: secrets.refresh_expires_at,
            account: secrets.account.as_ref().map(|account| account.label.clone()),
        })
    }

    /// The client's credentials of an epoch, for exchange, refresh and revocation.
    pub(super) async fn client_credentials_of(
        &self,
        incarnation: Incarnation,
        epoch: Epoch,
        needs_secret: bool,
    ) -> Result<ClientCredentials, NoCredentials> {
        if !needs_secret {
            return Ok(ClientCredentials { secret: None });
        }
        let key = ClientSecretKey { incarnation, epoch };
        let record = self.ports.connectors.client_secret(key).await.map_err(NoCredentials::Store)?;
        let record = record.ok_or(NoCredentials::Missing)?;
        let binding = AssociatedData::ClientSecret {
            space: record.connector.space,
            connector: record.connector.id,
            incarnation,
            digest: record.digest,
        };
        let opened = self.ports.vault.open(&binding, &record.sealed).map_err(|_| NoCredentials::Unreadable)?;
        let payload = ClientSecretPayload::decode(opened.version, &opened.payload).map_err(|_| NoCredentials::Unreadable)?;
        Ok(ClientCredentials { secret: Some(payload.client_secret) })
    }

    /// What 401 reports and single use of a forced renewal compare instead of the token.
    pub(super) fn fingerprint_of(&self, token: &Secret) -> [u8; 32] {
        self.ports.vault.fingerprint(token.expose())
    }
}
