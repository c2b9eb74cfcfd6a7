//! The payloads of envelopes: tagged fields, which take precedence over every column.

use zeroize::Zeroizing;

use crate::authorization::state::Revision;
use crate::connector::Epoch;
use crate::encoding::{FieldReader, FieldWriter, MalformedFields};
use crate::provider::{Account, ProviderSnapshot, Scopes};
use crate::secret::{Secret, equal_in_constant_time};
use crate::time::Timestamp;

/// The payload version this program writes, for every record type.
pub const PAYLOAD_VERSION: u16 = 1;

/// Sealed payload of a flow between start and callback (record type 01).
pub struct FlowSecrets {
    /// PKCE code verifier (RFC 7636 §4.1).
    pub verifier: Secret,
    /// The `state` parameter, from which a launch page rebuilds the authorization URL. Elsewhere only its hash is stored.
    pub state: Secret,
    /// OpenID Connect nonce, when `openid` was requested.
    pub nonce: Option<String>,
    /// The provider at the time of consent.
    pub provider: ProviderSnapshot,
    /// Scopes requested.
    pub requested_scopes: Scopes,
    /// Where the browser returns to: a path on the public origin.
    pub return_path: Option<String>,
    /// Whether another provider account than before is accepted.
    pub allow_account_change: bool,
    /// Whether the provider is asked to let the user choose the account.
    pub select_account: bool,
    /// Deadline; takes precedence over the column.
    pub deadline: Timestamp,
    /// Epoch of the connector at start.
    pub epoch: Epoch,
}

impl FlowSecrets {
    /// Encodes for sealing.
    pub fn encode(&self) -> Secret {
        let scopes = self.requested_scopes.to_record();
        Secret::from_zeroizing(
            FieldWriter::default()
                .bytes(0x01, self.verifier.expose())
                .optional(0x02, self.nonce.as_deref().map(str::as_bytes))
                .owned(0x03, self.provider.encode())
                .bytes(0x04, scopes.as_bytes())
                .optional(0x05, self.return_path.as_deref().map(str::as_bytes))
                .number(0x06, i64::from(self.allow_account_change) | i64::from(self.select_account) << 1)
                .number(0x07, self.deadline.as_millis())
                .number(0x08, signed(self.epoch.0))
                .bytes(0x09, self.state.expose())
                .finish(),
        )
    }

    /// Decodes a decrypted payload.
    pub fn decode(version: u16, payload: &Secret) -> Result<Self, MalformedFields> {
        known(version)?;
        let mut fields = FieldReader::new(payload.expose())?;
        let verifier = Secret::new(fields.bytes(0x01)?.to_vec());
        let nonce = fields.optional_text(0x02)?;
        let provider = ProviderSnapshot::decode(fields.bytes(0x03)?)?;
        let requested_scopes = Scopes::from_record(&fields.text(0x04)?);
        let return_path = fields.optional_text(0x05)?;
        let account_rules = fields.number(0x06)?;
        if !(0..=3).contains(&account_rules) {
            return Err(MalformedFields::Value);
        }
        let flow = Self {
            verifier,
            nonce,
            provider,
            requested_scopes,
            return_path,
            allow_account_change: account_rules & 1 != 0,
            select_account: account_rules & 2 != 0,
            deadline: Timestamp::from_millis(fields.number(0x07)?),
            epoch: Epoch(unsigned(fields.number(0x08)?)?),
            state: Secret::new(fields.bytes(0x09)?.to_vec()),
        };
        fields.finish()?;
        Ok(flow)
    }
}

/// The provider account as sealed: subject and label.
pub type SealedAccount = Account;

/// Sealed payload of a grant (record type 02) and of unclaimed tokens (record type 04).
pub struct GrantSecrets {
    /// Access token.
    pub access_token: Secret,
    /// Refresh token, if the provider issued one.
    pub refresh_token: Option<Secret>,
    /// `Bearer`, in the provider's spelling.
    pub token_type: String,
    /// Scopes requested at consent.
    pub requested_scopes: Scopes,
    /// Scopes granted.
    pub granted_scopes: Scopes,
    /// When the tokens were requested.
    pub issued_at: Timestamp,
    /// When the access token expires.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token expires.
    pub refresh_expires_at: Option<Timestamp>,
    /// Revision; must equal the record's.
    pub revision: Revision,
    /// Epoch of the connector at consent: selects the client secret.
    pub epoch: Epoch,
    /// The provider at the time of consent.
    pub provider: ProviderSnapshot,
    /// The account that consented.
    pub account: Option<SealedAccount>,
}

impl GrantSecrets {
    /// Whether a token of one grant is a token of the other: some providers return the same ones for every consent.
    pub fn shares_a_token(&self, other: &Self) -> bool {
        let same = |left: &Secret, right: &Secret| equal_in_constant_time(left.expose(), right.expose());
        let refresh = self.refresh_token.as_ref().zip(other.refresh_token.as_ref());
        same(&self.access_token, &other.access_token) || refresh.is_some_and(|(left, right)| same(left, right))
    }

    /// Encodes for sealing.
    pub fn encode(&self) -> Secret {
        let (requested, granted) = (self.requested_scopes.to_record(), self.granted_scopes.to_record());
        Secret::from_zeroizing(
            FieldWriter::default()
                .bytes(0x01, self.access_token.expose())
                .optional(0x02, self.refresh_token.as_ref().map(Secret::expose))
                .bytes(0x03, self.token_type.as_bytes())
                .bytes(0x04, requested.as_bytes())
                .bytes(0x05, granted.as_bytes())
                .number(0x06, self.issued_at.as_millis())
                .optional_number(0x07, self.expires_at.map(Timestamp::as_millis))
                .optional_number(0x08, self.refresh_expires_at.map(Timestamp::as_millis))
                .number(0x09, signed(self.revision.0))
                .number(0x0a, signed(self.epoch.0))
                .owned(0x0b, self.provider.encode())
                .optional(0x0c, self.account.as_ref().map(|account| account.subject.as_bytes()))
                .optional(0x0d, self.account.as_ref().map(|account| account.label.as_bytes()))
                .finish(),
        )
    }

    /// Decodes a decrypted payload.
    pub fn decode(version: u16, payload: &Secret) -> Result<Self, MalformedFields> {
        known(version)?;
        let mut fields = FieldReader::new(payload.expose())?;
        let account = match (fields.optional_text(0x0c)?, fields.optional_text(0x0d)?) {
            (Some(subject), Some(label)) => Some(Account { subject, label }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(MalformedFields::Missing),
        };
        let grant = Self {
            access_token: Secret::new(fields.bytes(0x01)?.to_vec()),
            refresh_token: fields.optional(0x02).map(|bytes| Secret::new(bytes.to_vec())),
            token_type: fields.text(0x03)?,
            requested_scopes: Scopes::from_record(&fields.text(0x04)?),
            granted_scopes: Scopes::from_record(&fields.text(0x05)?),
            issued_at: Timestamp::from_millis(fields.number(0x06)?),
            expires_at: fields.optional_number(0x07)?.map(Timestamp::from_millis),
            refresh_expires_at: fields.optional_number(0x08)?.map(Timestamp::from_millis),
            revision: Revision(unsigned(fields.number(0x09)?)?),
            epoch: Epoch(unsigned(fields.number(0x0a)?)?),
            provider: ProviderSnapshot::decode(fields.bytes(0x0b)?)?,
            account,
        };
        fields.finish()?;
        Ok(grant)
    }
}

/// Sealed payload of a client secret (record type 03).
pub struct ClientSecretPayload {
    /// The secret registered at the provider.
    pub client_secret: Secret,
}

impl ClientSecretPayload {
    /// Encodes for sealing.
    pub fn encode(&self) -> Secret {
        Secret::from_zeroizing(FieldWriter::default().bytes(0x01, self.client_secret.expose()).finish())
    }

    /// Decodes a decrypted payload.
    pub fn decode(version: u16, payload: &Secret) -> Result<Self, MalformedFields> {
        known(version)?;
        let mut fields = FieldReader::new(payload.expose())?;
        let client_secret = Secret::from_zeroizing(Zeroizing::new(fields.bytes(0x01)?.to_vec()));
        fields.finish()?;
        Ok(Self { client_secret })
    }
}

fn known(version: u16) -> Result<(), MalformedFields> {
    if version == PAYLOAD_VERSION { Ok(()) } else { Err(MalformedFields::Version) }
}

/// Counters stay far below 2^63; saturating keeps the encoding total.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> Result<u64, MalformedFields> {
    u64::try_from(value).map_err(|_| MalformedFields::Value)
}
