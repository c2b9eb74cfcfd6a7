//! Authorizations and orphaned tokens as rows.

use grantry_domain::authorization::{
    AuthorizationId, AuthorizationKey, AuthorizationRecord, Envelope, FlowCookieHash, RefreshState, Revision,
    RevocationOutcome, RevocationRecord, StateHash, StateKind,
};
use grantry_domain::connector::{Epoch, Incarnation};
use grantry_domain::ports::UnclaimedTokens;
use grantry_domain::provider::{BindingDigest, Scopes};
use grantry_domain::time::Timestamp;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

use super::{Reader, signed};
use crate::fault::Fault;
use crate::sql;

/// A stored authorization. What its row keeps beyond the record stands beside it.
pub(crate) struct Authorization {
    pub(crate) record: AuthorizationRecord,
    /// The cookie hash, also of a flow that is over.
    pub(crate) flow_cookie_hash: Option<FlowCookieHash>,
}

impl Authorization {
    /// The columns [`authorization`] reads, of a table named `a`.
    pub(crate) const COLUMNS: &str = "a.id, a.space, a.connector, a.incarnation, a.epoch, a.digest, a.user, a.created_at, \
         a.state, a.cause, a.since, a.deadline, a.state_hash, a.flow_cookie_hash, a.consumed_at, a.sealed, a.revision, a.scopes, \
         a.expires_at, a.refreshable, a.refresh_expires_at, a.account, a.authorized_at, a.last_used_day, a.lease_until, \
         a.lease_owner, a.in_doubt_since, a.failed_attempts, a.failing_since, a.revocation, a.revoke_at, \
         a.revoke_attempts, a.revoke_in_doubt";
}

/// Reads an authorization from the columns that start at `at`.
pub(crate) fn authorization(row: &Row<'_>, at: usize) -> Result<Authorization, Fault> {
    let mut columns = Reader::new(row, at, "authorizations");
    let id = AuthorizationId::from_bytes(columns.array()?);
    let owner = ownership(&mut columns)?;
    let created_at = columns.time()?;
    let state = StateKind::parse(columns.text()?).ok_or_else(|| columns.broken("the state is known"))?;
    let cause = columns.optional_text()?.map(str::to_owned);
    let since = columns.optional_time()?;
    let deadline = columns.optional_time()?;
    let state_hash = columns.optional_array()?.map(StateHash);
    let flow_cookie_hash = columns.optional_array()?.map(FlowCookieHash);
    let consumed_at = columns.optional_time()?;
    let awaiting = state == StateKind::AwaitingCallback;
    let flow = awaiting || state == StateKind::Initiated;
    let record = AuthorizationRecord {
        id,
        owner,
        created_at,
        state,
        cause,
        since,
        deadline: deadline.filter(|_| flow),
        state_hash: state_hash.filter(|_| awaiting),
        flow_cookie_hash: flow_cookie_hash.filter(|_| awaiting),
        consumed_at: consumed_at.filter(|_| awaiting),
        sealed: columns.optional_bytes()?.map(|bytes| Envelope(bytes.to_vec())),
        revision: Revision(columns.unsigned()?),
        scopes: Scopes::from_record(columns.text()?),
        expires_at: columns.optional_time()?,
        refreshable: columns.flag()?,
        refresh_expires_at: columns.optional_time()?,
        account: columns.optional_text()?.map(str::to_owned),
        authorized_at: columns.optional_time()?,
        last_used_day: columns.optional_number()?,
        refresh: RefreshState {
            held_until: columns.optional_time()?,
            owner: columns.optional_array()?,
            in_doubt_since: columns.optional_time()?,
            failed_attempts: columns.count()?,
            failing_since: columns.optional_time()?,
        },
        revocation: revocation(&mut columns)?,
    };
    Ok(Authorization { record, flow_cookie_hash })
}

fn ownership(columns: &mut Reader<'_>) -> Result<AuthorizationKey, Fault> {
    Ok(AuthorizationKey {
        space: columns.space()?,
        connector: columns.connector()?,
        incarnation: Incarnation(columns.array()?),
        epoch: Epoch(columns.unsigned()?),
        digest: BindingDigest(columns.array()?),
        user: columns.user()?,
    })
}

fn revocation(columns: &mut Reader<'_>) -> Result<Option<RevocationRecord>, Fault> {
    let Some(name) = columns.optional_text()? else { return Ok(None) };
    if name == DUE {
        let due_at = columns.time()?;
        return Ok(Some(RevocationRecord::Pending { due_at, attempts: columns.count()?, in_doubt: columns.flag()? }));
    }
    let outcome = RevocationOutcome::parse(name).ok_or_else(|| columns.broken("the outcome of a revocation is known"))?;
    Ok(Some(RevocationRecord::Completed(outcome)))
}

/// The value of `revocation` while it is owed.
const DUE: &str = "pending";

/// Adds a record.
pub(crate) fn insert(connection: &Connection, record: &AuthorizationRecord) -> Result<(), Fault> {
    const INSERT: &str = "INSERT INTO authorizations \
         (id, space, connector, incarnation, epoch, digest, user, created_at, state, cause, since, deadline, state_hash, \
          flow_cookie_hash, consumed_at, sealed, kid, revision, scopes, expires_at, refreshable, refresh_expires_at, account, \
          authorized_at, last_used_day, lease_until, lease_owner, in_doubt_since, failed_attempts, failing_since, \
          revocation, revoke_at, revoke_attempts, revoke_in_doubt) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, \
          ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34)";
    sql::execute(connection, INSERT, params_from_iter(values(record).iter()))?;
    Ok(())
}

/// Replaces all of a record but its identity, if the condition holds; it may use `?35` and `?36`. The hashes of a flow stay in
/// the row, and the day of last use never goes back.
pub(crate) fn overwrite(
    connection: &Connection,
    record: &AuthorizationRecord,
    condition: &str,
    extra: [&dyn ToSql; 2],
) -> Result<bool, Fault> {
    let statement = format!(
        "UPDATE authorizations SET state = ?9, cause = ?10, since = ?11, deadline = ?12, \
             state_hash = coalesce(?13, state_hash), flow_cookie_hash = coalesce(?14, flow_cookie_hash), \
             consumed_at = coalesce(?15, consumed_at), sealed = ?16, kid = ?17, revision = ?18, scopes = ?19, \
             expires_at = ?20, refreshable = ?21, refresh_expires_at = ?22, account = ?23, authorized_at = ?24, \
             last_used_day = max(?25, coalesce(last_used_day, ?25)), lease_until = ?26, lease_owner = ?27, \
             in_doubt_since = ?28, failed_attempts = ?29, failing_since = ?30, revocation = ?31, revoke_at = ?32, \
             revoke_attempts = ?33, revoke_in_doubt = ?34 \
         WHERE id = ?1 AND {condition}"
    );
    let values = values(record);
    let parameters = values.iter().map(|value| value as &dyn ToSql).chain(extra);
    Ok(sql::execute(connection, &statement, params_from_iter(parameters))? == 1)
}

/// The columns of a record, in the order of [`insert`].
fn values(record: &AuthorizationRecord) -> [ToSqlOutput<'_>; 34] {
    let owner = &record.owner;
    let (outcome, revoke_at, attempts, in_doubt) = match &record.revocation {
        None => (None, None, None, None),
        Some(RevocationRecord::Completed(outcome)) => (Some(outcome.as_str()), None, None, None),
        Some(RevocationRecord::Pending { in_doubt, due_at, attempts }) => {
            (Some(DUE), Some(*due_at), Some(i64::from(*attempts)), Some(i64::from(*in_doubt)))
        }
    };
    [
        blob(record.id.as_bytes()),
        text(owner.space.as_str()),
        text(owner.connector.as_str()),
        blob(&owner.incarnation.0),
        number(signed(owner.epoch.0)),
        blob(&owner.digest.0),
        text(owner.user.as_str()),
        time(record.created_at),
        text(record.state.as_str()),
        optional(record.cause.as_deref(), text),
        optional(record.since, time),
        optional(record.deadline, time),
        optional(record.state_hash.as_ref(), |hash| blob(&hash.0)),
        optional(record.flow_cookie_hash.as_ref(), |hash| blob(&hash.0)),
        optional(record.consumed_at, time),
        optional(record.sealed.as_ref(), |sealed| blob(&sealed.0)),
        key_id(record.sealed.as_ref()),
        number(signed(record.revision.0)),
        ToSqlOutput::Owned(Value::Text(record.scopes.to_record())),
        optional(record.expires_at, time),
        number(i64::from(record.refreshable)),
        optional(record.refresh_expires_at, time),
        optional(record.account.as_deref(), text),
        optional(record.authorized_at, time),
        optional(record.last_used_day, number),
        optional(record.refresh.held_until, time),
        optional(record.refresh.owner.as_ref(), |owner| blob(owner)),
        optional(record.refresh.in_doubt_since, time),
        number(i64::from(record.refresh.failed_attempts)),
        optional(record.refresh.failing_since, time),
        optional(outcome, text),
        optional(revoke_at, time),
        optional(attempts, number),
        optional(in_doubt, number),
    ]
}

fn optional<'v, T>(value: Option<T>, column: impl FnOnce(T) -> ToSqlOutput<'v>) -> ToSqlOutput<'v> {
    value.map_or(ToSqlOutput::Owned(Value::Null), column)
}

fn text(value: &str) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes()))
}

fn blob(value: &[u8]) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Blob(value))
}

fn number(value: i64) -> ToSqlOutput<'static> {
    ToSqlOutput::Owned(Value::Integer(value))
}

fn time(value: Timestamp) -> ToSqlOutput<'static> {
    number(value.as_millis())
}

fn key_id(sealed: Option<&Envelope>) -> ToSqlOutput<'static> {
    optional(sealed.and_then(Envelope::key_id), |kid| ToSqlOutput::Owned(Value::Blob(kid.to_vec())))
}

/// Reads orphaned tokens: id, owner, envelope, `queued_at`, `attempts`.
pub(crate) fn orphan(row: &Row<'_>) -> Result<UnclaimedTokens, Fault> {
    let mut columns = Reader::new(row, 0, "unclaimed_tokens");
    Ok(UnclaimedTokens {
        id: AuthorizationId::from_bytes(columns.array()?),
        owner: ownership(&mut columns)?,
        sealed: Envelope(columns.bytes()?.to_vec()),
        queued_at: columns.time()?,
        attempts: columns.count()?,
    })
}
