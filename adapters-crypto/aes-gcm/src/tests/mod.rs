//! Tests with access to internals: the published vectors use a key that the public constructor refuses.

mod associated_data;
mod contract;
mod damage;
mod keyring;
mod placement;
mod rows;
mod sealing;
mod secrecy;
#[cfg(unix)]
mod sources;
mod vectors;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use grantry_domain::authorization::{AuthorizationId, AuthorizationKey, FlowCookieHash, StateHash};
use grantry_domain::connector::{ConnectorId, Epoch, Incarnation};
use grantry_domain::identity::{ConnectionName, SpaceId, UserId};
use grantry_domain::ports::{AssociatedData, RandomUnavailable, SecureRandom};
use grantry_domain::provider::BindingDigest;
use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use sha2::{Digest, Sha256};

use crate::{AesGcmVault, Keyring, RootKey};

/// The deployment of the published vectors.
const DEPLOYMENT: [u8; 16] = [0xd0; 16];
/// Salt and nonce of the published vectors.
const RANDOM: [u8; 44] = {
    let mut random = [0; 44];
    let (mut index, mut next) = (0, 0x40);
    while index < random.len() {
        random[index] = if index == 32 { 0xa0 } else { next };
        next = random[index] + 1;
        index += 1;
    }
    random
};

/// The same bytes for each call.
struct Fixed(Vec<u8>);

impl SecureRandom for Fixed {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomUnavailable> {
        buffer.copy_from_slice(&self.0);
        Ok(())
    }
}

/// Pseudo-random bytes, the same in every run.
#[derive(Default)]
struct Stream(AtomicU64);

impl SecureRandom for Stream {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomUnavailable> {
        for chunk in buffer.chunks_mut(32) {
            let block = Sha256::digest(self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

fn key(number: u8) -> RootKey {
    RootKey::unchecked(Sha256::digest([number]).into())
}

/// A vault that writes with key 1.
fn vault() -> AesGcmVault {
    vault_with(1, &[])
}

fn vault_with(write: u8, read: &[u8]) -> AesGcmVault {
    let read: Vec<RootKey> = read.iter().map(|number| key(*number)).collect();
    AesGcmVault::new(Keyring::new(&key(write), &read).unwrap(), DEPLOYMENT, Arc::new(Stream::default()))
}

fn secret(text: &str) -> Secret {
    Secret::from_text(text)
}

fn owner() -> AuthorizationKey {
    AuthorizationKey {
        space: SpaceId::default_space(),
        connector: ConnectorId::new("conn-1").unwrap(),
        incarnation: Incarnation([0xc0; 16]),
        epoch: Epoch::FIRST,
        digest: BindingDigest([0xb1; 32]),
        user: UserId::new("u_profile_1").unwrap(),
        connection: ConnectionName::new("work").unwrap(),
    }
}

fn grant_id() -> AuthorizationId {
    AuthorizationId::new(Timestamp::from_millis(0), [0x60; 16])
}

fn flow() -> AssociatedData {
    AssociatedData::Flow { owner: owner(), state: StateHash([0x5a; 32]), flow_cookie_hash: FlowCookieHash([0xbb; 32]) }
}

fn grant() -> AssociatedData {
    AssociatedData::Grant { owner: owner(), grant: grant_id() }
}

fn client_secret() -> AssociatedData {
    let AuthorizationKey { space, connector, incarnation, digest, .. } = owner();
    AssociatedData::ClientSecret { space, connector, incarnation, digest }
}

fn unclaimed() -> AssociatedData {
    AssociatedData::UnclaimedTokens { owner: owner(), id: grant_id() }
}

fn one_of_each() -> [AssociatedData; 4] {
    [flow(), grant(), client_secret(), unclaimed()]
}
