//! TerminationRequest authorizations by predicate (R49, R52, R53).
//!
//! What the domain's transition does to one record, each statement here does to all rows of a scope; a test compares the
//! two. Every ended row leaves its audit event, written by the same predicate just before.

use grantry_domain::authorization::{StateKind, TerminationCause};
use grantry_domain::connector::Incarnation;
use grantry_domain::identity::{Actor, UserId};
use grantry_domain::ports::{AuditKind, TerminationReport, TerminationRequest, TerminationScope};
use grantry_domain::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params};

use crate::fault::Fault;
use crate::{outbox, sql};

/// Which rows: a condition over the parameters `?1` and `?2`.
pub(crate) struct Scope {
    condition: &'static str,
    first: Value,
    second: Value,
}

impl Scope {
    pub(super) fn new(condition: &'static str, first: Value, second: Value) -> Self {
        Self { condition, first, second }
    }

    /// All of a connector.
    pub(crate) fn connector(incarnation: Incarnation) -> Self {
        Self::new("incarnation = ?1", incarnation.0.to_vec().into(), Value::Null)
    }

    /// All of a user for a connector.
    pub(super) fn user_connector(incarnation: Incarnation, user: &UserId) -> Self {
        let condition = "incarnation = ?1 AND user = ?2 AND role <> 'over'";
        Self::new(condition, incarnation.0.to_vec().into(), user.as_str().to_owned().into())
    }

    fn of(scope: &TerminationScope) -> Self {
        match scope {
            TerminationScope::One(id) => Self::new("id = ?1", id.as_bytes().to_vec().into(), Value::Null),
            TerminationScope::UserConnector { incarnation, user } => Self::user_connector(*incarnation, user),
            TerminationScope::User(user) => {
                Self::new("user = ?1 AND role <> 'over'", user.as_str().to_owned().into(), Value::Null)
            }
            TerminationScope::UserSpace { user, space } => Self::new(
                "user = ?1 AND space = ?2 AND role <> 'over'",
                user.as_str().to_owned().into(),
                space.as_str().to_owned().into(),
            ),
            TerminationScope::Space(space) => Self::new("space = ?1", space.as_str().to_owned().into(), Value::Null),
        }
    }
}

/// What becomes of the tokens of an ended grant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tokens {
    /// They are kept sealed and are to be revoked at the provider; the in-doubt mark goes along (R49).
    Owed,
    /// They are dead, or another grant of the same account still needs them (R51).
    NotNeeded,
}

/// Into which state rows go, when, and in whose name.
pub(crate) struct Transition<'t> {
    pub(crate) actor: &'t Actor,
    pub(crate) now: Timestamp,
    pub(crate) state: StateKind,
    pub(crate) cause: &'t str,
}

/// Rows that can be ended. `authorized_at` is implied, and said so that the index by space can serve.
pub(super) const PENDING: &str = "role = 'pending'";
pub(super) const RUNNING: &str = "role = 'running'";
pub(super) const GRANT: &str = "role = 'grant' AND authorized_at IS NOT NULL";
pub(super) const LOST: &str = "role = 'former' AND state = 'expired' AND authorized_at IS NOT NULL";

const FORGET_SECRETS: &str = ", sealed = NULL, kid = NULL";

const OWE: &str = ", scopes = '', expires_at = NULL, refreshable = 0, refresh_expires_at = NULL, last_used_day = NULL, \
     lease_until = NULL, lease_owner = NULL, in_doubt_since = NULL, failed_attempts = 0, failing_since = NULL, \
     revocation = 'pending', revoke_at = ?3, revoke_attempts = 0, revoke_in_doubt = in_doubt_since IS NOT NULL";

const SETTLE: &str = ", scopes = '', expires_at = NULL, refreshable = 0, refresh_expires_at = NULL, last_used_day = NULL, \
     lease_until = NULL, lease_owner = NULL, in_doubt_since = NULL, failed_attempts = 0, failing_since = NULL, \
     revocation = 'not_needed', sealed = NULL, kid = NULL, revision = 0";

impl Transition<'_> {
    /// Flows whose callback has not arrived.
    pub(crate) fn end_pending(&self, connection: &Connection, scope: &Scope) -> Result<u64, Fault> {
        self.apply(connection, scope, PENDING, AuditKind::FlowEnded, FORGET_SECRETS)
    }

    /// Flows whose callback is being worked on.
    pub(crate) fn end_running(&self, connection: &Connection, scope: &Scope) -> Result<u64, Fault> {
        self.apply(connection, scope, RUNNING, AuditKind::FlowEnded, FORGET_SECRETS)
    }

    /// Grants.
    pub(crate) fn end_grants(&self, connection: &Connection, scope: &Scope, tokens: Tokens) -> Result<u64, Fault> {
        let kind = match self.state {
            StateKind::Expired => AuditKind::GrantExpired,
            StateKind::Initiated | StateKind::AwaitingCallback | StateKind::Authorized | StateKind::Revoked => {
                AuditKind::GrantEnded
            }
        };
        let set = match tokens {
            Tokens::Owed => OWE,
            Tokens::NotNeeded => SETTLE,
        };
        self.apply(connection, scope, GRANT, kind, set)
    }

    /// Former grants that still want re-authorization; a revocation under way goes on.
    pub(crate) fn put_away(&self, connection: &Connection, scope: &Scope) -> Result<u64, Fault> {
        self.apply(connection, scope, LOST, AuditKind::GrantEnded, "")
    }

    fn apply(&self, connection: &Connection, scope: &Scope, rows: &str, kind: AuditKind, set: &str) -> Result<u64, Fault> {
        let Scope { condition, first, second } = scope;
        let (actor_kind, actor) = outbox::actor_columns(self.actor);
        let (now, state) = (self.now.as_millis(), self.state.as_str());
        let parameters = params![first, second, now, state, self.cause, actor_kind, actor, kind.as_str()];
        let noted = sql::execute(connection, &note_statement(rows, condition), parameters)?;
        if noted == 0 {
            return Ok(0);
        }
        let parameters = params![first, second, now, state, self.cause];
        sql::execute(connection, &change_statement(set, rows, condition), parameters)
    }
}

fn note_statement(rows: &str, condition: &str) -> String {
    format!(
        "INSERT INTO events (at, actor_kind, actor, kind, space, connector, user, authorization_id, outcome) \
         SELECT ?3, ?6, ?7, ?8, space, connector, user, id, ?5 FROM authorizations WHERE {rows} AND {condition}"
    )
}

fn change_statement(set: &str, rows: &str, condition: &str) -> String {
    format!("UPDATE authorizations SET state = ?4, cause = ?5, since = ?3{set} WHERE {rows} AND {condition}")
}

/// Ends everything in a scope that can still be ended.
pub(super) fn end(
    connection: &Connection,
    now: Timestamp,
    scope: &TerminationScope,
    ending: &TerminationRequest,
) -> Result<TerminationReport, Fault> {
    if let TerminationScope::User(user) = scope {
        bury(connection, now, user)?;
    }
    end_all(connection, now, &Scope::of(scope), ending.cause, &ending.actor)
}

/// Flows, grants and former grants become `Revoked`.
pub(crate) fn end_all(
    connection: &Connection,
    now: Timestamp,
    scope: &Scope,
    cause: TerminationCause,
    actor: &Actor,
) -> Result<TerminationReport, Fault> {
    let ending = Transition { actor, now, state: StateKind::Revoked, cause: cause.as_str() };
    // Former grants first, so that none of them is one that was a grant a moment ago.
    let former = ending.put_away(connection, scope)?;
    let grants = ending.end_grants(connection, scope, Tokens::Owed)?;
    let flows = ending.end_pending(connection, scope)? + ending.end_running(connection, scope)?;
    Ok(TerminationReport { flows, grants, former, queued: grants })
}

/// Leaves a tombstone: no grant is committed for this user any more.
fn bury(connection: &Connection, now: Timestamp, user: &UserId) -> Result<(), Fault> {
    const BURY: &str = "INSERT INTO tombstones (user, removed_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    sql::execute(connection, BURY, params![user.as_str(), now.as_millis()])?;
    Ok(())
}

/// What is run for some rows of a scope, for the test of plans.
#[cfg(test)]
pub(super) fn statements_for(rows: &str, condition: &str) -> [String; 2] {
    [note_statement(rows, condition), change_statement(OWE, rows, condition)]
}

/// What is run for every kind of rows and scope, for the test of plans.
#[cfg(test)]
pub(super) fn statements() -> Vec<String> {
    use grantry_domain::authorization::AuthorizationId;
    use grantry_domain::identity::SpaceId;

    let user = UserId::new("u").unwrap();
    let space = SpaceId::default_space();
    let incarnation = Incarnation([1; 16]);
    let scopes = [
        TerminationScope::One(AuthorizationId::from_bytes([1; 24])),
        TerminationScope::UserConnector { incarnation, user: user.clone() },
        TerminationScope::User(user.clone()),
        TerminationScope::UserSpace { user, space: space.clone() },
        TerminationScope::Space(space),
    ];
    let scopes = scopes.iter().map(Scope::of).chain([Scope::connector(incarnation)]);
    let of_scope = |scope: Scope| [PENDING, RUNNING, GRANT, LOST].map(|rows| statements_for(rows, scope.condition));
    scopes.flat_map(of_scope).flatten().collect()
}
