//! Whole records under their fence (R38), and the one column that is written outside of it.

use grantry_domain::authorization::{AuthorizationId, AuthorizationRecord};
use grantry_domain::ports::{AuditEvent, ExpectedVersion, WriteOutcome};
use rusqlite::{Connection, params};

use super::read;
use crate::fault::Fault;
use crate::{outbox, records, sql};

/// Replaces a record if state and revision are what the caller read.
pub(super) fn replace(
    connection: &Connection,
    next: &AuthorizationRecord,
    fence: ExpectedVersion,
    audit: &[AuditEvent],
) -> Result<WriteOutcome, Fault> {
    // Consuming changes neither state nor revision. A record read before must not bring the flow's secrets back (R20).
    const FENCE: &str =
        "state = ?35 AND revision = ?36 AND NOT (?9 = 'awaiting_callback' AND ?15 IS NULL AND consumed_at NOT NULL)";
    let revision = records::signed(fence.revision.0);
    if records::overwrite(connection, next, FENCE, [&fence.state.as_str(), &revision])? {
        outbox::write(connection, audit)?;
        return Ok(WriteOutcome::Written);
    }
    let present = read::find(connection, next.id)?;
    Ok(present.map_or(WriteOutcome::NotFound, |record| WriteOutcome::Stale(Box::new(record))))
}

/// Notes days of use; older notes change nothing.
pub(super) fn record_use(connection: &Connection, uses: &[(AuthorizationId, i64)]) -> Result<(), Fault> {
    const NOTE: &str =
        "UPDATE authorizations SET last_used_day = ?2 WHERE id = ?1 AND role = 'grant' AND last_used_day < ?2";
    for (id, day) in uses {
        sql::execute(connection, NOTE, params![id.as_bytes(), day])?;
    }
    Ok(())
}
