//! The other tables.

use std::cmp::Ordering;

use grantry_domain::authorization::AuthorizationId;
use grantry_domain::connector::{Connector, ConnectorKey, Incarnation};
use grantry_domain::identity::{ConnectionName, SpaceId, UserId};
use grantry_domain::ports::{ClientSecretKey, ClientSecretRecord, Diagnostics, Session, SessionHash, UnclaimedTokens};
use grantry_domain::time::Timestamp;

use crate::rows::{Claim, ClaimableRevocations};
use crate::{Record, Selection};

/// Unclaimed tokens that are to be revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnclaimedRow {
    /// The tokens.
    pub tokens: UnclaimedTokens,
    /// When their revocation is due.
    pub due_at: Timestamp,
    /// The claim on their revocation.
    pub claim: Option<Claim>,
}

impl Record for UnclaimedRow {
    type Key = AuthorizationId;
    type Selection = UnclaimedSelection;

    fn key(&self) -> AuthorizationId {
        self.tokens.id
    }
}

/// Selections of unclaimed tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnclaimedSelection {
    /// All.
    All,
    /// Those that can be claimed, by the instant at which they are due, then by id.
    Claimable(Box<ClaimableRevocations>),
    /// Those whose owner has the incarnation and epoch of a client secret.
    NeedsSecret(ClientSecretKey),
}

impl Selection<UnclaimedRow> for UnclaimedSelection {
    fn selects(&self, row: &UnclaimedRow) -> bool {
        let UnclaimedRow { tokens, due_at, claim } = row;
        match self {
            Self::All => true,
            Self::Claimable(claimable) => claimable.selects(*due_at, *claim, tokens.queued_at, &tokens.owner),
            Self::NeedsSecret(key) => (tokens.owner.incarnation, tokens.owner.epoch) == (key.incarnation, key.epoch),
        }
    }

    fn compare(&self, left: &UnclaimedRow, right: &UnclaimedRow) -> Ordering {
        let order = match self {
            Self::Claimable(_) => left.due_at.cmp(&right.due_at),
            Self::All | Self::NeedsSecret(_) => Ordering::Equal,
        };
        order.then_with(|| left.key().cmp(&right.key()))
    }

    fn leaves_out_unreadable(&self) -> bool {
        match self {
            Self::Claimable(_) | Self::NeedsSecret(_) => true,
            Self::All => false,
        }
    }
}

/// A connector, and the diagnostics of its incarnation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorRow {
    /// The connector.
    pub connector: Connector,
    /// Its diagnostics.
    pub diagnostics: Diagnostics,
}

impl Record for ConnectorRow {
    type Key = ConnectorKey;
    type Selection = ConnectorSelection;

    fn key(&self) -> ConnectorKey {
        self.connector.key.clone()
    }
}

/// Selections of connectors.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectorSelection {
    /// All.
    All,
    /// Those of a space, by name and id, compared as bytes.
    OfSpace(SpaceId),
    /// The one of an incarnation.
    OfIncarnation(Incarnation),
}

impl Selection<ConnectorRow> for ConnectorSelection {
    fn selects(&self, row: &ConnectorRow) -> bool {
        match self {
            Self::All => true,
            Self::OfSpace(space) => row.connector.key.space == *space,
            Self::OfIncarnation(incarnation) => row.connector.incarnation == *incarnation,
        }
    }

    fn compare(&self, left: &ConnectorRow, right: &ConnectorRow) -> Ordering {
        let order = match self {
            Self::OfSpace(_) => left.connector.name.as_str().cmp(right.connector.name.as_str()),
            Self::All | Self::OfIncarnation(_) => Ordering::Equal,
        };
        order.then_with(|| left.connector.key.cmp(&right.connector.key))
    }
}

/// A client secret, and since when its connector has a newer one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSecret {
    /// The sealed secret.
    pub record: ClientSecretRecord,
    /// Since when it is superseded.
    pub superseded_at: Option<Timestamp>,
}

impl Record for ClientSecret {
    type Key = ClientSecretKey;
    type Selection = ClientSecretSelection;

    fn key(&self) -> ClientSecretKey {
        self.record.key
    }
}

/// Selections of client secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientSecretSelection {
    /// All.
    All,
    /// Those of an incarnation of a connector.
    OfIncarnation(Incarnation),
    /// Those that are superseded.
    Superseded,
}

impl Selection<ClientSecret> for ClientSecretSelection {
    fn selects(&self, secret: &ClientSecret) -> bool {
        match self {
            Self::All => true,
            Self::OfIncarnation(incarnation) => secret.record.key.incarnation == *incarnation,
            Self::Superseded => secret.superseded_at.is_some(),
        }
    }

    fn leaves_out_unreadable(&self) -> bool {
        match self {
            Self::Superseded => true,
            Self::All | Self::OfIncarnation(_) => false,
        }
    }
}

/// The connection that a user chose as default at a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultConnection {
    /// The connector.
    pub incarnation: Incarnation,
    /// The user.
    pub user: UserId,
    /// The name of the connection.
    pub connection: ConnectionName,
}

impl Record for DefaultConnection {
    type Key = (Incarnation, UserId);
    type Selection = DefaultConnectionSelection;

    fn key(&self) -> (Incarnation, UserId) {
        (self.incarnation, self.user.clone())
    }
}

/// Selections of default connections.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DefaultConnectionSelection {
    /// Those at an incarnation of a connector.
    OfIncarnation(Incarnation),
    /// Those of a user.
    OfUser(UserId),
}

impl Selection<DefaultConnection> for DefaultConnectionSelection {
    fn selects(&self, default: &DefaultConnection) -> bool {
        match self {
            Self::OfIncarnation(incarnation) => default.incarnation == *incarnation,
            Self::OfUser(user) => default.user == *user,
        }
    }
}

/// A user for whom no grant is committed any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The user.
    pub user: UserId,
    /// When the user was removed.
    pub removed_at: Timestamp,
}

impl Record for Tombstone {
    type Key = UserId;
    type Selection = TombstoneSelection;

    fn key(&self) -> UserId {
        self.user.clone()
    }
}

/// Selections of tombstones.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TombstoneSelection {
    /// Those of higher user ids; with none, all.
    After(Option<UserId>),
}

impl Selection<Tombstone> for TombstoneSelection {
    fn selects(&self, tombstone: &Tombstone) -> bool {
        let Self::After(after) = self;
        after.as_ref().is_none_or(|after| tombstone.user > *after)
    }
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// The hash of its id.
    pub id: SessionHash,
    /// The session.
    pub session: Session,
}

impl Record for SessionRow {
    type Key = SessionHash;
    type Selection = SessionSelection;

    fn key(&self) -> SessionHash {
        self.id
    }
}

/// Selections of sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionSelection {
    /// Those of a user, by the instant of their creation, then by id.
    OfUser(UserId),
    /// Those created or last used before these instants, or after the last one.
    Outside {
        /// The earliest instant of creation.
        created_before: Timestamp,
        /// The earliest instant of the last use.
        seen_before: Timestamp,
        /// The latest instant of both.
        after: Timestamp,
    },
}

impl Selection<SessionRow> for SessionSelection {
    fn selects(&self, row: &SessionRow) -> bool {
        let Session { user, created_at, seen_at, .. } = &row.session;
        match self {
            Self::OfUser(of) => user == of,
            Self::Outside { created_before, seen_before, after } => {
                !(*created_before..=*after).contains(created_at) || !(*seen_before..=*after).contains(seen_at)
            }
        }
    }

    fn compare(&self, left: &SessionRow, right: &SessionRow) -> Ordering {
        let order = match self {
            Self::OfUser(_) => left.session.created_at.cmp(&right.session.created_at),
            Self::Outside { .. } => Ordering::Equal,
        };
        order.then_with(|| left.id.cmp(&right.id))
    }

    /// All: a session that cannot be read admits no request.
    fn leaves_out_unreadable(&self) -> bool {
        true
    }
}
