//! Terminating and expiring authorizations by predicate.
//!
//! Each statement locks the rows of a scope in the order of their ids, applies to all of them what the domain's transition does to
//! one authorization, and writes the audit event of each; a test compares the two. A row that another transaction changed in the
//! meantime is changed only if it still matches.

use grantry_domain::authorization::{RevokedCause, TerminalCause, TerminationCause};
use grantry_domain::connector::{ConnectorKey, Incarnation};
use grantry_domain::identity::{Actor, ConnectionName, UserId};
use grantry_domain::ports::{AuditEvent, AuditKind, AuditOutcome, TerminationReport, TerminationRequest, TerminationScope};
use grantry_domain::time::Timestamp;

use crate::connection::Connection;
use crate::error::PgError;
use crate::sql::{self, Value, params};
use crate::transaction::Transaction;
use crate::{outbox, users};

/// A set of rows: a condition over the parameters `$1` to `$3`, and the order in which its rows are locked.
pub(crate) struct Scope<'s> {
    condition: &'static str,
    locked: &'static str,
    values: [Value<'s>; 3],
}

impl<'s> Scope<'s> {
    /// Rows of which others may be locked; those are waited for.
    fn new(condition: &'static str, values: [Value<'s>; 3]) -> Self {
        Self { condition, locked: "ORDER BY id FOR UPDATE", values }
    }

    /// The rows that a sweep finds. `locked` ends with a limit, `$2`, and leaves locked rows out.
    pub(crate) fn of_sweep(condition: &'static str, locked: &'static str, until: i64, limit: i64) -> Self {
        Self { condition, locked, values: [until.into(), limit.into(), Value::UNUSED] }
    }

    /// The rows of a connector.
    pub(crate) fn connector(incarnation: Incarnation) -> Self {
        Self::new("incarnation = $1", [incarnation.0.into(), Value::UNUSED, Value::UNUSED])
    }

    /// The rows of a connector with its space and id.
    pub(crate) fn connector_by_key(incarnation: Incarnation, key: &'s ConnectorKey) -> Self {
        let values = [incarnation.0.into(), key.space.as_str().into(), key.id.as_str().into()];
        Self::new("incarnation = $1 AND space = $2 AND connector = $3", values)
    }

    /// The rows of one connection.
    pub(super) fn connection(incarnation: Incarnation, user: &'s UserId, connection: &'s ConnectionName) -> Self {
        let condition = "incarnation = $1 AND user_id = $2 AND connection = $3 AND role <> 'ended_flow'";
        Self::new(condition, [incarnation.0.into(), user.as_str().into(), connection.as_str().into()])
    }

    fn of(scope: &'s TerminationScope) -> Self {
        match scope {
            TerminationScope::One(id) => Self::new("id = $1", [id.as_bytes().into(), Value::UNUSED, Value::UNUSED]),
            TerminationScope::Connection { connector, user, connection } => {
                // Space and id contain no slash.
                let condition =
                    "user_id = $1 AND space || '/' || connector = $2 AND connection = $3 AND role <> 'ended_flow'";
                let key = format!("{}/{}", connector.space, connector.id);
                Self::new(condition, [user.as_str().into(), key.into(), connection.as_str().into()])
            }
            TerminationScope::User(user) => {
                Self::new("user_id = $1 AND role <> 'ended_flow'", [user.as_str().into(), Value::UNUSED, Value::UNUSED])
            }
            TerminationScope::UserSpace { user, space } => Self::new(
                "user_id = $1 AND space = $2 AND role <> 'ended_flow'",
                [user.as_str().into(), space.as_str().into(), Value::UNUSED],
            ),
            TerminationScope::Space(space) => Self::new("space = $1", [space.as_str().into(), Value::UNUSED, Value::UNUSED]),
        }
    }
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
const PENDING: &str = "role = 'pending'";
const RUNNING: &str = "role = 'running'";
const GRANT: &str = "role = 'grant' AND authorized_at IS NOT NULL";
const EXPIRED_GRANT: &str = "role = 'former_grant' AND state = 'expired' AND authorized_at IS NOT NULL";

const REMOVE_SECRETS: &str = ", sealed = NULL, kid = NULL";

const QUEUE_REVOCATION: &str = ", scopes = '', expires_at = NULL, refreshable = FALSE, refresh_expires_at = NULL, \
     lease_until = NULL, lease_holder = NULL, in_doubt_since = NULL, failed_attempts = 0, \
     failing_since = NULL, revocation = 'pending', revoke_at = $4, revoke_attempts = 0, \
     revoke_in_doubt = in_doubt_since IS NOT NULL";

const SKIP_REVOCATION: &str = ", scopes = '', expires_at = NULL, refreshable = FALSE, refresh_expires_at = NULL, \
     lease_until = NULL, lease_holder = NULL, in_doubt_since = NULL, failed_attempts = 0, \
     failing_since = NULL, revocation = 'not_needed', sealed = NULL, kid = NULL, revision = 0";

impl<'t> Transition<'t> {
    /// A transition to `Revoked`.
    pub(crate) fn to_revoked(actor: &'t Actor, now: Timestamp, cause: TerminationCause) -> Self {
        Self { actor, now, cause: TerminalCause::Revoked(RevokedCause::Terminated(cause)) }
    }

    /// Applies to flows whose callback has not arrived.
    pub(crate) async fn terminate_pending(&self, connection: &Connection, scope: &Scope<'_>) -> Result<u64, PgError> {
        self.apply(connection, scope, PENDING, AuditKind::FlowEnded, REMOVE_SECRETS).await
    }

    /// Applies to flows whose callback is being processed.
    pub(crate) async fn terminate_running(&self, connection: &Connection, scope: &Scope<'_>) -> Result<u64, PgError> {
        self.apply(connection, scope, RUNNING, AuditKind::FlowEnded, REMOVE_SECRETS).await
    }

    /// Applies to grants.
    pub(crate) async fn terminate_grants(
        &self,
        connection: &Connection,
        scope: &Scope<'_>,
        tokens: Tokens,
    ) -> Result<u64, PgError> {
        let kind = match self.cause {
            TerminalCause::Expired(_) => AuditKind::GrantExpired,
            TerminalCause::Revoked(_) => AuditKind::GrantTerminated,
        };
        let set = match tokens {
            Tokens::Revoke => QUEUE_REVOCATION,
            Tokens::Discard => SKIP_REVOCATION,
        };
        self.apply(connection, scope, GRANT, kind, set).await
    }

    /// Applies to former grants that need a new consent; a pending revocation goes on.
    pub(crate) async fn close_former(&self, connection: &Connection, scope: &Scope<'_>) -> Result<u64, PgError> {
        self.apply(connection, scope, EXPIRED_GRANT, AuditKind::GrantTerminated, "").await
    }

    async fn apply(
        &self,
        connection: &Connection,
        scope: &Scope<'_>,
        rows: &str,
        kind: AuditKind,
        set: &str,
    ) -> Result<u64, PgError> {
        let [first, second, third] = scope.values.clone();
        let (actor_kind, actor) = outbox::actor_columns(self.actor);
        let parameters = [
            first,
            second,
            third,
            self.now.as_millis().into(),
            self.cause.state().as_str().into(),
            self.cause.to_record().into(),
            self.actor.to_record().into(),
            AuditOutcome::from(self.cause).as_str().into(),
            actor_kind.into(),
            actor.into(),
            kind.as_str().into(),
        ];
        sql::execute(connection, &statement(set, rows, scope.condition, scope.locked), &parameters).await
    }
}

/// Changes the rows and writes an event for each. Returns the number of events. The ids are an array, because the planner expects a
/// share of the table from a limit that is a parameter, and then reads all of it to join.
///
/// The text is put together at each call, which takes no time beside its run. There are few different texts, so all are
/// cached.
fn statement(set: &str, rows: &str, condition: &str, locked: &str) -> String {
    format!(
        "WITH locked AS MATERIALIZED (SELECT id FROM authorizations WHERE {rows} AND {condition} {locked}), \
         ended AS (UPDATE authorizations AS a SET state = $5, cause = $6, since = $4, ended_by = $7{set} \
             WHERE a.id = ANY (ARRAY(SELECT id FROM locked)) \
             RETURNING a.space, a.connector, a.user_id, a.connection, a.id) \
         INSERT INTO events (at, actor_kind, actor, kind, space, connector, user_id, connection, authorization_id, outcome) \
         SELECT $4, $9, $10, $11, space, connector, user_id, connection, id, $8 FROM ended ORDER BY id"
    )
}

/// Terminates everything in a scope that has not ended.
pub(super) async fn terminate(
    transaction: &Transaction,
    scope: &TerminationScope,
    request: &TerminationRequest,
) -> Result<TerminationReport, PgError> {
    let now = transaction.began();
    if let TerminationScope::User(user) = scope {
        tombstone_user(transaction, now, user, &request.actor).await?;
    }
    let report = terminate_all(transaction, now, &Scope::of(scope), request.cause, &request.actor).await?;
    if let TerminationScope::User(user) = scope {
        // After the grants: a default connection is set only while its grant is locked.
        let statement = "DELETE FROM default_connections WHERE user_id = $1";
        sql::execute(transaction, statement, &params![user.as_str()]).await?;
    }
    Ok(report)
}

/// Flows, grants and former grants become `Revoked`.
///
/// The order is that of the states. An authorization that another transaction advances between two statements is met by the
/// later one. A former grant that has become `Revoked` is not counted again.
pub(crate) async fn terminate_all(
    connection: &Connection,
    now: Timestamp,
    scope: &Scope<'_>,
    cause: TerminationCause,
    actor: &Actor,
) -> Result<TerminationReport, PgError> {
    let transition = Transition::to_revoked(actor, now, cause);
    let pending = transition.terminate_pending(connection, scope).await?;
    let running = transition.terminate_running(connection, scope).await?;
    let grants = transition.terminate_grants(connection, scope, Tokens::Revoke).await?;
    let former = transition.close_former(connection, scope).await?;
    Ok(TerminationReport { flows: pending + running, grants, former, queued: grants })
}

/// Locks the user, and writes the tombstone that prevents later grants.
async fn tombstone_user(connection: &Connection, now: Timestamp, user: &UserId, actor: &Actor) -> Result<(), PgError> {
    const TOMBSTONE: &str = "UPDATE users SET removed_at = $2 WHERE user_id = $1";
    if users::lock(connection, user).await?.is_none() {
        sql::execute(connection, TOMBSTONE, &params![user.as_str(), now.as_millis()]).await?;
        let event = AuditEvent::new(AuditKind::UserDeprovisioned, actor.clone(), now);
        outbox::write(connection, &[event.of_user(user)]).await?;
    }
    Ok(())
}
