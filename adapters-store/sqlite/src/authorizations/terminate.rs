//! Terminating and expiring authorizations by predicate.
//!
//! Each statement applies to all rows of a scope what the domain's transition does to one authorization; a test compares the
//! two. The audit event of each row is written by the same predicate just before.

use grantry_domain::authorization::{RevokedCause, TerminalCause, TerminationCause};
use grantry_domain::connector::{ConnectorKey, Incarnation};
use grantry_domain::identity::{Actor, ConnectionName, UserId};
use grantry_domain::ports::{AuditEvent, AuditKind, AuditOutcome, TerminationReport, TerminationRequest, TerminationScope};
use grantry_domain::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params};

use crate::error::SqliteError;
use crate::{outbox, sql};

/// A set of rows: a condition over the parameters `?1` to `?3`.
pub(crate) struct Scope {
    condition: &'static str,
    values: [Value; 3],
}

impl Scope {
    pub(crate) fn new(condition: &'static str, values: [Value; 3]) -> Self {
        Self { condition, values }
    }

    /// The rows of a connector.
    pub(crate) fn connector(incarnation: Incarnation) -> Self {
        Self::new("incarnation = ?1", [blob(&incarnation.0), Value::Null, Value::Null])
    }

    /// The rows of a connector with its space and id.
    pub(crate) fn connector_by_key(incarnation: Incarnation, key: &ConnectorKey) -> Self {
        let values = [blob(&incarnation.0), text(key.space.as_str()), text(key.id.as_str())];
        Self::new("incarnation = ?1 AND space = ?2 AND connector = ?3", values)
    }

    /// The rows of one connection.
    pub(super) fn connection(incarnation: Incarnation, user: &UserId, connection: &ConnectionName) -> Self {
        let condition = "incarnation = ?1 AND user = ?2 AND connection = ?3 AND role <> 'ended_flow'";
        Self::new(condition, [blob(&incarnation.0), text(user.as_str()), text(connection.as_str())])
    }

    fn of(scope: &TerminationScope) -> Self {
        match scope {
            TerminationScope::One(id) => Self::new("id = ?1", [blob(id.as_bytes()), Value::Null, Value::Null]),
            TerminationScope::Connection { connector, user, connection } => {
                // Space and id contain no slash.
                let condition = "user = ?1 AND space || '/' || connector = ?2 AND connection = ?3 AND role <> 'ended_flow'";
                let key = Value::Text(format!("{}/{}", connector.space, connector.id));
                Self::new(condition, [text(user.as_str()), key, text(connection.as_str())])
            }
            TerminationScope::User(user) => {
                Self::new("user = ?1 AND role <> 'ended_flow'", [text(user.as_str()), Value::Null, Value::Null])
            }
            TerminationScope::UserSpace { user, space } => Self::new(
                "user = ?1 AND space = ?2 AND role <> 'ended_flow'",
                [text(user.as_str()), text(space.as_str()), Value::Null],
            ),
            TerminationScope::Space(space) => Self::new("space = ?1", [text(space.as_str()), Value::Null, Value::Null]),
        }
    }
}

fn blob(bytes: &[u8]) -> Value {
    Value::Blob(bytes.to_vec())
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// What happens to the tokens of an ended grant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tokens {
    /// They stay sealed until they are revoked at the provider; the in-doubt mark is kept with them.
    Revoke,
    /// They are destroyed: they are not valid any more, or another grant of the same account still needs them.
    Discard,
}

/// The transition of many authorizations to a terminal state: who, when and why.
pub(crate) struct Transition<'t> {
    pub(crate) actor: &'t Actor,
    pub(crate) now: Timestamp,
    pub(crate) cause: TerminalCause,
}

// Rows that can end. `authorized_at` is implied by the role and repeated so that the index by space applies.
pub(crate) const PENDING: &str = "role = 'pending'";
pub(crate) const RUNNING: &str = "role = 'running'";
pub(crate) const GRANT: &str = "role = 'grant' AND authorized_at IS NOT NULL";
pub(crate) const EXPIRED_GRANT: &str = "role = 'former_grant' AND state = 'expired' AND authorized_at IS NOT NULL";

const REMOVE_SECRETS: &str = ", sealed = NULL, kid = NULL";

const QUEUE_REVOCATION: &str = ", scopes = '', expires_at = NULL, refreshable = 0, refresh_expires_at = NULL, \
     lease_until = NULL, lease_holder = NULL, in_doubt_since = NULL, failed_attempts = 0, \
     failing_since = NULL, revocation = 'pending', revoke_at = ?4, revoke_attempts = 0, \
     revoke_in_doubt = in_doubt_since IS NOT NULL";

const SKIP_REVOCATION: &str = ", scopes = '', expires_at = NULL, refreshable = 0, refresh_expires_at = NULL, \
     lease_until = NULL, lease_holder = NULL, in_doubt_since = NULL, failed_attempts = 0, \
     failing_since = NULL, revocation = 'not_needed', sealed = NULL, kid = NULL, revision = 0";

impl<'t> Transition<'t> {
    /// A transition to `Revoked`.
    pub(crate) fn to_revoked(actor: &'t Actor, now: Timestamp, cause: TerminationCause) -> Self {
        Self { actor, now, cause: TerminalCause::Revoked(RevokedCause::Terminated(cause)) }
    }

    /// Applies to flows whose callback has not arrived.
    pub(crate) fn terminate_pending(&self, connection: &Connection, scope: &Scope) -> Result<u64, SqliteError> {
        self.apply(connection, scope, PENDING, AuditKind::FlowEnded, REMOVE_SECRETS)
    }

    /// Applies to flows whose callback is being processed.
    pub(crate) fn terminate_running(&self, connection: &Connection, scope: &Scope) -> Result<u64, SqliteError> {
        self.apply(connection, scope, RUNNING, AuditKind::FlowEnded, REMOVE_SECRETS)
    }

    /// Applies to grants.
    pub(crate) fn terminate_grants(
        &self,
        connection: &Connection,
        scope: &Scope,
        tokens: Tokens,
    ) -> Result<u64, SqliteError> {
        let kind = match self.cause {
            TerminalCause::Expired(_) => AuditKind::GrantExpired,
            TerminalCause::Revoked(_) => AuditKind::GrantTerminated,
        };
        let set = match tokens {
            Tokens::Revoke => QUEUE_REVOCATION,
            Tokens::Discard => SKIP_REVOCATION,
        };
        self.apply(connection, scope, GRANT, kind, set)
    }

    /// Applies to former grants that need a new consent; a pending revocation goes on.
    pub(crate) fn close_former(&self, connection: &Connection, scope: &Scope) -> Result<u64, SqliteError> {
        self.apply(connection, scope, EXPIRED_GRANT, AuditKind::GrantTerminated, "")
    }

    fn apply(
        &self,
        connection: &Connection,
        scope: &Scope,
        rows: &str,
        kind: AuditKind,
        set: &str,
    ) -> Result<u64, SqliteError> {
        let Scope { condition, values: [first, second, third] } = scope;
        let (actor_kind, actor) = outbox::actor_columns(self.actor);
        let now = self.now.as_millis();
        let outcome = AuditOutcome::from(self.cause).as_str();
        let parameters = params![first, second, third, now, outcome, actor_kind, actor, kind.as_str()];
        if sql::execute(connection, &audit_statement(rows, condition), parameters)? == 0 {
            return Ok(0);
        }
        let (state, cause) = (self.cause.state().as_str(), self.cause.to_record());
        let parameters = params![first, second, third, now, state, cause, self.actor.to_record()];
        sql::execute(connection, &change_statement(set, rows, condition), parameters)
    }
}

fn audit_statement(rows: &str, condition: &str) -> String {
    format!(
        "INSERT INTO events (at, actor_kind, actor, kind, space, connector, user, connection, authorization_id, outcome) \
         SELECT ?4, ?6, ?7, ?8, space, connector, user, connection, id, ?5 FROM authorizations \
         WHERE {rows} AND {condition}"
    )
}

fn change_statement(set: &str, rows: &str, condition: &str) -> String {
    format!("UPDATE authorizations SET state = ?5, cause = ?6, since = ?4, ended_by = ?7{set} WHERE {rows} AND {condition}")
}

/// Terminates everything in a scope that has not ended.
pub(super) fn terminate(
    connection: &Connection,
    now: Timestamp,
    scope: &TerminationScope,
    request: &TerminationRequest,
) -> Result<TerminationReport, SqliteError> {
    if let TerminationScope::User(user) = scope {
        tombstone_user(connection, now, user, &request.actor)?;
    }
    terminate_all(connection, now, &Scope::of(scope), request.cause, &request.actor)
}

/// Flows, grants and former grants become `Revoked`.
pub(crate) fn terminate_all(
    connection: &Connection,
    now: Timestamp,
    scope: &Scope,
    cause: TerminationCause,
    actor: &Actor,
) -> Result<TerminationReport, SqliteError> {
    let transition = Transition::to_revoked(actor, now, cause);
    // Former grants come first: the grants terminated below are not counted again.
    let former = transition.close_former(connection, scope)?;
    let grants = transition.terminate_grants(connection, scope, Tokens::Revoke)?;
    let flows = transition.terminate_pending(connection, scope)? + transition.terminate_running(connection, scope)?;
    Ok(TerminationReport { flows, grants, former, queued: grants })
}

/// Writes the tombstone that prevents later grants of this user, and removes the user's choices of a default connection.
fn tombstone_user(connection: &Connection, now: Timestamp, user: &UserId, actor: &Actor) -> Result<(), SqliteError> {
    const TOMBSTONE: &str = "INSERT INTO tombstones (user, removed_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    if sql::execute(connection, TOMBSTONE, params![user.as_str(), now.as_millis()])? == 1 {
        let event = AuditEvent::new(AuditKind::UserDeprovisioned, actor.clone(), now);
        outbox::write(connection, &[event.of_user(user)])?;
    }
    sql::execute(connection, "DELETE FROM default_connections WHERE user = ?1", [user.as_str()])?;
    Ok(())
}

/// The statements for some rows of a scope, for the tests of query plans.
#[cfg(test)]
pub(crate) fn statements_for(rows: &str, condition: &str) -> [String; 2] {
    [audit_statement(rows, condition), change_statement(QUEUE_REVOCATION, rows, condition)]
}

/// The statements for every kind of row and scope, for the tests of query plans.
#[cfg(test)]
pub(crate) fn statements() -> Vec<String> {
    use grantry_domain::authorization::AuthorizationId;
    use grantry_domain::connector::ConnectorId;
    use grantry_domain::identity::SpaceId;

    let user = UserId::new("u").unwrap();
    let space = SpaceId::default_space();
    let incarnation = Incarnation([1; 16]);
    let connector = ConnectorKey { space: space.clone(), id: ConnectorId::new("c").unwrap() };
    let scopes = [
        TerminationScope::One(AuthorizationId::from_bytes([1; 24])),
        TerminationScope::Connection {
            connector: connector.clone(),
            user: user.clone(),
            connection: ConnectionName::default(),
        },
        TerminationScope::User(user.clone()),
        TerminationScope::UserSpace { user, space: space.clone() },
        TerminationScope::Space(space),
    ];
    let of_connector = [Scope::connector(incarnation), Scope::connector_by_key(incarnation, &connector)];
    let scopes = scopes.iter().map(Scope::of).chain(of_connector);
    let of_scope = |scope: Scope| [PENDING, RUNNING, GRANT, EXPIRED_GRANT].map(|rows| statements_for(rows, scope.condition));
    scopes.flat_map(of_scope).flatten().collect()
}
