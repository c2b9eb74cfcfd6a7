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
use tokio_postgres::Row;

use super::{Columns, signed};
use crate::connection::Connection;
use crate::error::PgError;
use crate::sql::{self, Value, params};

/// The columns that [`stored`] reads, of a table named `a`.
pub(crate) const AUTHORIZATION_COLUMNS: &str = "a.seq, a.id, a.space, a.connector, a.incarnation, a.epoch, a.digest, a.user_id, \
     a.connection, a.created_at, a.state, a.cause, a.since, a.ended_by, a.deadline, a.state_hash, a.flow_cookie_hash, a.consumed_at, \
     a.sealed, a.revision, a.scopes, a.expires_at, a.refreshable, a.refresh_expires_at, a.account, a.account_tag, a.authorized_at, \
     a.last_used_day, a.lease_until, a.lease_holder, a.in_doubt_since, a.failed_attempts, a.failing_since, a.refusals, \
     a.refused_since, a.last_refusal, a.revocation, a.revoke_at, a.revoke_attempts, a.revoke_in_doubt";

/// The columns that [`unclaimed_tokens`] reads.
pub(crate) const UNCLAIMED_COLUMNS: &str =
    "seq, id, space, connector, incarnation, epoch, digest, user_id, connection, sealed, queued_at, attempts";

/// The authorization of an id.
pub(crate) static FIND: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {AUTHORIZATION_COLUMNS} FROM authorizations AS a WHERE a.id = $1"));

static LOCKED: LazyLock<String> = LazyLock::new(|| format!("{} FOR UPDATE", *FIND));

/// The authorization of a state.
pub(crate) static BY_STATE: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {AUTHORIZATION_COLUMNS} FROM authorizations AS a WHERE a.state_hash = $1"));

static LOCKED_BY_STATE: LazyLock<String> = LazyLock::new(|| format!("{} FOR UPDATE", *BY_STATE));

/// A row of the authorizations.
pub(crate) struct StoredAuthorization {
    pub(crate) authorization: Authorization,
    /// The number of the row.
    pub(crate) row: i64,
    /// The hash of the flow cookie. An ended flow has none, but its row has.
    pub(crate) flow_cookie_hash: Option<FlowCookieHash>,
}

/// Restores an authorization from the columns that start at `at`.
pub(crate) fn stored(row: &Row, at: usize) -> Result<StoredAuthorization, PgError> {
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
pub(crate) fn authorization(row: &Row) -> Result<Authorization, PgError> {
    Ok(stored(row, 0)?.authorization)
}

fn key(columns: &mut Columns<'_>) -> Result<AuthorizationKey, PgError> {
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

fn last_refusal(columns: &mut Columns<'_>) -> Result<Option<u16>, PgError> {
    let Some(status) = columns.optional_integer()? else { return Ok(None) };
    u16::try_from(status).map(Some).map_err(|_| columns.broken("the status of a refusal is an HTTP status"))
}

fn cause(columns: &mut Columns<'_>, state: StateKind) -> Result<Option<TerminalCause>, PgError> {
    let Some(text) = columns.optional_text()? else { return Ok(None) };
    let cause = TerminalCause::from_record(state, text);
    cause.map(Some).ok_or_else(|| columns.broken("the cause is one of its state"))
}

fn actor(columns: &mut Columns<'_>) -> Result<Option<Actor>, PgError> {
    let Some(text) = columns.optional_text()? else { return Ok(None) };
    Actor::from_record(text).map(Some).ok_or_else(|| columns.broken("the actor is a well-formed one"))
}

fn revocation(columns: &mut Columns<'_>) -> Result<Option<RevocationRecord>, PgError> {
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
pub(crate) async fn find(connection: &Connection, id: AuthorizationId) -> Result<Option<Authorization>, PgError> {
    let row = sql::first(connection, &FIND, &params![id.as_bytes()]).await?;
    row.as_ref().map(authorization).transpose()
}

/// The authorization with this id, which no other transaction changes until the end of this one.
pub(crate) async fn locked(connection: &Connection, id: AuthorizationId) -> Result<Option<Authorization>, PgError> {
    let row = sql::first(connection, &LOCKED, &params![id.as_bytes()]).await?;
    row.as_ref().map(authorization).transpose()
}

/// The authorization whose flow has, or had, this state. No other transaction changes it until the end of this one.
pub(crate) async fn locked_by_state(
    connection: &Connection,
    state: StateHash,
) -> Result<Option<StoredAuthorization>, PgError> {
    let row = sql::first(connection, &LOCKED_BY_STATE, &params![state.0]).await?;
    row.map(|row| stored(&row, 0)).transpose()
}

/// Adds an authorization.
pub(crate) async fn insert(connection: &Connection, authorization: &Authorization) -> Result<(), PgError> {
    const INSERT: &str = "INSERT INTO authorizations \
         (id, space, connector, incarnation, epoch, digest, user_id, connection, created_at, state, cause, since, ended_by, \
          deadline, state_hash, flow_cookie_hash, consumed_at, sealed, kid, revision, scopes, expires_at, refreshable, \
          refresh_expires_at, account, authorized_at, last_used_day, lease_until, lease_holder, in_doubt_since, \
          failed_attempts, failing_since, refusals, refused_since, last_refusal, revocation, revoke_at, revoke_attempts, \
          revoke_in_doubt, account_tag) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, \
          $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40)";
    let record = authorization.to_record();
    sql::execute(connection, INSERT, &values(&record)).await?;
    Ok(())
}

/// Replaces everything of an authorization but its key, if the condition holds; the condition may use `$10` for the new
/// state, `$17` for the new `consumed_at`, and the extra parameters from `$41`.
///
/// The hashes of a flow stay in the row, and the day of last use never decreases.
pub(crate) async fn overwrite(
    connection: &Connection,
    authorization: &Authorization,
    condition: &str,
    extra: &[Value<'_>],
) -> Result<bool, PgError> {
    let statement = format!(
        "UPDATE authorizations SET state = $10, cause = $11, since = $12, ended_by = $13, deadline = coalesce($14, deadline), \
             state_hash = coalesce($15, state_hash), flow_cookie_hash = coalesce($16, flow_cookie_hash), \
             consumed_at = coalesce($17, consumed_at), sealed = $18, kid = $19, revision = $20, scopes = $21, \
             expires_at = $22, refreshable = $23, refresh_expires_at = $24, account = $25, authorized_at = $26, \
             last_used_day = CASE WHEN $27::bigint IS NULL THEN NULL ELSE greatest($27, last_used_day) END, \
             lease_until = $28, lease_holder = $29, in_doubt_since = $30, failed_attempts = $31, failing_since = $32, \
             refusals = $33, refused_since = $34, last_refusal = $35, revocation = $36, revoke_at = $37, \
             revoke_attempts = $38, revoke_in_doubt = $39, account_tag = $40 \
         WHERE id = $1 AND {condition}"
    );
    let record = authorization.to_record();
    let values = [values(&record).as_slice(), extra].concat();
    Ok(sql::execute(connection, &statement, &values).await? == 1)
}

/// The columns of a record, in the order of [`insert`].
fn values(record: &AuthorizationRecord) -> [Value<'_>; 40] {
    let owner = &record.owner;
    let (outcome, revoke_at, attempts, in_doubt) = match &record.revocation {
        None => (None, None, None, None),
        Some(RevocationRecord::Completed(outcome)) => (Some(outcome.as_str()), None, None, None),
        Some(RevocationRecord::Pending { in_doubt, due_at, attempts }) => {
            (Some(PENDING), Some(*due_at), Some(i64::from(*attempts)), Some(*in_doubt))
        }
    };
    params![
        record.id.as_bytes(),
        owner.space.as_str(),
        owner.connector.as_str(),
        &owner.incarnation.0,
        signed(owner.epoch.0),
        &owner.digest.0,
        owner.user.as_str(),
        owner.connection.as_str(),
        record.created_at.as_millis(),
        record.state.as_str(),
        record.cause.map(TerminalCause::to_record),
        millis(record.since),
        record.ended_by.as_ref().map(Actor::to_record),
        millis(record.deadline),
        record.state_hash.map(|hash| hash.0),
        record.flow_cookie_hash.map(|hash| hash.0),
        millis(record.consumed_at),
        record.sealed.as_ref().map(|sealed| sealed.0.as_slice()),
        record.sealed.as_ref().and_then(Envelope::key_id),
        signed(record.revision.0),
        record.scopes.to_record(),
        millis(record.expires_at),
        record.refreshable,
        millis(record.refresh_expires_at),
        record.account.as_deref(),
        millis(record.authorized_at),
        record.last_used_day,
        millis(record.refresh.held_until),
        record.refresh.holder,
        millis(record.refresh.in_doubt_since),
        i64::from(record.refresh.failed_attempts),
        millis(record.refresh.failing_since),
        i64::from(record.refresh.refusals),
        millis(record.refresh.refused_since),
        record.refresh.last_refusal.map(i64::from),
        outcome,
        millis(revoke_at),
        attempts,
        Value::Flag(in_doubt),
        record.account_tag.map(|tag| tag.0),
    ]
}

fn millis(value: Option<Timestamp>) -> Option<i64> {
    value.map(Timestamp::as_millis)
}

/// Reads unclaimed tokens.
pub(crate) fn unclaimed_tokens(row: &Row) -> Result<UnclaimedTokens, PgError> {
    let mut columns = Columns::numbered(row, 0, "unclaimed_tokens")?;
    Ok(UnclaimedTokens {
        id: AuthorizationId::from_bytes(columns.array()?),
        owner: key(&mut columns)?,
        sealed: Envelope(columns.bytes()?.to_vec()),
        queued_at: columns.time()?,
        attempts: columns.count()?,
    })
}
