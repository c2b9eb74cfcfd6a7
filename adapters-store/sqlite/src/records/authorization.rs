//! Authorizations and unclaimed tokens as rows.
//!
//! [`AuthorizationRecord`] is used only here: [`stored`] restores a row to an [`Authorization`], which checks every invariant.

use std::sync::LazyLock;

use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, AuthorizationRecord, Envelope, FlowCookieHash, InvariantViolation,
    RefreshState, Revision, RevocationOutcome, RevocationRecord, StateHash, StateKind, TerminalCause,
};
use grantry_domain::connector::{Epoch, Incarnation};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{RowTag, UnclaimedTokens};
use grantry_domain::provider::{BindingDigest, Scopes};
use grantry_domain::time::Timestamp;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

use super::{Columns, signed};
use crate::error::SqliteError;
use crate::sql;

/// The columns that [`stored`] reads, of a table named `a`.
pub(crate) const AUTHORIZATION_COLUMNS: &str = "a.seq, a.id, a.space, a.connector, a.incarnation, a.epoch, a.digest, a.user, \
     a.connection, a.created_at, a.state, a.cause, a.since, a.ended_by, a.deadline, a.state_hash, a.flow_cookie_hash, a.consumed_at, \
     a.sealed, a.revision, a.scopes, a.expires_at, a.refreshable, a.refresh_expires_at, a.account, a.account_tag, a.authorized_at, \
     a.last_used_day, a.lease_until, a.lease_holder, a.in_doubt_since, a.failed_attempts, a.failing_since, a.refusals, \
     a.refused_since, a.last_refusal, a.revocation, a.revoke_at, a.revoke_attempts, a.revoke_in_doubt";

/// The columns that [`unclaimed_tokens`] reads.
pub(crate) const UNCLAIMED_COLUMNS: &str =
    "seq, id, space, connector, incarnation, epoch, digest, user, connection, sealed, queued_at, attempts";

static FIND: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {AUTHORIZATION_COLUMNS} FROM authorizations AS a WHERE a.id = ?1"));

static FIND_BY_STATE: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {AUTHORIZATION_COLUMNS} FROM authorizations AS a WHERE a.state_hash = ?1"));

/// A row of the authorizations.
pub(crate) struct StoredAuthorization {
    pub(crate) authorization: Authorization,
    /// The number of the row.
    pub(crate) row: i64,
    /// The hash of the flow cookie. An ended flow has none, but its row has.
    pub(crate) flow_cookie_hash: Option<FlowCookieHash>,
}

/// Restores an authorization from the columns that start at `at`.
pub(crate) fn stored(row: &Row<'_>, at: usize) -> Result<StoredAuthorization, SqliteError> {
    let mut columns = Columns::numbered(row, at, "authorizations")?;
    let id = AuthorizationId::from_bytes(columns.array()?);
    let owner = key(&mut columns)?;
    let created_at = columns.time()?;
    let state = StateKind::parse(columns.text()?).ok_or_else(|| columns.broken("the state is a known one"))?;
    let cause = cause(&mut columns, state)?;
    let since = columns.optional_time()?;
    let ended_by = actor(&mut columns)?;
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
        ended_by,
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
        account_tag: columns.optional_array()?.map(RowTag),
        authorized_at: columns.optional_time()?,
        last_used_day: columns.optional_integer()?,
        refresh: RefreshState {
            held_until: columns.optional_time()?,
            holder: columns.optional_array()?,
            in_doubt_since: columns.optional_time()?,
            failed_attempts: columns.count()?,
            failing_since: columns.optional_time()?,
            refusals: columns.count()?,
            refused_since: columns.optional_time()?,
            last_refusal: last_refusal(&mut columns)?,
        },
        revocation: revocation(&mut columns)?,
    };
    let authorization = Authorization::restore(record).map_err(|InvariantViolation(rule)| columns.broken(rule))?;
    Ok(StoredAuthorization { authorization, row: columns.number(), flow_cookie_hash })
}

/// Restores an authorization from the first columns of a row.
pub(crate) fn authorization(row: &Row<'_>) -> Result<Authorization, SqliteError> {
    Ok(stored(row, 0)?.authorization)
}

fn key(columns: &mut Columns<'_>) -> Result<AuthorizationKey, SqliteError> {
    Ok(AuthorizationKey {
        space: columns.space()?,
        connector: columns.connector()?,
        incarnation: Incarnation(columns.array()?),
        epoch: Epoch(columns.unsigned()?),
        digest: BindingDigest(columns.array()?),
        user: columns.user()?,
        connection: columns.connection()?,
    })
}

fn last_refusal(columns: &mut Columns<'_>) -> Result<Option<u16>, SqliteError> {
    let Some(status) = columns.optional_integer()? else { return Ok(None) };
    u16::try_from(status).map(Some).map_err(|_| columns.broken("the status of a refusal is an HTTP status"))
}

fn cause(columns: &mut Columns<'_>, state: StateKind) -> Result<Option<TerminalCause>, SqliteError> {
    let Some(text) = columns.optional_text()? else { return Ok(None) };
    let cause = TerminalCause::from_record(state, text);
    cause.map(Some).ok_or_else(|| columns.broken("the cause is one of its state"))
}

fn actor(columns: &mut Columns<'_>) -> Result<Option<Actor>, SqliteError> {
    let Some(text) = columns.optional_text()? else { return Ok(None) };
    Actor::from_record(text).map(Some).ok_or_else(|| columns.broken("the actor is a well-formed one"))
}

fn revocation(columns: &mut Columns<'_>) -> Result<Option<RevocationRecord>, SqliteError> {
    let Some(name) = columns.optional_text()? else { return Ok(None) };
    if name == PENDING {
        let due_at = columns.time()?;
        return Ok(Some(RevocationRecord::Pending { due_at, attempts: columns.count()?, in_doubt: columns.flag()? }));
    }
    let outcome =
        RevocationOutcome::parse(name).ok_or_else(|| columns.broken("the outcome of a revocation is a known one"))?;
    Ok(Some(RevocationRecord::Completed(outcome)))
}

/// The value of `revocation` while it is not completed.
const PENDING: &str = "pending";

/// The authorization with this id.
pub(crate) fn find(connection: &Connection, id: AuthorizationId) -> Result<Option<Authorization>, SqliteError> {
    sql::first(connection, &FIND, [id.as_bytes()], authorization)
}

/// The authorization whose flow has, or had, this state.
pub(crate) fn find_by_state(connection: &Connection, state: StateHash) -> Result<Option<StoredAuthorization>, SqliteError> {
    sql::first(connection, &FIND_BY_STATE, [state.0], |row| stored(row, 0))
}

/// Adds an authorization.
pub(crate) fn insert(connection: &Connection, authorization: &Authorization) -> Result<(), SqliteError> {
    const INSERT: &str = "INSERT INTO authorizations \
         (id, space, connector, incarnation, epoch, digest, user, connection, created_at, state, cause, since, ended_by, deadline, \
          state_hash, flow_cookie_hash, consumed_at, sealed, kid, revision, scopes, expires_at, refreshable, \
          refresh_expires_at, account, authorized_at, last_used_day, lease_until, lease_holder, in_doubt_since, \
          failed_attempts, failing_since, refusals, refused_since, last_refusal, revocation, revoke_at, revoke_attempts, \
          revoke_in_doubt, account_tag) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, \
          ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40)";
    let record = authorization.to_record();
    sql::execute(connection, INSERT, params_from_iter(values(&record).iter()))?;
    Ok(())
}

/// Replaces everything of an authorization but its key, if the condition holds; the condition may use `?10` for the new
/// state, `?17` for the new `consumed_at`, and the extra parameters `?41` and `?42`.
///
/// The hashes of a flow stay in the row, and the day of last use never decreases.
pub(crate) fn overwrite(
    connection: &Connection,
    authorization: &Authorization,
    condition: &str,
    extra: [&dyn ToSql; 2],
) -> Result<bool, SqliteError> {
    let statement = format!(
        "UPDATE authorizations SET state = ?10, cause = ?11, since = ?12, ended_by = ?13, deadline = coalesce(?14, deadline), \
             state_hash = coalesce(?15, state_hash), flow_cookie_hash = coalesce(?16, flow_cookie_hash), \
             consumed_at = coalesce(?17, consumed_at), sealed = ?18, kid = ?19, revision = ?20, scopes = ?21, \
             expires_at = ?22, refreshable = ?23, refresh_expires_at = ?24, account = ?25, authorized_at = ?26, \
             last_used_day = max(?27, coalesce(last_used_day, ?27)), lease_until = ?28, lease_holder = ?29, \
             in_doubt_since = ?30, failed_attempts = ?31, failing_since = ?32, refusals = ?33, refused_since = ?34, \
             last_refusal = ?35, revocation = ?36, revoke_at = ?37, revoke_attempts = ?38, revoke_in_doubt = ?39, \
             account_tag = ?40 \
         WHERE id = ?1 AND {condition}"
    );
    let record = authorization.to_record();
    let values = values(&record);
    let parameters = values.iter().map(|value| value as &dyn ToSql).chain(extra);
    Ok(sql::execute(connection, &statement, params_from_iter(parameters))? == 1)
}

/// The columns of a record, in the order of [`insert`].
fn values(record: &AuthorizationRecord) -> [ToSqlOutput<'_>; 40] {
    let owner = &record.owner;
    let (outcome, revoke_at, attempts, in_doubt) = match &record.revocation {
        None => (None, None, None, None),
        Some(RevocationRecord::Completed(outcome)) => (Some(outcome.as_str()), None, None, None),
        Some(RevocationRecord::Pending { in_doubt, due_at, attempts }) => {
            (Some(PENDING), Some(*due_at), Some(i64::from(*attempts)), Some(i64::from(*in_doubt)))
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
        text(owner.connection.as_str()),
        time(record.created_at),
        text(record.state.as_str()),
        optional(record.cause, |cause| ToSqlOutput::Owned(Value::Text(cause.to_record()))),
        optional(record.since, time),
        optional(record.ended_by.as_ref(), |actor| ToSqlOutput::Owned(Value::Text(actor.to_record()))),
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
        optional(record.refresh.holder.as_ref(), |holder| blob(holder)),
        optional(record.refresh.in_doubt_since, time),
        number(i64::from(record.refresh.failed_attempts)),
        optional(record.refresh.failing_since, time),
        number(i64::from(record.refresh.refusals)),
        optional(record.refresh.refused_since, time),
        optional(record.refresh.last_refusal, |status| number(i64::from(status))),
        optional(outcome, text),
        optional(revoke_at, time),
        optional(attempts, number),
        optional(in_doubt, number),
        optional(record.account_tag.as_ref(), |tag| blob(&tag.0)),
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

/// Reads unclaimed tokens.
pub(crate) fn unclaimed_tokens(row: &Row<'_>) -> Result<UnclaimedTokens, SqliteError> {
    let mut columns = Columns::numbered(row, 0, "unclaimed_tokens")?;
    Ok(UnclaimedTokens {
        id: AuthorizationId::from_bytes(columns.array()?),
        owner: key(&mut columns)?,
        sealed: Envelope(columns.bytes()?.to_vec()),
        queued_at: columns.time()?,
        attempts: columns.count()?,
    })
}
