//! The associated data of an envelope, encoded so that no two different values have the same bytes.
//!
//! `OTE1-AAD ‖ header ‖ u16 count ‖ (u8 tag ‖ u32 length ‖ bytes)*` with fixed tags in ascending order. Every field of a
//! record type is always present and never empty; another set of fields is another record type. Ids are encoded byte for byte
//! as the host gave them.

use grantry_domain::authorization::AuthorizationKey;
use grantry_domain::ports::{AssociatedData, VaultError};

use crate::envelope::{HEADER_LENGTH, Header};

/// Longest field in bytes.
const MAX_FIELD: usize = 1024;
const LABEL: &[u8; 8] = b"OTE1-AAD";

pub(crate) const DEPLOYMENT: u8 = 0x01;
const SPACE: u8 = 0x02;
const CONNECTOR: u8 = 0x03;
const INCARNATION: u8 = 0x04;
const USER: u8 = 0x05;
const RECORD: u8 = 0x06;
const DIGEST: u8 = 0x07;
const FLOW_COOKIE: u8 = 0x08;
const CONNECTION: u8 = 0x0a;

type Field<'a> = (u8, &'a [u8]);

/// The bytes that the cipher and the key derivation take.
pub(crate) fn bytes(header: &Header, deployment: &[u8; 16], associated: &AssociatedData) -> Result<Vec<u8>, VaultError> {
    match associated {
        AssociatedData::Flow { owner, state, flow_cookie_hash } => {
            let [deployment, space, connector, incarnation, user, record, digest] = of_user(deployment, owner, &state.0);
            let flow_cookie = (FLOW_COOKIE, &flow_cookie_hash.0[..]);
            let fields = [deployment, space, connector, incarnation, user, record, digest, flow_cookie, connection(owner)];
            encode(header, &fields)
        }
        // The record type in the header distinguishes these two.
        AssociatedData::Grant { owner, grant: id } | AssociatedData::UnclaimedTokens { owner, id } => {
            let record = id.random_part();
            let [deployment, space, connector, incarnation, user, record, digest] = of_user(deployment, owner, &record);
            encode(header, &[deployment, space, connector, incarnation, user, record, digest, connection(owner)])
        }
        AssociatedData::ClientSecret { space, connector, incarnation, digest } => encode(
            header,
            &[
                (DEPLOYMENT, deployment),
                (SPACE, space.as_str().as_bytes()),
                (CONNECTOR, connector.as_str().as_bytes()),
                (INCARNATION, &incarnation.0),
                (DIGEST, &digest.0),
            ],
        ),
    }
}

fn of_user<'a>(deployment: &'a [u8; 16], owner: &'a AuthorizationKey, record: &'a [u8]) -> [Field<'a>; 7] {
    [
        (DEPLOYMENT, deployment),
        (SPACE, owner.space.as_str().as_bytes()),
        (CONNECTOR, owner.connector.as_str().as_bytes()),
        (INCARNATION, &owner.incarnation.0),
        (USER, owner.user.as_str().as_bytes()),
        (RECORD, record),
        (DIGEST, &owner.digest.0),
    ]
}

fn connection(owner: &AuthorizationKey) -> Field<'_> {
    (CONNECTION, owner.connection.as_str().as_bytes())
}

pub(crate) fn encode(header: &Header, fields: &[Field<'_>]) -> Result<Vec<u8>, VaultError> {
    let size: usize = fields.iter().map(|(_, value)| 5 + value.len()).sum();
    let mut out = Vec::with_capacity(LABEL.len() + HEADER_LENGTH + 2 + size);
    out.extend_from_slice(LABEL);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&u16::try_from(fields.len()).map_err(|_| VaultError::OutOfBounds)?.to_be_bytes());
    for (tag, value) in fields {
        // An empty field could be confused with an absent one. The id types exclude both cases.
        if value.is_empty() || value.len() > MAX_FIELD {
            return Err(VaultError::OutOfBounds);
        }
        out.push(*tag);
        out.extend_from_slice(&u32::try_from(value.len()).map_err(|_| VaultError::OutOfBounds)?.to_be_bytes());
        out.extend_from_slice(value);
    }
    Ok(out)
}
