//! Values for tests: ids, connectors and records of every state.
//!
//! A function returns the record of an authorization in the state of its name, as the domain writes it. Tests change single
//! fields with struct update syntax and convert with [`authorization`] where a port takes an authorization.

use std::time::Duration;

use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, AuthorizationRecord, Envelope, ExpiredCause, FlowCookieHash, Input,
    RefreshState, Revision, StateHash, StateKind, TerminalCause,
};
use grantry_domain::connector::{
    AuthMode, CallbackId, Connector, ConnectorConfig, ConnectorId, ConnectorKey, ConnectorName, Epoch, Incarnation,
    ProfileId,
};
use grantry_domain::identity::{Actor, ConnectionName, SpaceId, UserId};
use grantry_domain::ports::{
    AuditEvent, AuditKind, AuthenticatedRow, ClientSecretKey, ClientSecretRecord, KeyId, RowTag, UnclaimedTokens,
};
use grantry_domain::provider::{BindingDigest, Origin, Scopes};
use grantry_domain::time::Timestamp;

use super::PlainVault;
use super::vault::tag_with;

/// Lifetime of the flows of these fixtures.
pub const FLOW_TTL: Duration = Duration::from_mins(10);

/// Lifetime of the access tokens of these fixtures.
pub const ACCESS_TTL: Duration = Duration::from_hours(1);

/// A space.
///
/// # Panics
/// If the text is not a space id.
pub fn space(id: &str) -> SpaceId {
    SpaceId::new(id).expect("a space id")
}

/// A user.
///
/// # Panics
/// If the text is not a user id.
pub fn user(id: &str) -> UserId {
    UserId::new(id).expect("a user id")
}

/// A connection name.
///
/// # Panics
/// If the text is not a connection name.
pub fn connection(name: &str) -> ConnectionName {
    ConnectionName::new(name).expect("a connection name")
}

/// A connector id.
///
/// # Panics
/// If the text is not a connector id.
pub fn connector_id(id: &str) -> ConnectorId {
    ConnectorId::new(id).expect("a connector id")
}

/// An origin.
///
/// # Panics
/// If the text is not a normalised origin.
pub fn origin(text: &str) -> Origin {
    Origin::new(text).expect("an origin")
}

/// The key of a connector.
pub fn connector_key(space_id: &str, id: &str) -> ConnectorKey {
    ConnectorKey { space: space(space_id), id: connector_id(id) }
}

/// The `n`th authorization id; later ones are greater.
pub fn authorization_id(n: u64) -> AuthorizationId {
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

/// An envelope with the header of one sealed with [`PlainVault::FIRST_KEY`]. Stores never open envelopes.
pub fn envelope(label: &str) -> Envelope {
    envelope_with(PlainVault::FIRST_KEY, label)
}

/// An envelope with the header of one sealed with this key.
pub fn envelope_with(key: KeyId, label: &str) -> Envelope {
    let mut bytes = b"OTE1\x00\x02\x00\x01".to_vec();
    bytes.extend_from_slice(&key.0);
    bytes.resize(60, 0);
    bytes.extend_from_slice(label.as_bytes());
    Envelope(bytes)
}

/// The incarnation with a number.
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

/// A complete connector whose name contains its id. Space, id and `n` determine the incarnation.
///
/// # Panics
/// If a text is not an id.
pub fn connector_in(space_id: &str, id: &str, n: u8, now: Timestamp) -> Connector {
    let mark = space_id.bytes().chain(id.bytes()).fold(n, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    tagged(Connector {
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
        has_client_secret: true,
        revision: 1,
        created_at: now,
        updated_at: now,
        tag: RowTag::NONE,
    })
}

/// A connector with the tag of [`PlainVault::FIRST_KEY`] for its present columns.
pub fn tagged(connector: Connector) -> Connector {
    let tag = tag_with(PlainVault::FIRST_KEY, &AuthenticatedRow::Connector(&connector));
    Connector { tag, ..connector }
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

/// The key of a user's `default` connection at a connector in its present epoch.
pub fn authorization_key_of(connector: &Connector, user_id: &str) -> AuthorizationKey {
    AuthorizationKey {
        space: connector.key.space.clone(),
        connector: connector.key.id.clone(),
        incarnation: connector.incarnation,
        epoch: connector.epoch,
        digest: digest(connector.incarnation, connector.epoch),
        user: user(user_id),
        connection: ConnectionName::default(),
    }
}

/// The key of a user's connection of this name.
pub fn named_key_of(connector: &Connector, user_id: &str, name: &str) -> AuthorizationKey {
    AuthorizationKey { connection: connection(name), ..authorization_key_of(connector, user_id) }
}

/// The key of a user's `default` connection at [`connector`].
pub fn authorization_key(user_id: &str) -> AuthorizationKey {
    authorization_key_of(&connector(Timestamp::from_millis(0)), user_id)
}

/// The authorization of a record.
///
/// # Panics
/// If the record is inconsistent.
pub fn authorization(record: &AuthorizationRecord) -> Authorization {
    Authorization::restore(record.clone()).expect("a consistent record")
}

/// A flow whose authorization URL was not issued yet.
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

/// A grant with a refresh token and an access token of one hour, not used yet.
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
        last_used_day: Some(now.day() - 1),
        refresh: RefreshState::default(),
        ..initiated(id, owner, now)
    }
}

/// The same grant after a refresh, as its lease holder writes it.
///
/// # Panics
/// If the record is not a grant.
pub fn refreshed(grant: &AuthorizationRecord, now: Timestamp) -> AuthorizationRecord {
    assert_eq!(grant.state, StateKind::Authorized, "only grants are refreshed");
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
    authorization(record).on(input, now).expect("an input that applies").to_record()
}

/// The same grant after the provider rejected its refresh token.
pub fn refresh_rejected(grant: &AuthorizationRecord, now: Timestamp) -> AuthorizationRecord {
    after(grant, Input::RefreshRejected, now)
}

/// A flow that ended because the provider did not grant a required scope; its tokens are to be revoked.
pub fn without_required_scope(flow: &AuthorizationRecord, now: Timestamp) -> AuthorizationRecord {
    let granted = AuthorizationRecord { created_at: flow.created_at, ..authorized(flow.id, flow.owner.clone(), now) };
    AuthorizationRecord {
        cause: Some(TerminalCause::Expired(ExpiredCause::InsufficientScope)),
        scopes: granted.scopes.clone(),
        ..after(&granted, Input::ConnectorChanged, now)
    }
}

/// Unclaimed tokens.
pub fn unclaimed_tokens(id: AuthorizationId, owner: AuthorizationKey, now: Timestamp) -> UnclaimedTokens {
    UnclaimedTokens { id, owner, sealed: envelope("unclaimed"), queued_at: now, attempts: 0 }
}

/// An audit event of an authorization, by its user.
pub fn event(kind: AuditKind, record: &AuthorizationRecord, now: Timestamp) -> AuditEvent {
    AuditEvent::new(kind, Actor::Person(record.owner.user.clone()), now).about(&record.owner, record.id)
}
