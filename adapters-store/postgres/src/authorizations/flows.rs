//! Flows: inserting one, and consuming it when its callback arrives.

use grantry_domain::authorization::{
    Authorization, ExpiredCause, FlowCookieHash, Input, State, TerminalCause, TerminationCause,
};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{AuditEvent, CallbackKey, ConsumeOutcome, InsertOutcome, PendingLimits, Versioned};
use grantry_domain::secret::equal_in_constant_time;

use super::grants::obsolete;
use super::terminate::{Scope, Transition};
use crate::error::{PgError, inconsistent};
use crate::records::interrupted_before;
use crate::sql::{self, params};
use crate::transaction::Transaction;
use crate::{outbox, records};

/// Adds a flow unless it is obsolete or a limit is reached; the unconsumed flow of the same connection is superseded.
///
/// The row of the user is locked, so that the limit of the user is exact. Flows of several users that start at the same time can
/// exceed the limit of the deployment, each by one: a lock for all of them would serialise every start.
pub(super) async fn insert(
    transaction: &Transaction,
    flow: &Authorization,
    limits: PendingLimits,
    audit: &[AuditEvent],
) -> Result<InsertOutcome, PgError> {
    if let Some(obsolete) = obsolete(transaction, flow.owner()).await? {
        transaction.undo();
        return Ok(InsertOutcome::Obsolete(obsolete));
    }
    let is_reached = unfinished(transaction, flow, UNFINISHED_OF_USER, limits.per_user).await?
        || unfinished(transaction, flow, UNFINISHED, limits.deployment).await?;
    if is_reached {
        transaction.undo();
        return Ok(InsertOutcome::TooManyPending);
    }
    let owner = flow.owner();
    let actor = Actor::Person(owner.user.clone());
    let scope = Scope::connection(owner.incarnation, &owner.user, &owner.connection);
    let transition = Transition::to_revoked(&actor, transaction.began(), TerminationCause::Superseded);
    transition.terminate_pending(transaction, &scope).await?;
    records::insert(transaction, flow).await?;
    outbox::write(transaction, audit).await?;
    Ok(InsertOutcome::Inserted)
}

/// Counts the user's flows that have not ended, except those that the new flow supersedes. No more than `$6` are counted.
const UNFINISHED_OF_USER: &str = "SELECT count(*) FROM (SELECT 1 FROM authorizations \
     WHERE user_id = $1 AND role <> 'ended_flow' AND (role = 'running' AND consumed_at > $5 \
         OR role = 'pending' AND deadline > $4 AND NOT (incarnation = $2 AND connection = $3)) LIMIT $6) AS counted";

/// Counts all flows that have not ended, except those that the new flow supersedes. No more than `$6` of each kind are counted.
const UNFINISHED: &str = "SELECT \
     (SELECT count(*) FROM (SELECT 1 FROM authorizations WHERE role = 'pending' AND deadline > $4 LIMIT $6) AS pending) \
     + (SELECT count(*) FROM (SELECT 1 FROM authorizations WHERE role = 'running' AND consumed_at > $5 LIMIT $6) AS running) \
     - (SELECT count(*) FROM authorizations \
         WHERE role = 'pending' AND deadline > $4 AND incarnation = $2 AND user_id = $1 AND connection = $3)";

/// Whether a limit is reached.
async fn unfinished(transaction: &Transaction, flow: &Authorization, query: &str, limit: u32) -> Result<bool, PgError> {
    let (owner, now) = (flow.owner(), transaction.began());
    // One more, because at most one of those counted is superseded.
    let most = i64::from(limit) + 1;
    let parameters = params![
        owner.user.as_str(),
        owner.incarnation.0,
        owner.connection.as_str(),
        now.as_millis(),
        interrupted_before(now),
        most,
    ];
    Ok(sql::number(transaction, query, &parameters).await? >= i64::from(limit))
}

/// Finds the flow of a callback, and either reports what does not match or consumes it.
pub(super) async fn consume(
    transaction: &Transaction,
    key: &CallbackKey,
    audit: &[AuditEvent],
) -> Result<ConsumeOutcome, PgError> {
    let outcome = try_consume(transaction, key).await?;
    if let ConsumeOutcome::Consumed { .. } = outcome {
        outbox::write(transaction, audit).await?;
    } else {
        transaction.undo();
    }
    Ok(outcome)
}

async fn try_consume(transaction: &Transaction, key: &CallbackKey) -> Result<ConsumeOutcome, PgError> {
    // The condition repeats every check below, so that no flow is consumed that fails one of them.
    const CONSUME: &str = "UPDATE authorizations SET consumed_at = $4, sealed = NULL, kid = NULL \
         WHERE state_hash = $1 AND user_id = $2 AND flow_cookie_hash = $3 AND state = 'awaiting_callback' \
           AND consumed_at IS NULL AND deadline > $4";
    let Some(found) = records::locked_by_state(transaction, key.state_hash).await? else {
        return Ok(ConsumeOutcome::NotFound);
    };
    let flow = Box::new(found.authorization);
    if flow.owner().user != key.user {
        return Ok(ConsumeOutcome::UserMismatch(flow));
    }
    let belongs = |given: &&FlowCookieHash| {
        found.flow_cookie_hash.is_some_and(|expected| equal_in_constant_time(&expected.0, &given.0))
    };
    let Some(flow_cookie_hash) = key.flow_cookies.iter().find(belongs) else {
        return Ok(ConsumeOutcome::BrowserMismatch(flow));
    };
    let now = transaction.began();
    let (deadline, secrets) = match flow.state() {
        State::AwaitingCallback(awaiting) if !awaiting.is_consumed() => (awaiting.deadline(), awaiting.sealed().cloned()),
        State::Initiated(_) | State::AwaitingCallback(_) | State::Authorized(_) | State::Expired(_) | State::Revoked(_) => {
            let timed_out = flow.terminal_cause() == Some(TerminalCause::Expired(ExpiredCause::FlowTimedOut));
            return Ok(if timed_out { ConsumeOutcome::Expired(flow) } else { ConsumeOutcome::AlreadyUsed(flow) });
        }
    };
    if now >= deadline {
        return Ok(ConsumeOutcome::Expired(flow));
    }
    let parameters = params![key.state_hash.0, key.user.as_str(), flow_cookie_hash.0, now.as_millis()];
    if sql::execute(transaction, CONSUME, &parameters).await? != 1 {
        return Ok(ConsumeOutcome::AlreadyUsed(flow));
    }
    match (flow.on(Input::CallbackConsumed, now), secrets) {
        (Ok(consumed), Some(secrets)) => {
            Ok(ConsumeOutcome::Consumed { flow: Box::new(Versioned::stored(consumed)), secrets })
        }
        (Ok(_) | Err(_), _) => Err(inconsistent("authorizations", found.row, "an unconsumed flow can be consumed")),
    }
}
