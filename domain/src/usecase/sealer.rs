//! Sealing and decrypting with the right associated data, and the checks that give sealed values precedence over columns.

use std::sync::Arc;

use crate::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, ClientSecretPayload, Envelope, FlowSecrets, GrantSecrets,
    PAYLOAD_VERSION, Revision, SealedTokens, State,
};
use crate::connector::{Connector, ConnectorKey};
use crate::encoding::MalformedFields;
use crate::ports::{
    AssociatedData, AuditOutcome, AuthenticatedRow, ClientCredentials, ClientSecretKey, ClientSecretRecord, ConnectorStore,
    RowAuthenticator, RowTag, StoreError, TokenVault, VaultError,
};
use crate::provider::BindingDigest;
use crate::secret::Secret;

/// An envelope without usable content. Responses of the API do not distinguish the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecryptError {
    /// The vault refused it.
    Vault(VaultError),
    /// The payload is malformed.
    Malformed(MalformedFields),
    /// The payload is of an older generation than its record.
    Stale,
}

impl From<VaultError> for DecryptError {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl From<MalformedFields> for DecryptError {
    fn from(error: MalformedFields) -> Self {
        Self::Malformed(error)
    }
}

impl From<DecryptError> for AuditOutcome {
    fn from(error: DecryptError) -> Self {
        match error {
            DecryptError::Vault(error) => error.into(),
            DecryptError::Malformed(_) => Self::Malformed,
            DecryptError::Stale => Self::Stale,
        }
    }
}

impl From<VaultError> for AuditOutcome {
    fn from(error: VaultError) -> Self {
        if error == VaultError::UnknownKey { Self::UnknownKey } else { Self::Tampered }
    }
}

/// Why there are no client credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCredentials {
    /// No client secret was entered for this epoch.
    Missing,
    /// It cannot be decrypted, or was entered for another configuration.
    Undecryptable,
    /// The store is unavailable.
    Store(StoreError),
}

/// Seals and decrypts the payloads of flows, grants, unclaimed tokens and client secrets.
#[derive(Clone)]
pub struct Sealer {
    vault: Arc<dyn TokenVault>,
    connectors: Arc<dyn ConnectorStore>,
    rows: Arc<dyn RowAuthenticator>,
}

impl Sealer {
    /// A sealer over a vault, the store of client secrets and the authenticator of account labels.
    pub fn new(vault: Arc<dyn TokenVault>, connectors: Arc<dyn ConnectorStore>, rows: Arc<dyn RowAuthenticator>) -> Self {
        Self { vault, connectors, rows }
    }

    /// Seals the secrets of a flow.
    pub fn seal_flow(&self, associated: &AssociatedData, secrets: &FlowSecrets) -> Result<Envelope, VaultError> {
        self.vault.seal(associated, PAYLOAD_VERSION, &secrets.encode())
    }

    /// Decrypts the secrets of a flow.
    pub fn open_flow(&self, associated: &AssociatedData, sealed: &Envelope) -> Result<FlowSecrets, DecryptError> {
        let decrypted = self.vault.open(associated, sealed)?;
        Ok(FlowSecrets::decode(decrypted.version, &decrypted.payload)?)
    }

    /// Seals the tokens of a grant, with copies of the attributes that queries need.
    pub fn seal_grant(
        &self,
        owner: &AuthorizationKey,
        grant: AuthorizationId,
        secrets: &GrantSecrets,
    ) -> Result<SealedTokens, VaultError> {
        let associated = AssociatedData::Grant { owner: owner.clone(), grant };
        let sealed = self.vault.seal(&associated, PAYLOAD_VERSION, &secrets.encode())?;
        let label = secrets.account.as_ref().map(|account| account.label.as_str());
        let account_tag = Some(self.rows.tag(&AuthenticatedRow::Account { owner, grant, label }));
        Ok(SealedTokens {
            sealed,
            revision: secrets.revision,
            scopes: secrets.granted_scopes.clone(),
            expires_at: secrets.expires_at,
            refreshable: secrets.refresh_token.is_some(),
            refresh_expires_at: secrets.refresh_expires_at,
            account: label.map(str::to_owned),
            account_tag,
        })
    }

    /// Decrypts the tokens of a grant, or those that a former grant keeps for its revocation, and compares the sealed
    /// revision and epoch with the record's.
    pub fn open_grant(&self, authorization: &Authorization) -> Result<GrantSecrets, DecryptError> {
        let (sealed, revision) = tokens_of(authorization).ok_or(DecryptError::Stale)?;
        let owner = authorization.owner();
        let associated = AssociatedData::Grant { owner: owner.clone(), grant: authorization.id() };
        let decrypted = self.vault.open(&associated, sealed)?;
        let secrets = GrantSecrets::decode(decrypted.version, &decrypted.payload)?;
        if secrets.revision != revision || secrets.epoch != owner.epoch {
            return Err(DecryptError::Stale);
        }
        Ok(secrets)
    }

    /// The account label of a grant or a former grant, if it was written with the tokens of this grant. `None` if the account
    /// was not known.
    pub fn account_label(&self, authorization: &Authorization) -> Result<Option<String>, VaultError> {
        let (label, tag) = match authorization.as_grant() {
            Some(grant) => (grant.tokens().account.as_deref(), grant.tokens().account_tag),
            None => authorization.termination().map_or((None, None), |end| (end.account(), end.account_tag())),
        };
        let row = AuthenticatedRow::Account { owner: authorization.owner(), grant: authorization.id(), label };
        self.rows.verify(&row, &tag.unwrap_or(RowTag::NONE))?;
        Ok(label.map(str::to_owned))
    }

    /// Whether the tokens of a grant can be decrypted with the available keys.
    pub fn decrypts(&self, grant: &Authorization) -> bool {
        self.open_grant(grant).is_ok()
    }

    /// Seals encoded unclaimed tokens.
    pub fn seal_unclaimed(
        &self,
        owner: &AuthorizationKey,
        id: AuthorizationId,
        encoded: &Secret,
    ) -> Result<Envelope, VaultError> {
        self.vault.seal(&AssociatedData::UnclaimedTokens { owner: owner.clone(), id }, PAYLOAD_VERSION, encoded)
    }

    /// Decrypts unclaimed tokens.
    pub fn open_unclaimed(
        &self,
        owner: &AuthorizationKey,
        id: AuthorizationId,
        sealed: &Envelope,
    ) -> Result<GrantSecrets, DecryptError> {
        let decrypted = self.vault.open(&AssociatedData::UnclaimedTokens { owner: owner.clone(), id }, sealed)?;
        Ok(GrantSecrets::decode(decrypted.version, &decrypted.payload)?)
    }

    /// The client credentials of the epoch that a flow or a grant belongs to.
    pub async fn client_of(&self, owner: &AuthorizationKey, needs_secret: bool) -> Result<ClientCredentials, NoCredentials> {
        let key = ClientSecretKey { incarnation: owner.incarnation, epoch: owner.epoch };
        self.client_credentials(&owner.connector_key(), key, owner.digest, needs_secret).await
    }

    /// Seals a client secret for the connector's present epoch.
    pub fn seal_client_secret(
        &self,
        connector: &Connector,
        digest: BindingDigest,
        client_secret: Secret,
    ) -> Result<ClientSecretRecord, VaultError> {
        let associated = AssociatedData::ClientSecret {
            space: connector.key.space.clone(),
            connector: connector.key.id.clone(),
            incarnation: connector.incarnation,
            digest,
        };
        let payload = ClientSecretPayload { client_secret }.encode();
        let sealed = self.vault.seal(&associated, PAYLOAD_VERSION, &payload)?;
        let key = ClientSecretKey { incarnation: connector.incarnation, epoch: connector.epoch };
        Ok(ClientSecretRecord { key, connector: connector.key.clone(), digest, sealed })
    }

    /// The client credentials of an epoch, for exchange, refresh and revocation. `connector` and `digest` are those that
    /// the request is made for: a secret that was entered for another connector or configuration is not decrypted; its row
    /// does not matter.
    pub async fn client_credentials(
        &self,
        connector: &ConnectorKey,
        key: ClientSecretKey,
        digest: BindingDigest,
        needs_secret: bool,
    ) -> Result<ClientCredentials, NoCredentials> {
        if !needs_secret {
            return Ok(ClientCredentials { secret: None });
        }
        let record = self.connectors.client_secret(key).await.map_err(NoCredentials::Store)?;
        let record = record.ok_or(NoCredentials::Missing)?;
        let associated = AssociatedData::ClientSecret {
            space: connector.space.clone(),
            connector: connector.id.clone(),
            incarnation: key.incarnation,
            digest,
        };
        let decrypted = self.vault.open(&associated, &record.sealed).map_err(|_| NoCredentials::Undecryptable)?;
        let payload = ClientSecretPayload::decode(decrypted.version, &decrypted.payload);
        let payload = payload.map_err(|_| NoCredentials::Undecryptable)?;
        Ok(ClientCredentials { secret: Some(payload.client_secret) })
    }
}

fn tokens_of(authorization: &Authorization) -> Option<(&Envelope, Revision)> {
    let pending = match authorization.state() {
        State::Authorized(grant) => return Some((&grant.tokens().sealed, grant.tokens().revision)),
        State::Expired(ended) => ended.termination().pending_revocation(),
        State::Revoked(ended) => ended.termination().pending_revocation(),
        State::Initiated(_) | State::AwaitingCallback(_) => None,
    };
    pending.map(|pending| (&pending.sealed, pending.revision))
}
