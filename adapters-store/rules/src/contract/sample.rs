//! Records of every kind, and every selection of them.

use std::collections::BTreeSet;
use std::time::Duration;

use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, AuthorizationRecord, Envelope, FlowCookieHash, Input, Revision,
    RevocationOutcome, StateHash, StateKind, TerminationCause,
};
use grantry_domain::connector::{
    AuthMode, CallbackId, Connector, ConnectorConfig, ConnectorId, ConnectorKey, ConnectorName, Epoch, Incarnation,
    ProfileId,
};
use grantry_domain::identity::{ConnectionName, SpaceId, UserId};
use grantry_domain::ports::{
    AuthorizationFilter, ClientSecretKey, ClientSecretRecord, Diagnostics, LeftOut, RowTag, Session, SessionHash,
    SweepPolicy, UnclaimedTokens,
};
use grantry_domain::provider::{BindingDigest, Scopes};
use grantry_domain::time::Timestamp;

use crate::{
    AuthorizationRow, AuthorizationSelection, Claim, ClaimableRevocations, ClientSecret, ClientSecretSelection,
    ConnectorRow, ConnectorSelection, DefaultConnection, DefaultConnectionSelection, SessionRow, SessionSelection,
    StoredCallback, Tombstone, TombstoneSelection, UnclaimedRow, UnclaimedSelection,
};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// When the records were made.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(super) fn user(id: &str) -> UserId {
    UserId::new(id).expect("a user id")
}

fn space(id: &str) -> SpaceId {
    SpaceId::new(id).expect("a space id")
}

fn users() -> [UserId; 4] {
    // The last one has no records.
    ["alice", "bob", "alice2", "nobody"].map(user)
}

pub(super) fn spaces() -> [SpaceId; 3] {
    ["default", "other", "empty"].map(space)
}

fn envelope(key: u8) -> Envelope {
    let mut bytes = b"OTE1\x00\x02\x00\x01".to_vec();
    bytes.resize(16, key);
    bytes.resize(80, 0);
    Envelope(bytes)
}

fn id(n: u8) -> AuthorizationId {
    // The order of the ids is not that of the records.
    AuthorizationId::from_bytes([n.wrapping_mul(37); 24])
}

/// A connector whose name sorts against its id.
fn connector(space_id: &str, id: &str, n: u8) -> Connector {
    Connector {
        key: ConnectorKey { space: space(space_id), id: ConnectorId::new(id).expect("a connector id") },
        name: ConnectorName::new(format!("Connector {}", 9 - n)).expect("a connector name"),
        config: ConnectorConfig {
            profile: ProfileId::new(".example").expect("a profile id"),
            settings: "{}".to_owned(),
            client_id: Some("client".to_owned()),
        },
        auth_mode: AuthMode::PerUser,
        incarnation: Incarnation([n; 16]),
        epoch: Epoch::FIRST,
        callback_id: CallbackId([n; 16]),
        has_client_secret: true,
        revision: 1,
        created_at: NOW,
        updated_at: NOW,
        tag: RowTag::new([n % 2; 8], [n; 32]),
    }
}

fn connectors() -> [Connector; 4] {
    [connector("default", "a", 1), connector("default", "b", 2), connector("other", "a", 3), connector("other", "c", 4)]
}

fn owner(connector: &Connector, user: &UserId, epoch: Epoch) -> AuthorizationKey {
    AuthorizationKey {
        space: connector.key.space.clone(),
        connector: connector.key.id.clone(),
        incarnation: connector.incarnation,
        epoch,
        digest: BindingDigest([connector.incarnation.0[0]; 32]),
        user: user.clone(),
        connection: ConnectionName::default(),
    }
}

fn awaiting(flow: AuthorizationRecord) -> AuthorizationRecord {
    let mark = flow.id.as_bytes()[0];
    AuthorizationRecord {
        state: StateKind::AwaitingCallback,
        state_hash: Some(StateHash([mark; 32])),
        flow_cookie_hash: Some(FlowCookieHash([mark ^ 0xff; 32])),
        sealed: Some(envelope(1)),
        ..flow
    }
}

fn granted(flow: AuthorizationRecord, expires_at: Timestamp) -> AuthorizationRecord {
    let at = flow.created_at;
    AuthorizationRecord {
        state: StateKind::Authorized,
        deadline: None,
        sealed: Some(envelope(2)),
        revision: Revision::FIRST,
        scopes: Scopes::new(["read"]),
        expires_at: Some(expires_at),
        refreshable: true,
        authorized_at: Some(at),
        last_used_day: Some(at.day()),
        ..flow
    }
}

fn restored(record: AuthorizationRecord) -> Authorization {
    Authorization::restore(record).expect("a consistent record")
}

fn after(record: AuthorizationRecord, input: Input, at: Timestamp) -> AuthorizationRecord {
    restored(record).on(input, at).expect("an input that applies").to_record()
}

/// The records of an owner in every state, the `n`th one with this id.
fn states(owner: &AuthorizationKey, first: u8, at: Timestamp) -> Vec<AuthorizationRow> {
    let flow = |n| Authorization::start(id(first + n), owner.clone(), at, at.plus(10 * MINUTE)).to_record();
    let grant = |n: u8| granted(flow(n), at.plus(u32::from(40 - first % 40) * HOUR));
    let terminate = |revoke| Input::Terminated { cause: TerminationCause::Disconnected, revoke };
    let former = |n| after(grant(n), terminate(true), at.plus(MINUTE));
    let claim = |until| Some(Claim { worker: [first; 16], until });
    let rows = [
        (flow(0), None),
        (awaiting(flow(1)), None),
        (AuthorizationRecord { consumed_at: Some(at), sealed: None, ..awaiting(flow(2)) }, None),
        (grant(3), None),
        (AuthorizationRecord { refreshable: false, ..grant(4) }, None),
        (former(5), None),
        (former(6), claim(NOW.plus(MINUTE))),
        (former(7), claim(NOW.plus(9 * DAY))),
        (after(former(8), Input::RevocationCompleted(RevocationOutcome::Revoked), at.plus(HOUR)), None),
        (after(flow(9), terminate(false), at.plus(HOUR)), None),
        (after(grant(10), Input::ConnectorChanged, at.plus(HOUR)), None),
    ];
    let row = |(record, claim): (AuthorizationRecord, _)| AuthorizationRow {
        callback: record
            .state_hash
            .zip(record.flow_cookie_hash)
            .map(|(state_hash, flow_cookie_hash)| StoredCallback { state_hash, flow_cookie_hash }),
        authorization: restored(record),
        claim,
    };
    rows.into_iter().map(row).collect()
}

/// Records of all tables.
#[derive(Clone)]
pub(super) struct Sample {
    pub(super) authorizations: Vec<AuthorizationRow>,
    pub(super) unclaimed: Vec<UnclaimedRow>,
    pub(super) connectors: Vec<ConnectorRow>,
    pub(super) secrets: Vec<ClientSecret>,
    pub(super) defaults: Vec<DefaultConnection>,
    pub(super) tombstones: Vec<Tombstone>,
    pub(super) sessions: Vec<SessionRow>,
}

impl Sample {
    pub(super) fn new() -> Self {
        let [first, second, third, fourth] = connectors();
        let [alice, bob, alice2, _] = users();
        let owners = [
            (owner(&first, &alice, Epoch::FIRST), NOW),
            (owner(&first, &bob, Epoch::FIRST.next()), NOW.minus(2 * DAY)),
            (owner(&third, &alice2, Epoch::FIRST), NOW.minus(HOUR)),
            (owner(&second, &alice, Epoch::FIRST), NOW.minus(3 * HOUR)),
        ];
        let numbered = || owners.iter().zip((0..).step_by(20));
        let unclaimed = numbered().flat_map(|((owner, at), n)| {
            let row = move |(last, claim): (u8, Option<Timestamp>)| UnclaimedRow {
                tokens: UnclaimedTokens {
                    id: id(n + 11 + last),
                    owner: owner.clone(),
                    sealed: envelope(3),
                    queued_at: *at,
                    attempts: last.into(),
                },
                due_at: at.plus(u32::from(last) * 20 * MINUTE),
                claim: claim.map(|until| Claim { worker: [n; 16], until }),
            };
            [(0, None), (1, Some(NOW.plus(MINUTE))), (2, Some(NOW.plus(9 * DAY))), (3, None)].into_iter().map(row)
        });
        let secret = |connector: &Connector, epoch, superseded_at| ClientSecret {
            record: ClientSecretRecord {
                key: ClientSecretKey { incarnation: connector.incarnation, epoch },
                connector: connector.key.clone(),
                digest: BindingDigest([connector.incarnation.0[0]; 32]),
                sealed: envelope(4),
            },
            superseded_at,
        };
        let default = |connector: &Connector, user: &UserId| DefaultConnection {
            incarnation: connector.incarnation,
            user: user.clone(),
            connection: ConnectionName::default(),
        };
        let session = |(n, user, created_at, seen_at): (u8, &UserId, Timestamp, Timestamp)| SessionRow {
            id: SessionHash([n; 32]),
            session: Session { user: user.clone(), created_at, seen_at, tag: RowTag::new([0; 8], [n; 32]) },
        };
        let sessions = [
            (9, &alice, NOW.minus(DAY), NOW),
            (3, &alice, NOW, NOW),
            (5, &alice, NOW.minus(HOUR), NOW.minus(HOUR)),
            (4, &bob, NOW.plus(DAY), NOW.plus(DAY)),
            (6, &alice, NOW, NOW.plus(DAY)),
        ];
        Self {
            authorizations: numbered().flat_map(|((owner, at), n)| states(owner, n, *at)).collect(),
            unclaimed: unclaimed.collect(),
            secrets: vec![
                secret(&first, Epoch::FIRST, Some(NOW)),
                secret(&first, Epoch::FIRST.next(), None),
                secret(&third, Epoch::FIRST, None),
                secret(&second, Epoch::FIRST, Some(NOW)),
            ],
            defaults: vec![default(&third, &alice), default(&first, &bob), default(&first, &alice)],
            tombstones: [&bob, &alice, &alice2]
                .into_iter()
                .zip(0..)
                .map(|(user, n)| Tombstone { user: user.clone(), removed_at: NOW.plus(n * HOUR) })
                .collect(),
            sessions: sessions.into_iter().map(session).collect(),
            connectors: [first, second, third, fourth]
                .map(|connector| ConnectorRow { connector, diagnostics: Diagnostics::default() })
                .to_vec(),
        }
    }
}

fn instants() -> [Timestamp; 5] {
    [NOW.minus(DAY), NOW, NOW.plus(10 * MINUTE), NOW.plus(2 * HOUR), NOW.plus(3 * DAY)]
}

fn incarnations() -> impl Iterator<Item = Incarnation> {
    [1, 2, 3, 4, 9].into_iter().map(|n| Incarnation([n; 16]))
}

fn secret_keys() -> impl Iterator<Item = ClientSecretKey> {
    let epochs = [Epoch::FIRST, Epoch::FIRST.next()];
    incarnations().flat_map(move |incarnation| epochs.map(|epoch| ClientSecretKey { incarnation, epoch }))
}

fn claimable() -> Vec<ClaimableRevocations> {
    let left_out = [
        LeftOut::default(),
        LeftOut { users: BTreeSet::from([user("alice")]), digests: BTreeSet::new() },
        LeftOut { users: BTreeSet::new(), digests: BTreeSet::from([BindingDigest([1; 32]), BindingDigest([3; 32])]) },
    ];
    let at = |now: Timestamp| {
        left_out.clone().map(|left_out| ClaimableRevocations {
            now,
            until: now.plus(HOUR),
            longest_pause: 6 * HOUR,
            left_out,
        })
    };
    instants().into_iter().flat_map(at).collect()
}

fn with_none<T>(values: impl IntoIterator<Item = T>) -> impl Iterator<Item = Option<T>> {
    std::iter::once(None).chain(values.into_iter().map(Some))
}

/// All selections of authorizations.
pub(super) fn of_authorizations(rows: &[AuthorizationRow]) -> Vec<AuthorizationSelection> {
    use AuthorizationSelection as By;
    let callbacks = rows.iter().filter_map(|row| row.callback).map(|callback| callback.state_hash);
    let mut all: Vec<_> = callbacks.chain([StateHash([0xee; 32])]).map(By::Callback).collect();
    for at in instants() {
        all.extend(with_none(users()).map(|user| By::RunningFlows { at, user }));
        all.extend(secret_keys().map(|key| By::NeedsSecret { key, at }));
        all.extend([-3, 0, 1].map(|day| By::Expiring { used_since_day: NOW.day() + day, before: at }));
        for (unused, flows, grants) in [(DAY, HOUR, HOUR), (30 * DAY, HOUR, 30 * DAY), (30 * DAY, 30 * DAY, HOUR)] {
            let policy = SweepPolicy { unused_grants: unused, ended_flows: flows, ended_grants: grants, batch: 1 };
            all.push(By::Due { policy, at });
        }
    }
    for incarnation in incarnations() {
        all.extend(users().map(|user| By::OfUserAt(incarnation, user)));
        all.extend([By::OfIncarnation(incarnation), By::GrantsAt(incarnation)]);
    }
    all.extend(users().map(By::OfUser));
    all.extend(spaces().map(By::OfSpace));
    all.extend(connectors().map(|connector| By::OfConnector(connector.key)));
    all.extend(claimable().into_iter().map(|claimable| By::Claimable(Box::new(claimable))));
    let states = [StateKind::Authorized, StateKind::Expired, StateKind::Revoked];
    for (space, state) in spaces().into_iter().flat_map(|space| with_none(states).map(move |state| (space.clone(), state))) {
        for before in with_none([id(3), id(26)]) {
            let listed = |connector: Option<ConnectorId>, user| By::Listed {
                space: space.clone(),
                filter: AuthorizationFilter { connector, user, state },
                before,
            };
            all.extend(with_none(users()).map(|user| listed(None, user)));
            all.extend(connectors().map(|connector| listed(Some(connector.key.id), None)));
        }
    }
    let pairs = users().into_iter().flat_map(|user| spaces().map(|space| (user.clone(), space)));
    all.extend(with_none(pairs).map(|after| By::Holders { after }));
    all.extend(with_none(users()).map(|after| By::Users { after }));
    all.push(By::Sealed);
    all
}

/// All selections of unclaimed tokens.
pub(super) fn of_unclaimed() -> Vec<UnclaimedSelection> {
    let claimable = claimable().into_iter().map(|claimable| UnclaimedSelection::Claimable(Box::new(claimable)));
    let secrets = secret_keys().map(UnclaimedSelection::NeedsSecret);
    claimable.chain(secrets).chain([UnclaimedSelection::All]).collect()
}

/// All selections of connectors.
pub(super) fn of_connectors() -> Vec<ConnectorSelection> {
    let incarnations = incarnations().map(ConnectorSelection::OfIncarnation);
    spaces().map(ConnectorSelection::OfSpace).into_iter().chain(incarnations).chain([ConnectorSelection::All]).collect()
}

/// All selections of client secrets.
pub(super) fn of_secrets() -> Vec<ClientSecretSelection> {
    let incarnations = incarnations().map(ClientSecretSelection::OfIncarnation);
    incarnations.chain([ClientSecretSelection::All, ClientSecretSelection::Superseded]).collect()
}

/// All selections of default connections.
pub(super) fn of_defaults() -> Vec<DefaultConnectionSelection> {
    let users = users().map(DefaultConnectionSelection::OfUser);
    incarnations().map(DefaultConnectionSelection::OfIncarnation).chain(users).collect()
}

/// All selections of tombstones.
pub(super) fn of_tombstones() -> Vec<TombstoneSelection> {
    with_none(users()).map(TombstoneSelection::After).collect()
}

/// All selections of sessions.
pub(super) fn of_sessions() -> Vec<SessionSelection> {
    let outside = |created_before| {
        [NOW.minus(2 * HOUR), NOW].map(|seen_before| SessionSelection::Outside { created_before, seen_before, after: NOW })
    };
    let outside = [NOW.minus(2 * DAY), NOW.minus(2 * HOUR)].into_iter().flat_map(outside);
    outside.chain(users().map(SessionSelection::OfUser)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::mem::{Discriminant, discriminant};

    use super::*;
    use crate::{Record, Selection as _};

    /// Asserts that the selections have this number of kinds, and that each kind finds several records; those of a `single` number of
    /// kinds find one.
    fn each_kind_is_effective<R: Record>(records: &[R], selections: &[R::Selection], kinds: usize, single: usize) {
        let keys: BTreeSet<_> = records.iter().map(Record::key).collect();
        assert_eq!(keys.len(), records.len(), "the keys are unique");
        let mut found: HashMap<Discriminant<R::Selection>, Vec<usize>> = HashMap::new();
        for selection in selections {
            let count = selection.pick(records, usize::MAX).len();
            found.entry(discriminant(selection)).or_default().push(count);
        }
        assert_eq!(found.len(), kinds, "every kind of selection");
        let most = |counts: &Vec<usize>| counts.iter().max().copied();
        assert!(found.values().all(|counts| most(counts) > Some(0)), "{:?}", found.values());
        assert_eq!(found.values().filter(|counts| most(counts) == Some(1)).count(), single, "{:?}", found.values());
    }

    #[test]
    fn every_kind_of_selection_finds_records() {
        let sample = Sample::new();
        // A callback, and the incarnation of a connector, find one record.
        each_kind_is_effective(&sample.authorizations, &of_authorizations(&sample.authorizations), 16, 1);
        each_kind_is_effective(&sample.unclaimed, &of_unclaimed(), 3, 0);
        each_kind_is_effective(&sample.connectors, &of_connectors(), 3, 1);
        each_kind_is_effective(&sample.secrets, &of_secrets(), 3, 0);
        each_kind_is_effective(&sample.defaults, &of_defaults(), 2, 0);
        each_kind_is_effective(&sample.tombstones, &of_tombstones(), 1, 0);
        each_kind_is_effective(&sample.sessions, &of_sessions(), 2, 0);
    }
}
