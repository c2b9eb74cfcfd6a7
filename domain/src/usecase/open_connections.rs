//! The connections of a user that a request without a connection name can mean.

use crate::authorization::{Authorization, ConnectionView, RevokedCause, StateKind, TerminalCause, TerminationCause};
use crate::ports::StatusRow;
use crate::usecase::token::ConnectionLabel;

/// The connections with a grant, a flow, or a former grant that needs a new consent. Connections that were disconnected are
/// not among them.
pub(super) fn open_connections(row: &StatusRow) -> Vec<&ConnectionView> {
    let is_open = |row: &&ConnectionView| {
        row.grant.is_some() || row.pending.is_some() || row.former.as_ref().is_some_and(needs_consent)
    };
    row.connections.iter().filter(is_open).collect()
}

/// Names and accounts, for a caller who has to choose.
pub(super) fn labels(connections: &[&ConnectionView]) -> Vec<ConnectionLabel> {
    let label = |view: &&ConnectionView| ConnectionLabel {
        name: view.name.clone(),
        account: view.grant.as_ref().or(view.former.as_ref()).and_then(account_label),
    };
    connections.iter().map(label).collect()
}

/// The account label of a grant or a former grant.
pub(super) fn account_label(authorization: &Authorization) -> Option<String> {
    match authorization.as_grant() {
        Some(grant) => grant.tokens().account.clone(),
        None => authorization.termination()?.account().map(str::to_owned),
    }
}

/// Whether a former grant needs a new consent of its user.
pub(super) fn needs_consent(former: &Authorization) -> bool {
    let by_admin = TerminalCause::Revoked(RevokedCause::Terminated(TerminationCause::Admin));
    former.state().kind() == StateKind::Expired || former.terminal_cause() == Some(by_admin)
}
