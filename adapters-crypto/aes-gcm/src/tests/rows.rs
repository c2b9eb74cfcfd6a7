//! Tags of rows. The vectors were computed by an independent program.

use std::sync::Arc;

use grantry_domain::authorization::{AuthorizationId, AuthorizationKey};
use grantry_domain::connector::{
    AuthMode, CallbackId, Connector, ConnectorConfig, ConnectorId, ConnectorKey, ConnectorName, Epoch, Incarnation,
    ProfileId,
};
use grantry_domain::encoding::hex;
use grantry_domain::identity::{ConnectionName, SpaceId, UserId};
use grantry_domain::ports::{AuthenticatedRow, KeyId, RowAuthenticator, RowTag, SessionHash, VaultError};
use grantry_domain::provider::BindingDigest;
use grantry_domain::time::Timestamp;

use super::{DEPLOYMENT, Fixed, Stream, key, vault, vault_with};
use crate::{AesGcmVault, Keyring, RootKey};

fn connector() -> Connector {
    Connector {
        key: ConnectorKey { space: SpaceId::default_space(), id: ConnectorId::new("conn-1").unwrap() },
        name: ConnectorName::new("Drive").unwrap(),
        config: ConnectorConfig {
            profile: ProfileId::new(".oauth2").unwrap(),
            settings: "{}".to_owned(),
            client_id: Some("client-1".to_owned()),
        },
        auth_mode: AuthMode::PerUser,
        incarnation: Incarnation([0xc0; 16]),
        epoch: Epoch(3),
        callback_id: CallbackId([0xca; 16]),
        has_client_secret: true,
        revision: 2,
        created_at: Timestamp::from_millis(1000),
        updated_at: Timestamp::from_millis(2000),
        tag: RowTag::NONE,
    }
}

/// A session: id, user, and the instants of creation and last use.
type SessionRow = (u8, &'static str, i64, i64);

const SESSION: SessionRow = (0x5e, "u_profile_1", 1000, 2000);

fn tag_of(vault: &AesGcmVault, connector: &Connector) -> RowTag {
    vault.tag(&AuthenticatedRow::Connector(connector))
}

fn with_session<T>((id, user, created_at, seen_at): SessionRow, work: impl FnOnce(&AuthenticatedRow<'_>) -> T) -> T {
    let at = Timestamp::from_millis;
    let user = UserId::new(user).unwrap();
    let (created_at, seen_at) = (at(created_at), at(seen_at));
    work(&AuthenticatedRow::Session { id: SessionHash([id; 32]), user: &user, created_at, seen_at })
}

#[test]
fn r73_the_tag_of_a_device_fits_its_id_and_user_name_only() {
    let vault = vault();
    let tag = vault.tag(&AuthenticatedRow::Device { id: &[1; 16], username: "alice" });
    let verify = |id: [u8; 16], username: &str| vault.verify(&AuthenticatedRow::Device { id: &id, username }, &tag);
    assert_eq!(verify([1; 16], "alice"), Ok(()));
    assert_eq!(verify([2; 16], "alice"), Err(VaultError::Tampered));
    assert_eq!(verify([1; 16], "alice2"), Err(VaultError::Tampered));
}

#[test]
fn r73_the_tag_of_an_account_fits_its_grant_and_label_only() {
    let owner = AuthorizationKey {
        space: SpaceId::default_space(),
        connector: ConnectorId::new("conn-1").unwrap(),
        incarnation: Incarnation([0xc0; 16]),
        epoch: Epoch(3),
        digest: BindingDigest([0xd1; 32]),
        user: UserId::new("u_profile_1").unwrap(),
        connection: ConnectionName::default(),
    };
    let id = AuthorizationId::from_bytes;
    let vault = vault();
    let tag = vault.tag(&AuthenticatedRow::Account { owner: &owner, grant: id([1; 24]), label: Some("alice") });
    let verify = |owner: &AuthorizationKey, grant: u8, label: Option<&str>| {
        vault.verify(&AuthenticatedRow::Account { owner, grant: id([grant; 24]), label }, &tag)
    };
    assert_eq!(verify(&owner, 1, Some("alice")), Ok(()));
    for (grant, label) in [(2, Some("alice")), (1, Some("alice2")), (1, Some("")), (1, None)] {
        assert_eq!(verify(&owner, grant, label), Err(VaultError::Tampered));
    }
    let changes: [fn(&mut AuthorizationKey); 7] = [
        |owner| owner.space = SpaceId::new("marketing").unwrap(),
        |owner| owner.connector = ConnectorId::new("conn-2").unwrap(),
        |owner| owner.incarnation = Incarnation([1; 16]),
        |owner| owner.epoch = Epoch(4),
        |owner| owner.digest = BindingDigest([1; 32]),
        |owner| owner.user = UserId::new("u_profile_2").unwrap(),
        |owner| owner.connection = ConnectionName::new("work").unwrap(),
    ];
    for change in changes {
        let mut other = owner.clone();
        change(&mut other);
        assert_eq!(verify(&other, 1, Some("alice")), Err(VaultError::Tampered));
    }
}

#[test]
fn r73_row_tag_vectors() {
    let ascending: Vec<u8> = (0..32).collect();
    let root = Keyring::new(&RootKey::unchecked(ascending.try_into().unwrap()), &[]).unwrap();
    let vault = AesGcmVault::new(root, DEPLOYMENT, Arc::new(Fixed(Vec::new())));
    let complete = connector();
    let mut without_client = connector();
    without_client.config.client_id = None;
    for (tag, expected) in [
        (tag_of(&vault, &complete), "aa76453083b6343de8014e949eeb64f3bfd5d3ee0ccfddcf9d5aadaa497176163e55cf2721a487a9"),
        (
            tag_of(&vault, &without_client),
            "aa76453083b6343df47831bc7f23d4f58c101fbfd73b53f9f07473e2525a20d293aa2acf35f76ee3",
        ),
        (
            with_session(SESSION, |row| vault.tag(row)),
            "aa76453083b6343dd8db54a226ca197c6666fc560476cb688f72d10b6e1f891bd816f7941c2003f9",
        ),
    ] {
        assert_eq!(hex(&tag.0), expected);
    }
}

#[test]
fn r73_a_tag_verifies_only_the_row_that_it_was_made_for() {
    type Change = fn(&mut Connector);
    let changes: [Change; 14] = [
        |row| row.key.space = SpaceId::new("marketing").unwrap(),
        |row| row.key.id = ConnectorId::new("conn-2").unwrap(),
        |row| row.name = ConnectorName::new("Other").unwrap(),
        |row| row.config.profile = ProfileId::new(".github").unwrap(),
        |row| row.config.settings = "{ }".to_owned(),
        |row| row.config.client_id = Some(String::new()),
        |row| row.auth_mode = AuthMode::Shared,
        |row| row.incarnation = Incarnation([1; 16]),
        |row| row.epoch = Epoch(4),
        |row| row.callback_id = CallbackId([1; 16]),
        |row| row.has_client_secret = false,
        |row| row.revision = 3,
        |row| row.created_at = Timestamp::from_millis(999),
        |row| row.updated_at = Timestamp::from_millis(2001),
    ];
    let vault = vault();
    let tag = tag_of(&vault, &connector());
    assert_eq!(vault.verify(&AuthenticatedRow::Connector(&connector()), &tag), Ok(()));
    for (index, change) in changes.into_iter().enumerate() {
        let mut altered = connector();
        change(&mut altered);
        let refused = vault.verify(&AuthenticatedRow::Connector(&altered), &tag);
        assert_eq!(refused, Err(VaultError::Tampered), "change {index}");
    }
    let tag = with_session(SESSION, |row| vault.tag(row));
    assert_eq!(with_session(SESSION, |row| vault.verify(row, &tag)), Ok(()));
    let (id, user, created, seen) = SESSION;
    for other in
        [(1, user, created, seen), (id, "u_other", created, seen), (id, user, 1001, seen), (id, user, created, 2001)]
    {
        assert_eq!(with_session(other, |row| vault.verify(row, &tag)), Err(VaultError::Tampered), "{other:?}");
    }
    for byte in 8..40 {
        let mut flipped = tag;
        flipped.0[byte] ^= 1;
        assert_eq!(with_session(SESSION, |row| vault.verify(row, &flipped)), Err(VaultError::Tampered), "byte {byte}");
    }
}

#[test]
fn r73_a_tag_of_another_deployment_is_refused() {
    let other = AesGcmVault::new(Keyring::new(&key(1), &[]).unwrap(), [1; 16], Arc::new(Stream::default()));
    let refused = other.verify(&AuthenticatedRow::Connector(&connector()), &tag_of(&vault(), &connector()));
    assert_eq!(refused, Err(VaultError::Tampered));
}

#[test]
fn r75_read_keys_verify_tags_and_the_write_key_makes_them() {
    let (before, after) = (vault_with(1, &[]), vault_with(2, &[1]));
    let (old, new) = (tag_of(&before, &connector()), tag_of(&after, &connector()));
    let connector = connector();
    let row = AuthenticatedRow::Connector(&connector);
    assert_eq!(KeyId(new.key_id()), after.keyring().write_key());
    assert_eq!((after.verify(&row, &old), after.verify(&row, &new)), (Ok(()), Ok(())));
    assert_eq!(before.verify(&row, &new), Err(VaultError::UnknownKey));
    // The id of another key does not make a tag one of that key.
    let KeyId(id) = before.keyring().write_key();
    let mut renamed = new;
    renamed.0[..8].copy_from_slice(&id);
    assert_eq!(after.verify(&row, &renamed), Err(VaultError::Tampered));
}
