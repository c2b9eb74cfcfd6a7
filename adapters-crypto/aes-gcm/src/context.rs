//! The context of an envelope: what its record is bound to, in an encoding that no two different bindings share.
//!
//! `u16 count ‖ (u8 tag ‖ u32 length ‖ bytes)*` with fixed tags in fixed order. Every field of a record type is always there
//! and never empty; another shape is another record type. Ids enter byte for byte as the host gave them.

use grantry_domain::authorization::AuthorizationKey;
use grantry_domain::ports::{AssociatedData, VaultError};

use crate::envelope::{HEADER_LENGTH, Header};

/// Longest field in bytes.
const MAX_FIELD: usize = 1024;
const LABEL: &[u8; 8] = b"OTE1-AAD";

const DEPLOYMENT: u8 = 0x01;
const SPACE: u8 = 0x02;
const CONNECTOR: u8 = 0x03;
const INCARNATION: u8 = 0x04;
const USER: u8 = 0x05;
const RECORD: u8 = 0x06;
const DIGEST: u8 = 0x07;
const BROWSER: u8 = 0x08;

type Field<'a> = (u8, &'a [u8]);

/// The associated data of an envelope: `OTE1-AAD ‖ header ‖ context`.
pub(crate) fn associated_data(
    header: &Header,
    deployment: &[u8; 16],
    binding: &AssociatedData,
) -> Result<Vec<u8>, VaultError> {
    match binding {
        AssociatedData::Flow { owner, state, flow_cookie_hash } => {
            let [deployment, space, connector, incarnation, user, record, digest] = of_user(deployment, owner, &state.0);
            let flow_cookie_hash = (BROWSER, &flow_cookie_hash.0[..]);
            encode(header, &[deployment, space, connector, incarnation, user, record, digest, flow_cookie_hash])
        }
        // The record type in the header tells these two apart.
        AssociatedData::Grant { owner, grant } | AssociatedData::UnclaimedTokens { owner, grant } => {
            encode(header, &of_user(deployment, owner, &grant.random_part()))
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

pub(crate) fn encode(header: &Header, fields: &[Field<'_>]) -> Result<Vec<u8>, VaultError> {
    let size: usize = fields.iter().map(|(_, value)| 5 + value.len()).sum();
    let mut out = Vec::with_capacity(LABEL.len() + HEADER_LENGTH + 2 + size);
    out.extend_from_slice(LABEL);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&u16::try_from(fields.len()).map_err(|_| VaultError::OutOfBounds)?.to_be_bytes());
    for (tag, value) in fields {
        // An empty field could stand for an absent one. The id types allow neither this nor a field that is too long.
        if value.is_empty() || value.len() > MAX_FIELD {
            return Err(VaultError::OutOfBounds);
        }
        out.push(*tag);
        out.extend_from_slice(&u32::try_from(value.len()).map_err(|_| VaultError::OutOfBounds)?.to_be_bytes());
        out.extend_from_slice(value);
    }
    Ok(out)
}
