//! The bodies of all requests, for the fuzz targets of this repository.

use grantry_domain::usecase::ConnectorDraft;

use super::access_token::AccessTokenBody;
use super::connections::{DefaultConnectionBody, DisconnectBody};
use super::connector_body::ConnectorBody;
use super::execute::ExecuteBody;
use super::flows::{CancelFlowBody, StartFlowBody};
use super::session::LogInBody;
use crate::extract::{Exceptions, parse};
use crate::problem::Problem;

/// Reads a body of one kind; the draft of a connector, if it is one.
pub(crate) fn read_body(kind: u8, body: &[u8]) -> Result<Option<ConnectorDraft>, Problem> {
    match kind % 8 {
        0 => parse::<ExecuteBody>(body, Exceptions::EXECUTE).map(|_| None),
        1 => parse::<ConnectorBody>(body, Exceptions::NONE).and_then(ConnectorBody::into_draft).map(Some),
        2 => parse::<AccessTokenBody>(body, Exceptions::NONE).map(|_| None),
        3 => parse::<DefaultConnectionBody>(body, Exceptions::NONE).map(|_| None),
        4 => parse::<DisconnectBody>(body, Exceptions::NONE).map(|_| None),
        5 => parse::<StartFlowBody>(body, Exceptions::NONE).map(|_| None),
        6 => parse::<CancelFlowBody>(body, Exceptions::NONE).map(|_| None),
        _ => parse::<LogInBody>(body, Exceptions::NONE).map(|_| None),
    }
}
