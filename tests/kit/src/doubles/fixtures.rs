//! Ready-made values: ids, connectors and records of every state.
//!
//! A record is made in the state its function names, as the domain would leave it; tests change single fields with struct
//! update syntax.

use std::time::Duration;

use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, AuthorizationRecord, Envelope, ExpiredCause, FlowCookieHash, Input,
    RefreshState, Revision, StateHash, StateKind,
};
use grantry_domain::connector::{
    AuthMode, CallbackId, Connector, ConnectorConfig, ConnectorId, ConnectorKey, ConnectorName, Epoch, Incarnation,
    ProfileId,
};
use grantry_domain::identity::{Actor, SpaceId, UserId};
use grantry_domain::ports::{AuditEvent, AuditKind, ClientSecretKey, ClientSecretRecord, KeyId, UnclaimedTokens};
use grantry_domain::provider::{BindingDigest, Origin, Scopes};
use grantry_domain::time::Timestamp;

use super::PlainVault;

/// How long a flow of these fixtures may take.
pub const FLOW_TTL: Duration = Duration::from_mins(10);

/// How long an access token of these fixtures lives.
pub const ACCESS_TTL: Duration = Duration::from_hours(1);

/// A space.
///
/// # Panics
/// If the text is no space id.
pub fn space(id: &str) -> SpaceId {
    SpaceId::new(id).expect("a space id")
}

/// A user.
///
/// # Panics
/// If the text is no user id.
pub fn user(id: &str) -> UserId {
    UserId::new(id).expect("a user id")
}

/// A connector id.
///
/// # Panics
/// If the text is no connector id.
pub fn connector_id(id: &str) -> ConnectorId {
    ConnectorId::new(id).expect("a connector id")
}

/// An origin.
///
/// # Panics
/// If the text is no normalised origin.
pub fn origin(text: &str) -> Origin {
    Origin::new(text).expect("an origin")
}

/// The key of a connector.
pub fn connector_key(space_id: &str, id: &str) -> ConnectorKey {
    ConnectorKey { space: space(space_id), id: connector_id(id) }
}

/// The `n`th authorization id; later ones are greater.
pub fn grant_id(n: u64) -> AuthorizationId {
    let mut bytes = [0x60; 24];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    bytes[16..].copy_from_slice(&n.to_be_bytes());
    AuthorizationId::from_bytes(bytes)
}

/// The hash of the `state` of an authorization.
pub fn state_hash(id: AuthorizationId) -> StateHash {
    StateHash(spread(id, 0x5a))
}

/// The hash of the flow cookie of an authorization.
pub fn flow_cookie_hash(id: AuthorizationId) -> FlowCookieHash {
    FlowCookieHash(spread(id, 0xbb))
}

fn spread(id: AuthorizationId, fill: u8) -> [u8; 32] {
    let mut bytes = [fill; 32];
    bytes[..24].copy_from_slice(id.as_bytes());
    bytes
}

/// Something that looks like an envelope sealed with [`PlainVault::FIRST_KEY`]. Stores never open one.
pub fn envelope(label: &str) -> Envelope {
    envelope_with(PlainVault::FIRST_KEY, label)
}

/// Something that looks like an envelope sealed with this key.
pub fn envelope_with(key: KeyId, label: &str) -> Envelope {
    let mut bytes = b"OTE1\x00\x02\x00\x01".to_vec();
    bytes.extend_from_slice(&key.0);
    bytes.resize(60, 0);
    bytes.extend_from_slice(label.as_bytes());
    Envelope(bytes)
}

/// The incarnation that a number stands for.
pub fn incarnation(n: u8) -> Incarnation {
    Incarnation([n; 16])
}

/// The digest of an epoch of a connector.
pub fn digest(incarnation: Incarnation, epoch: Epoch) -> BindingDigest {
    let mut bytes = [0xb1; 32];
    bytes[..16].copy_from_slice(&incarnation.0);
    bytes[16..24].copy_from_slice(&epoch.0.to_be_bytes());
    BindingDigest(bytes)
}

/// A connector named after its id, enabled and complete. Other spaces, ids and `n` give other incarnations.
///
/// # Panics
/// If one of the texts is no id.
pub fn connector_in(space_id: &str, id: &str, n: u8, now: Timestamp) -> Connector {
    let mark = space_id.bytes().chain(id.bytes()).fold(n, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    Connector {
        key: connector_key(space_id, id),
        name: ConnectorName::new(format!("Connector {id}")).expect("a connector name"),
        config: ConnectorConfig {
            profile: ProfileId::new(".example").expect("a profile id"),
            settings: "{}".to_owned(),
            client_id: Some("client-1".to_owned()),
        },
        auth_mode: AuthMode::PerUser,
        incarnation: Incarnation([mark, n, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0, 0, 0, 0, 0, 0, 0, mark]),
        epoch: Epoch::FIRST,
        callback_id: CallbackId([mark ^ 0x55; 16]),
        enabled: true,
        has_client_secret: true,
        revision: 1,
        created_at: now,
        updated_at: now,
    }
}

/// The connector `drive` in space `default`.
pub fn connector(now: Timestamp) -> Connector {
    connector_in("default", "drive", 1, now)
}

/// The client secret of a connector's present epoch.
pub fn client_secret(connector: &Connector) -> ClientSecretRecord {
    ClientSecretRecord {
        key: ClientSecretKey { incarnation: connector.incarnation, epoch: connector.epoch },
        connector: connector.key.clone(),
        digest: digest(connector.incarnation, connector.epoch),
        sealed: envelope(&format!("client-secret-{}", connector.epoch.0)),
    }
}

/// A user's ownership of an authorization for a connector as it is now.
pub fn ownership_of(connector: &Connector, user_id: &str) -> AuthorizationKey {
    AuthorizationKey {
        space: connector.key.space.clone(),
        connector: connector.key.id.clone(),
        incarnation: connector.incarnation,
        epoch: connector.epoch,
        digest: digest(connector.incarnation, connector.epoch),
        user: user(user_id),
    }
}

/// A user's ownership of an authorization for [`connector`].
pub fn ownership(user_id: &str) -> AuthorizationKey {
    ownership_of(&connector(Timestamp::from_millis(0)), user_id)
}

/// A flow whose URL was not issued yet.
pub fn initiated(id: AuthorizationId, owner: AuthorizationKey, now: Timestamp) -> AuthorizationRecord {
    Authorization::start(id, owner, now, now.plus(FLOW_TTL)).to_record()
}

/// A flow whose user is at the provider.
pub fn awaiting(id: AuthorizationId, owner: AuthorizationKey, now: Timestamp) -> AuthorizationRecord {
    AuthorizationRecord {
        state: StateKind::AwaitingCallback,
        state_hash: Some(state_hash(id)),
        flow_cookie_hash: Some(flow_cookie_hash(id)),
        sealed: Some(envelope("flow")),
        ..initiated(id, owner, now)
    }
}

/// A flow whose callback has arrived.
pub fn consumed(id: AuthorizationId, owner: AuthorizationKey, now: Timestamp) -> AuthorizationRecord {
    AuthorizationRecord { consumed_at: Some(now), sealed: None, ..awaiting(id, owner, now) }
}

/// A grant with a refresh token and an access token of one hour, used today.
pub fn authorized(id: AuthorizationId, owner: AuthorizationKey, now: Timestamp) -> AuthorizationRecord {
    AuthorizationRecord {
        state: StateKind::Authorized,
        deadline: None,
        sealed: Some(envelope("tokens-1")),
        revision: Revision::FIRST,
        scopes: Scopes::new(["read", "write"]),
        expires_at: Some(now.plus(ACCESS_TTL)),
        refreshable: true,
        refresh_expires_at: None,
        account: Some("someone@provider.example".to_owned()),
        authorized_at: Some(now),
        last_used_day: Some(now.day()),
        refresh: RefreshState::default(),
        ..initiated(id, owner, now)
    }
}

/// The same grant after a renewal, as its owner writes it.
///
/// # Panics
/// If the record is no grant.
pub fn renewed(grant: &AuthorizationRecord, now: Timestamp) -> AuthorizationRecord {
    assert_eq!(grant.state, StateKind::Authorized, "only grants are renewed");
    let revision = grant.revision.next();
    AuthorizationRecord {
        sealed: Some(envelope(&format!("tokens-{}", revision.0))),
        revision,
        expires_at: Some(now.plus(ACCESS_TTL)),
        refresh: RefreshState::default(),
        ..grant.clone()
    }
}

/// The same authorization after an input.
///
/// # Panics
/// If the record is inconsistent or the input does not apply.
pub fn after(record: &AuthorizationRecord, input: Input, now: Timestamp) -> AuthorizationRecord {
    let grant = Authorization::restore(record.clone()).expect("a consistent record");
    grant.on(input, now).expect("an input that applies").to_record()
}

/// A former grant whose refresh token was refused.
pub fn refused(grant: &AuthorizationRecord, now: Timestamp) -> AuthorizationRecord {
    let former = after(grant, Input::RefreshRejected, now);
    debug_assert_eq!(former.cause.as_deref(), Some(ExpiredCause::RefreshRejected.as_str()));
    former
}

/// Tokens that never became a grant.
pub fn orphan(id: AuthorizationId, owner: AuthorizationKey, now: Timestamp) -> UnclaimedTokens {
    UnclaimedTokens { id, owner, sealed: envelope("orphan"), queued_at: now, attempts: 0 }
}

/// An audit event of an authorization.
pub fn event(kind: AuditKind, record: &AuthorizationRecord, now: Timestamp) -> AuditEvent {
    AuditEvent {
        at: now,
        actor: Actor::Person(record.owner.user.clone()),
        kind,
        space: Some(record.owner.space.clone()),
        connector: Some(record.owner.connector.clone()),
        user: Some(record.owner.user.clone()),
        grant: Some(record.id),
        outcome: "ok".to_owned(),
    }
}
